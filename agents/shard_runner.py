"""One owned shard with all of its live state: its sources, its watermark, its back-pressure, its engine shard.

    batch ──▶ ingest ──▶ engine shard ──▶ outputs (collected until the next checkpoint)
    tick  ──▶ advance ─┬─ the smallest over the sources of: largest event time − allowed lateness,
                       │  live and read to its end: when the broker said so − allowed lateness − usual delay
                       └─ all read to their ends, recorded: the end of the input

Work is cut into time slices: after an outage all timers that fell due during it are due together, and the windows of
100,000 suppliers keep a worker busy for seconds for each hour of it. Meanwhile the worker must stay a member of its
group.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Final, NamedTuple

from vigil.agents.acquisition_hold import AcquisitionHold
from vigil.agents.ports import Batch, SourceFeed, TopicPartition
from vigil.agents.source_tracker import SourceTracker, WatermarkPolicy
from vigil.agents.steps import StepTimer, not_measured
from vigil.agents.wall_clock import wall_ms
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.source_identity import note_read
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output

WATERMARK_STEP_MS: Final = 60_000
"""Event time by which a watermark advances between two checks of the time budget."""

QUICK_STEP_S: Final = 0.001
"""A step that took no longer than this had next to nothing to do: the next one is twice as long. Recorded data may lie
years apart."""

RECORDS_PER_SLICE: Final = 100
"""In arrival order, check the time budget after this many records."""

TIMERS_PER_SLICE: Final = 20
"""Check the time budget after this many timers: a supplier whose state was not loaded for long takes 1 ms, and at the
end of a month all are due together."""


class SourceChanged(Exception):
    """A source is not the log any more that was being read; the text says what a restart does."""


class ShardId(NamedTuple):
    """Which shard: partition `partition` of all topics of `subject`."""

    subject: SubjectName
    partition: int


class ShardEnvironment(NamedTuple):
    """What all shards of a worker share."""

    feed: SourceFeed
    policy: WatermarkPolicy
    upstream_written_at: Mapping[SubjectName, int | None] = {}
    """Recorded data, for subjects that read what other subjects write: since when (wall clock, ms) all of it is
    written; None: not yet. The worker updates it."""
    measured: frozenset[str] = frozenset()
    """Outputs whose delay is measured."""
    wall_ms: Callable[[], int] = wall_ms
    step: StepTimer = not_measured
    known_until: Callable[[], int] = lambda: MAX_TIME
    """Live: the rules are known for event times below it. Nothing later is judged."""


class ShardRunner:
    """All live state of one owned shard."""

    def __init__(
        self,
        id_: ShardId,
        shard: AnyShard,
        tps: Sequence[TopicPartition],
        ends: Mapping[TopicPartition, int],
        environment: ShardEnvironment,
    ) -> None:
        """`tps`: the sources by source index; `ends`: of each, asked of the broker after the assignment."""
        now = environment.wall_ms()
        self.id = id_
        self.shard = shard
        self.sources = tuple(
            SourceTracker(tp, position, lateness, ends[tp], now, environment.policy.idle_after_ms)
            for tp, position, lateness in zip(tps, shard.sources, shard.lateness, strict=True)
        )
        """By source index."""
        self._awaited = tuple(compress(self.sources, shard.awaited))
        """The sources that the watermark waits for."""
        others = [source for source in self.sources if source not in self._awaited]
        self._hold = AcquisitionHold(others[0], now) if others and environment.policy.live else None
        """Until the owner may go on without the other ones."""
        self._largest_lateness = max(source.lateness for source in self._awaited)
        self._environment = environment
        self._feed = environment.feed
        self._policy = environment.policy
        self.ended = False
        """Recorded data: the shard has reached the end of its input."""
        self.behind = False
        """True if the last time slice ended before the watermark caught up."""
        self.paused = False
        """True if any source is paused."""
        self.has_outbox = False
        """True if the last checkpoint had outputs: whoever acquires the shard next would send them again."""
        self.stored_at = -math.inf
        """When its last snapshot was taken (`time.monotonic`)."""
        self.eligible_at: dict[str, int] = {}
        """By identity of a verdict or notice that is not published yet: the earliest time at which it could be judged
        (wall clock, ms)."""
        self.held = False
        """Nothing is ingested and nothing is judged: the shard is about to get other rules."""
        self.waits_since = 0.0
        """Since when a verdict or notice waits for a checkpoint (`time.monotonic`); 0.0 if none does."""

    @property
    def subject(self) -> SubjectName:
        return self.id.subject

    @property
    def partition(self) -> int:
        return self.id.partition

    def backlog(self) -> int:
        """Records that exist and were not read yet."""
        return sum(source.backlog() for source in self.sources)

    # ---- data -------------------------------------------------------------------------------------------------

    def ingest(self, source_index: int, batch: Batch, slice_end: float) -> Batch | None:
        """Ingest one batch of a source and judge what it allows; return what is left if time ran out.

        `slice_end`: when other shards are to have their turn (`time.monotonic`). Only shards in arrival order return a
        rest: in event-time order ingesting is cheap, judging is bounded by `advance`.

        Raises RuntimeError if records were lost between the consumer and the shard, and SourceChanged.
        """
        now = self._environment.wall_ms()
        source = self.sources[source_index]
        read_offset = source.position.read_offset
        first, (topic, partition) = batch.records[0], batch.tp
        if read_offset < batch.expected_offset:
            raise RuntimeError(
                f"{topic}, partition {partition}: the records from offset {read_offset} to "
                f"{batch.expected_offset} were delivered and did not arrive; a restart reads them again"
            )
        if first.offset < batch.expected_offset:
            raise SourceChanged(
                f"{topic}, partition {partition}: the records from offset {batch.expected_offset} on are "
                "gone: the topic was created again, or the broker has lost the end of it; a restart finds out which, "
                "and reads what is there"
            )
        if first.offset > read_offset:
            source.gap = (read_offset, first.offset)
        if self._policy.live:
            self._environment.step("fetch", max(0, now - first.timestamp) / 1000)
        if self._policy.live and not self.shard.event_time_order:
            self.shard.known_until = self._environment.known_until()
        rest = self._ingest_slices(source_index, batch, now, slice_end)
        if rest is not None and len(rest.records) == len(batch.records):
            return rest
        last = batch.records[-1 if rest is None else -1 - len(rest.records)]
        source.position.identities = note_read(source.position.identities, last)
        self.ended = False
        self.advance(now, slice_end, arrived_at=min(first.timestamp, now))
        self.throttle()
        return rest

    def _ingest_slices(self, source_index: int, batch: Batch, now: int, slice_end: float) -> Batch | None:
        shard, source, records = self.shard, self.sources[source_index], batch.records
        wall = now if self._policy.live else None
        size = len(records) if shard.event_time_order else RECORDS_PER_SLICE
        begin = 0
        while begin < len(records):
            end = begin + shard.ready(records[begin : begin + size])
            buffered, before = len(shard.reorder_buffer), source.position.max_event_time
            if end > begin and shard.ingest(source_index, records[begin:end], wall):
                moved = shard.first_mover(source_index, buffered, before)
                source.arrived(now, records[begin].timestamp, moved)
            # A producer whose messages are all invalid counts as silent: it must not hold the watermark back.
            read = source.position.read_offset
            if end > begin and read <= records[end - 1].offset:  # the rules of the next event are not known yet
                return _unread(batch, read)
            begin = end
            if time.monotonic() >= slice_end:
                return _rest(batch, begin, read)
        return None

    # ---- time -------------------------------------------------------------------------------------------------

    def advance(self, now: int, slice_end: float, arrived_at: int = 0) -> None:
        """Advance the watermark as far as the sources allow and time lasts.

        `arrived_at`: when the broker received what allows it (wall clock, ms); 0 if nothing arrived.
        """
        if self.held:
            return
        outputs = self.shard.collector.outputs
        known = len(outputs)
        began = time.monotonic()
        answered_at = self._observe_sources()
        self._advance_to(answered_at, now, slice_end)
        if self._policy.live and len(outputs) > known:
            self._measure(outputs[known:], now, arrived_at, began)

    def _measure(self, outputs: Sequence[Output], now: int, arrived_at: int, began: float) -> None:
        """Note when each new verdict or notice could be judged, and how long it took; `began`: `time.monotonic`."""
        measured = [output for output in outputs if output.topic in self._environment.measured]
        for output in measured:
            self.eligible_at[output.id] = min(now, self._eligible_at(output, arrived_at))
            permitted = output.triggered_at + self._largest_lateness
            self._environment.step("watermark", max(0, now - permitted) / 1000)
        if measured:
            ended = time.monotonic()
            self._environment.step("judge", ended - began)
            self.waits_since = self.waits_since or ended

    def _observe_sources(self) -> int:
        """Update the sources; return the oldest of the last answers of the broker."""
        feed, policy = self._feed, self._policy
        return min(source.observe(feed, policy) for source in self.sources)

    def _advance_to(self, answered_at: int, now: int, slice_end: float) -> None:
        if self._policy.live:
            if self._hold is None or self._may_go_on(self._hold):
                limit = min(source.limit(now) for source in self._awaited)
                self.behind = self._advance_in_steps(min(limit, self._environment.known_until()), slice_end)
            return
        if slowest := [source.clock for source in self._awaited if not source.idle]:
            # What other subjects write arrives in no order of time: recorded data waits until all of it is there.
            if self.subject not in self._environment.upstream_written_at:
                self.behind = self._advance_in_steps(min(slowest), slice_end)
        elif self._all_is_written(answered_at):
            self._end_input()

    def _may_go_on(self, hold: AcquisitionHold) -> bool:
        """Live: True once this owner need not wait any more for what others find in their partitions."""
        if not hold.is_over(self.backlog(), len(self.shard.reorder_buffer) > self._policy.max_buffered):
            return False
        self._hold = None
        return True

    def _all_is_written(self, answered_at: int) -> bool:
        """Recorded data: True if what other subjects write for this one was there before the broker's last answers."""
        upstream = self._environment.upstream_written_at
        written_at = upstream.get(self.subject, 0)
        return written_at is not None and answered_at > written_at

    def _advance_in_steps(self, target: int, slice_end: float) -> bool:
        """Advance the watermark until time runs out; True if that is before `target`: later ticks do the rest."""
        shard = self.shard
        step_began = time.monotonic()
        step = WATERMARK_STEP_MS
        while shard.watermark < target:
            before = shard.watermark
            next_ = target if before <= 0 else min(target, before + step)
            more = shard.advance_watermark(next_, TIMERS_PER_SLICE)
            now = time.monotonic()
            if shard.watermark == before and not more:  # it waits for records that were read before a restart
                return False
            if now >= slice_end:
                return shard.watermark < target
            step = 2 * step if now - step_began < QUICK_STEP_S else WATERMARK_STEP_MS
            step_began = now
        return False

    def _end_input(self) -> None:
        """Recorded data has been read to its end: judge what is left, and collect the final outputs of every key."""
        if self.ended:
            return
        until = self._policy.recorded_until
        if until is None:
            until = max(source.position.max_event_time for source in self.sources)
        self.ended = True
        if until >= 0:
            self.shard.end_of_input(until)

    def _eligible_at(self, output: Output, arrived_at: int) -> int:
        """The earliest time at which an output could be judged (wall clock, ms).

        Not before the allowed lateness has passed; not before the first of the records arrived that advanced the
        watermark; and where a source had no event of that time, not before its usual delay has passed, too.
        """
        time_ = output.triggered_at
        silent = [
            time_ + source.lateness + source.delay.ms
            for source in self._awaited
            if source.idle and source.clock <= time_
        ]
        return max(time_ + self._largest_lateness, arrived_at, *silent)

    # ---- back-pressure ----------------------------------------------------------------------------------------

    def throttle(self) -> None:
        """Keep the reorder buffer bounded: sources that are ahead are paused until the slowest has caught up."""
        most = self._policy.max_buffered
        size = len(self.shard.reorder_buffer)
        if size > most:
            # The source that was slowest may have overtaken those that are paused for it: choose it each time.
            self._pause_all_but(self._slowest_with_backlog())
        elif self.paused and (size < most // 2 or self._waits_for_paused_only()):
            self._pause_all_but(None)

    def _slowest_with_backlog(self) -> SourceTracker | None:
        behind = (source for source in self.sources if source.backlog())
        return min(behind, key=lambda source: source.position.max_event_time, default=None)

    def _waits_for_paused_only(self) -> bool:
        """True if every source that has a backlog is paused: nothing would ever be read."""
        return all(source.paused for source in self.sources if source.backlog())

    def _pause_all_but(self, slowest: SourceTracker | None) -> None:
        """Pause every source but this one; resume all if it is None."""
        for source in self.sources:
            source.set_paused(self._feed, slowest is not None and source is not slowest)
        self.paused = any(source.paused for source in self.sources)


def _rest(batch: Batch, begin: int, read_offset: int) -> Batch | None:
    """What is left of a batch from its record number `begin` on; `read_offset`: that of the source by now."""
    if begin == len(batch.records):
        return None
    return Batch(batch.tp, batch.records[begin:], read_offset if begin else batch.expected_offset)


def _unread(batch: Batch, read_offset: int) -> Batch:
    """What is left of a batch of which everything below an offset was read: the batch itself if that is all of it."""
    left = [record for record in batch.records if record.offset >= read_offset]
    return batch if len(left) == len(batch.records) else Batch(batch.tp, left, read_offset)
