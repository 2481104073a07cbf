"""Does a running worker notice that a source is not the log any more that it has begun to read?"""

import asyncio
from typing import Any, Final

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.support.fakes import FakeKafka
from tests.support.toys import OrderedToy
from vigil.agents.faust.adapter import SubjectTopics
from vigil.agents.ports import TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, SourceChanged
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.runtime import broker_checks
from vigil.app.runtime.broker_checks import BrokerChecks
from vigil.app.runtime.source_watch import ROUNDS, SourceWatch

TOPICS: Final = ("entry", "remark", "look")
ENTRY, REMARK, LOOK = (TopicPartition(topic, 0) for topic in TOPICS)


class Room:
    """A worker with one shard of three sources, and a broker that has them."""

    def __init__(self) -> None:
        self.kafka = FakeKafka(*TOPICS)
        self.store = ChangelogStore()
        environment = ShardEnvironment(self.kafka.feed, WatermarkPolicy())
        self.manager = ShardManager(self.kafka.membership, environment, {"rooms": TOPICS}, self._shard)
        self.watch = SourceWatch(self.kafka.feed, lambda: self.manager.shards.values())

    def _shard(self, subject: Any, partition: int) -> AnyShard:
        return make_shard(OrderedToy(), 2000, partition=partition, store=self.store)

    async def read(self, tp: TopicPartition, records: int, tag: bytes = b"a") -> None:
        """So many more records of a source are written, and read at once."""
        self.write(tp, records, tag)
        await self.kafka.poll(self.manager)

    def write(self, tp: TopicPartition, records: int, tag: bytes) -> None:
        for _ in range(records):
            self.kafka.produce(tp, b"k", tag)

    def store_all(self) -> None:
        """Write a checkpoint, of which a restart knows."""
        for runner in self.manager.shards.values():
            runner.shard.confirm(runner.shard.snapshot())

    async def restart(self) -> dict[TopicPartition, int]:
        """Begin again from the last checkpoint; return where each source is read from."""
        self.kafka.feed.delivered.clear()
        await self.manager.assign()
        return self.manager.positions()


async def reading() -> Room:
    """A worker that has read 240 records of each source."""
    room = Room()
    await room.manager.assign()
    for tp in (ENTRY, REMARK, LOOK):
        await room.read(tp, 240)
    await room.watch.look(everywhere=True)
    return room


@pytest.mark.parametrize("reads_on", [False, True])
async def test_a_topic_that_was_created_again_and_is_longer_stops_the_worker(reads_on: bool) -> None:
    """The restart reads the new log from its beginning, also what stands below the former offset."""
    room = await reading()
    room.store_all()
    room.kafka.recreate(REMARK)
    room.write(REMARK, 360, b"b")
    if reads_on:
        await room.kafka.poll(room.manager)
        assert room.manager.positions()[REMARK] == 360
        room.store_all()
    with pytest.raises(SourceChanged, match="remark, partition 0: another record stands where one that was read stood"):
        await room.watch.look(everywhere=True)
    assert await room.restart() == {ENTRY: 240, REMARK: 0, LOOK: 240}
    assert [(finding.tp, finding.kind) for finding in room.manager.findings] == [(REMARK, "recreated")]
    await room.kafka.poll(room.manager)
    await room.watch.look(everywhere=True)


async def test_all_sources_are_looked_at_within_some_rounds() -> None:
    room = await reading()
    room.kafka.recreate(LOOK)
    room.write(LOOK, 360, b"b")
    with pytest.raises(SourceChanged, match="look, partition 0"):
        for _ in range(ROUNDS):
            await room.watch.look()


async def test_a_source_that_only_grew_or_of_which_nothing_was_read_is_nothing_to_report() -> None:
    room = await reading()
    await room.read(ENTRY, 500, b"c")
    await room.watch.look(everywhere=True)
    room.manager.release()
    await room.watch.look(everywhere=True)


async def test_a_broker_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    room = await reading()
    room.kafka.recreate(REMARK)
    room.write(REMARK, 360, b"b")

    async def away(offsets: Any) -> Any:
        raise KafkaConnectionError

    with monkeypatch.context() as context:
        context.setattr(room.kafka.feed, "records_at", away)
        await room.watch.look(everywhere=True)
    with pytest.raises(SourceChanged):
        await room.watch.look(everywhere=True)


async def test_a_shard_that_was_revoked_meanwhile_is_left_to_its_next_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    room = await reading()
    room.kafka.recreate(REMARK)
    room.write(REMARK, 360, b"b")
    records_at = room.kafka.feed.records_at

    async def revoked(offsets: Any) -> Any:
        room.manager.release()
        return await records_at(offsets)

    monkeypatch.setattr(room.kafka.feed, "records_at", revoked)
    await room.watch.look(everywhere=True)


# ---- when it looks ----------------------------------------------------------------------------------------------


class Clock:
    """`time` and `asyncio.sleep` of a process that may be stopped while it sleeps."""

    def __init__(self, stopped_at: float, stopped_s: float) -> None:
        self.now = 0.0
        self._stopped_at, self._stopped_s = stopped_at, stopped_s

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds
        if self.now >= self._stopped_at:
            self.now += self._stopped_s
            self._stopped_s = 0.0


@pytest.mark.parametrize(("stopped_s", "everywhere_at"), [(0.0, None), (1.0, None), (4.0, 14.0)])
async def test_a_worker_that_was_stopped_looks_at_all_sources_as_soon_as_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, stopped_s: float, everywhere_at: float | None
) -> None:
    clock = Clock(10.0, stopped_s)
    monkeypatch.setattr(broker_checks, "time", clock)
    monkeypatch.setattr(broker_checks, "sleep", clock.sleep)
    room = await reading()
    looks: list[tuple[float, bool]] = []

    async def look(*, everywhere: bool = False) -> None:
        looks.append((clock.now, everywhere))

    monkeypatch.setattr(room.watch, "look", look)
    topics = {"rooms": SubjectTopics(TOPICS, "state", 1)}
    checks = BrokerChecks(room.kafka.membership, room.kafka.feed.beginnings, topics, False, room.watch)
    await checks.watch(lambda: clock.now > 100)
    assert [at for at, everywhere in looks if everywhere] == ([] if everywhere_at is None else [everywhere_at])
    assert len([at for at, everywhere in looks if not everywhere]) == 3
