"""The shards of a worker: what advances a watermark, what holds it back, and when recorded data has ended.

Silence during outages is in test_idleness.py.
"""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.fakes import FakeKafka, batch, fetched, restored
from tests.support.toys import ArrivalToy, OrderedToy, Toy
from vigil.agents import shard_manager
from vigil.agents.faust.agent import add_agent
from vigil.agents.ports import Batch, TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardRunner, SourceChanged
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.source_identity import SourceChange
from vigil.topics.catalog import SubjectName

TOPICS = ("entry", "remark", "look")
ENTRY, REMARK, LOOK = (TopicPartition(topic, 0) for topic in TOPICS)
NOW = 1_700_000_000_000
"""The wall clock when a test begins."""
LATENESS, IDLE = 2000, 200


class Stage:
    """A manager with one shard of three sources, a broker that answers, and a wall clock that a test moves."""

    def __init__(
        self,
        *,
        toy: Toy | None = None,
        subject: SubjectName = "rooms",
        upstream: dict[SubjectName, int | None] | None = None,
        store: ChangelogStore | None = None,
        **policy: Any,
    ) -> None:
        self.now = NOW
        self.toy = toy or OrderedToy()
        kafka = FakeKafka(*TOPICS)
        self.feed, self.membership = kafka.feed, kafka.membership
        self.store = store
        self.subject = subject
        self.lateness_by_topic: dict[str, int] = {}
        environment = ShardEnvironment(
            self.feed,
            WatermarkPolicy(**{"idle_after_ms": IDLE, "max_buffered": 10, **policy}),
            upstream or {},
            wall_ms=lambda: self.now,
        )
        self.manager = ShardManager(self.membership, environment, {subject: TOPICS}, self._shard)

    def _shard(self, subject: SubjectName, partition: int) -> AnyShard:
        return make_shard(
            self.toy, LATENESS, partition=partition, store=self.store, lateness_by_topic=self.lateness_by_topic
        )

    async def assign(self) -> "Stage":
        await self.manager.assign()
        return self

    @property
    def runner(self) -> ShardRunner:
        return self.manager.shards[self.subject, 0]

    @property
    def idle(self) -> list[bool]:
        """By source: is it idle?"""
        return [source.idle for source in self.runner.sources]

    @property
    def watermark(self) -> int:
        return self.runner.shard.watermark

    def ingest(self, records: Sequence[Any], expected_offset: int = 0) -> Batch | None:
        """A batch of these records arrives; return what is left of it."""
        return self.manager.ingest(batch(records, expected_offset))

    def take(self, tp: TopicPartition, *ats: int) -> None:
        """The next records of a source arrive; the broker has at least these."""
        offset = self.runner.sources[TOPICS.index(tp.topic)].position.read_offset
        self.feed.reported_ends[tp] = max(self.feed.reported_ends[tp], offset + len(ats))
        self.ingest(fetched(tp.topic, offset, *ats))

    def records(self, tp: TopicPartition, *ats: int) -> list[Any]:
        """The next records of a source, which the broker has from now on."""
        offset = self.runner.sources[TOPICS.index(tp.topic)].position.read_offset
        self.feed.reported_ends[tp] = max(self.feed.reported_ends[tp], offset + len(ats))
        return list(fetched(tp.topic, offset, *ats))

    def waits(self, ms: int, answers: bool = True) -> None:
        """Time passes in ticks of 10 ms, the broker answering fetches or not."""
        for _ in range(0, ms, 10):
            self.now += 10
            if answers:
                self.feed.answer_all(self.now)
            self.manager.tick()


# ---- live: the wall, and who holds it back ----------------------------------------------------------------------


async def test_the_slowest_partition_decides_while_none_is_idle() -> None:
    stage = await Stage().assign()
    for tp, at in ((ENTRY, 9000), (REMARK, 5000), (LOOK, 7000)):
        stage.take(tp, NOW + at)
    assert stage.watermark == NOW + 5000 - LATENESS


async def test_before_anything_arrived_the_watermark_does_not_move_until_all_sources_are_idle() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE - 10)
    assert stage.watermark < 0
    stage.waits(10)
    assert stage.watermark == stage.now - LATENESS - IDLE


async def test_a_partition_read_to_its_end_holds_the_clock_at_the_answer_less_its_lateness_and_usual_delay() -> None:
    stage = await Stage().assign()
    stage.take(REMARK, NOW - 500)
    stage.waits(IDLE)
    assert stage.idle == [True, True, True]
    assert stage.watermark == stage.now - LATENESS - 500
    stage.take(ENTRY, NOW + 5000)
    stage.take(LOOK, NOW + 6000)
    assert stage.watermark == stage.now - LATENESS - 500
    stage.waits(1000)
    assert stage.watermark == stage.now - LATENESS - 500


async def test_a_partition_with_a_backlog_holds_the_clock_at_its_events() -> None:
    stage = await Stage().assign()
    stage.take(REMARK, NOW - 500)
    stage.feed.reported_ends[REMARK] = 2
    stage.waits(5000)
    assert stage.watermark == NOW - 500 - LATENESS


async def test_each_partition_has_the_lateness_of_its_topic() -> None:
    stage = Stage()
    stage.lateness_by_topic = {REMARK.topic: 7000}
    await stage.assign()
    stage.waits(1000)
    assert stage.watermark == stage.now - 7000 - IDLE
    for tp in (ENTRY, REMARK, LOOK):
        stage.take(tp, NOW + 9000)
    assert stage.watermark == NOW + 9000 - 7000


async def test_a_partition_that_is_slower_than_it_was_is_waited_for_from_then_on() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE)
    stood = stage.watermark
    stage.take(ENTRY, stood)  # it is not late yet, by a millisecond
    slower = stage.now - stood
    stage.waits(slower - IDLE)
    assert stage.watermark == stood
    stage.waits(100)
    assert stage.watermark == stage.now - LATENESS - slower


async def test_an_event_that_came_too_late_teaches_how_slow_its_partition_is() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE)
    stage.take(ENTRY, stage.now - 3000)
    assert stage.runner.shard.collector.counts["refused:entry:late"] == 1
    stage.waits(4000)
    assert stage.watermark == stage.now - LATENESS - 3000


async def test_events_that_do_not_move_the_clock_say_nothing_about_the_usual_delay() -> None:
    stage = await Stage().assign()
    stage.take(ENTRY, NOW)
    stage.take(ENTRY, NOW - 1500)
    stage.waits(IDLE)
    assert stage.runner.sources[0].delay.ms == 0


async def test_an_event_arrived_after_the_broker_said_that_nothing_was_there_whatever_its_timestamp_says() -> None:
    stage = await Stage().assign()
    stage.waits(5000)
    record = fetched(ENTRY.topic, 0, stage.now - 3000)[0]._replace(timestamp=stage.now - 3000)
    stage.feed.reported_ends[ENTRY] = 1
    stage.ingest([record])
    assert stage.runner.sources[0].delay.ms == 3000


async def test_of_a_backlog_events_arrived_when_they_were_written() -> None:
    stage = Stage()
    stage.feed.reported_ends[ENTRY] = 2
    await stage.assign()
    stage.ingest([fetched(ENTRY.topic, 0, NOW - 600_000)[0]._replace(timestamp=NOW - 600_000 + 40)])
    assert stage.runner.sources[0].delay.ms == 40


async def test_a_partition_with_a_backlog_is_never_idle_however_long_it_is_silent() -> None:
    stage = await Stage().assign()
    stage.take(ENTRY, NOW)
    stage.feed.reported_ends[ENTRY] = 1000
    stage.waits(5000)
    assert stage.idle == [False, True, True]
    assert stage.watermark == NOW - LATENESS


async def test_the_ends_are_learned_before_anything_is_read_so_that_a_backlog_holds_from_the_first_moment() -> None:
    stage = Stage()
    stage.feed.reported_ends[LOOK] = 7
    await stage.assign()
    stage.feed.reported_ends = dict.fromkeys(stage.feed.tps, 0)  # no fetch has reported it yet
    stage.waits(5000)
    assert not stage.idle[2]
    assert stage.watermark < 0
    assert stage.runner.backlog() == stage.manager.backlog() == 7


async def test_behind_the_last_record_may_stand_the_end_of_a_transaction() -> None:
    """It has an offset and is never delivered: the fetcher's position shows it."""
    stage = await Stage().assign()
    stage.take(ENTRY, NOW)
    stage.feed.reported_ends[ENTRY] = 2
    stage.feed.delivered[ENTRY] = 1
    stage.feed.confirmed[ENTRY] = 1
    stage.waits(3000)
    assert not stage.idle[0], "the fetcher has not passed it"
    stage.feed.confirmed[ENTRY] = 2
    stage.waits(IDLE)
    assert stage.idle[0]
    assert stage.watermark == stage.now - LATENESS - IDLE
    assert stage.runner.backlog() == 0
    assert stage.runner.shard.snapshot().committed_offsets[0] == 2, "so that others can see that all of it was read"


async def test_what_was_delivered_and_did_not_arrive_yet_is_waited_for() -> None:
    stage = await Stage().assign()
    stage.feed.reported_ends[ENTRY] = stage.feed.confirmed[ENTRY] = stage.feed.delivered[ENTRY] = 3
    stage.waits(5000)
    assert not stage.idle[0]
    assert stage.watermark < 0


async def test_the_watermark_follows_the_brokers_answers_not_a_wall_clock_that_runs_ahead_of_them() -> None:
    stage = await Stage(fetch_wait_ms=20).assign()
    stage.waits(IDLE)
    answered = stage.now
    stage.waits(900, answers=False)
    assert stage.watermark == answered - LATENESS - IDLE


async def test_a_wall_clock_that_goes_back_moves_no_watermark_back() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE)
    stood = stage.watermark
    stage.now -= 60_000
    stage.feed.answer_all(stage.now)
    stage.manager.tick()
    assert stage.watermark == stood


async def test_batches_of_partitions_that_were_revoked_are_ignored() -> None:
    stage = await Stage().assign()
    stage.ingest(fetched("entry", 0, NOW, partition=3))
    stage.manager.release()
    stage.ingest(fetched("entry", 0, NOW))
    stage.manager.tick()
    assert stage.manager.shards == {}
    assert stage.manager.positions() == {}


# ---- where reading goes on --------------------------------------------------------------------------------------


async def stored(offset: int) -> ChangelogStore:
    """The state of a shard that has dealt with `offset` entries."""
    stage = await Stage(toy=ArrivalToy()).assign()
    if offset:
        stage.take(ENTRY, *range(NOW, NOW + offset))
    return restored([(r.key, r.value, r.headers) for r in stage.runner.shard.snapshot().changelog()])


async def test_reading_goes_on_where_the_stored_state_has_come_to() -> None:
    stage = Stage(toy=ArrivalToy(), store=await stored(5))
    stage.feed.reported_ends[ENTRY] = 5
    await stage.assign()
    assert stage.manager.positions() == {ENTRY: 5, REMARK: 0, LOOK: 0}


async def judged(stage: Stage, *ats: int) -> ChangelogStore:
    """The state after these entries, all of which the broker has."""
    stage.feed.logs[ENTRY] = fetched("entry", 0, *ats)
    stage.feed.reported_ends[ENTRY] = len(ats)
    stage.ingest(stage.feed.logs[ENTRY])
    return restored([(r.key, r.value, r.headers) for r in stage.runner.shard.snapshot().changelog()])


async def test_a_topic_that_was_created_again_is_read_from_its_beginning_and_its_events_are_judged() -> None:
    store = await judged(await Stage().assign(), NOW, NOW + 5000)
    assert store.marker is not None
    again = Stage(store=store)
    again.feed.logs[ENTRY] = fetched("entry", 0, NOW + 6000, NOW + 7000, NOW + 8000)
    again.feed.reported_ends[ENTRY] = 3
    await again.assign()
    assert again.manager.positions()[ENTRY] == 0
    assert [finding.words for finding in again.manager.findings] == [
        "entry, partition 0: the topic was created again; it is read from its beginning, offset 0"
    ]
    assert again.runner.shard.collector.counts["recreated:entry"] == 1
    snapshot = again.runner.shard.snapshot()
    assert snapshot.marker.sources[0].change == SourceChange("recreated", again.now, 0, 0)
    third = Stage(store=restored([(r.key, r.value, r.headers) for r in snapshot.changelog()]))
    third.feed.logs[ENTRY] = again.feed.logs[ENTRY]
    third.feed.reported_ends[ENTRY] = 3
    await third.assign()
    assert third.manager.findings == []
    assert third.runner.shard.snapshot().marker.sources[0].change == snapshot.marker.sources[0].change, "it stays known"
    again.ingest(again.feed.logs[ENTRY])
    assert len(again.runner.shard.reorder_buffer) == 3, "no event is skipped, and none is late"
    assert again.runner.shard.watermark == store.marker.watermark, "what was judged stays judged"
    assert [known.offset for known in again.runner.shard.sources[0].identities] == [2]


async def test_a_log_that_has_lost_its_end_is_read_on_from_there() -> None:
    first = await Stage().assign()
    store = await judged(first, NOW, NOW + 5000, NOW + 5001, NOW + 5002)
    again = Stage(store=store)
    again.feed.logs[ENTRY] = first.feed.logs[ENTRY][:3]
    again.feed.reported_ends[ENTRY] = 3
    await again.assign()
    assert [finding.words for finding in again.manager.findings] == [
        "entry, partition 0: the broker has lost the last 1 records that were read; reading goes on at offset 3"
    ]
    assert again.runner.shard.collector.counts["lost:entry"] == 1
    assert again.manager.positions()[ENTRY] == 0, "what waited is read again"
    again.ingest(again.feed.logs[ENTRY])
    again.take(ENTRY, NOW + 5010)
    assert len(again.runner.shard.reorder_buffer) == 4
    assert again.runner.shard.collector.counts.get("refused:entry:late", 0) == 0


async def test_records_below_those_that_were_expected_stop_the_worker() -> None:
    """The client starts again at the beginning of a log that does not have the next offset."""
    stage = await Stage().assign()
    stage.take(ENTRY, NOW, NOW + 1)
    with pytest.raises(SourceChanged, match="entry, partition 0: the records from offset 2 on are gone: the topic was"):
        stage.ingest(fetched("entry", 0, NOW + 2), 2)
    assert stage.manager.positions()[ENTRY] == 2


async def test_a_broker_that_reports_the_start_of_the_last_batch_as_the_end_is_believed_to_have_all_of_it() -> None:
    stage = Stage(toy=ArrivalToy(), store=await stored(5), exact_ends=False)
    stage.feed.reported_ends[ENTRY] = 1
    await stage.assign()
    assert stage.manager.positions()[ENTRY] == 5


@pytest.mark.parametrize(("offset", "skipped"), [(5, 15), (0, 20)])
async def test_what_retention_took_while_nobody_read_is_counted(offset: int, skipped: int) -> None:
    """Before the first checkpoint, too: what was deleted by then was never judged."""
    stage = Stage(toy=ArrivalToy(), store=await stored(offset))
    stage.feed.reported_ends[ENTRY], stage.feed.first[ENTRY] = 30, 20
    await stage.assign()
    assert stage.manager.positions()[ENTRY] == 20
    assert stage.runner.shard.collector.counts.get("skipped:entry", 0) == skipped


@pytest.mark.parametrize(("first", "skipped"), [(0, 0), (1, 0), (3, 2), (50, 3)])
async def test_a_gap_is_loss_only_as_far_as_the_topic_begins_behind_it(first: int, skipped: int) -> None:
    stage = await Stage(toy=ArrivalToy()).assign()
    stage.take(ENTRY, NOW)
    stage.feed.reported_ends[ENTRY] = 60
    stage.ingest(fetched("entry", 4, NOW))
    stage.feed.first[ENTRY] = first
    await stage.manager.count_skipped()
    assert stage.runner.shard.collector.counts.get("skipped:entry", 0) == skipped
    assert not stage.manager.has_gaps()


async def test_a_batch_that_was_delivered_and_lost_on_its_way_stops_the_worker() -> None:
    """It would look like a gap of the topic's own. The state before it is saved: a restart reads it again."""
    stage = await Stage(toy=ArrivalToy()).assign()
    stage.take(ENTRY, NOW)
    first, lost, last = (batch(fetched("entry", offset, NOW, NOW), offset) for offset in (1, 3, 5))
    stage.manager.ingest(first)
    with pytest.raises(RuntimeError, match="entry, partition 0: the records from offset 3 to 5 were delivered and"):
        stage.manager.ingest(last)
    assert stage.manager.positions()[ENTRY] == 3
    stage.manager.ingest(lost)
    stage.manager.ingest(last)
    assert stage.manager.positions()[ENTRY] == 7


async def test_a_batch_that_takes_long_leaves_others_a_turn_where_order_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two thousand suppliers whose states were not loaded for long take seconds to unpack."""
    stage = await Stage(toy=ArrivalToy()).assign()
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    ingest, sizes = stage.runner.shard.ingest, []

    def slowly(source_index: int, records: Sequence[Any], wall: int | None) -> bool:
        seconds[0] += 0.75 * shard_manager.TIME_SLICE_S
        sizes.append(len(records))
        return ingest(source_index, records, wall)

    stage.runner.shard.ingest = slowly  # type: ignore[method-assign]
    stage.feed.reported_ends[ENTRY] = 450
    rest: Batch | None = batch(fetched("entry", 0, *[NOW] * 450))
    left = []
    while rest is not None and (rest := stage.manager.ingest(rest)):
        left.append((len(rest.records), rest.expected_offset))
    assert (left, sizes) == ([(250, 200), (50, 400)], [100, 100, 100, 100, 50])
    assert stage.manager.positions()[ENTRY] == 450
    assert not stage.manager.has_gaps()


async def test_records_wait_while_a_large_state_is_loaded_and_others_have_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = await Stage(toy=ArrivalToy()).assign()
    seconds, calls = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    steps = iter([2, 0, 0, 0, 0, 0, 8])

    def ready(records: Sequence[Any]) -> int:
        seconds[0] += 0.4 * shard_manager.TIME_SLICE_S
        calls.append(len(records))
        return next(steps)

    stage.runner.shard.ready = ready  # type: ignore[method-assign]
    stage.feed.reported_ends[ENTRY] = 10
    first = batch(fetched("entry", 0, *[NOW] * 10))
    rest = stage.manager.ingest(first)
    assert rest is not None
    assert (len(rest.records), rest.expected_offset, calls) == (8, 2, [10, 8, 8])
    waiting = stage.manager.ingest(rest)
    assert waiting is not None
    assert waiting is not rest, "the agent waits before it passes a batch again that was not taken"
    assert waiting == rest
    assert stage.manager.positions()[ENTRY] == 2
    assert stage.manager.ingest(waiting) is None
    assert stage.manager.positions()[ENTRY] == 10


async def test_what_is_left_of_a_batch_is_dropped_with_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = await Stage(toy=ArrivalToy()).assign()
    monkeypatch.setattr(shard_manager, "TIME_SLICE_S", 0)
    rest = stage.ingest(fetched("entry", 0, *[NOW] * 450))
    assert rest is not None
    assert len(rest.records) == 350
    stage.manager.release()
    assert stage.manager.ingest(rest) is None
    await stage.assign()
    with pytest.raises(RuntimeError, match="were delivered and did not arrive"):
        stage.manager.ingest(rest)


async def test_what_goes_in_order_is_ingested_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = await Stage().assign()
    monkeypatch.setattr(shard_manager, "TIME_SLICE_S", 0)
    assert stage.ingest(fetched("entry", 0, *[NOW] * 450)) is None
    assert stage.manager.positions()[ENTRY] == 450


async def test_an_agent_gives_others_a_turn_before_it_delivers_the_rest() -> None:
    agents: list[Any] = []
    app = SimpleNamespace(agent=lambda channel, name: agents.append)
    diary: list[Any] = []

    def ingest(records: list[int]) -> list[int] | None:
        diary.append(list(records))
        return records[2:] or None

    async def stream() -> Any:
        yield [1, 2, 3, 4, 5]
        yield [6]

    async def other() -> None:
        while len(diary) < 6:
            diary.append("other")
            await asyncio.sleep(0)

    add_agent(app, "rooms", None, ingest, fail_fast=None)  # type: ignore[arg-type]
    background = asyncio.create_task(other())
    await agents[0](stream())
    await background
    assert diary[:5] == [[1, 2, 3, 4, 5], "other", [3, 4, 5], "other", [5]]
    assert [6] in diary


async def test_topics_of_a_shard_that_were_assigned_to_two_workers_are_an_error_of_ours() -> None:
    stage = Stage()
    stage.membership.tps.remove(LOOK)
    with pytest.raises(RuntimeError, match="partition 0 of look was assigned to another worker"):
        await stage.assign()


# ---- recorded data ----------------------------------------------------------------------------------------------


async def test_recorded_data_ends_at_its_largest_time_once_all_is_read() -> None:
    stage = Stage(live=False)
    stage.feed.reported_ends |= {ENTRY: 1, REMARK: 1}
    await stage.assign()
    stage.take(ENTRY, 9000)
    stage.waits(5000)
    assert stage.watermark < 0, "one partition was not read yet"
    assert not stage.runner.ended
    stage.take(REMARK, 4000)
    stage.waits(IDLE)
    assert stage.watermark == 9001
    assert stage.runner.ended


async def test_recorded_data_ends_where_the_operator_says() -> None:
    stage = await Stage(live=False, recorded_until=50_000).assign()
    stage.take(ENTRY, 9000)
    stage.waits(IDLE)
    assert stage.watermark == 50_001
    assert stage.runner.ended


async def test_a_shard_without_any_event_has_no_end_of_its_own_but_the_one_given() -> None:
    alone = await Stage(live=False).assign()
    alone.waits(IDLE)
    assert alone.runner.ended
    assert alone.watermark < 0
    given = await Stage(live=False, recorded_until=50_000).assign()
    given.waits(IDLE)
    assert given.watermark == 50_001


async def test_recorded_data_that_goes_on_after_its_end_ends_again() -> None:
    stage = await Stage(live=False, toy=ArrivalToy()).assign()
    stage.take(ENTRY, 9000)
    stage.waits(IDLE)
    assert stage.runner.ended
    stage.take(ENTRY, 12_000)
    assert not stage.runner.ended
    stage.waits(IDLE)
    assert (stage.runner.ended, stage.watermark) == (True, 12_001)


async def test_a_subject_that_reads_what_others_write_waits_until_all_of_it_is_written() -> None:
    written_at: dict[SubjectName, int | None] = {"hosts": None}
    stage = await Stage(live=False, toy=ArrivalToy(), subject="hosts", upstream=written_at).assign()
    stage.take(ENTRY, 9000)
    stage.waits(5000)
    assert not stage.runner.ended
    written_at["hosts"] = stage.now + 100
    stage.waits(100)
    assert not stage.runner.ended, "an answer that is older than the last write proves nothing"
    stage.waits(10)
    assert (stage.runner.ended, stage.watermark) == (True, 9001)


# ---- back-pressure ----------------------------------------------------------------------------------------------


async def test_topics_that_run_ahead_wait_for_the_slowest() -> None:
    stage = Stage(max_buffered=10)
    stage.feed.reported_ends |= {ENTRY: 20, REMARK: 20, LOOK: 20}
    await stage.assign()
    stage.take(REMARK, 1000)
    stage.take(LOOK, 1500)
    stage.take(ENTRY, *range(50_000, 74_000, 3000))
    assert stage.feed.paused == set()
    stage.take(ENTRY, 74_000)
    assert stage.feed.paused == {ENTRY, LOOK}
    stage.take(REMARK, 80_000)  # now the look is slowest, and was waiting
    assert stage.feed.paused == {ENTRY, REMARK}
    stage.take(LOOK, 80_000)
    assert stage.feed.paused == set()
    assert len(stage.runner.shard.reorder_buffer) < 10 // 2


async def test_the_last_event_that_fits_stops_nobody() -> None:
    for number, paused in ((10, set()), (11, {REMARK, LOOK})):
        stage = Stage(max_buffered=10)
        stage.feed.reported_ends |= {ENTRY: 20, REMARK: 50, LOOK: 50}
        await stage.assign()
        stage.take(REMARK, *range(1000, 1000 + number))
        assert stage.feed.paused == paused


async def test_nobody_waits_for_a_topic_that_was_read_to_its_end() -> None:
    stage = Stage(max_buffered=10)
    stage.feed.reported_ends |= {ENTRY: 1, REMARK: 50}
    await stage.assign()
    stage.take(REMARK, *range(10_000, 10_012))
    assert stage.feed.paused == {REMARK, LOOK}
    stage.take(ENTRY, 10_000)
    stage.waits(10)
    assert stage.feed.paused == {ENTRY, LOOK}, "what is read on is the one with a backlog"


async def test_whatever_the_topics_hold_the_buffer_stays_bounded_and_all_is_read() -> None:
    """Topics whose times lie far apart and overtake each other, batches of any size."""
    for seed in range(20):
        chance = Random(seed)
        stage = Stage(max_buffered=40, live=False)
        todo = {
            tp: sorted(chance.randrange(0, 3_000_000) for _ in range(chance.choice((0, 5, 400))))
            for tp in sorted(stage.feed.tps)
        }
        stage.feed.reported_ends = {tp: len(ats) for tp, ats in todo.items()}
        await stage.assign()
        largest = rounds = 0
        while any(todo.values()):
            rounds += 1
            assert rounds < 5000, f"seed {seed}: nothing is read any more"
            ready = [tp for tp, ats in todo.items() if ats and tp not in stage.feed.paused]
            if ready:
                tp = chance.choice(ready)
                size = chance.randint(1, 10)
                ats, todo[tp] = todo[tp][:size], todo[tp][size:]
                stage.take(tp, *ats)
            stage.waits(IDLE)
            largest = max(largest, len(stage.runner.shard.reorder_buffer))
        stage.waits(2 * IDLE)
        assert stage.runner.ended, seed
        assert len(stage.runner.shard.reorder_buffer) == 0
        assert largest <= 40 + 3 * 10, (seed, largest)
