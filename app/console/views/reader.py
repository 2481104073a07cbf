"""For whom a page is rendered: their language, their time zone and, where it matters, their name."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from vigil.app.console.views.text import Words

MAX_ZONE_CHARS = 64
"""Longer than any name in the time zone database."""

UTC_NAMES = frozenset(("UTC", "Etc/UTC", "Etc/UCT", "UCT", "Etc/Universal", "Universal", "Etc/Zulu", "Zulu"))
"""The names of UTC in the time zone database."""


class Viewer(NamedTuple):
    """A person, for pages that show each their own."""

    name: str
    may_review: bool
    looked: int = 0
    """The broker's time of the newest line when they said last that they had looked, ms; 0: never."""


class Reader(NamedTuple):
    """Two readers of one language and time zone see the same page, but for pages that show each person their own."""

    words: Words
    zone: ZoneInfo
    viewer: Viewer | None = None
    """None for pages that are the same for everybody."""


@lru_cache(maxsize=1024)
def zone_called(name: str) -> ZoneInfo | None:
    """Return the time zone of this name; None if there is none. The name comes from a browser."""
    if not name or len(name) > MAX_ZONE_CHARS:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def offset(zone: ZoneInfo, at: int) -> str:
    """Return the zone's offset from UTC at an event time (ms), such as UTC+08:00; of UTC itself, UTC."""
    if zone.key in UTC_NAMES:
        return "UTC"
    return "UTC" + datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).isoformat()[-6:]
