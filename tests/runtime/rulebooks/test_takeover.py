"""The shards of a worker go over to another rulebook one after the other, also while partitions are revoked."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any, cast

from structlog.testing import capture_logs

from tests.support.fakes import FakeKafka, batch, fetched
from tests.support.rulebook_files import TEXT, dated, read
from tests.support.toys import OrderedToy
from vigil.agents.checkpointer import Checkpointer, CheckpointSettings
from vigil.agents.ports import TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.runtime.rulebooks.follower import RulebookFollower
from vigil.app.runtime.rulebooks.takeover import RulebookTakeover
from vigil.topics.catalog import SubjectName

TOPICS: dict[SubjectName, tuple[str, ...]] = {
    "rooms": ("entry", "remark", "look"),
    "suppliers": ("offer", "answer", "pay"),
    "hosts": ("start", "pause", "end"),
}
CHANGELOGS: dict[SubjectName, str] = {subject: f"{subject}-state" for subject in TOPICS}
OLD = read(TEXT)
NEW = read(dated("black-screen", '"2022-08-01T00:00:00-07:00"', lasts_s="60"))


class Follower:
    """A rulebook that waits to be taken over."""

    def __init__(self) -> None:
        self.rulebook, self.newest = OLD, NEW

    @property
    def pending(self) -> bool:
        return self.rulebook is not self.newest

    def adopted(self, book: Rulebook) -> None:
        self.rulebook = book


class Observer:
    """Nobody asks what was written."""

    def written(self, seconds: float, records: int) -> None: ...

    def sent(self, runner: Any, outputs: Any, now: int) -> None: ...

    def step(self, step: Any, seconds: float) -> None: ...


class Stage:
    """A worker with one shard of each of three subjects, and a broker in memory."""

    def __init__(self) -> None:
        topics = itertools.chain.from_iterable(TOPICS.values())
        self.kafka = FakeKafka(*topics, changelogs=CHANGELOGS)
        environment = ShardEnvironment(self.kafka.feed, WatermarkPolicy(idle_after_ms=0, live=False))
        self.machines: dict[SubjectName, AnyStateMachine] = dict(self.make(OLD))
        self.manager = ShardManager(self.kafka.membership, environment, TOPICS, self._shard)
        self.checkpoints = Checkpointer(self.manager, self.kafka.ports, CheckpointSettings(), Observer())
        self.follower = Follower()
        self.used: list[Rulebook] = []
        follower = cast(RulebookFollower, self.follower)
        self.takeover = RulebookTakeover(follower, self.machines, self.make, self.used.append)

    def make(self, book: Rulebook) -> Mapping[SubjectName, AnyStateMachine]:
        return {subject: OrderedToy() for subject in TOPICS}

    def _shard(self, subject: SubjectName, partition: int) -> AnyShard:
        return make_shard(self.machines[subject], 0, partition=partition, rulebook=OLD.digest)

    async def begin(self) -> "Stage":
        await self.manager.assign()
        await self.checkpoints.acquire()
        for topic in ("entry", "offer", "start"):  # something that a checkpoint stores
            self.kafka.feed.reported_ends[TopicPartition(topic, 0)] = 1
            self.manager.ingest(batch(fetched(topic, 0, 1000)))
        return self

    def written(self) -> dict[SubjectName, int]:
        """How many records each subject's changelog has."""
        return {subject: len(self.kafka.changelog.logs[name, 0]) for subject, name in CHANGELOGS.items()}


async def test_every_shard_is_written_and_then_judges_by_the_machines_of_the_newest_rulebook() -> None:
    stage = await Stage().begin()
    before = stage.written()
    with capture_logs() as lines:
        await stage.takeover.exchange(stage.manager, stage.checkpoints)
        await stage.takeover.exchange(stage.manager, stage.checkpoints)  # nothing waits any more
    after = stage.written()
    for subject in TOPICS:
        assert after[subject] > before[subject]
        assert stage.manager.shards[subject, 0].shard.machine is stage.machines[subject]
        assert not stage.manager.shards[subject, 0].held
    assert stage.used == [NEW]
    assert [line["event"] for line in lines] == ["rulebook in use"]


async def test_shards_that_are_revoked_meanwhile_are_left_to_their_next_owner() -> None:
    """A rebalance comes while the first shard is written; the others are not this worker's when their turn comes."""
    stage = await Stage().begin()
    first, *others = list(stage.manager.shards.values())
    gate = stage.kafka.acknowledgements.gate
    gate.clear()
    before = stage.written()
    exchange = asyncio.create_task(stage.takeover.exchange(stage.manager, stage.checkpoints))
    async with asyncio.timeout(10):
        while stage.written()[first.subject] == before[first.subject]:
            await asyncio.sleep(0)
    revoked = asyncio.create_task(stage.checkpoints.write_last())
    gate.set()
    await revoked
    last = stage.written()
    stage.kafka.membership.member = False  # until the group has assigned partitions again it accepts no commit
    await exchange
    assert stage.written() == last
    assert not any(runner.held for runner in (first, *others))
    assert stage.follower.rulebook is NEW, "whatever is assigned next is made with it"
