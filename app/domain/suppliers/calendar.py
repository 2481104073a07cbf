"""Calendar months of a time zone as instants of event time, correct also where the clocks change."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from vigil.app.domain.rulebook import midnight

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR: Final = 9999
_DAY_MS: Final = 24 * 60 * 60 * 1000
_EARLIEST: Final = -360 * _DAY_MS
"""Earlier instants are taken for this one: windows and memories reach below 1970, but nothing is counted there."""
_LATEST: Final = 253_402_300_799_999 - _DAY_MS
"""The last instant that is converted, a day before the year 10000, which datetime cannot represent: in a time zone east
of UTC the year 10000 begins earlier than in UTC."""


class Calendar:
    """Months, numbered consecutively: 12 × year + month − 1. Instants are milliseconds since the epoch."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._starts: dict[int, int] = {}
        # The month that was asked for last: events come in about the order of their time.
        self._month = self._from = self._until = 0

    def month_of(self, at: int) -> int:
        """The month in which an instant lies."""
        if not self._from <= at < self._until:
            moment = _EPOCH + timedelta(milliseconds=min(max(at, _EARLIEST), _LATEST))
            day = moment.astimezone(self._zone)
            self._month = day.year * 12 + day.month - 1
            self._from, self._until = self.start(self._month), self.start(self._month + 1)
        return self._month

    def start(self, month: int) -> int:
        """The first millisecond of a month."""
        start = self._starts.get(month)
        if start is None:
            year, index = divmod(month, 12)
            if year > _LAST_YEAR:
                start = midnight(date(_LAST_YEAR, 12, 31), self._zone) + _DAY_MS
            else:
                start = midnight(date(year, index + 1, 1), self._zone)
            self._starts[month] = start
        return start

    def end(self, month: int) -> int:
        """The last millisecond of a month. "As of the month's end" means as of this instant."""
        return self.start(month + 1) - 1


def month_name(month: int) -> str:
    """`2022-08`."""
    year, index = divmod(month, 12)
    return f"{year:04}-{index + 1:02}"


def month_from_name(name: str) -> int:
    """The month of a name such as `2022-08`."""
    year, _, index = name.partition("-")
    return int(year) * 12 + int(index) - 1
