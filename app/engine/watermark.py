"""Event time of a shard: watermarks, late events and idle sources.

    event times ──▶ source's watermark = largest event time − allowed lateness
                    └─ minimum over the sources ──▶ shard's watermark
                       a source read to its end (live): the worker's clock − allowed lateness − its usual delay
                       all sources read to their ends (recorded): the end of the input

The *watermark* of a shard is the event time up to which everything has been judged: events and timers with a time below
it are done, an event with a time at or above it waits. A watermark never goes back (I-4).

*Allowed lateness* is by how much the event times of one source may be out of order. Each source subtracts its own from
the largest event time that it has read. An event below its own source's watermark when it is read is *late*, whatever
the batches were that it arrived in, and so is one below the shard's watermark.

A source that was read to its end does not hold the watermark back beyond what its events are usually late by; otherwise
a topic without messages would stop all rules. Silence is what the broker reported, which the engine cannot know: the
shard runner (`agents`) decides how far the silence of sources lets the watermark go. The engine itself reads no clock.
"""

from typing import Final, TypeAlias

from msgspec import Struct, field

from vigil.app.engine.source_identity import Identities, SourceChange

MAX_TIME: Final = 1 << 62
"""A time that never comes: no timer is set, no later version begins. Fits a signed 64-bit integer of the changelog."""

MIN_TIME: Final = -(1 << 62)
"""The time before all others: the watermark of a source that was not read yet."""


AheadRun: TypeAlias = tuple[int, int, int]
"""First offset, the offset after the last, and the largest event time (ms) that was accepted among these records."""

MAX_AHEAD_RUNS: Final = 256
"""Runs that a source keeps. A source in which so many reads had an event ahead of the clock, while one event waits in
the reorder buffer, is rare: of more runs the oldest two become one, which may accept a little more of them again."""


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
    late_mover: int = MAX_TIME
    """The smallest event time of those late ones that moved `max_event_time` since the last look; whoever looks resets
    it."""
    ahead: list[AheadRun] = field(default_factory=list)
    """Where events ahead of the clock were rejected: which these are depends on when they were read."""
    identities: Identities = ()
    """The records by which a restart recognises the source."""
    change: SourceChange | None = None
    """The last time that the log was not as the stored state had left it."""

    def note_ahead(self, offset: int, latest: int) -> None:
        """Note that a record was rejected whose event time is above `latest` (ms), which holds for one read."""
        if self.ahead and self.ahead[-1][2] == latest:
            self.ahead[-1] = (self.ahead[-1][0], offset + 1, latest)
            return
        self.ahead.append((offset, offset + 1, latest))
        if len(self.ahead) > MAX_AHEAD_RUNS:
            (first, _, one), (_, next_, other) = self.ahead[:2]
            self.ahead[:2] = [(first, next_, max(one, other))]

    def forget_ahead(self, before: int) -> None:
        """Forget what was rejected below an offset: it is not read again."""
        if self.ahead:
            self.ahead = [run for run in self.ahead if run[1] > before]

    def was_ahead(self, offset: int, at: int) -> bool:
        """Return True if the event of this offset and time was rejected as ahead of the clock before a restart."""
        if at > self.stored_max_event_time:
            return True
        return any(first <= offset < next_ and at > latest for first, next_, latest in self.ahead)

    def restart(self, offset: int) -> None:
        """Read another log from `offset` on: nothing of what was known of the former one holds for it."""
        self.committed_offset = self.read_offset = self.stored_read_offset = offset
        self.max_event_time = self.stored_max_event_time = MIN_TIME
        self.identities = ()
        self.ahead = []

    def cut(self, end: int) -> None:
        """Go on at `end` at the latest: what was read from there on is not in the log any more."""
        self.committed_offset = min(self.committed_offset, end)
        self.read_offset = min(self.read_offset, end)
        self.stored_read_offset = min(self.stored_read_offset, end)
        self.identities = tuple(known for known in self.identities if known.offset < end)
        self.ahead = [run for run in self.ahead if run[0] < end]

    def advance(self, begin: int) -> None:
        """Go on at `begin` at the earliest: what was before is not in the log any more, and was not read."""
        self.committed_offset = max(self.committed_offset, begin)
        self.read_offset = max(self.read_offset, begin)
