"""The times of the events of a sample, and what compares those of one room with those of others. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vigil.app.engine.watermark import MIN_TIME

AHEAD_MS: Final = 1_000
"""By how much a clock may be ahead of others: two never agree."""

FEW: Final = 20
"""So many events must show that a clock is ahead or behind: fewer may be slow for once."""

ALWAYS: Final = 0.9
"""Share of a room's events that are behind if it is its clock, or the other one, that is wrong."""


class Stamped(NamedTuple):
    """The times of one event, ms."""

    key: str
    """Of the room, or of whatever the topic is keyed by."""
    via: str
    """Of comments; otherwise empty."""
    at: int
    written: int


def newest_of_others(events: Sequence[Stamped]) -> Iterator[tuple[Stamped, tuple[str, int]]]:
    """Each event, with another room that has the largest event time before it, and that time."""
    first, second = ("", MIN_TIME), ("", MIN_TIME)
    for event in events:
        yield event, (second if event.key == first[0] else first)
        if event.key == first[0]:
            first = (event.key, max(event.at, first[1]))
        elif event.at > first[1]:
            first, second = (event.key, event.at), first
        elif event.at > second[1]:
            second = (event.key, event.at)
