"""Writes what follows from deliveries, and reads the marks of a partition again.

    one write = dead letters and marks, acknowledged ─▶ offsets

An offset is committed only after all that lies before it is settled in the marks. So a process that is killed between
both reads again what it has settled, and says nothing twice. Offsets are committed by a member of the group: where the
process is none any more, the coordinator refuses, and the lease, which every commit renews, has run out before that.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_consumer, started
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import TopicReader
from vigil.app.notify.marks import MarkRecord
from vigil.app.notify.topics import NotifyNames

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""The largest dead letter: it repeats a message of up to 1 MiB."""

MEMBER_ERRORS: Final = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
"""What says that this process is no member of the group any more, or will not be for long."""

DeadLetter = tuple[bytes | None, bytes]
"""Key and value of a record of `notify-dead-letter`."""


class Lease:
    """For how long a process may act as the owner of its partitions since the coordinator last accepted its commit.

    A process that was suspended sees that its lease has run out before it sends anything.
    """

    def __init__(self, session_timeout_ms: int) -> None:
        self.lasts_s: Final = session_timeout_ms / 1000
        self._until = 0.0

    def renew(self, asked_at: float) -> None:
        """Extend the lease: the coordinator has accepted what it was asked at this time (time.monotonic)."""
        self._until = asked_at + self.lasts_s

    def valid(self) -> bool:
        """Return whether no other process can own the partitions yet."""
        return time.monotonic() < self._until


class MarkStore:
    """The marks of one process's partitions in Kafka."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, topics: Mapping[str, str]) -> None:
        """`topics`: by source topic, that with its marks; both by their names on the cluster."""
        self._settings = settings
        self._producer = producer
        self._topics = topics
        self._dead_letter = NotifyNames.of(settings.app_id, settings.topic_prefix).dead_letter
        self.lease = Lease(settings.session_timeout_ms)

    async def read(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, dict[str, bytes]]:
        """Return the records of some source partitions, by name."""
        sources = {TopicPartition(self._topics[each.topic], each.partition): each for each in partitions}
        found: dict[TopicPartition, dict[str, bytes]] = {each: {} for each in sources.values()}
        consumer = new_consumer(self._settings, "notify-state", auto_offset_reset="earliest", fetch_max_wait_ms=50)
        async with started(consumer):
            reader = TopicReader(consumer)
            await reader.add(list(sources))
            while True:
                batches = await consumer.getmany(timeout_ms=300)
                for partition, records in batches.items():
                    state = found[sources[partition]]
                    for record in records:
                        key = (record.key or b"").decode(errors="backslashreplace")
                        state.pop(key, None)
                        if record.value is not None:
                            state[key] = record.value
                await reader.update()
                # Caught up is not enough: the end that the embedded broker reports lies before its last records.
                if not batches and reader.caught_up:
                    return found

    async def write(self, letters: Iterable[DeadLetter], marks: Iterable[MarkRecord]) -> None:
        """Write dead letters and marks; raise KafkaError."""
        sent = [await self._producer.send(self._dead_letter, value, key=key) for key, value in letters]
        for (topic, number), name, value in marks:
            sent.append(await self._producer.send(self._topics[topic], value, key=name.encode(), partition=number))
        await asyncio.gather(*sent)

    async def commit(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the first message of each partition that must be read again; raise one of MEMBER_ERRORS."""
        asked_at = time.monotonic()
        await consumer.commit(dict(offsets))
        self.lease.renew(asked_at)
