"""For whom a page is rendered: their language and their time zone."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from vigil.app.console.views.text import Words

MAX_ZONE_CHARS = 64
"""Longer than any name in the time zone database."""

UTC_NAMES = frozenset(("UTC", "Etc/UTC", "Etc/UCT", "UCT", "Etc/Universal", "Universal", "Etc/Zulu", "Zulu"))
"""The names of UTC in the time zone database."""


class Reader(NamedTuple):
    """Two readers of one language and time zone see the same page."""

    words: Words
    zone: ZoneInfo


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
