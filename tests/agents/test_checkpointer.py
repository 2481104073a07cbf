"""Checkpoints: what is written before what, what is put off, and what stops the worker (I-6, I-17)."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaError

from tests.support.fakes import FakeKafka, StoredRecord, batch, fetched, restored
from tests.support.toys import OrderedToy
from vigil.agents import checkpointer
from vigil.agents.checkpoint_schedule import THROUGHPUT_BACKLOG
from vigil.agents.checkpointer import (
    Checkpointer,
    CheckpointSettings,
    FencedError,
    RecordTooLarge,
)
from vigil.agents.ports import OutputRecord, TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.agents.steps import Step
from vigil.agents.wall_clock import wall_ms
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.topics.catalog import SubjectName

TOPICS = ("entry", "remark", "look")
ENTRY = TopicPartition("entry", 0)
CHANGELOG = "state"


class Stage:
    """One shard of three sources that judges at once (no lateness, recorded data), and a broker in memory.

    It is the observer of its checkpoints.
    """

    def __init__(self, *, log: list[StoredRecord] | None = None, **settings: Any) -> None:
        self.kafka = kafka = FakeKafka(*TOPICS, changelogs={"rooms": CHANGELOG})
        self.diary, self.feed, self.membership = kafka.diary, kafka.feed, kafka.membership
        self.store = ChangelogStore()
        self.log: list[StoredRecord] = []
        if log is not None:
            self.log = log
            kafka.changelog.ends["rooms", 0] = len(log)
            self.store = restored(log)
        kafka.changelog.logs[CHANGELOG, 0] = self.log
        self.checkpoints_written: list[tuple[float, int]] = []
        self.steps: list[tuple[Step, float]] = []
        self.observed: list[str] = []
        """The topics of the outputs that were sent."""
        environment = ShardEnvironment(self.feed, WatermarkPolicy(idle_after_ms=0, live=False))
        self.manager = ShardManager(kafka.membership, environment, {"rooms": TOPICS}, self._shard)
        self.checkpoints = Checkpointer(self.manager, kafka.ports, CheckpointSettings(**settings), self)

    def _shard(self, subject: SubjectName, partition: int) -> AnyShard:
        return make_shard(OrderedToy(), 0, partition=partition, store=self.store, rulebook="rules")

    def written(self, seconds: float, records: int) -> None:
        self.checkpoints_written.append((seconds, records))

    def step(self, step: Step, seconds: float) -> None:
        self.steps.append((step, seconds))

    def sent(self, runner: ShardRunner, outputs: Sequence[Any], now: int) -> None:
        self.observed.extend(output.topic for output in outputs)

    async def begin(self) -> "Stage":
        """Acquire the shard; the diary begins after that."""
        await self.manager.assign()
        await self.checkpoints.acquire()
        self.diary.clear()
        return self

    @property
    def runner(self) -> ShardRunner:
        return self.manager.shards["rooms", 0]

    @property
    def published(self) -> list[OutputRecord]:
        return self.kafka.outputs.sent

    def ingest(self, topic: str, offset: int, *ats: int) -> None:
        self.manager.ingest(batch(fetched(topic, offset, *ats)))

    def says(self, *ats: int) -> None:
        """Entries arrive and are judged; each gives one output."""
        offset = self.runner.sources[0].position.read_offset
        self.feed.reported_ends[ENTRY] = offset + len(ats)
        self.ingest("entry", offset, *ats)
        self.feed.answer_all(wall_ms() + 1)
        self.manager.tick()

    async def write(self) -> None:
        """A checkpoint of every shard, now."""
        await self.checkpoints.write(list(self.manager.shards.values()))

    async def due(self) -> None:
        """What is due once the last checkpoint is a moment past is written."""
        await asyncio.sleep(0.03)
        await self.checkpoints.write_if_due()


# ---- order ------------------------------------------------------------------------------------------------------


async def test_state_is_acknowledged_before_outputs_are_sent_and_these_before_offsets_are_committed() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    await stage.due()
    steps = list(dict.fromkeys(stage.diary))
    assert steps == ["state", "state acked", "output", "output acked", "commit"]
    assert stage.membership.commits == [{ENTRY: 1}]
    assert "said" in stage.observed


async def test_the_steps_of_a_checkpoint_are_measured_if_a_verdict_waited_for_it() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    stage.runner.waits_since = time.monotonic() - 3
    await stage.due()
    assert [step for step, _ in stage.steps] == ["wait", "checkpoint", "send"]
    assert 3 <= stage.steps[0][1] < 20
    assert stage.runner.waits_since == 0
    stage.says(2000)
    await stage.due()
    assert len(stage.steps) == 3  # nothing that is measured waited


@pytest.mark.parametrize("stuck", ["state", "output"])
async def test_nothing_is_done_before_what_goes_before_it_is_acknowledged(stuck: str) -> None:
    stage = await Stage().begin()
    stage.says(1000)
    gate = stage.kafka.acknowledgements.gate
    gate.clear()
    if stuck == "output":
        gate.set()
        stage.kafka.acknowledgements.fails = lambda topic: gate.clear() if topic == CHANGELOG else None  # type: ignore[func-returns-value]
    writing = asyncio.create_task(stage.due())
    async with asyncio.timeout(10):
        while stuck not in stage.diary:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # what went on without waiting would have come by now
    assert not writing.done()
    assert ("output" in stage.diary) == (stuck == "output")
    assert "commit" not in stage.diary
    gate.set()
    await writing
    assert stage.diary[-1] == "commit"


async def test_what_happens_once_is_sent_before_the_latest_state_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "LATEST_VALUES", {"said"})
    stage = await Stage().begin()
    stage.says(1000, 2000)
    await stage.write()
    topics = [record.topic for record in stage.published]
    assert topics == ["status", "said", "said"]


async def test_a_restart_at_any_record_of_the_log_finds_a_whole_checkpoint_and_its_outbox() -> None:
    stage = await Stage().begin()
    before = len(stage.log)
    stage.says(1000, 2000, 3000)
    await stage.write()
    said = [(record.topic, record.key, record.value) for record in stage.published if record.topic == "said"]
    assert len(said) == 3
    for length in range(before, len(stage.log)):
        assert restored(stage.log[:length]).pending_resend() == []
    outbox = restored(stage.log).pending_resend()
    assert [(output.topic, output.key, output.payload) for output in outbox if output.topic == "said"] == said


async def test_the_outbox_of_a_former_owner_is_sent_again_when_the_shard_is_acquired() -> None:
    first = await Stage().begin()
    first.says(1000)
    first.kafka.acknowledgements.fails = lambda topic: KafkaError("the broker is gone") if topic == "said" else None
    with pytest.raises(KafkaError):
        await first.due()
    assert first.membership.commits == []
    second = Stage(log=first.log)
    second.feed.reported_ends[ENTRY] = 1
    await second.begin()
    assert [record.topic for record in second.published].count("said") == 1
    assert second.published[0] == next(record for record in first.published if record.topic == "said")
    assert second.membership.commits == [], "acquiring commits nothing"


# ---- when -------------------------------------------------------------------------------------------------------


async def test_outputs_that_come_close_together_are_one_checkpoint() -> None:
    stage = await Stage(interval_ms=60_000, grouping_ms=50).begin()
    await asyncio.sleep(0.03)
    await stage.due()  # the first interval
    before = len(stage.checkpoints_written)
    until = asyncio.get_running_loop().time() + 0.12
    at = 1000
    while asyncio.get_running_loop().time() < until:
        stage.says(at)
        at += 1000
        await stage.checkpoints.write_if_due()
        await asyncio.sleep(0.005)
    assert 1 <= len(stage.checkpoints_written) - before <= 3
    assert stage.membership.commits == [], "offsets are committed at the interval"


async def test_state_without_outputs_waits_for_the_interval() -> None:
    stage = await Stage(interval_ms=500, grouping_ms=1).begin()
    await stage.due()
    stage.runner.shard.ingest(1, fetched("remark", 0, 5000))  # waits for its order: read, and nothing to say
    stage.diary.clear()
    await stage.due()
    assert stage.diary == []
    await asyncio.sleep(0.5)
    await stage.due()
    assert "state acked" in stage.diary
    assert "output" not in stage.diary


async def test_an_interval_in_which_nothing_changed_writes_nothing() -> None:
    stage = await Stage(interval_ms=10, grouping_ms=1).begin()
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


@pytest.mark.parametrize(("waiting", "written"), [(THROUGHPUT_BACKLOG, 1), (THROUGHPUT_BACKLOG + 1, 0)])
async def test_while_catching_up_outputs_wait_for_the_interval(waiting: int, written: int) -> None:
    stage = await Stage(interval_ms=60_000, grouping_ms=0).begin()
    await stage.due()
    before = len(stage.checkpoints_written)
    stage.says(1000)
    stage.runner.sources[0].end = stage.runner.sources[0].position.read_offset + waiting
    await stage.due()
    assert len(stage.checkpoints_written) - before == written


async def test_the_last_offset_of_recorded_data_is_committed_only_after_the_final_outputs() -> None:
    """Others see by the committed offsets when all of it is done."""
    stage = await Stage(recorded=True).begin()
    stage.feed.reported_ends[ENTRY] = 3
    stage.feed.answer_all(0)
    stage.ingest("entry", 0, 1000, 2000, 3000)
    stage.runner.shard.advance_watermark(10_000)
    stage.runner.sources[0].end = 3
    assert not stage.runner.ended
    await stage.write()
    assert stage.membership.commits == [{ENTRY: 2}]
    stage.feed.answer_all(wall_ms() + 1)
    stage.manager.tick()
    assert stage.runner.ended
    await stage.write()
    assert stage.membership.commits[-1] == {ENTRY: 3}


async def test_an_event_that_waits_for_its_order_is_not_committed() -> None:
    stage = await Stage().begin()
    stage.feed.reported_ends |= dict.fromkeys(stage.feed.tps, 9)  # nobody is at the end: all hold
    for topic in ("remark", "look"):
        stage.ingest(topic, 0, 1500)
    stage.ingest("entry", 0, 1000, 2000, 3000)
    await stage.write()
    assert stage.membership.commits == [{ENTRY: 1}]


# ---- what stops the worker --------------------------------------------------------------------------------------


async def test_a_record_of_another_writer_in_the_changelog_means_that_the_shard_is_lost() -> None:
    stage = await Stage().begin()
    stage.log.append((b"foreign", b"x" * 40, ()))
    stage.says(1000)
    with pytest.raises(FencedError, match=r"the changelog of rooms, partition 0, has \d+ new records"):
        await stage.due()
    assert "output" not in stage.diary
    assert "commit" not in stage.diary


async def test_an_owner_that_did_not_read_the_log_to_its_end_is_noticed_too() -> None:
    first = await Stage().begin()
    stage = Stage(log=list(first.log))
    stage.log.append(stage.log[-1])
    with pytest.raises(FencedError):
        await stage.begin()
    assert stage.published == []


async def test_a_refused_commit_stops_the_worker() -> None:
    stage = await Stage().begin()
    stage.membership.member = False
    stage.says(1000)
    with pytest.raises(FencedError, match="the group refused a commit"):
        await stage.due()


async def test_a_refused_commit_of_shards_that_were_revoked_meanwhile_is_ignored() -> None:
    stage = await Stage().begin()
    stage.membership.member = False
    stage.says(1000)
    commit = stage.membership.commit

    async def refused_after_the_crash(offsets: Any) -> bool:
        stage.checkpoints.invalidate()
        return await commit(offsets)

    stage.membership.commit = refused_after_the_crash  # type: ignore[method-assign]
    await stage.due()


async def test_nothing_is_written_of_shards_that_were_revoked_before() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    runners = list(stage.manager.shards.values())
    await stage.checkpoints.write_last()
    stage.membership.member = False
    stage.diary.clear()
    await stage.checkpoints.write(runners)
    await stage.manager.assign()
    await stage.checkpoints.write(runners)  # another runner has the shard now
    assert stage.diary == []


@pytest.mark.parametrize(("topic", "left_out"), [(CHANGELOG, {"output", "commit"}), ("said", {"commit"})])
async def test_a_producer_that_fails_stops_what_comes_after(topic: str, left_out: set[str]) -> None:
    stage = await Stage().begin()
    stage.kafka.acknowledgements.fails = lambda failing: KafkaError("no") if failing == topic else None
    stage.says(1000)
    with pytest.raises(KafkaError):
        await stage.due()
    assert not left_out & set(stage.diary)
    assert stage.membership.commits == []


async def dead_letter(stage: Stage, value: bytes) -> None:
    """The shard rejects a message of this value, and a checkpoint is written."""
    stage.feed.reported_ends[ENTRY] = 1
    stage.manager.ingest(batch([fetched("entry", 0, 1000)[0]._replace(value=value)]))
    await stage.write()


async def test_a_dead_letter_that_is_too_large_for_its_topic_is_sent_without_the_message() -> None:
    stage = await Stage().begin()
    stage.kafka.outputs.limits["dead-letter"] = 1000
    await dead_letter(stage, b"rubbish" * 500)
    (letter,) = (record for record in stage.published if record.topic == "dead-letter")
    body = orjson.loads(letter.value or b"")
    assert (letter.key, body["key"], body["value"]) == (None, None, None)
    assert "about 3501 bytes" in body["detail"]
    assert dict(letter.headers)["ce_id"] == b"entry/0/0"


@pytest.mark.parametrize("topic", ["dead-letter", "said"])
async def test_an_output_that_its_topic_does_not_take_in_any_form_stops_the_worker(topic: str) -> None:
    stage = await Stage().begin()
    stage.kafka.outputs.limits[topic] = 5
    with pytest.raises(RecordTooLarge, match=rf"the broker refuses a message of \d+ bytes for {topic}: raise max"):
        if topic == "dead-letter":
            await dead_letter(stage, b"rubbish")
        else:
            stage.says(1000)
            await stage.due()
    assert "commit" not in stage.diary


# ---- when shards go ---------------------------------------------------------------------------------------------


async def test_the_last_checkpoint_commits_and_nothing_that_waited_its_turn_is_written_after_it() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    stage.kafka.acknowledgements.gate.clear()
    last = asyncio.create_task(stage.checkpoints.write_last())
    shards = list(stage.manager.shards.values())
    await asyncio.sleep(0)
    stage.ingest("entry", 1, 2000)
    waiting = asyncio.create_task(stage.checkpoints.write(shards))
    await asyncio.sleep(0.02)
    stage.kafka.acknowledgements.gate.set()
    await last
    assert stage.manager.shards == {}
    length, committed = len(stage.log), list(stage.membership.commits)
    assert committed == [{ENTRY: 1}]
    await waiting
    assert (len(stage.log), stage.membership.commits) == (length, committed)
    assert [record.topic for record in stage.published].count("said") == 1


async def test_what_was_not_in_the_last_checkpoint_is_read_again_by_the_next_owner() -> None:
    stage = await Stage().begin()
    stage.says(1000)
    await stage.checkpoints.write_last()
    stage.ingest("entry", 1, 2000)
    following = Stage(log=stage.log)
    following.feed.reported_ends[ENTRY] = 2
    await following.begin()
    assert following.manager.positions()[ENTRY] == 1


@pytest.mark.parametrize("before", [False, True])
async def test_after_a_last_checkpoint_nothing_is_sent_again(before: bool) -> None:
    """Whether its outputs were sent with it or with one before: the log says that all of them were sent."""
    stage = await Stage().begin()
    stage.says(1000)
    if before:
        await stage.write()
        assert not stage.runner.shard.has_unsaved_state
    await stage.checkpoints.write_last()
    assert [record.topic for record in stage.published].count("said") == 1
    following = Stage(log=stage.log)
    following.feed.reported_ends[ENTRY] = 1
    await following.begin()
    assert following.published == []
    length = len(following.log)
    await following.checkpoints.write_last()
    assert len(following.log) - length <= 1, "an owner without outputs leaves no more than a marker"


async def test_nothing_is_written_for_a_worker_without_shards() -> None:
    stage = Stage()
    await stage.checkpoints.acquire()
    await stage.due()
    await stage.checkpoints.write_last()
    assert (stage.log, stage.published, stage.diary, stage.checkpoints_written) == ([], [], [], [])
