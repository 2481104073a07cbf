"""The log of brakes in Kafka: every process reads all of it, writes claims to it, and learns what came of them."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.kafka.clients import new_consumer, new_producer, words_of
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import TopicReader, records
from vigil.app.notify.brakes import BrakeClaim, BrakeDecision, BrakeLedger, BrakeRecord, decode_brake
from vigil.app.notify.topics import NotifyNames
from vigil.topics.read_back import ForeignMessageError

log: Final = structlog.get_logger("vigil.notify")

POLL_MS: Final = 200


class BrakeLog:
    """Reads the log for as long as a process lives."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, ledger: BrakeLedger) -> None:
        self._topic = NotifyNames.of(settings.app_id, settings.topic_prefix).brakes
        self._settings = settings
        self._producer = producer
        self._ledger = ledger
        self._consumer: AIOKafkaConsumer | None = None
        self.on_decided: Callable[[list[str]], None] = lambda incident_ids: None
        """Called with the incidents of which something has become known."""

    async def start(self) -> None:
        """Read what is in the log by now."""
        self._consumer = consumer = new_consumer(
            self._settings, "notify-brakes", auto_offset_reset="earliest", fetch_max_wait_ms=POLL_MS
        )
        await consumer.start()
        reader = TopicReader(consumer)
        await reader.add([TopicPartition(self._topic, 0)])
        while True:
            read = await self._poll(consumer)
            await reader.update()
            if not read and reader.caught_up:
                return

    async def run(self) -> None:
        """Follow the log until cancelled."""
        if self._consumer is None:
            raise RuntimeError("the log is not started")
        while True:
            await self._poll(self._consumer)

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def claim(self, claims: list[BrakeClaim]) -> None:
        """Write claims; their outcome comes with the log. Raise KafkaError."""
        sent = [await self._producer.send(self._topic, msgspec.json.encode(claim), partition=0) for claim in claims]
        await asyncio.gather(*sent)

    async def _poll(self, consumer: AIOKafkaConsumer) -> bool:
        batches = await consumer.getmany(timeout_ms=POLL_MS)
        decided: list[str] = []
        for batch in batches.values():
            for record in batch:
                decided += _apply(self._ledger, record)
        if decided:
            self.on_decided(list(dict.fromkeys(decided)))
        return bool(batches)


def _apply(ledger: BrakeLedger, record: ConsumerRecord) -> list[str]:
    try:
        return ledger.apply(decode_brake(record.value or b""), int(record.timestamp))
    except ForeignMessageError as error:
        log.error("left out a record of brakes that vigil notify did not write", offset=record.offset, why=str(error))
        return []


async def held_back(settings: Settings) -> list[tuple[str, str, int]]:
    """Return route, rule and number of what is held back; raise SettingsError where the log cannot be read."""
    ledger = BrakeLedger()
    async for record in records(settings, NotifyNames.of(settings.app_id, settings.topic_prefix).brakes):
        _apply(ledger, record)
    return list(ledger.held())


async def decide(settings: Settings, decision: BrakeDecision) -> int:
    """Write a decision about what a brake holds back, and return how much that is; 0: nothing, and nothing is written.

    Raise SettingsError where the log cannot be read or written.
    """
    held = {(route, rule): count for route, rule, count in await held_back(settings)}
    count = held.get((decision.route, decision.rule), 0)
    if count:
        await _write(settings, decision)
    return count


async def _write(settings: Settings, record: BrakeRecord) -> None:
    topic = NotifyNames.of(settings.app_id, settings.topic_prefix).brakes
    producer = new_producer(settings, "notify")
    try:
        await producer.start()
        await producer.send_and_wait(topic, msgspec.json.encode(record), partition=0)
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {topic}: cannot be written: {words_of(settings, error)}") from error
    finally:
        await producer.stop()
