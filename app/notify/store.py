"""The durable state of `vigil notify`: one compacted topic of one partition, written together with the offsets.

    one write = dead letters ─▶ state records ─▶ offsets

On Apache Kafka a write is a transaction, and the transactional id fences: a process that was suspended and wakes up
after another became active cannot write any more.

The embedded broker has no transactions. There the order makes a torn write safe: pending deliveries are written before
the incidents that say which targets were notified, and both before the offsets. What is read again then changes
nothing, and a step that is pending already has the same id.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.clients import new_consumer, new_producer
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import TopicReader
from vigil.app.notify import line_digests
from vigil.app.notify.changes import MAX_STORED_BYTES
from vigil.app.notify.outbox import KEY_PREFIXES as OUTBOX_KEYS
from vigil.app.notify.state_topic import NotifyNames

StateRecord = tuple[str, bytes | None]
"""Key and value; None deletes the key."""

FIRST_KEYS: Final = (*OUTBOX_KEYS, line_digests.KEY_PREFIX)
"""Begin the keys of what is written first: what waits to be sent, before what says that it was said."""

DeadLetter = tuple[bytes | None, bytes]
"""Key and value of a record of `notify-dead-letter`."""


class IncidentStore:
    """Reads and writes the state as the only process that may."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = NotifyNames.of(settings.app_id, settings.topic_prefix)
        self._transactional = settings.idempotent_producer
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> dict[str, bytes]:
        """Fence the process that wrote before; return all records of the state."""
        options: dict[str, object] = {"max_request_size": MAX_STORED_BYTES, "linger_ms": 5}
        if self._transactional:
            options["transactional_id"] = self._names.group
        self._producer = new_producer(self._settings, "notify", **options)
        await self._producer.start()
        return await self._read()

    async def _read(self) -> dict[str, bytes]:
        committed = {"isolation_level": "read_committed"} if self._transactional else {}
        consumer = new_consumer(
            self._settings, "notify-state", auto_offset_reset="earliest", fetch_max_wait_ms=50, **committed
        )
        await consumer.start()
        records: dict[str, bytes] = {}
        try:
            partition = TopicPartition(self._names.state, 0)
            reader = TopicReader(consumer)
            await reader.add([partition])
            while True:
                batches = await consumer.getmany(timeout_ms=300)
                for record in batches.get(partition, ()):
                    key = (record.key or b"").decode(errors="backslashreplace")
                    if record.value is None:
                        records.pop(key, None)
                    else:
                        records[key] = record.value
                await reader.update()
                # Caught up is not enough: the end that the embedded broker reports lies before its last records.
                if not batches and reader.caught_up:
                    break
        finally:
            await consumer.stop()
        return records

    async def write(
        self,
        letters: Iterable[DeadLetter],
        records: Iterable[StateRecord],
        offsets: Mapping[TopicPartition, int],
        consumer: AIOKafkaConsumer,
    ) -> None:
        """Write all of it, and commit `offsets` (the next to be read, by partition); raise KafkaError."""
        letters, records = list(letters), list(records)
        if not (letters or records or offsets):
            return
        producer = self._opened()
        async with self._lock:
            if self._transactional:
                async with producer.transaction():
                    await self._send(producer, letters, records)
                    if offsets:
                        await producer.send_offsets_to_transaction(dict(offsets), self._names.group)
            else:
                await self._send(producer, letters, records)
                if offsets:
                    await consumer.commit(dict(offsets))

    def _opened(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the store is not open")
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, letters: list[DeadLetter], records: list[StateRecord]) -> None:
        sent = [await producer.send(self._names.dead_letter, value, key=key) for key, value in letters]
        # Pending deliveries before incidents: see the top of this file.
        for key, value in sorted(records, key=lambda record: not record[0].startswith(FIRST_KEYS)):
            sent.append(await producer.send(self._names.state, value, key=key.encode()))
        await asyncio.gather(*sent)

    async def close(self) -> None:
        """Stop the producer."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                await producer.stop()
            except KafkaError:  # fenced: another process writes now
                return
