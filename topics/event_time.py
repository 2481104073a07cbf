"""Event times that cannot be true yet: further ahead of the clock than clocks of producers and networks explain."""

from typing import Final

from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent

QUARTER_HOUR_MS: Final = 15 * 60 * 1000

MAX_TIME_ZONE_MS: Final = 14 * 60 * 60 * 1000
"""No time zone is further ahead of UTC."""

TIME_ZONE_TOLERANCE_MS: Final = 90 * 1000
"""By how much the clock of a producer that sends local time may be wrong besides."""


def check_ahead(at: int, now: int, max_ahead: int = MAX_AHEAD_MS) -> None:
    """Raise InvalidEvent if an event time is more than `max_ahead` ahead of the clock, `now` (all in ms)."""
    ahead = at - now
    if ahead > max_ahead:
        detail = f"at {at} is {_span(ahead)} ahead of the clock, {now}; accepted are up to {_span(max_ahead)}"
        if is_time_zone(ahead):
            detail += "; that is a whole number of quarter hours: local time seems to be sent as UTC"
        raise InvalidEvent(detail, "future")


def is_time_zone(ahead: int) -> bool:
    """Return True if a time that is `ahead` (ms) of the clock looks like the local time of an eastern time zone."""
    zone = (ahead + QUARTER_HOUR_MS // 2) // QUARTER_HOUR_MS * QUARTER_HOUR_MS
    return 0 < zone <= MAX_TIME_ZONE_MS and abs(ahead - zone) <= TIME_ZONE_TOLERANCE_MS


def _span(ms: int) -> str:
    """A time span for people."""
    if ms < 60_000:
        return f"{ms / 1000:g} s"
    hours, minutes = divmod(ms // 60_000, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
