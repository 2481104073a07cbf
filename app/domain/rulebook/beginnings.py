"""When a version begins: at midnight of a day in the rulebook's time zone, or at an instant.

    [black-screen.from.2026-12-01]                     midnight
    [black-screen.from."2026-12-01T09:30:00-08:00"]    an instant, with its offset from UTC

One instant has one name, whatever the offset with which the file writes it: verdicts and digests name versions.
"""

import re
from datetime import date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from vigil.app.domain.rulebook.book import midnight

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})")
_FORMS: Final = (
    'write a day as YYYY-MM-DD, for example 2022-07-19, or an instant with its offset, "2022-07-19T09:30:00-07:00"'
)


class Beginning(NamedTuple):
    """When a version begins, and its name."""

    at: int
    """Event time, ms."""
    name: str
    """`2026-12-01`, or `2026-12-01T09:30:00-08:00` in the rulebook's time zone."""


def is_beginning(text: str) -> bool:
    """True if the text has the form of a day or an instant."""
    return _DAY.fullmatch(text) is not None or _INSTANT.fullmatch(text) is not None


def beginning_of(text: str, zone: ZoneInfo) -> Beginning:
    """The beginning that a file writes as `text`; raise ValueError with what is wrong with it and the remedy.

    `zone`: the rulebook's time zone. An instant that is a midnight there has the name of its day.
    """
    # date.fromisoformat alone would take 20220719 and 2022-W29-2 for the same day as 2022-07-19.
    if not is_beginning(text):
        raise ValueError(f"is no date: {_FORMS}")
    try:
        if _DAY.fullmatch(text):
            return Beginning(midnight(date.fromisoformat(text), zone), text)
        return _instant(datetime.fromisoformat(text).astimezone(zone))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no date ({error}): write a day or an instant that exists") from error


def _instant(local: datetime) -> Beginning:
    at = round(local.timestamp() * 1000)
    day = local.date()
    return Beginning(at, day.isoformat() if midnight(day, local.tzinfo) == at else local.isoformat())  # type: ignore[arg-type]
