"""Reads Vigil's topics into a ConsoleModel, from a bounded past on, and publishes reviews and commands.

Its consumer is in no group and commits nothing: any number of consoles can run without an effect on the workers.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.console.ingest.line_views import SUPPLIER_LINES
from vigil.app.console.ingest.model import OUTPUTS, ConsoleModel
from vigil.app.console.settings import ConsoleSettings
from vigil.app.domain.quality.rule_quality import PERIOD_DAYS
from vigil.app.domain.registry import REGISTRY, Registry
from vigil.app.kafka.acls import Acl
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer, new_producer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import TopicReader
from vigil.app.kafka.wall_clock import wall_ms
from vigil.topics.incidents import Case
from vigil.topics.reviews import Review
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.topic import DAY_MS

log: Final = structlog.get_logger("vigil.console")

READ: Final = (*OUTPUTS, "review", "certificate", *ROOM_TOPICS)
WRITTEN: Final = ("review", "case")
REFRESH_S: Final = 30.0
"""How often new topics and partitions are looked for."""
BATCH: Final = 2_000
"""The most messages that are folded in before pages are served again."""
FOREIGN_EVERY_S: Final = 60.0
"""How often messages of others in Vigil's topics are logged."""
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
WHOLE_MS: Final = 100 * 365 * 24 * HOUR_MS
"""How far back topics go that are read whole: a line is published when it changes, which may be years ago."""


def needed(reviews: bool = True, names: TopicNames | None = None) -> list[Acl]:
    """All rights of a console; `reviews`: it may publish them and commands; `names`: by default without prefix."""
    names = names or TopicNames("vigil")
    rights = [Acl("topic", name, "Read") for name in (*names.all_on_cluster(READ), names.changelog("rooms"))]
    return [*rights, *(Acl("topic", name, "Write") for name in names.all_on_cluster(WRITTEN))] if reviews else rights


def backs(console: ConsoleSettings, registry: Registry = REGISTRY) -> Mapping[str, int]:
    """How far back each topic is read, in ms of the broker's time."""
    minutes = console.read_minutes * MINUTE_MS
    verdicts = console.verdict_hours * HOUR_MS
    actions = console.action_hours * HOUR_MS
    # Unless stated otherwise events go back as far as verdicts; states as far as actions, for a key's may be that old.
    back = {output.topic: verdicts if output.kind == "event" else actions for output in registry.replayed}
    return {
        **back,
        **dict.fromkeys((*ROOM_TOPICS, "room-status"), minutes),
        "verdict": max(verdicts, PERIOD_DAYS * DAY_MS),  # what is said of rules is of all verdicts of the period
        "notice": min(verdicts, 24 * HOUR_MS),
        "enforcement": actions,
        "review": actions,
        **dict.fromkeys((*SUPPLIER_LINES, "certificate"), WHOLE_MS),
        "supplier-score": console.score_hours * HOUR_MS,
    }


class TopicIngest:
    """Keeps a model up to date until it is cancelled."""

    topics = READ

    def __init__(self, settings: Settings, console: ConsoleSettings, model: ConsoleModel) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self.backs = backs(console)
        self._model = model
        self._reader: TopicReader | None = None
        """Knows the partitions that were not read yet to where they ended when they were assigned."""
        self._past = 0
        """How many messages there were when the partitions were assigned."""
        self._read_past = 0
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self.missing = self._names.all_on_cluster(READ)
        """Topics that do not exist yet, by their names on the cluster."""
        self.trouble: str | None = None
        """Why nothing is read, for people; None while there is no trouble."""
        self._last = time.monotonic()
        self._foreign_logged = 0
        """How many messages of others were logged."""
        self._log_foreign_at = 0.0
        self.assigned = False

    @property
    def caught_up(self) -> bool:
        """True once everything has been read that was there at start."""
        return self.assigned and (self._reader is None or self._reader.caught_up)

    @property
    def progress(self) -> float:
        """The share of the past that was read, 0–1."""
        return 1.0 if self.caught_up else min(self._read_past / self._past, 0.99) if self._past else 0.0

    @property
    def silent_s(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._last

    async def run(self) -> None:
        """Read until cancelled; where the broker cannot be reached, try again."""
        while True:
            try:
                await self._read()
            except (SettingsError, KafkaError, OSError) as error:
                self.trouble = str(error)
                log.warning("cannot read", error=str(error))
                await asyncio.sleep(2)

    async def _read(self) -> None:
        consumer = new_consumer(
            self._settings,
            "console",
            auto_offset_reset="latest",  # where retention has deleted the position: read what comes
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=1024 * 1024,
        )
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            await consumer.stop()
            raise SettingsError(f"cannot reach Kafka at {words_of(self._settings, error)}") from error
        try:
            reader, refresh_at = TopicReader(consumer), 0.0
            while True:
                if time.monotonic() >= refresh_at:
                    await self._assign(consumer, reader)
                    refresh_at = time.monotonic() + (1.0 if self.missing else REFRESH_S)
                if not consumer.assignment():
                    await asyncio.sleep(0.5)
                    continue
                batches = await consumer.getmany(timeout_ms=100, max_records=BATCH)
                self._fold(batches, reader)
                if not reader.caught_up:
                    await self._update(consumer, reader)
                await asyncio.sleep(0)
        finally:
            await stop_consumer(consumer)

    def _fold(self, batches: Mapping[TopicPartition, list[ConsumerRecord]], reader: TopicReader) -> None:
        now = wall_ms()
        ingest = self._model.ingest
        for tp, records in batches.items():
            topic = self._names.in_catalogue(tp.topic)
            for record in records:
                ingest(topic, record.key, record.value, now, record.timestamp)
            if tp in reader.pending:
                self._read_past += len(records)
        if batches:
            self._last = time.monotonic()
            self.trouble = None
            self._log_foreign()

    def _log_foreign(self) -> None:
        """Log that Vigil's topics have messages of others: at most once a minute, for a flood of them is possible."""
        foreign = sum(self._model.foreign.values())
        if foreign > self._foreign_logged and time.monotonic() >= self._log_foreign_at:
            log.warning("messages not Vigil's left out", by_topic=self._model.foreign, last=self._model.last_foreign)
            self._foreign_logged, self._log_foreign_at = foreign, time.monotonic() + FOREIGN_EVERY_S

    async def _update(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        await reader.update()
        self._pause_events(consumer, reader)
        if reader.caught_up:
            log.info("caught up", messages=self._model.ingested)

    async def _assign(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        """Assign all partitions that exist, new ones from the beginning of the bounded past."""
        async with Cluster(self._settings) as cluster:
            counts = await cluster.partitions(self._names.all_on_cluster(READ))
        self.missing = tuple(name for name in self._names.all_on_cluster(READ) if name not in counts)
        wanted = {TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)}
        if new := wanted - consumer.assignment():
            now = wall_ms()
            self._past += await reader.add(
                new, since={tp: max(now - self.backs[self._names.in_catalogue(tp.topic)], 0) for tp in new}
            )
            self._pause_events(consumer, reader)
        self._reader = reader
        if not self.missing:
            self.assigned = True
        self.trouble = None

    def _pause_events(self, consumer: AIOKafkaConsumer, reader: TopicReader) -> None:
        """Read the outputs first, so that the wall is complete within seconds, then the events of the timelines."""
        room_topics = self._names.all_on_cluster(ROOM_TOPICS)
        events = [tp for tp in consumer.assignment() if tp.topic in room_topics]
        if any(tp.topic not in room_topics for tp in reader.pending):
            consumer.pause(*events)
        else:
            consumer.resume(*(tp for tp in events if tp in consumer.paused()))

    async def send(self, message: Review | Case) -> None:
        """Publish a review or a command; raise KafkaError or OSError where the broker does not take it."""
        producer = await self._started_producer()
        topic, key = ("review", message.host_id) if isinstance(message, Review) else ("case", message.room_id)
        await producer.send_and_wait(self._names.on_cluster(topic), msgspec.json.encode(message), key=key.encode())

    async def _started_producer(self) -> AIOKafkaProducer:
        async with self._producer_lock:
            if self._producer is None:
                producer = new_producer(self._settings, "console")
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Stop the producer of reviews and commands."""
        if self._producer is not None:
            with suppress(KafkaError, OSError):
                await self._producer.stop()
            self._producer = None


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer whose broker may be gone; raise CancelledError only if this task itself is cancelled."""
    try:
        await consumer.stop()
    except (KafkaError, OSError):
        pass
    except asyncio.CancelledError:
        # Without its broker, a consumer lets the CancelledError of its own tasks through to whoever stops it.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
