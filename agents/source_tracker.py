"""One source of an owned shard: what the broker has of it, and whether it is idle.

An idle source does not hold the watermark of its shard back. It is idle when it was read to its end and nothing arrived
for a while. Silence counts only as far as the broker has reported it, that is up to its last answer to a fetch: a
worker that was stopped and wakes up must not take its own pause for the silence of its sources (I-5). After the broker
was away for longer than `OUTAGE_MS` silence counts from the beginning, and only after a grace period: producers could
not write either, and have to reconnect first.
"""

from dataclasses import dataclass
from typing import Final

from vigil.agents.ports import SourceFeed, TopicPartition
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
    """A source that was read to its end is idle after this silence."""
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

    __slots__ = ("answered_at", "end", "gap", "idle", "lateness", "paused", "position", "silent_since", "tp")

    def __init__(self, tp: TopicPartition, position: SourcePosition, lateness: int, end: int, now: int) -> None:
        """`position`: that of the shard, which updates it; `lateness`: allowed, ms; `end`: of the partition; `now`:
        wall clock, ms."""
        self.tp = tp
        self.position = position
        self.lateness = lateness
        self.end = end
        """The end of the partition as last reported; it never goes back."""
        self.silent_since = now
        """When an event last arrived, or when silence begins to count after an outage (wall clock, ms)."""
        self.answered_at = now
        """When the broker last answered a fetch (wall clock, ms)."""
        self.idle = False
        self.paused = False
        """Not fetched, because it is ahead of the other sources."""
        self.gap: tuple[int, int] | None = None
        """The last jump of offsets that was not examined yet: where it begins and where it ends."""

    @property
    def clock(self) -> int:
        """The source's own watermark, ms."""
        return self.position.max_event_time - self.lateness

    def backlog(self) -> int:
        """Records that exist and were not read yet."""
        return max(0, self.end - self.position.read_offset)

    def arrived(self, now: int) -> None:
        """An event arrived."""
        self.silent_since = now
        self.idle = False

    def observe(self, feed: SourceFeed, policy: WatermarkPolicy) -> int:
        """Update end and idleness; return when the broker last answered a fetch (wall clock, ms)."""
        tp = self.tp
        answered_at = feed.answered_at(tp)
        if answered_at > self.answered_at:
            self._note_answer(answered_at, policy)
        self.end = max(feed.end(tp), self.end)
        if not self._read_to_end(feed):
            self.idle = False
        elif not self.idle:
            self.idle = answered_at - self.silent_since >= policy.idle_after_ms
        return answered_at

    def _note_answer(self, answered_at: int, policy: WatermarkPolicy) -> None:
        away = answered_at - self.answered_at
        self.answered_at = answered_at
        if away >= OUTAGE_MS + policy.fetch_wait_ms:
            self.silent_since = max(self.silent_since, answered_at + min(away, MAX_GRACE_MS))
            self.idle = False

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
