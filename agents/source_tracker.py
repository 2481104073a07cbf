"""One source of an owned shard: what the broker has of it, and how far its silence lets the shard's clock go.

A source that the worker has read to its end at a time w does not hold the shard's clock below w, less its allowed
lateness and its usual delay (`usual_delay.py`). Silence counts only as far as the broker has reported it, that is up to
its last answer to a fetch: a worker that was stopped and wakes up must not take its own pause for the silence of its
sources. A worker that has just taken over believes an end after `idle_after_ms` of silence. After the broker was away
for longer than `OUTAGE_MS` it begins like that again, and only after a grace period: producers could not write either,
and have to reconnect first.
"""

from dataclasses import dataclass
from typing import Final

from vigil.agents.ports import SourceFeed, TopicPartition
from vigil.agents.usual_delay import UsualDelay
from vigil.app.engine.watermark import SourcePosition

OUTAGE_MS: Final = 1000
"""A broker that answers no fetch for longer than this was away, perhaps for the producers, too. Far above the wait of a
fetch and an ordinary pause of either process. An outage that is not noticed lets idle sources release the watermark,
and what producers held back meanwhile is late."""

MAX_GRACE_MS: Final = 5000
"""After an outage silence counts only after as long again, but not longer than this."""


@dataclass(frozen=True)
class WatermarkPolicy:
    """When watermarks advance, and how much may wait for them."""

    idle_after_ms: int = 200
    """Live: how long a new owner waits for silence before it believes that a source was read to its end, and the usual
    delay of a source that had no event yet. Recorded data: a source that was read to its end is idle after this."""
    live: bool = True
    """True: shards whose sources are all idle follow the wall clock. False: recorded data, event time alone."""
    recorded_until: int | None = None
    """Recorded data: where every shard ends (ms of event time); None: at its own largest event time."""
    max_buffered: int = 20_000
    """Events that the reorder buffer of a shard may hold before the sources that are ahead are paused."""
    fetch_wait_ms: int = 20
    """How long the broker may wait for data before it answers a fetch."""
    exact_ends: bool = True
    """False: the broker reports the first offset of the last batch as the end of a partition (the embedded one)."""


class SourceTracker:
    """The live state of one source of an owned shard."""

    __slots__ = (
        "_believed", "answered_at", "delay", "end", "gap", "idle", "lateness", "paused", "position", "read_to_end_at",
        "silent_since", "tp",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what the shard, the broker and the clock say at the beginning
        self, tp: TopicPartition, position: SourcePosition, lateness: int, end: int, now: int, idle_after_ms: int
    ) -> None:
        """`position`: that of the shard, which updates it; `lateness`: allowed, ms; `end`: of the partition; `now`: the
        worker's clock, ms."""
        self.tp = tp
        self.position = position
        self.lateness = lateness
        self.end = end
        """The end of the partition as last reported; it never goes back."""
        self.silent_since = now
        """When an event last arrived, or when silence begins to count after an outage (wall clock, ms)."""
        self.answered_at = now
        """When the broker last answered a fetch (wall clock, ms)."""
        self.read_to_end_at = 0
        """When the broker last answered that nothing more was there (ms); 0 before it has."""
        self.delay = UsualDelay(idle_after_ms)
        self.idle = False
        """It is read to its end now, and silence counts."""
        self._believed = False
        """Live: the source was silent for long enough since the worker took it over, or since the broker was away."""
        self.paused = False
        """Not fetched, because it is ahead of the other sources."""
        self.gap: tuple[int, int] | None = None
        """The last jump of offsets that was not examined yet: where it begins and where it ends."""

    @property
    def clock(self) -> int:
        """The source's own watermark by its events, ms."""
        return self.position.max_event_time - self.lateness

    def limit(self, now: int) -> int:
        """Return the time up to which the source lets the shard's clock go; `now`: the worker's clock (ms)."""
        if not self.idle:
            return self.clock
        return max(self.clock, min(self.read_to_end_at, now) - self.lateness - self.delay.ms)

    def backlog(self) -> int:
        """Records that exist and were not read yet."""
        return max(0, self.end - self.position.read_offset)

    def arrived(self, now: int, timestamp: int, at: int | None) -> None:
        """Events arrived; `timestamp`: of the first record; `at`: the first event time that moved the source's clock.

        An event has arrived when its record says that it was written, but not before the broker answered that it was
        not there, and not later than now.
        """
        if at is not None:
            self.delay.add(max(min(timestamp, now), min(self.read_to_end_at, now)), at)
        self.silent_since = now

    def observe(self, feed: SourceFeed, policy: WatermarkPolicy) -> int:
        """Update end and idleness; return when the broker last answered a fetch (wall clock, ms)."""
        tp = self.tp
        answered_at = feed.answered_at(tp)
        if answered_at > self.answered_at:
            self._note_answer(answered_at, policy)
        self.end = max(feed.end(tp), self.end)
        if not self._read_to_end(feed):
            self.idle = False
            return answered_at
        self.read_to_end_at = answered_at
        silent = answered_at - self.silent_since >= policy.idle_after_ms
        self._believed = self._believed or silent
        self.idle = self._believed if policy.live else silent
        return answered_at

    def _note_answer(self, answered_at: int, policy: WatermarkPolicy) -> None:
        away = answered_at - self.answered_at
        self.answered_at = answered_at
        if away >= OUTAGE_MS + policy.fetch_wait_ms:
            self.silent_since = max(self.silent_since, answered_at + min(away, MAX_GRACE_MS))
            self._believed = self.idle = False

    def _read_to_end(self, feed: SourceFeed) -> bool:
        """True if the source was read to its end. Behind the last record a transaction's control records may follow."""
        position, tp, end = self.position, self.tp, self.end
        # The confirmed position is asked for first: what is below it was delivered by then.
        if position.read_offset < end <= feed.confirmed_position(tp) and (
            position.read_offset >= feed.delivered_offset(tp)
        ):
            position.read_offset = end  # it is committed then, so that others can see that all of it was read
        return position.read_offset >= end

    def set_paused(self, feed: SourceFeed, paused: bool) -> None:
        """Pause the source, or resume it; no call to the feed if nothing changes."""
        if paused == self.paused:
            return
        self.paused = paused
        if paused:
            feed.pause(self.tp)
        else:
            feed.resume(self.tp)
