"""The shards that this worker owns: batches in, clocks on, back-pressure out. One owner a worker, no rule in sight.

assigned ─▶ restored from the mirrors ─▶ taken over (fenced, healed, owed outputs sent again) ─▶ fed
revoked  ─▶ a last checkpoint, then dropped: what was not committed is read again by the next owner
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from vigil.agents.faust.batches import Batch, FaustSourceFeed
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.catalog import SubjectName

AWAY_MS: Final = 1000
"""A broker that answers no fetch for longer than this was away, perhaps for the producers, too."""

GRACE_MS: Final = 5000
"""After it was away, silence counts only after as long again, but not longer than this: producers have to come back."""

MEASURED: Final = frozenset({"verdict", "notice"})
"""Outputs of which it is told how long Vigil took."""

STEP_MS: Final = 60_000
"""Event time by which a clock moves on before it is looked at how long that took."""

MOMENT_S: Final = 0.2
"""So long the clocks of all shards may take at a time, and that of one in which something arrived."""

AT_ONCE: Final = 100
"""Deadlines after which it is looked at how long that took: a supplier that was not looked into for long takes 1 ms."""

QUICK_S: Final = 0.001
"""A step that took no longer had next to nothing to do."""


@dataclass(frozen=True)
class WatermarkPolicy:
    """When clocks move on, and how much may wait."""

    lateness_ms: int = 2000
    idle_after_ms: int = 200
    live: bool = True
    """Idle shards follow the wall clock; else the recorded time."""
    recorded_until: int | None = None
    """Recorded data: where every shard ends (ms of event time); None: at its own largest event time."""
    max_buffered: int = 20_000
    """Events that a shard may hold back before the topics that run ahead are not fetched any further."""
    fetch_wait_ms: int = 20
    exact_ends: bool = True
    """Does the broker tell the true end of a partition? The embedded one tells the beginning of its last batch."""


def wall_ms() -> int:
    """The wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


class ShardRunner:
    """One shard in the worker's hands."""

    __slots__ = (
        "answered", "arrived", "behind", "ended", "ends", "group", "held", "idle", "owes", "partition", "permitted",
        "shard", "since", "tps",
    )  # fmt: skip

    def __init__(
        self,
        group: SubjectName,
        partition: int,
        shard: Any,
        tps: Sequence[TP],
        ends: Sequence[int],
        now: int | None = None,
    ) -> None:
        now = wall_ms() if now is None else now
        self.group = group
        self.partition = partition
        self.shard = shard
        self.tps = tuple(tps)
        """By rank."""
        self.ends = list(ends)
        """By rank: the end of the partition as last told."""
        self.arrived = [now] * len(self.tps)
        """By rank: from when on silence counts, when something last came (wall clock, ms)."""
        self.answered = list(self.arrived)
        """By rank: when the broker last answered a fetch (wall clock, ms)."""
        self.idle = [False] * len(self.tps)
        """By rank: read to its end, and nothing came for a while."""
        self.held: set[int] = set()
        """Ranks that are not fetched because they run ahead."""
        self.ended = False
        """Recorded data: the shard has come to its end."""
        self.since = now
        """When the clock last moved on: whatever was judged could not be judged before."""
        self.behind = False
        """There was no time to move the clock on as far as it may."""
        self.owes = False
        """The last checkpoint had something to send; a new owner would send it again."""
        self.permitted: dict[str, int] = {}
        """By the identity of a verdict or notice on its way: since when it could be judged (wall clock, ms)."""

    def backlog(self) -> int:
        """Messages known to be there and not read yet."""
        return sum(max(0, end - source.read_offset) for end, source in zip(self.ends, self.shard.sources, strict=True))


class ShardManager:
    """All shards of this worker."""

    def __init__(
        self,
        feed: FaustSourceFeed,
        pace: WatermarkPolicy,
        groups: Mapping[SubjectName, Sequence[str]],
        new_shard: Callable[[SubjectName, int], Any],
        upstream: Collection[SubjectName] = (),
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        """`groups`: the topics of each group by rank. `new_shard`: a shard from what the group's mirror has restored.

        `upstream`: the groups that read what other groups write; `wall`: the wall clock, ms.
        """
        self._wall = wall
        self._feed = feed
        self._pace = pace
        self._groups = groups
        self._new_shard = new_shard
        self._upstream = upstream
        self._source_of_topic = {
            topic: (group, source_index)
            for group, topics in groups.items()
            for source_index, topic in enumerate(topics)
        }
        self.shards: dict[tuple[SubjectName, int], ShardRunner] = {}
        self.upstream_done: Callable[[SubjectName], int | None] = lambda group: 0
        """Recorded data: since when (wall clock, ms) all that flows into the group is written; None: not yet."""
        self.gaps: dict[TP, tuple[int, int]] = {}
        """Offsets that were jumped over, to be looked at: where the last jump began, and where it ended."""
        self._until = 0.0
        """When others are to have a turn (`time.monotonic`)."""
        self._turn = self._turn_behind = 0
        """The shard with which the next tick begins, of those that keep up and of those that are behind."""

    # ---- ownership --------------------------------------------------------------------------------------------

    async def assign(self) -> None:
        """Make a shard of every assigned partition: learn where its sources stand, so that none is taken for idle."""
        tps = self._feed.assigned(self._source_of_topic)
        ends = await self._feed.ends(tps)
        beginnings = await self._feed.beginnings(tps)
        now = self._wall()
        self.shards.clear()
        for group, topics in self._groups.items():
            for partition in sorted({tp.partition for tp in tps if tp.topic in topics}):
                own = [TP(topic, partition) for topic in topics]
                missing = [tp.topic for tp in own if tp not in tps]
                if missing:
                    raise RuntimeError(f"partition {partition} of {', '.join(missing)} went to another worker")
                shard = self._new_shard(group, partition)
                for source, tp in zip(shard.sources, own, strict=True):
                    if source.committed_offset > ends[tp] and self._pace.exact_ends:
                        raise TopicMismatch(
                            f"{tp.topic}, partition {partition}, ends at {ends[tp]}, before the offset "
                            f"{source.committed_offset} that the stored state has come to: was the topic made anew? "
                            "Then delete the state topics of this application, or give it another name (`app_id`)"
                        )
                    if source.read_offset < beginnings[tp]:  # what was before is gone by retention
                        if source.committed_offset:  # a new application never wanted it
                            shard.collector.count(f"skipped:{tp.topic}", beginnings[tp] - source.read_offset)
                        source.committed_offset = source.read_offset = beginnings[tp]
                self.shards[group, partition] = ShardRunner(group, partition, shard, own, [ends[tp] for tp in own], now)

    def positions(self) -> dict[TP, int]:
        """Where each source partition is to be read on from."""
        return {
            tp: source.read_offset
            for held in self.shards.values()
            for tp, source in zip(held.tps, held.shard.sources, strict=True)
        }

    def drop(self) -> None:
        """Let go of every shard; what was not committed is read again by whoever owns it next."""
        self.shards.clear()
        self.gaps.clear()

    # ---- data -------------------------------------------------------------------------------------------------

    def take(self, records: Sequence[Any]) -> Sequence[Any]:
        """Take one fetch of one partition in, and judge what it allows; return what others are to have a turn before.

        Suppliers that were not looked into for long take 1 ms each.
        """
        first = records[0]
        group, source_index = self._source_of_topic[first.topic]
        held = self.shards.get((group, first.partition))
        if held is None:  # revoked meanwhile
            return ()
        source = held.shard.sources[source_index]
        if source.read_offset < (after := getattr(records, "after", 0)):
            raise RuntimeError(
                f"{first.topic}, partition {first.partition}: records from offset {source.read_offset} to {after} "
                "were handed on and did not arrive; a restart reads them again"
            )
        if first.offset > source.read_offset:
            self.gaps[held.tps[source_index]] = (source.read_offset, first.offset)
        now = self._wall()
        self._until = time.monotonic() + MOMENT_S
        step = len(records) if held.shard.event_time_order else AT_ONCE
        rest = Batch()
        for begin in range(0, len(records), step):
            if held.shard.ingest(source_index, records[begin : begin + step], now if self._pace.live else None):
                held.arrived[source_index] = now
                held.idle[source_index] = False
            # else a producer that sends what is no event is as good as silent: it must not keep all others waiting
            if time.monotonic() >= self._until:
                rest = Batch(records[begin + step :])
                rest.after = source.read_offset
                break
        held.ended = False
        self._move(held, now, min(first.timestamp, now))
        self._throttle(held)
        return rest

    async def count_gone(self) -> None:
        """Count what retention took before it was read; a transaction's end and compaction leave gaps, too."""
        gaps, self.gaps = self.gaps, {}
        for tp, first in (await self._feed.beginnings(set(gaps))).items():
            group, _ = self._source_of_topic[tp.topic]
            held = self.shards.get((group, tp.partition))
            before, after = gaps[tp]
            if held is not None and before < first:
                held.shard.collector.count(f"skipped:{tp.topic}", min(first, after) - before)

    def tick(self) -> None:
        """Move the clocks on where nothing arrives; call it every few milliseconds."""
        now = self._wall()
        self._until = time.monotonic() + MOMENT_S
        shards = list(self.shards.values())
        # Those that keep up come first: after an outage others have much to do, and each of them takes its time.
        prompt = [held for held in shards if not held.behind]
        behind = [held for held in shards if held.behind]
        self._turn = self._look(prompt, self._turn, now)
        self._turn_behind = self._look(behind, self._turn_behind, now)

    def _look(self, shards: Sequence[ShardRunner], turn: int, now: int) -> int:
        """Move clocks on while there is time, one at least, the shard `turn` first; return with which to begin next."""
        begin = turn % len(shards) if shards else 0
        for number, held in enumerate((*shards[begin:], *shards[:begin]), start=begin + 1):
            self._move(held, now)
            if held.held:
                self._throttle(held)
            if time.monotonic() >= self._until:
                return number
        return 0

    def _move(self, held: ShardRunner, now: int, came: int = 0) -> None:
        """Move the clock on as far as it may; `came`: when what allows it to came to the broker (0: nothing did)."""
        pace, feed, shard = self._pace, self._feed, held.shard
        emitted = shard.collector.outputs
        known = len(emitted)
        answered = MAX_TIME
        slowest = MAX_TIME
        for source_index, tp in enumerate(held.tps):
            source = shard.sources[source_index]
            told = self._answered(held, source_index, tp)
            end = held.ends[source_index] = max(feed.end(tp), held.ends[source_index])
            idle = held.idle[source_index]
            if not self._read_to_end(source, tp, end):
                idle = held.idle[source_index] = False
            elif not idle:
                # Silence counts only as far as the broker has told us of it: a worker that was stopped and wakes
                # must not take its own pause for theirs.
                idle = held.idle[source_index] = told - held.arrived[source_index] >= pace.idle_after_ms
            if idle:
                answered = min(answered, told)
            else:
                slowest = min(slowest, source.max_event_time)
        watermark = shard.watermark
        if not pace.live and held.group in self._upstream:
            # What comes to this group comes in no order of time: recorded data waits until all of it is there.
            done = self.upstream_done(held.group)
            if slowest == MAX_TIME and not held.ended and done is not None and answered > done:
                self._end(held)
        elif slowest < MAX_TIME:
            held.behind = self._advance(shard, slowest - pace.lateness_ms)
        elif pace.live:
            # What the broker held back for longer than a fetch waits is not silence either.
            until = min(now, answered + 2 * pace.fetch_wait_ms + 100)
            held.behind = self._advance(shard, until - pace.lateness_ms)
        elif not held.ended:
            self._end(held)
        if shard.watermark > watermark:
            held.since = now
        if pace.live:
            for output in emitted[known:]:
                if output.topic in MEASURED:
                    held.permitted[output.id] = min(now, self._permitted(held, output.judged, came))

    def _advance(self, shard: Any, watermark: int) -> bool:
        """Move a shard's clock on, for a moment at most; the rest of a long way is gone with the next ticks: then true.

        After an outage all that fell due in it is due at once: the windows of 100,000 suppliers keep a worker busy for
        seconds an hour of it, in which it must stay a member of its group. Where nothing falls due the steps get
        longer: recorded data may lie years apart.
        """
        before_step = time.monotonic()
        step = STEP_MS
        while shard.watermark < watermark:
            before = shard.watermark
            more = shard.advance_watermark(watermark if before <= 0 else min(watermark, before + step), AT_ONCE)
            now = time.monotonic()
            if shard.watermark == before and not more:  # it waits
                return False
            if now >= self._until:  # others are to have a turn
                return bool(shard.watermark < watermark)
            step = 2 * step if now - before_step < QUICK_S else STEP_MS
            before_step = now
        return False

    def _permitted(self, held: ShardRunner, judged: int, came: int) -> int:
        """Since when the events and deadlines of the time `judged` may be judged (wall clock, ms), at the earliest.

        Not before the lateness has passed; not before the first of the records came that moved the clock on; and
        where a partition never came so far, not before it had been silent for long enough.
        """
        pace = self._pace
        due = judged + pace.lateness_ms
        silent = [
            arrived + pace.idle_after_ms
            for arrived, source, idle in zip(held.arrived, held.shard.sources, held.idle, strict=True)
            if idle and source.max_event_time <= due
        ]
        return max(due, came, *silent)

    def _answered(self, held: ShardRunner, source_index: int, tp: TP) -> int:
        """When the broker last answered a fetch of the partition. If it was away, silence begins anew."""
        told = self._feed.answered(tp)
        away = told - held.answered[source_index]
        if away > 0:
            held.answered[source_index] = told
            if away >= AWAY_MS + self._pace.fetch_wait_ms:
                held.arrived[source_index] = max(held.arrived[source_index], told + min(away, GRACE_MS))
                held.idle[source_index] = False
        return told

    def _end(self, held: ShardRunner) -> None:
        """Recorded data has come to its end: judge what is left, and let every key say its last word."""
        until = self._pace.recorded_until
        if until is None:
            until = max(source.max_event_time for source in held.shard.sources)
        held.ended = True
        if until >= 0:
            held.shard.end_of_input(until)

    def _read_to_end(self, source: Any, tp: TP, end: int) -> bool:
        """Was the partition read to its end? Behind the last record may stand a transaction's control records."""
        # `passed` is asked first: what it tells of was handed on by then.
        if source.read_offset < end <= self._feed.passed(tp) and source.read_offset >= self._feed.handed_on(tp):
            source.read_offset = end  # so that it is committed: whoever waits for all of it can tell
        return bool(source.read_offset >= end)

    def _throttle(self, held: ShardRunner) -> None:
        """Keep the reorder buffer bounded: topics that run ahead wait until the slowest has caught up."""
        shard, most = held.shard, self._pace.max_buffered
        size = len(shard.reorder_buffer)
        source_indexes = range(len(held.tps))
        behind = [
            source_index
            for source_index in source_indexes
            if shard.sources[source_index].read_offset < held.ends[source_index]
        ]
        if size > most and behind:
            # The one that was slowest may have overtaken those that wait for it: look anew each time.
            slow = min(behind, key=lambda source_index: shard.sources[source_index].max_event_time)
            self._hold(held, {source_index for source_index in source_indexes if source_index != slow})
        elif held.held and (size < most // 2 or held.held.issuperset(behind)):
            self._hold(held, set())

    def _hold(self, held: ShardRunner, source_indexes: set[int]) -> None:
        """Fetch all partitions of a shard but these."""
        for source_index in source_indexes - held.held:
            self._feed.hold(held.tps[source_index])
        for source_index in held.held - source_indexes:
            self._feed.release(held.tps[source_index])
        held.held = source_indexes

    def backlog(self) -> int:
        """Messages known to be there and not read yet."""
        return sum(held.backlog() for held in self.shards.values())


class TopicMismatch(Exception):
    """A source topic is not the one that the stored state comes from; the text names a remedy."""
