"""Where incidents and what is owed are kept: one compacted topic of one partition, and the offsets with it.

    one write = letters ─▶ records ─▶ offsets

On Apache Kafka a write is a transaction, and the transactional id fences: a process that was frozen and wakes up after
another took over cannot write any more. The embedded broker has no transactions. There the order makes a torn write
safe: what is owed goes before the incidents that say it was told, both before the offsets; what is read again says
nothing new, and a step that is owed already has the same identity.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.acls import Acl
from vigil.app.kafka.admin import Cluster, changelog_config
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import BY_NAME

DEAD_LETTER: Final = "notify-dead-letter"

Record = tuple[str, bytes | None]


class Names(NamedTuple):
    """What the group and its topic are called."""

    group: str
    state: str

    @classmethod
    def of(cls, app_id: str) -> "Names":
        return cls(f"{app_id}-notify", f"{app_id}-notify-state")


def needed(app_id: str, read: Iterable[str]) -> list[Acl]:
    """All rights of `vigil notify` where its own two topics exist. (To create them, it needs Create.)"""
    names = Names.of(app_id)
    rights = [Acl("topic", topic, "Read") for topic in (*read, names.state)]
    rights += [Acl("topic", topic, "Write") for topic in (names.state, DEAD_LETTER)]
    return [*rights, Acl("group", names.group, "Read"), Acl("transactional-id", names.group, "Write")]


async def ensure_topics(settings: Settings, read: Iterable[str]) -> None:
    """Create what is ours and missing; raise SettingsError where a topic that is read does not exist."""
    state = Names.of(settings.app_id).state
    read = list(read)
    async with Cluster(settings) as cluster:
        existing = await cluster.partitions([*read, state, DEAD_LETTER])
        if lacking := [topic for topic in read if topic not in existing]:
            raise SettingsError(
                f"topics: {', '.join(lacking)} not found at {settings.broker}: start a worker, or vigil topics "
                "--create (a topic that exists is seen only by who may read it: docs/security.md)"
            )
        if existing.get(state, 1) != 1:
            raise SettingsError(
                f"topic {state}: has {existing[state]} partitions, must have 1; delete it and let it be made anew "
                "(open alerts are then told again)"
            )
        missing = {
            state: (1, changelog_config()),
            DEAD_LETTER: (1, BY_NAME["dead-letter"].config),
        }
        if new := {name: made for name, made in missing.items() if name not in existing}:
            await cluster.create(new)


class IncidentStore:
    """Reads and writes the state as the one process that may."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = Names.of(settings.app_id)
        self._transactional = settings.idempotent_producer
        self._producer: Any = None
        self._lock = asyncio.Lock()

    async def open(self) -> dict[str, bytes]:
        """Fence off whoever wrote before; return all records as they are now."""
        told: dict[str, Any] = {"acks": "all", "max_request_size": 4 * 1024 * 1024, "linger_ms": 5}
        if self._transactional:
            told["transactional_id"] = self._names.group
        self._producer = AIOKafkaProducer(client_id=f"{self._settings.app_id}-notify", **told, **self._settings.kafka())
        await self._producer.start()
        return await self._read()

    async def _read(self) -> dict[str, bytes]:
        committed = {"isolation_level": "read_committed"} if self._transactional else {}
        consumer = AIOKafkaConsumer(
            client_id=f"{self._settings.app_id}-notify-state",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            **committed,
            **self._settings.kafka(),
        )
        await consumer.start()
        records: dict[str, bytes] = {}
        try:
            place = TopicPartition(self._names.state, 0)
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            end = (await consumer.end_offsets([place]))[place]
            while True:
                batches = await consumer.getmany(timeout_ms=300)
                for record in batches.get(place, ()):
                    name = record.key.decode()
                    if record.value is None:
                        records.pop(name, None)
                    else:
                        records[name] = record.value
                # Read on until nothing comes: the embedded broker's end lies before its last records.
                if not batches and await consumer.position(place) >= end:
                    break
        finally:
            await consumer.stop()
        return records

    async def write(
        self,
        letters: Iterable[tuple[bytes | None, bytes]],
        records: Iterable[Record],
        offsets: Mapping[Any, int],
        consumer: Any,
    ) -> None:
        """Write all of it, and commit `offsets` (the next to read by partition). Raise KafkaError."""
        letters, records = list(letters), list(records)
        if not (letters or records or offsets):
            return
        async with self._lock:
            if self._transactional:
                async with self._producer.transaction():
                    await self._send(letters, records)
                    if offsets:
                        await self._producer.send_offsets_to_transaction(dict(offsets), self._names.group)
            else:
                await self._send(letters, records)
                if offsets:
                    await consumer.commit(dict(offsets))

    async def _send(self, letters: list[tuple[bytes | None, bytes]], records: list[Record]) -> None:
        sent = [await self._producer.send(DEAD_LETTER, value, key=key) for key, value in letters]
        # What is owed first: see above.
        for name, value in sorted(records, key=lambda record: not record[0].startswith("o:")):
            sent.append(await self._producer.send(self._names.state, value, key=name.encode()))
        await asyncio.gather(*sent)

    async def close(self) -> None:
        """Let go."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                await producer.stop()
            except KafkaError:  # fenced: another one writes now
                return
