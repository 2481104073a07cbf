"""The clock of a shard as it was stored, and how to set it back.

A clock that is ahead of the truth makes everything late until the truth has caught up. It got there by a worker or a
producer whose own clock was wrong, in a version that believed them.
"""

from collections.abc import Callable
from typing import Any

from vigil.app.engine.shard import AnyShard
from vigil.app.engine.watermark import SourcePosition

LatestOf = Callable[[Any], int]
"""Returns the time (ms) of the latest event in the state of a key."""


def stored_clock(shard: AnyShard) -> int:
    """Return the latest of the clocks of a shard and its sources, ms; MIN_TIME for a shard that has read nothing."""
    sources = [
        max(source.max_event_time, source.stored_max_event_time) - lateness
        for source, lateness in zip(shard.sources, shard.lateness, strict=True)
    ]
    return max(shard.watermark, *sources)


def set_back(shard: AnyShard, to: int, now: int, latest_of: LatestOf | None = None) -> list[str]:
    """Set the clocks of a shard back, and forget keys from the future; return these.

    `to`: the largest event time that its sources may have had (ms); `latest_of`: when the latest event of a key was,
    one after `now` lies in the future; None: no key is forgotten.

    A watermark that is not above `to` stays. Below one that is, everything up to `to` was applied: it is not read
    again, which would apply it twice.
    """
    everything_applied = shard.watermark > to
    if everything_applied:
        shard.watermark = to - max(shard.lateness)
    for source in shard.sources:
        _set_source_back(source, to)
        if everything_applied:
            source.committed_offset = source.read_offset = max(source.read_offset, source.stored_read_offset)
    forgotten = []
    if latest_of is not None:
        forgotten = [key for key in sorted(shard.states) if latest_of(shard.states.get(key)) > now]
    for key in forgotten:
        shard.states.remove(key)
        shard.states.deleted.add(key)
    return forgotten


def _set_source_back(source: SourcePosition, to: int) -> None:
    """Events above `to` that wait are not judged: their records are read again as if they had been refused."""
    source.max_event_time = min(source.max_event_time, to)
    source.stored_max_event_time = min(source.stored_max_event_time, to)
