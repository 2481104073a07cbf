"""Event time of a shard: watermarks, late events and idle sources.

    event times ──▶ source's watermark = largest event time − allowed lateness
                    └─ minimum over the sources that are not idle ──▶ shard's watermark
                       all sources idle: the wall clock − allowed lateness (live), or the end of the input (recorded)

The *watermark* of a shard is the event time up to which everything has been judged: events and timers with a time below
it are done, an event with a time at or above it waits. A watermark never goes back.

*Allowed lateness* is by how much the event times of one source may be out of order. Each source subtracts it from the
largest event time that it has read. An event below its own source's watermark when it is read is *late*, whatever the
batches were that it arrived in, and so is one below the shard's watermark.

An *idle* source (read to its end, and silent for a while) does not hold the watermark back; otherwise a topic without
messages would stop all rules. Silence is what the broker reported, which the engine cannot know: the shard runner
(`agents`) decides which sources are idle and advances the shard. The engine itself reads no clock.
"""

from typing import Final

from msgspec import Struct

MAX_TIME: Final = 1 << 62
"""A time that never comes: no timer is set, no later version begins. Fits a signed 64-bit integer of the changelog."""

MIN_TIME: Final = -(1 << 62)
"""The time before all others: the watermark of a source that was not read yet."""


class SourcePosition(Struct):
    """How far a shard has read one source. Times are event time in milliseconds."""

    committed_offset: int = 0
    """As restored: every record below it is in the stored state."""
    read_offset: int = 0
    """The offset after the last record that was read."""
    max_event_time: int = MIN_TIME
    """The largest event time that was read."""
    stored_read_offset: int = 0
    """`read_offset` of the stored state: a record below it was read before a restart and is read again."""
    stored_max_event_time: int = MIN_TIME
    """The largest event time that was accepted below `stored_read_offset`."""
