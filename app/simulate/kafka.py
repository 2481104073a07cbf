"""Sends a simulation to Kafka: first the backlog, as fast as possible, then the rest in simulated real time.

This is the only module of the simulator that reads a clock (the monotonic one, for the rate).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.simulate.malformed import MERCHANT_TOPICS
from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.partitions import partition_of
from vigil.app.simulate.shift import WORK_TOPICS
from vigil.app.simulate.simulation import InvalidSimulationError, Simulation
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.suppliers import SUPPLIER_TOPICS

BATCH_BYTES: Final = 256 * 1024
IN_FLIGHT: Final = 64
"""Batches that may wait for the broker before more are made."""
TICK_S: Final = 0.005
"""Messages that are due within this time are sent at once."""
WORKER_STARTS_MS: Final = 30_000
"""After the backlog: a worker that starts then has judged it, and moderators can know of incidents."""
MESSAGES_PER_FLUSH: Final = 5_000
"""Messages after which the batches are flushed and the progress is reported."""


class CannotProduceError(Exception):
    """The broker cannot accept the messages. The text says why and what the operator can do."""


class SendOptions(NamedTuple):
    """How fast a simulation is sent."""

    speed: float | None = 1.0
    """Simulated seconds per second after the backlog; None: as fast as possible."""
    backlog_s: float = 600
    """Simulated seconds at the beginning that are sent at once, with the suppliers' history.

    Set `start_ms` to now − `backlog_s` for a backlog that ends now. A backlog is for a worker that starts after it: for
    a worker that already runs with a live clock, and is idle, all of it is late.
    """
    rate: float | None = None
    """Maximum number of messages per second."""
    stamped: bool = False
    """Give the messages of the backlog the timestamps at which they would have been sent. Otherwise a worker takes the
    age of the backlog for the usual delay of its producers, and waits for them for a minute."""

    def check(self) -> None:
        """Raise InvalidSimulationError for values that make no sense."""
        for name, value in (("speed", self.speed), ("rate", self.rate)):
            if value is not None and not 0 < value < float("inf"):
                raise InvalidSimulationError(name, f"is {value:g}: it must be above 0")
        if not 0 <= self.backlog_s < float("inf"):
            raise InvalidSimulationError("backlog_s", f"is {self.backlog_s:g}: it must be 0 or more")


class SendCallbacks(NamedTuple):
    """Functions that are called while a simulation is sent."""

    on_progress: Callable[[int, int], None] | None = None
    """From time to time, with the number of messages so far and the `sent_at` of the latest."""
    on_fault: Callable[[Fault], None] | None = None
    """With each planned fault, before its first message."""
    on_backlog_sent: Callable[[], None] | None = None
    """Once the broker has the backlog: the time to start a worker."""


DEFAULT_OPTIONS: Final = SendOptions()
NO_CALLBACKS: Final = SendCallbacks()


def topics_of(simulation: Simulation) -> list[str]:
    """Return the topics that a simulation sends to."""
    topics = list(ROOM_TOPICS) if simulation.rooms else []
    topics += SUPPLIER_TOPICS if simulation.suppliers else ()
    topics += MERCHANT_TOPICS if simulation.suppliers and simulation.products else ()
    topics += ["review"] if simulation.reviews or simulation.moderators else []
    return topics + (list(WORK_TOPICS) if simulation.moderators else [])


async def produce(
    simulation: Simulation,
    settings: Settings,
    options: SendOptions = DEFAULT_OPTIONS,
    callbacks: SendCallbacks = NO_CALLBACKS,
    stop: asyncio.Event | None = None,
) -> int:
    """Send a simulation to the broker of the settings and return the number of messages.

    Sending ends with the simulation, or soon after `stop` is set. Raises CannotProduceError if there is no broker or no
    such topic, or if the broker rejects messages.
    """
    began = time.monotonic()
    options.check()
    try:
        partitions = await _partitions(settings, topics_of(simulation))
        producer = new_producer(settings, "simulate", max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES)
        await producer.start()
        try:
            backlog_end = simulation.start_ms + round(options.backlog_s * 1000)
            stamped = range(simulation.start_ms, backlog_end) if options.stamped else range(0)
            batches = _PendingBatches(producer, partitions, TopicNames.of(settings), stamped)
            schedule = _SendSchedule(began, backlog_end, options)
            await _send_all(simulation, batches, schedule, callbacks, stop)
        finally:
            await producer.stop()
    except SettingsError as error:
        raise CannotProduceError(str(error)) from error
    except KafkaError as error:
        raise CannotProduceError(f"the broker at {settings.broker} rejected messages: {error}") from error
    return batches.sent


async def _send_all(
    simulation: Simulation,
    batches: "_PendingBatches",
    schedule: "_SendSchedule",
    callbacks: SendCallbacks,
    stop: asyncio.Event | None,
) -> None:
    on_progress, on_fault, on_backlog_sent = callbacks
    for message in simulation.messages(on_fault):
        if on_backlog_sent and message.sent_at > schedule.backlog_end:
            await batches.wait_until_sent()
            on_backlog_sent()
            on_backlog_sent = None
        wait = schedule.wait(message, batches.sent)
        if wait > TICK_S or batches.sent % MESSAGES_PER_FLUSH == MESSAGES_PER_FLUSH - 1:
            await batches.flush()
            if on_progress:
                on_progress(batches.sent, message.sent_at)
            await _sleep(wait, stop)
        if stop is not None and stop.is_set():
            break
        await batches.add(message)
    await batches.wait_until_sent()


async def _partitions(settings: Settings, topics: list[str]) -> dict[str, int]:
    """Return the number of partitions of each topic."""
    names = TopicNames.of(settings)
    async with Cluster(settings) as cluster:
        found = await cluster.partitions(names.all_on_cluster(topics))
    missing = [name for name in names.all_on_cluster(topics) if name not in found]
    if missing:
        raise CannotProduceError(
            f"the broker at {settings.broker} has no topic {', '.join(missing)}: a worker creates the topics when it "
            "starts; start one first (`vigil worker`)"
        )
    return {topic: found[names.on_cluster(topic)] for topic in topics}


async def _sleep(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None or seconds <= 0:
        await asyncio.sleep(max(0.0, seconds))
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


class _SendSchedule:
    """Computes when each message is due in real time."""

    def __init__(self, began: float, backlog_end: int, options: SendOptions) -> None:
        self._began = began
        self.backlog_end = backlog_end
        self._speed = options.speed
        self._rate = options.rate

    def wait(self, message: SimulatedMessage, sent: int) -> float:
        """Return the seconds to wait before sending the next message; 0 or less if it is due."""
        due = self._began
        if self._speed is not None and message.sent_at > self.backlog_end:
            due += (message.sent_at - self.backlog_end) / 1000 / self._speed
        if self._rate is not None:
            due = max(due, self._began + sent / self._rate)
        elif due == self._began:
            return 0.0
        return due - time.monotonic()


class _PendingBatches:
    """Messages that are being sent, in batches by partition: several times faster than singly, in the same order."""

    def __init__(
        self, producer: AIOKafkaProducer, partitions: dict[str, int], names: TopicNames, stamped: range
    ) -> None:
        """`stamped`: the times (ms) of messages whose timestamp is when they would have been sent."""
        self.sent = 0
        self._stamped = stamped
        self._names = names
        self._producer = producer
        self._counts = partitions
        self._places: dict[tuple[str, bytes | None], tuple[str, int]] = {}
        self._batches: dict[tuple[str, int], Any] = {}
        self._waiting: set[asyncio.Future[Any]] = set()

    async def add(self, message: SimulatedMessage) -> None:
        place = self._places.get((message.topic, message.key))
        if place is None:
            if len(self._places) > 200_000:  # bounds the memory: new rooms come without end
                self._places.clear()
            place = (message.topic, partition_of(message.key, self._counts[message.topic]))
            self._places[message.topic, message.key] = place
        batch = self._batches.get(place)
        if batch is None:
            batch = self._batches[place] = self._producer.create_batch()
        timestamp = message.sent_at if message.sent_at in self._stamped else None
        if batch.append(key=message.key, value=message.value, timestamp=timestamp) is None:
            await self._send(place)
            batch = self._batches[place] = self._producer.create_batch()
            batch.append(key=message.key, value=message.value, timestamp=timestamp)
        self.sent += 1

    async def flush(self) -> None:
        """Give all batches to the producer, and wait while too many are in flight."""
        for place in list(self._batches):
            await self._send(place)

    async def wait_until_sent(self) -> None:
        """Wait until the broker has every message."""
        await self.flush()
        await asyncio.gather(*self._waiting)
        self._waiting.clear()

    async def _send(self, place: tuple[str, int]) -> None:
        batch = self._batches.pop(place)
        topic, partition = place
        self._waiting.add(await self._producer.send_batch(batch, self._names.on_cluster(topic), partition=partition))
        while self._waiting:
            done = {future for future in self._waiting if future.done()}
            for future in done:
                future.result()  # raises the error of a rejected batch
            self._waiting -= done
            if len(self._waiting) < IN_FLIGHT:
                return
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
