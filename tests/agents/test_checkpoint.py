"""Checkpoints: what is written before what, what is put off, and what stops the worker."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from tests.support.fakes import FakeFeed, FakeProducer, FakeTable, fetched, restored
from tests.support.toys import OrderedToy
from vigil.agents.checkpointer import CATCHING_UP, Checkpointer, FencedError
from vigil.agents.shard_manager import ShardManager, WatermarkPolicy, wall_ms
from vigil.app.engine.changelog import ChangelogStore
from vigil.app.engine.shard import Shard
from vigil.topics.catalog import SubjectName

TOPICS = ("entry", "remark", "look")
ENTRY = TP("entry", 0)
CHANGELOG = "state"


class Stage:
    """One shard of three topics that judges at once (no lateness, recorded data), and a producer in memory."""

    def __init__(self, *, most: int = 1000, log: list[Any] | None = None, **how: Any) -> None:
        self.diary: list[Any] = []
        self.feed = FakeFeed(*TOPICS)
        self.feed.diary = self.diary
        self.producer = FakeProducer(self.diary, most)
        self.table = FakeTable(CHANGELOG)
        self.store = ChangelogStore()
        if log is not None:
            self.producer.log[CHANGELOG] = log
            self.table.ends[0] = len(log)
            self.store = restored(log)
        self.written: list[tuple[float, int]] = []
        self.told: list[str] = []
        self.owner = ShardManager(
            self.feed,  # type: ignore[arg-type]
            WatermarkPolicy(lateness_ms=0, idle_after_ms=0, live=False),
            {"rooms": TOPICS},
            self._shard,
        )
        self.checkpoints = Checkpointer(
            self.owner,
            self.feed,  # type: ignore[arg-type]
            {"rooms": self.table},  # type: ignore[dict-item]
            lambda: self.producer,
            new_batch=self.producer.create_batch,
            on_sent=lambda held, outputs, at: self.told.extend(output.topic for output in outputs),
            on_written=lambda seconds, records: self.written.append((seconds, records)),
            **how,
        )

    def _shard(self, group: SubjectName, partition: int) -> Shard:
        return Shard(OrderedToy(), 0, partition=partition, store=self.store, rulebook="rules")

    async def begin(self) -> "Stage":
        """Take the shard over; the diary begins after that."""
        await self.owner.assign()
        await self.checkpoints.take_over()
        self.diary.clear()
        self.producer.batches.clear()
        return self

    @property
    def held(self) -> Any:
        return self.owner.shards["rooms", 0]

    def says(self, *ats: int) -> None:
        """Entries arrive and are judged; each gives one output."""
        offset = self.held.shard.sources[0].read_offset
        self.feed.told_ends[ENTRY] = offset + len(ats)
        self.owner.take(fetched("entry", offset, *ats))
        self.feed.answers_all(wall_ms() + 1)
        self.owner.tick()

    async def write(self) -> None:
        """A checkpoint of every shard, now."""
        await self.checkpoints.write(list(self.owner.shards.values()))

    async def due(self) -> None:
        """What is due once the last checkpoint is a moment past is written."""
        await asyncio.sleep(0.03)
        await self.checkpoints.when_due()

    @property
    def log(self) -> list[Any]:
        return self.producer.log[CHANGELOG]


# ---- order ------------------------------------------------------------------------------------------------------


async def test_state_is_acknowledged_before_outputs_are_sent_and_these_before_offsets_are_committed() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    await stage.due()
    steps = list(dict.fromkeys(stage.diary))
    assert steps == ["state", "state acked", "output", "output acked", "commit"]
    assert stage.feed.committed == [{ENTRY: 1}]
    assert "said" in stage.told


@pytest.mark.parametrize("stuck", ["state", "output"])
async def test_nothing_is_done_before_what_goes_before_it_is_acknowledged(stuck: str) -> None:
    stage = await Stage().begin()
    stage.says(1000)
    stage.producer.gate.clear()
    if stuck == "output":
        stage.producer.gate.set()
        stage.producer.fails = lambda topic: stage.producer.gate.clear() if topic == CHANGELOG else None  # type: ignore[func-returns-value]
    writing = asyncio.create_task(stage.due())
    async with asyncio.timeout(10):
        while stuck not in stage.diary:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # what went on without waiting would have come by now
    assert not writing.done()
    assert ("output" in stage.diary) == (stuck == "output")
    assert "commit" not in stage.diary
    stage.producer.gate.set()
    await writing
    assert stage.diary[-1] == "commit"


async def test_a_restart_at_any_record_of_the_log_finds_a_whole_checkpoint_and_what_it_owes() -> None:
    stage = await Stage(most=2).begin()
    before = len(stage.log)
    stage.says(1000, 2000, 3000)
    await stage.write()
    said = [output for output in stage.producer.sent if output[0] == "said"]
    assert len(said) == 3
    assert len(stage.producer.batches) > 1
    for length in range(before, len(stage.log)):
        assert restored(stage.log[:length]).pending_resend() == []
    whole = restored(stage.log)
    assert [
        (output.topic, output.key, output.payload) for output in whole.pending_resend() if output.topic == "said"
    ] == said


async def test_a_checkpoint_that_fits_is_one_batch_and_on_the_embedded_broker_its_marker_stands_alone() -> None:
    for alone, batches in ((False, 1), (True, 2)):
        stage = await Stage(marker_alone=alone).begin()
        stage.says(1000)
        await stage.due()
        assert len(stage.producer.batches) == batches
        assert stage.producer.batches[-1] == 1 or not alone


async def test_what_a_former_owner_owed_is_sent_again_when_the_shard_is_taken_over() -> None:
    first = await Stage().begin()
    first.says(1000)
    first.producer.fails = lambda topic: KafkaError("the broker is gone") if topic == "said" else None
    with pytest.raises(KafkaError):
        await first.due()
    assert first.feed.committed == []
    second = Stage(log=first.log)
    second.feed.told_ends[ENTRY] = 1
    await second.begin()
    assert [topic for topic, _, _ in second.producer.sent].count("said") == 1
    assert second.producer.sent[0] == next(output for output in first.producer.sent if output[0] == "said")
    assert second.feed.committed == [], "taking over commits nothing"


# ---- when -------------------------------------------------------------------------------------------------------


async def test_outputs_that_come_close_together_are_one_checkpoint() -> None:
    stage = await Stage(interval_ms=60_000, group_ms=50).begin()
    await asyncio.sleep(0.03)
    await stage.due()  # the first interval
    before = len(stage.written)
    until = asyncio.get_running_loop().time() + 0.12
    at = 1000
    while asyncio.get_running_loop().time() < until:
        stage.says(at)
        at += 1000
        await stage.checkpoints.when_due()
        await asyncio.sleep(0.005)
    assert 1 <= len(stage.written) - before <= 3
    assert stage.feed.committed == [], "offsets are committed at the interval"


async def test_state_without_outputs_waits_for_the_interval() -> None:
    stage = await Stage(interval_ms=500, group_ms=1).begin()
    await stage.due()
    stage.held.shard.ingest(1, fetched("remark", 0, 5000))  # waits for its order: read, and nothing to say
    stage.diary.clear()
    await stage.due()
    assert stage.diary == []
    await asyncio.sleep(0.5)
    await stage.due()
    assert "state acked" in stage.diary
    assert "output" not in stage.diary


async def test_an_interval_in_which_nothing_changed_writes_nothing() -> None:
    stage = await Stage(interval_ms=10, group_ms=1).begin()
    stage.says(1000)
    for _ in range(5):
        await asyncio.sleep(0.015)
        await stage.due()
    length = len(stage.log)
    stage.diary.clear()
    for _ in range(5):
        await asyncio.sleep(0.015)
        await stage.due()
    assert (len(stage.log), stage.diary) == (length, [])


@pytest.mark.parametrize(("waiting", "written"), [(CATCHING_UP, 1), (CATCHING_UP + 1, 0)])
async def test_while_catching_up_outputs_wait_for_the_interval(waiting: int, written: int) -> None:
    stage = await Stage(interval_ms=60_000, group_ms=0).begin()
    await stage.due()
    before = len(stage.written)
    stage.says(1000)
    stage.held.ends[0] = stage.held.shard.sources[0].read_offset + waiting
    await stage.due()
    assert len(stage.written) - before == written


async def test_recorded_data_is_committed_to_its_last_offset_only_with_its_last_word() -> None:
    """Whoever waits for all of it can tell by what is committed."""
    stage = await Stage(recorded=True).begin()
    stage.feed.told_ends[ENTRY] = 3
    stage.feed.answers_all(0)
    stage.owner.take(fetched("entry", 0, 1000, 2000, 3000))
    stage.held.shard.advance_watermark(10_000)
    stage.held.ends[0] = 3
    assert not stage.held.ended
    await stage.write()
    assert stage.feed.committed == [{ENTRY: 2}]
    stage.feed.answers_all(wall_ms() + 1)
    stage.owner.tick()
    assert stage.held.ended
    await stage.write()
    assert stage.feed.committed[-1] == {ENTRY: 3}


async def test_an_event_that_waits_for_its_order_is_not_committed() -> None:
    stage = await Stage().begin()
    stage.feed.told_ends |= dict.fromkeys(stage.feed.tps, 9)  # nobody is at the end: all hold
    for topic in ("remark", "look"):
        stage.owner.take(fetched(topic, 0, 1500))
    stage.owner.take(fetched("entry", 0, 1000, 2000, 3000))
    await stage.write()
    assert stage.feed.committed == [{ENTRY: 1}]


# ---- what stops the worker --------------------------------------------------------------------------------------


async def test_a_record_of_somebody_else_in_the_changelog_means_that_the_shard_is_lost() -> None:
    stage = await Stage().begin()
    stage.log.append((b"foreign", b"x" * 40, []))
    stage.says(1000)
    with pytest.raises(FencedError, match=r"the changelog of rooms, partition 0, has \d+ new records"):
        await stage.due()
    assert "output" not in stage.diary
    assert "commit" not in stage.diary


async def test_a_take_over_that_did_not_read_the_log_to_its_end_is_noticed_too() -> None:
    first = await Stage().begin()
    stage = Stage(log=list(first.log))
    stage.log.append(stage.log[-1])
    with pytest.raises(FencedError):
        await stage.begin()
    assert stage.producer.sent == []


async def test_a_refused_commit_stops_the_worker() -> None:
    stage = await Stage().begin()
    stage.feed.member = False
    stage.says(1000)
    with pytest.raises(FencedError, match="the group refused a commit"):
        await stage.due()


async def test_a_refused_commit_of_shards_that_are_gone_is_nobodys_trouble() -> None:
    stage = await Stage().begin()
    stage.feed.member = False
    stage.says(1000)
    commit = stage.feed.commit

    async def refused_after_the_crash(offsets: Any) -> bool:
        stage.checkpoints.dropped()
        return await commit(offsets)

    stage.feed.commit = refused_after_the_crash  # type: ignore[method-assign]
    await stage.due()


@pytest.mark.parametrize(("topic", "left_out"), [(CHANGELOG, {"output", "commit"}), ("said", {"commit"})])
async def test_a_producer_that_fails_stops_what_comes_after(topic: str, left_out: set[str]) -> None:
    stage = await Stage().begin()
    stage.producer.fails = lambda failing: KafkaError("no") if failing == topic else None
    stage.says(1000)
    with pytest.raises(KafkaError):
        await stage.due()
    assert not left_out & set(stage.diary)
    assert stage.feed.committed == []


# ---- when shards go ---------------------------------------------------------------------------------------------


async def test_the_last_checkpoint_commits_and_nothing_that_waited_its_turn_is_written_after_it() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    stage.producer.gate.clear()
    last = asyncio.create_task(stage.checkpoints.last())
    shards = list(stage.owner.shards.values())
    await asyncio.sleep(0)
    stage.owner.take(fetched("entry", 1, 2000))
    waiting = asyncio.create_task(stage.checkpoints.write(shards))
    await asyncio.sleep(0.02)
    stage.producer.gate.set()
    await last
    assert stage.owner.shards == {}
    length, committed = len(stage.log), list(stage.feed.committed)
    assert committed == [{ENTRY: 1}]
    await waiting
    assert (len(stage.log), stage.feed.committed) == (length, committed)
    assert [topic for topic, _, _ in stage.producer.sent].count("said") == 1


async def test_what_was_not_in_the_last_checkpoint_is_read_again_by_the_next_owner() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    await stage.checkpoints.last()
    stage.owner.take(fetched("entry", 1, 2000))
    following = Stage(log=stage.log)
    following.feed.told_ends[ENTRY] = 2
    await following.begin()
    assert following.owner.positions()[ENTRY] == 1


@pytest.mark.parametrize("before", [False, True])
async def test_after_a_last_checkpoint_nothing_is_sent_again(before: bool) -> None:
    """Whether its outputs went with it, or with one before: a word that all was sent is in the log."""
    stage = await Stage().begin()
    stage.says(1000)
    if before:
        await stage.write()
        assert not stage.held.shard.has_unsaved_state
    await stage.checkpoints.last()
    assert [topic for topic, _, _ in stage.producer.sent].count("said") == 1
    following = Stage(log=stage.log)
    following.feed.told_ends[ENTRY] = 1
    await following.begin()
    assert following.producer.sent == []
    length = len(following.log)
    await following.checkpoints.last()
    assert len(following.log) - length <= 1, "an owner that had nothing to say leaves no more than a marker"


async def test_nothing_is_written_for_a_worker_without_shards() -> None:
    stage = Stage()
    await stage.checkpoints.take_over()
    await stage.due()
    await stage.checkpoints.last()
    assert (stage.producer.log, stage.diary, stage.written) == ({}, [], [])
