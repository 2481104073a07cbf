"""The topic `rulebook` as a history: read to its end, or on from there. No consumer group is involved."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import Refusal, RulebookHistory, RulebookRecord, read_published
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer, started
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records
from vigil.topics.decoder import decode_own
from vigil.topics.fields import InvalidEvent
from vigil.topics.rulebooks import RULEBOOK, RulebookPublication

log: Final = structlog.get_logger("vigil.rulebook")

_PUBLICATION: Final = msgspec.json.Decoder(RulebookPublication)

POLL_MS: Final = 200
"""How long one look at the topic waits for a record."""


async def exists(settings: Settings) -> bool:
    """True if the topic exists; raise SettingsError where Kafka is not reached."""
    name = TopicNames.of(settings).on_cluster(RULEBOOK)
    async with Cluster(settings) as cluster:
        return name in await cluster.partitions([name])


async def read_history(settings: Settings) -> RulebookHistory:
    """The history up to where the topic ends now; empty where there is no topic. Raise SettingsError."""
    history = RulebookHistory()
    if await exists(settings):
        async for record in records(settings, RULEBOOK):
            add_record(history, record)
    return history


async def in_force(settings: Settings, own: Rulebook) -> Rulebook:
    """The newest rulebook that was published; the process's `own` where there is none. Raise SettingsError."""
    newest = (await read_history(settings)).newest
    if newest is None or newest.body.digest == own.digest:
        return own
    try:
        book = read_published(newest)
    except RulebookError as error:
        raise SettingsError(f"rulebook: {error}; publish it again with this version") from error
    log.info("the published rulebook is in force", digest=book.digest[:12], by=newest.body.by, own=own.digest[:12])
    return book


def add_record(history: RulebookHistory, record: ConsumerRecord) -> Refusal | None:
    """Add a record of the topic to the history; return why it does not count, None if it does."""
    try:
        body = decode_own(_PUBLICATION, record.value)
    except InvalidEvent as invalid:
        return history.reject(record.offset, str(invalid))
    return history.add(RulebookRecord(record.offset, record.timestamp, body))


class RulebookLog:
    """The topic, followed: the history that it has by now, and up to when that is all of it."""

    def __init__(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        """`consumer`: started, and assigned to the one partition of the topic, at its beginning."""
        self._consumer = consumer
        self._tp = tp
        self.history: Final = RulebookHistory()

    async def poll(self) -> list[Refusal | None]:
        """Read what was published since the last call up to where the topic ends now; return what came of each record.

        Whatever is published later has a timestamp of the call or later. Raise what the client raises.
        """
        end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        found: list[Refusal | None] = []
        while await self._consumer.position(self._tp) < end:
            batches = await self._consumer.getmany(self._tp, timeout_ms=POLL_MS)
            found += self._add(record for batch in batches.values() for record in batch)
        return found

    def _add(self, found: Iterable[ConsumerRecord]) -> list[Refusal | None]:
        return [add_record(self.history, record) for record in found]


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[RulebookLog]:
    """Follow the topic until the end of the block. Raise SettingsError if there is none."""
    if not await exists(settings):
        raise SettingsError(f"topic {RULEBOOK}: does not exist on {settings.broker}; vigil topics --create creates it")
    tp = TopicPartition(TopicNames.of(settings).on_cluster(RULEBOOK), 0)
    async with started(new_consumer(settings, "rulebook", fetch_max_wait_ms=POLL_MS)) as consumer:
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        yield RulebookLog(consumer, tp)
