"""Where a probe's messages go: Kafka, or JSON Lines."""

import asyncio
from collections.abc import Callable
from typing import IO, Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_producer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.probe.messages import TOPICS, ProbeMessage
from vigil.app.probe.metrics import ProbeMetrics

log = structlog.get_logger(__name__)

TIMEOUT_MS: Final = 10_000
"""A frame that the broker has not taken by then is dropped: a worker would find it late."""

_PASSING: Final = (KafkaTimeoutError, KafkaConnectionError)
"""Errors of a broker that is away for a time."""


class Sink(Protocol):
    """Takes messages in order of time of each room."""

    async def start(self) -> None:
        """Prepare; raise SettingsError with what an operator can do."""

    async def send(self, message: ProbeMessage) -> None:
        """Send a message, or count it as dropped; raise SettingsError where none can be sent."""

    async def stop(self) -> None:
        """Send what waits."""


def line_of(message: ProbeMessage) -> bytes:
    """Return a message as a line that `vigil replay` reads. Keys are room ids in UTF-8."""
    import orjson

    key = orjson.dumps(message.key.decode())
    return b'{"topic":"%b","key":%b,"value":%b}\n' % (message.topic.encode(), key, message.value)


class LinesSink:
    """JSON Lines, each written at once."""

    def __init__(self, out: IO[bytes], metrics: ProbeMetrics) -> None:
        self._out = out
        self._metrics = metrics

    async def start(self) -> None:
        return

    async def send(self, message: ProbeMessage) -> None:
        self._out.write(line_of(message))
        self._out.flush()
        self._metrics.messages.labels(message.topic).inc()

    async def stop(self) -> None:
        return


class KafkaSink:
    """The topics of Vigil, keyed by the room and placed as all its producers place keys."""

    def __init__(self, settings: Settings, metrics: ProbeMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._names = TopicNames.of(settings)
        self._producer: AIOKafkaProducer | None = None
        self._refused: KafkaError | None = None
        """An error that will not pass: it is raised with the next message."""

    async def start(self) -> None:
        names = [self._names.on_cluster(topic) for topic in TOPICS]
        async with Cluster(self._settings) as cluster:
            found = await cluster.partitions(names)
        if missing := [name for name in names if name not in found]:
            raise SettingsError(
                f"the broker at {self._settings.broker} has no topic {', '.join(missing)}: a worker creates the topics "
                "when it starts; start one first (`vigil worker`), or create them with `vigil topics --create`"
            )
        self._producer = new_producer(
            self._settings,
            "probe",
            enable_idempotence=self._settings.idempotent_producer,
            request_timeout_ms=TIMEOUT_MS,
            linger_ms=5,
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            raise SettingsError(f"broker: {words_of(self._settings, error)}") from error

    async def send(self, message: ProbeMessage) -> None:
        assert self._producer is not None  # noqa: S101 - started first
        if self._refused is not None:
            raise SettingsError(f"the broker at {self._settings.broker} rejects frames: {self._refused}")
        try:
            sent = await self._producer.send(
                self._names.on_cluster(message.topic), value=message.value, key=message.key
            )
        except KafkaError as error:
            self._on_error(error)
            return
        sent.add_done_callback(self._when_sent(message.topic))

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    def _when_sent(self, topic: str) -> Callable[["asyncio.Future[Any]"], None]:
        def count(sent: "asyncio.Future[Any]") -> None:
            error = None if sent.cancelled() else sent.exception()
            if isinstance(error, KafkaError):
                self._on_error(error)
            elif not sent.cancelled():
                self._metrics.messages.labels(topic).inc()

        return count

    def _on_error(self, error: KafkaError) -> None:
        self._metrics.dropped.labels("not-sent").inc()
        if isinstance(error, _PASSING) or error.retriable:
            log.warning("frame not sent", why=str(error))
        else:
            self._refused = error
