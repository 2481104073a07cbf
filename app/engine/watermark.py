"""A shard's clock: how far event time has come, what is late, and what an idle partition releases.

    at ──▶ partition's clock = largest at − lateness ──min over the partitions that hold──▶ shard's clock
                                                     └─ all idle: the wall (live) or the end (recorded)

A partition *holds* the shard's clock back until it was read to its end and nothing came for a while; who may
release it is the rim's knowledge, so it is told by argument. Events with `at` < clock are judged.
"""

from typing import Final

from msgspec import Struct

MAX_TIME: Final = 1 << 62
"""A time that does not come."""

MIN_TIME: Final = -(1 << 62)
"""The clock of a partition from which nothing came yet."""


class SourcePosition(Struct):
    """One partition of one topic of a shard, as far as it was read."""

    committed_offset: int = 0
    """As restored: every offset below is dealt with and in the stored state."""
    read_offset: int = 0
    """The offset after the last one read."""
    max_event_time: int = MIN_TIME
    """The largest event time read."""
    stored_read_offset: int = 0
    """`seen` of the stored state: an offset below it was read before a restart."""
    stored_max_event_time: int = MIN_TIME
    """The largest event time that was accepted below `stored_seen`."""
