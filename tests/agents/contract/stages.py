"""What the contract of the ports is tested on: the fake, and the Faust adapter on a broker. Both have these methods.

The subject `rooms` has two sources of one partition each and a changelog.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition as AioTopicPartition

from tests.support.fakes import FakeKafka, StoredRecord
from vigil.agents.faust.adapter import FaustAdapter, SubjectTopics
from vigil.agents.faust.app import AppSettings, TransportSettings
from vigil.agents.ports import Batch, Ports, TopicPartition

WITHIN_S: Final = 30.0
POLLS_S: Final = 0.7
"""Time for a few polls: what must not happen would have happened by then."""

LIMIT: Final = 1000
"""Bytes of a message that the topic `small` takes."""

_numbers: Iterator[int] = itertools.count()


class Receiver:
    """Implements `BatchReceiver` and `MembershipListener`, and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.start: dict[TopicPartition, int] = {}
        self.calls: list[str] = []
        self.batches_when_assigned = 0

    def ingest(self, batch: Batch) -> Batch | None:
        self.batches.append(batch)
        return None

    def positions(self) -> Mapping[TopicPartition, int]:
        return self.start

    async def on_assigned(self) -> None:
        self.calls.append("assigned")
        self.batches_when_assigned = len(self.batches)

    async def on_revoked(self) -> None:
        self.calls.append("revoked")

    async def on_shutdown(self) -> None:
        self.calls.append("shutdown")


class Stage(Protocol):
    """The ports with a broker behind them."""

    receiver: Receiver
    entry: TopicPartition
    look: TopicPartition
    changelog: str
    verdicts: str
    small: str
    """A topic that takes messages of `LIMIT` bytes only."""
    exact_ends: bool
    refuses_large: bool

    @property
    def ports(self) -> Ports: ...
    async def start(self) -> None:
        """Join the group, and return once partitions are assigned."""

    async def stop(self) -> None: ...
    async def produce(self, tp: TopicPartition, *values: bytes) -> None: ...
    async def recreate(self, tp: TopicPartition) -> None:
        """Delete a source and create it again."""

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the feed poll until this is true."""

    async def some_polls(self) -> None: ...
    async def read(self, topic: str) -> list[StoredRecord]:
        """The records of the only partition of a topic."""

    async def write_to_changelog(self) -> None:
        """Somebody else does."""

    async def committed(self, tp: TopicPartition) -> int | None: ...


class FakeStage:
    """Everything in memory."""

    exact_ends = refuses_large = True

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.kafka = FakeKafka("entry", "look", changelogs={"rooms": "state"})
        self.ports = self.kafka.ports
        self.entry, self.look = TopicPartition("entry", 0), TopicPartition("look", 0)
        self.changelog, self.verdicts, self.small = "state", "verdict", "small"
        self.kafka.outputs.limits["small"] = LIMIT

    async def start(self) -> None:
        await self.receiver.on_revoked()
        await self.receiver.on_assigned()

    async def stop(self) -> None:
        await self.receiver.on_shutdown()

    async def produce(self, tp: TopicPartition, *values: bytes) -> None:
        for value in values:
            self.kafka.produce(tp, b"key", value)

    async def recreate(self, tp: TopicPartition) -> None:
        self.kafka.recreate(tp)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not true():
                await self.kafka.poll(self.receiver)
                await asyncio.sleep(0.001)

    async def some_polls(self) -> None:
        for _ in range(3):
            await self.kafka.poll(self.receiver)

    async def read(self, topic: str) -> list[StoredRecord]:
        if topic == self.changelog:
            return self.kafka.changelog.logs[topic, 0]
        sent = [record for record in self.kafka.outputs.sent if record.topic == topic]
        return [(record.key, record.value, tuple(record.headers)) for record in sent]

    async def write_to_changelog(self) -> None:
        self.kafka.changelog.logs.setdefault((self.changelog, 0), []).append((b"foreign", b"x", ()))

    async def committed(self, tp: TopicPartition) -> int | None:
        offsets = [commit[tp] for commit in self.kafka.membership.commits if tp in commit]
        return offsets[-1] if offsets else None


class FaustStage:
    """The Faust adapter in this process, with topics of its own on a broker."""

    def __init__(self, broker: str, embedded: bool) -> None:
        self.broker = broker
        self.exact_ends = self.refuses_large = not embedded
        self.app_id = f"ports-{os.getpid()}-{next(_numbers)}"
        self.receiver = Receiver()
        self.entry, self.look = (TopicPartition(f"{self.app_id}-{name}", 0) for name in ("entry", "look"))
        self.changelog, self.verdicts, self.small = (f"{self.app_id}-{name}" for name in ("state", "verdict", "small"))
        self.errors: list[BaseException] = []
        self.adapter: FaustAdapter
        self._embedded = embedded

    @property
    def ports(self) -> Ports:
        return self.adapter.ports

    async def create_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            topics = [NewTopic(name, 1, 1) for name in (self.entry.topic, self.look.topic, self.verdicts)]
            topics.append(NewTopic(self.changelog, 1, 1, topic_configs={"cleanup.policy": "compact"}))
            topics.append(NewTopic(self.small, 1, 1, topic_configs={"max.message.bytes": str(LIMIT)}))
            await admin.create_topics(topics)
        finally:
            await admin.close()

    async def start(self) -> None:
        settings = AppSettings(
            app_id=self.app_id,
            brokers=(self.broker,),
            transport=TransportSettings(idempotent=not self._embedded),
            session_timeout_s=3.0,
            partitions=1,
        )
        sources = (self.entry.topic, self.look.topic)
        self.adapter = FaustAdapter(settings, {"rooms": SubjectTopics(sources, self.changelog, 1)})
        self.adapter.connect(self.receiver, self.receiver, self._fail)
        await self.adapter.app.start()
        await self.until(lambda: self.adapter.app.consumer.flow_active and "assigned" in self.receiver.calls)

    async def _fail(self, error: BaseException) -> None:
        self.errors.append(error)

    async def stop(self) -> None:
        await self.adapter.app.stop()

    async def produce(self, tp: TopicPartition, *values: bytes) -> None:
        await self._write(tp.topic, *values)

    async def _write(self, topic: str, *values: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker)
        await producer.start()
        try:
            for value in values:
                await producer.send_and_wait(topic, value, key=b"key", partition=0)
        finally:
            await producer.stop()

    async def recreate(self, tp: TopicPartition) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            await admin.delete_topics([tp.topic])
            async with asyncio.timeout(WITHIN_S):
                while tp.topic in await admin.list_topics():
                    await asyncio.sleep(0.05)
                while (await admin.create_topics([NewTopic(tp.topic, 1, 1)])).topic_errors[0][1]:
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not true():
                assert not self.errors, self.errors
                await asyncio.sleep(0.01)

    async def some_polls(self) -> None:
        await asyncio.sleep(POLLS_S)

    async def read(self, topic: str) -> list[StoredRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker, auto_offset_reset="earliest")
        await consumer.start()
        found: list[StoredRecord] = []
        try:
            partition = AioTopicPartition(topic, 0)
            consumer.assign([partition])
            while fetched := (await consumer.getmany(timeout_ms=1000)).get(partition):
                found += [(record.key, record.value, tuple(record.headers)) for record in fetched]
        finally:
            await consumer.stop()
        return found

    async def write_to_changelog(self) -> None:
        await self._write(self.changelog, b"x" * 40)

    async def committed(self, tp: TopicPartition) -> int | None:
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            partition = AioTopicPartition(*tp)
            offsets = await admin.list_consumer_group_offsets(self.app_id, partitions=[partition])
        finally:
            await admin.close()
        offset: int = offsets[partition].offset
        return offset if offset >= 0 else None
