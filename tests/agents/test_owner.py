"""The owner of shards: what may move a clock on, what holds it back, and when the end of recorded data has come.

Silence during outages is in test_silence.py.
"""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from tests.support.fakes import FakeFeed, fetched, restored
from tests.support.toys import ArrivalToy, OrderedToy, Toy
from vigil.agents import shard_manager as owner_module
from vigil.agents.faust.agent import attach
from vigil.agents.faust.batches import Batch, FaustSourceFeed
from vigil.agents.shard_manager import ShardManager, ShardRunner, TopicMismatch, WatermarkPolicy
from vigil.app.engine.changelog import ChangelogStore
from vigil.app.engine.shard import Shard
from vigil.topics.catalog import SubjectName

TOPICS = ("entry", "remark", "look")
ENTRY, REMARK, LOOK = (TP(topic, 0) for topic in TOPICS)
NOW = 1_700_000_000_000
"""The wall clock when a test begins."""
LATENESS, IDLE = 2000, 200


class Stage:
    """An owner with one shard of three topics, a broker that answers, and a wall clock that a test moves."""

    def __init__(
        self,
        *,
        toy: Toy | None = None,
        group: SubjectName = "rooms",
        upstream: Sequence[SubjectName] = (),
        store: ChangelogStore | None = None,
        **pace: Any,
    ) -> None:
        self.now = NOW
        self.toy = toy or OrderedToy()
        self.feed = FakeFeed(*TOPICS)
        self.store = store
        self.group = group
        feed: FaustSourceFeed = self.feed  # type: ignore[assignment]
        self.owner = ShardManager(
            feed,
            WatermarkPolicy(**{"lateness_ms": LATENESS, "idle_after_ms": IDLE, "max_buffered": 10, **pace}),
            {group: TOPICS},
            self._shard,
            upstream,
            lambda: self.now,
        )

    def _shard(self, group: SubjectName, partition: int) -> Shard:
        return Shard(self.toy, LATENESS, partition=partition, store=self.store)

    async def assign(self) -> "Stage":
        await self.owner.assign()
        return self

    @property
    def held(self) -> ShardRunner:
        return self.owner.shards[self.group, 0]

    @property
    def watermark(self) -> int:
        watermark: int = self.held.shard.watermark
        return watermark

    def take(self, tp: TP, *ats: int) -> None:
        """The next records of a partition arrive; the broker has at least these."""
        offset = self.held.shard.sources[TOPICS.index(tp.topic)].read_offset
        self.feed.told_ends[tp] = max(self.feed.told_ends[tp], offset + len(ats))
        self.owner.take(fetched(tp.topic, offset, *ats))

    def waits(self, ms: int, answers: bool = True) -> None:
        """Time passes in ticks of 10 ms, the broker answering fetches or not."""
        for _ in range(0, ms, 10):
            self.now += 10
            if answers:
                self.feed.answers_all(self.now)
            self.owner.tick()


# ---- live: the wall, and who holds it back ----------------------------------------------------------------------


async def test_the_slowest_partition_decides_while_none_is_idle() -> None:
    stage = await Stage().assign()
    for tp, at in ((ENTRY, 9000), (REMARK, 5000), (LOOK, 7000)):
        stage.take(tp, NOW + at)
    assert stage.watermark == NOW + 5000 - LATENESS


async def test_before_anything_came_the_clock_stands_until_all_are_idle() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE - 10)
    assert stage.watermark < 0
    stage.waits(10)
    assert stage.watermark == stage.now - LATENESS


async def test_an_idle_partition_holds_nothing_back_and_the_others_do() -> None:
    stage = await Stage().assign()
    stage.take(REMARK, NOW - 500)
    stage.waits(IDLE)
    stage.take(ENTRY, NOW + 5000)
    assert stage.held.idle == [False, True, True]
    assert stage.watermark == NOW + 5000 - LATENESS
    stage.take(LOOK, NOW + 6000)
    stage.take(ENTRY, NOW + 9000)
    assert stage.held.idle == [False, True, False]
    assert stage.watermark == NOW + 6000 - LATENESS


async def test_a_partition_that_speaks_again_holds_again() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE)
    stood = stage.watermark
    stage.take(ENTRY, NOW - LATENESS)  # older than the clock: it cannot move it, but it holds it
    stage.waits(IDLE - 10)
    assert stage.watermark == stood
    stage.waits(10)
    assert stage.watermark == stage.now - LATENESS


async def test_a_partition_with_a_backlog_is_never_idle_however_long_it_is_silent() -> None:
    stage = await Stage().assign()
    stage.take(ENTRY, NOW)
    stage.feed.told_ends[ENTRY] = 1000
    stage.waits(5000)
    assert stage.held.idle == [False, True, True]
    assert stage.watermark == NOW - LATENESS


async def test_the_ends_are_learned_before_anything_is_read_so_that_a_backlog_holds_from_the_first_moment() -> None:
    stage = Stage()
    stage.feed.told_ends[LOOK] = 7
    await stage.assign()
    stage.feed.told_ends = dict.fromkeys(stage.feed.tps, 0)  # no fetch has told of it yet
    stage.waits(5000)
    assert not stage.held.idle[2]
    assert stage.watermark < 0
    assert stage.held.backlog() == stage.owner.backlog() == 7


async def test_behind_the_last_record_may_stand_the_end_of_a_transaction() -> None:
    """It has an offset, and is never handed on: the fetcher's position tells."""
    stage = await Stage().assign()
    stage.take(ENTRY, NOW)
    stage.feed.told_ends[ENTRY] = 2
    stage.feed.handed[ENTRY] = 1
    stage.feed.past[ENTRY] = 1
    stage.waits(3000)
    assert not stage.held.idle[0], "the fetcher has not passed it"
    stage.feed.past[ENTRY] = 2
    stage.waits(IDLE)
    assert stage.held.idle[0]
    assert stage.watermark == stage.now - LATENESS
    assert stage.held.backlog() == 0
    assert stage.held.shard.snapshot().committed_offsets[0] == 2, "so that whoever waits for all of it can tell"


async def test_what_was_handed_on_and_did_not_arrive_yet_is_waited_for() -> None:
    stage = await Stage().assign()
    stage.feed.told_ends[ENTRY] = stage.feed.past[ENTRY] = stage.feed.handed[ENTRY] = 3
    stage.waits(5000)
    assert not stage.held.idle[0]
    assert stage.watermark < 0


async def test_the_clock_follows_the_brokers_answers_not_a_wall_that_runs_ahead_of_them() -> None:
    stage = await Stage(fetch_wait_ms=20).assign()
    stage.waits(IDLE)
    answered = stage.now
    stage.waits(900, answers=False)
    assert stage.watermark == answered + 2 * 20 + 100 - LATENESS


async def test_a_wall_that_goes_back_takes_no_clock_back() -> None:
    stage = await Stage().assign()
    stage.waits(IDLE)
    stood = stage.watermark
    stage.now -= 60_000
    stage.feed.answers_all(stage.now)
    stage.owner.tick()
    assert stage.watermark == stood


async def test_batches_of_partitions_that_went_elsewhere_are_left_alone() -> None:
    stage = await Stage().assign()
    stage.owner.take(fetched("entry", 0, NOW, partition=3))
    stage.owner.drop()
    stage.owner.take(fetched("entry", 0, NOW))
    stage.owner.tick()
    assert stage.owner.shards == {}
    assert stage.owner.positions() == {}


# ---- where reading goes on --------------------------------------------------------------------------------------


async def stored(offset: int) -> ChangelogStore:
    """The state of a shard that has dealt with `offset` entries."""
    stage = await Stage(toy=ArrivalToy()).assign()
    if offset:
        stage.take(ENTRY, *range(NOW, NOW + offset))
    return restored([(r.key, r.value, r.headers) for r in stage.held.shard.snapshot().changelog()])


async def test_reading_goes_on_where_the_stored_state_has_come_to() -> None:
    stage = Stage(toy=ArrivalToy(), store=await stored(5))
    stage.feed.told_ends[ENTRY] = 5
    await stage.assign()
    assert stage.owner.positions() == {ENTRY: 5, REMARK: 0, LOOK: 0}


async def test_a_topic_that_ends_before_the_stored_state_is_another_topic() -> None:
    stage = Stage(toy=ArrivalToy(), store=await stored(5))
    stage.feed.told_ends[ENTRY] = 4
    with pytest.raises(TopicMismatch, match=r"entry, partition 0, ends at 4, before the offset 5 .*`app_id`"):
        await stage.assign()


async def test_a_broker_that_tells_the_beginning_of_the_last_batch_as_the_end_is_believed_to_have_it_all() -> None:
    stage = Stage(toy=ArrivalToy(), store=await stored(5), exact_ends=False)
    stage.feed.told_ends[ENTRY] = 1
    await stage.assign()
    assert stage.owner.positions()[ENTRY] == 5


@pytest.mark.parametrize(("offset", "skipped"), [(5, 15), (0, 0)])
async def test_what_retention_took_while_nobody_read_is_counted(offset: int, skipped: int) -> None:
    """A new application has lost nothing: it never wanted what was before."""
    stage = Stage(toy=ArrivalToy(), store=await stored(offset))
    stage.feed.told_ends[ENTRY], stage.feed.first[ENTRY] = 30, 20
    await stage.assign()
    assert stage.owner.positions()[ENTRY] == 20
    assert stage.held.shard.collector.counts.get("skipped:entry", 0) == skipped


@pytest.mark.parametrize(("first", "skipped"), [(0, 0), (1, 0), (3, 2), (50, 3)])
async def test_a_gap_is_loss_only_as_far_as_the_topic_begins_behind_it(first: int, skipped: int) -> None:
    stage = await Stage(toy=ArrivalToy()).assign()
    stage.take(ENTRY, NOW)
    stage.feed.told_ends[ENTRY] = 60
    stage.owner.take(fetched("entry", 4, NOW))
    stage.feed.first[ENTRY] = first
    await stage.owner.count_gone()
    assert stage.held.shard.collector.counts.get("skipped:entry", 0) == skipped
    assert stage.owner.gaps == {}


async def test_a_batch_that_was_handed_on_and_lost_on_its_way_stops_the_worker() -> None:
    """Else it would look like a gap of the topic's own. The state before it is saved: a restart reads it again."""
    stage = await Stage(toy=ArrivalToy()).assign()
    stage.take(ENTRY, NOW)
    first, lost, last = (Batch(fetched("entry", offset, NOW, NOW)) for offset in (1, 3, 5))
    first.after, lost.after, last.after = 1, 3, 5
    stage.owner.take(first)
    with pytest.raises(RuntimeError, match="entry, partition 0: records from offset 3 to 5 were handed on and"):
        stage.owner.take(last)
    assert stage.owner.positions()[ENTRY] == 3
    stage.owner.take(lost)
    stage.owner.take(last)
    assert stage.owner.positions()[ENTRY] == 7


async def test_a_batch_that_takes_long_leaves_others_a_turn_where_order_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two thousand suppliers that nobody looked into for long take seconds to unpack."""
    stage = await Stage(toy=ArrivalToy()).assign()
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    ingest, sizes = stage.held.shard.ingest, []

    def slowly(source_index: int, records: Sequence[Any], wall: int | None) -> bool:
        seconds[0] += 0.15
        sizes.append(len(records))
        return ingest(source_index, records, wall)

    stage.held.shard.ingest = slowly  # type: ignore[method-assign]
    stage.feed.told_ends[ENTRY] = 450
    rest: Sequence[Any] = fetched("entry", 0, *[NOW] * 450)
    left = []
    while rest := stage.owner.take(rest):
        left.append(len(rest))
    assert (left, sizes) == ([250, 50], [100, 100, 100, 100, 50])
    assert stage.owner.positions()[ENTRY] == 450
    assert stage.owner.gaps == {}


async def test_what_is_left_of_a_batch_is_let_go_with_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = await Stage(toy=ArrivalToy()).assign()
    monkeypatch.setattr(owner_module, "MOMENT_S", 0)
    rest = stage.owner.take(fetched("entry", 0, *[NOW] * 450))
    assert len(rest) == 350
    stage.owner.drop()
    assert not stage.owner.take(rest)
    await stage.assign()
    with pytest.raises(RuntimeError, match="were handed on and did not arrive"):
        stage.owner.take(rest)


async def test_what_goes_in_order_is_taken_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = await Stage().assign()
    monkeypatch.setattr(owner_module, "MOMENT_S", 0)
    assert not stage.owner.take(fetched("entry", 0, *[NOW] * 450))
    assert stage.owner.positions()[ENTRY] == 450


async def test_an_agent_gives_others_a_turn_before_it_takes_the_rest() -> None:
    agents: list[Any] = []
    app = SimpleNamespace(agent=lambda channel, name: agents.append)
    diary: list[Any] = []

    def take(records: Sequence[int]) -> Sequence[int]:
        diary.append(list(records))
        return records[2:]

    async def stream() -> Any:
        yield [1, 2, 3, 4, 5]
        yield [6]

    async def other() -> None:
        while len(diary) < 6:
            diary.append("other")
            await asyncio.sleep(0)

    attach(app, "rooms", None, take, crash=None)  # type: ignore[arg-type]
    beside = asyncio.create_task(other())
    await agents[0](stream())
    await beside
    assert diary[:5] == [[1, 2, 3, 4, 5], "other", [3, 4, 5], "other", [5]]
    assert [6] in diary


async def test_partitions_of_a_group_that_went_apart_are_an_error_of_ours() -> None:
    stage = Stage()
    stage.feed.tps.remove(LOOK)
    with pytest.raises(RuntimeError, match="partition 0 of look went to another worker"):
        await stage.assign()


# ---- recorded data ----------------------------------------------------------------------------------------------


async def test_recorded_data_ends_at_its_largest_time_once_all_is_read() -> None:
    stage = Stage(live=False)
    stage.feed.told_ends |= {ENTRY: 1, REMARK: 1}
    await stage.assign()
    stage.take(ENTRY, 9000)
    stage.waits(5000)
    assert stage.watermark < 0, "one partition was not read yet"
    assert not stage.held.ended
    stage.take(REMARK, 4000)
    stage.waits(IDLE)
    assert stage.watermark == 9001
    assert stage.held.ended


async def test_recorded_data_ends_where_it_is_told() -> None:
    stage = await Stage(live=False, recorded_until=50_000).assign()
    stage.take(ENTRY, 9000)
    stage.waits(IDLE)
    assert stage.watermark == 50_001
    assert stage.held.ended


async def test_a_shard_without_any_event_has_no_end_of_its_own_but_the_one_told() -> None:
    alone = await Stage(live=False).assign()
    alone.waits(IDLE)
    assert alone.held.ended
    assert alone.watermark < 0
    told = await Stage(live=False, recorded_until=50_000).assign()
    told.waits(IDLE)
    assert told.watermark == 50_001


async def test_recorded_data_that_goes_on_after_its_end_ends_again() -> None:
    stage = await Stage(live=False, toy=ArrivalToy()).assign()
    stage.take(ENTRY, 9000)
    stage.waits(IDLE)
    assert stage.held.ended
    stage.take(ENTRY, 12_000)
    assert not stage.held.ended
    stage.waits(IDLE)
    assert (stage.held.ended, stage.watermark) == (True, 12_001)


async def test_a_group_that_reads_what_others_write_waits_until_all_of_it_is_written() -> None:
    stage = await Stage(live=False, toy=ArrivalToy(), group="hosts", upstream=("hosts",)).assign()
    done: dict[SubjectName, int] = {}
    stage.owner.upstream_done = done.get
    stage.take(ENTRY, 9000)
    stage.waits(5000)
    assert not stage.held.ended
    done["hosts"] = stage.now + 100
    stage.waits(100)
    assert not stage.held.ended, "an answer that is older than the last write tells nothing"
    stage.waits(10)
    assert (stage.held.ended, stage.watermark) == (True, 9001)


# ---- back-pressure ----------------------------------------------------------------------------------------------


async def test_topics_that_run_ahead_wait_for_the_slowest() -> None:
    stage = Stage(max_buffered=10)
    stage.feed.told_ends |= {ENTRY: 20, REMARK: 20, LOOK: 20}
    await stage.assign()
    stage.take(REMARK, 1000)
    stage.take(LOOK, 1500)
    stage.take(ENTRY, *range(50_000, 74_000, 3000))
    assert stage.feed.held == set()
    stage.take(ENTRY, 74_000)
    assert stage.feed.held == {ENTRY, LOOK}
    stage.take(REMARK, 80_000)  # now the look is slowest, and was waiting
    assert stage.feed.held == {ENTRY, REMARK}
    stage.take(LOOK, 80_000)
    assert stage.feed.held == set()
    assert len(stage.held.shard.reorder_buffer) < 10 // 2


async def test_the_last_event_that_fits_stops_nobody() -> None:
    for number, held in ((10, set()), (11, {REMARK, LOOK})):
        stage = Stage(max_buffered=10)
        stage.feed.told_ends |= {ENTRY: 20, REMARK: 50, LOOK: 50}
        await stage.assign()
        stage.take(REMARK, *range(1000, 1000 + number))
        assert stage.feed.held == held


async def test_nobody_waits_for_a_topic_that_was_read_to_its_end() -> None:
    stage = Stage(max_buffered=10)
    stage.feed.told_ends |= {ENTRY: 1, REMARK: 50}
    await stage.assign()
    stage.take(REMARK, *range(10_000, 10_012))
    assert stage.feed.held == {REMARK, LOOK}
    stage.take(ENTRY, 10_000)
    stage.waits(10)
    assert stage.feed.held == {ENTRY, LOOK}, "what is read on is the one with a backlog"


async def test_whatever_the_topics_hold_the_buffer_stays_bounded_and_all_is_read() -> None:
    """Topics whose times lie far apart and overtake each other, batches of any size."""
    for seed in range(20):
        chance = Random(seed)
        stage = Stage(max_buffered=40, live=False, lateness_ms=LATENESS)
        todo = {
            tp: sorted(chance.randrange(0, 3_000_000) for _ in range(chance.choice((0, 5, 400))))
            for tp in sorted(stage.feed.tps)
        }
        stage.feed.told_ends = {tp: len(ats) for tp, ats in todo.items()}
        await stage.assign()
        largest = rounds = 0
        while any(todo.values()):
            rounds += 1
            assert rounds < 5000, f"seed {seed}: nothing is read any more"
            ready = [tp for tp, ats in todo.items() if ats and tp not in stage.feed.held]
            if ready:
                tp = chance.choice(ready)
                size = chance.randint(1, 10)
                ats, todo[tp] = todo[tp][:size], todo[tp][size:]
                stage.take(tp, *ats)
            stage.waits(IDLE)
            largest = max(largest, len(stage.held.shard.reorder_buffer))
        stage.waits(2 * IDLE)
        assert stage.held.ended, seed
        assert stage.held.shard.reorder_buffer == []
        assert largest <= 40 + 3 * 10, (seed, largest)
