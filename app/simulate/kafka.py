"""Sends a simulation to Kafka: first what is past, as fast as it goes, then the rest at the pace of the clock.

This is the simulator's rim: the one module that looks at a clock (the monotonic one, to keep the pace).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.partitions import partition_of
from vigil.app.simulate.simulation import InvalidSimulationError, Simulation
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.suppliers import SUPPLIER_TOPICS

BATCH_BYTES: Final = 256 * 1024
IN_FLIGHT: Final = 64
"""So many batches may wait for the broker before more is made."""
TICK_S: Final = 0.005
"""What is due within this time is sent at once."""

Progress = Callable[[int, int], None]
"""Told now and then: how many messages were sent, and the `sent_at` of the latest."""


class CannotProduceError(Exception):
    """The operator's: the broker cannot take the messages; the text says why and what to do."""


def topics_of(simulation: Simulation) -> list[str]:
    """The topics that a simulation sends to."""
    topics = list(ROOM_TOPICS) if simulation.rooms else []
    topics += SUPPLIER_TOPICS if simulation.suppliers else ()
    return topics + (["review"] if simulation.reviews else [])


async def produce(
    simulation: Simulation,
    broker: str,
    *,
    speed: float | None = 1.0,
    backlog_s: float = 600,
    rate: float | None = None,
    on_progress: Progress | None = None,
    on_fault: Callable[[Fault], None] | None = None,
    on_backlog_sent: Callable[[], None] | None = None,
    stop: asyncio.Event | None = None,
    client: Mapping[str, Any] | None = None,
) -> int:
    """Send a simulation to the broker.

    The first `backlog_s` seconds of simulated time (and the suppliers' history) are sent as fast as they go; after
    them simulated time passes `speed` times as fast as real time (None: as fast as it goes). `rate` is the most
    messages a second. Set `start_ms` to now − `backlog_s` for a backlog that ends now. A backlog is for a worker that
    starts after it: to one that runs live already, and is idle, all of it is late. `on_backlog_sent` is called once
    it is with the broker: the time to start a worker.

    Sending ends with the simulation, or soon after `stop` is set. `client` has further settings of the aiokafka client
    (security). Returns the number of messages.

    Raises CannotProduceError: no broker, no such topic, or messages that the broker refused.
    """
    began = time.monotonic()
    for name, value in (("speed", speed), ("rate", rate)):
        if value is not None and not 0 < value < float("inf"):
            raise InvalidSimulationError(name, f"is {value:g}: it must be above 0")
    if not 0 <= backlog_s < float("inf"):
        raise InvalidSimulationError("backlog_s", f"is {backlog_s:g}: it must be 0 or more")
    settings = {"bootstrap_servers": broker, **(client or {})}
    try:
        partitions = await _partitions(settings, broker, topics_of(simulation))
        producer = AIOKafkaProducer(
            **settings, acks="all", max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES
        )
        await producer.start()
        try:
            outbox = _Outbox(producer, partitions)
            pace = _SendRate(began, simulation.start_ms + round(backlog_s * 1000), speed, rate)
            for message in simulation.messages(on_fault):
                if on_backlog_sent and message.sent_at > pace.backlog_end:
                    await outbox.settle()
                    on_backlog_sent()
                    on_backlog_sent = None
                wait = pace.wait(message, outbox.sent)
                if wait > TICK_S or outbox.sent % 5_000 == 4_999:
                    await outbox.flush()
                    if on_progress:
                        on_progress(outbox.sent, message.sent_at)
                    await _sleep(wait, stop)
                if stop is not None and stop.is_set():
                    break
                await outbox.add(message)
            await outbox.settle()
        finally:
            await producer.stop()
    except KafkaConnectionError as error:
        text = f"cannot reach a Kafka broker at {broker}: {error}; is it running, and is the address right?"
        raise CannotProduceError(text) from error
    except KafkaError as error:
        raise CannotProduceError(f"the broker at {broker} refused messages: {error}") from error
    return outbox.sent


async def _partitions(settings: Mapping[str, Any], broker: str, topics: list[str]) -> dict[str, int]:
    """How many partitions each topic has; asks for all topics, since to ask for one may create it."""
    admin = AIOKafkaAdminClient(**settings)
    try:
        await admin.start()
        known = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    finally:
        await admin.close()
    missing = [topic for topic in topics if not known.get(topic)]
    if missing:
        raise CannotProduceError(
            f"the broker at {broker} has no topic {', '.join(missing)}: a worker creates the topics as it starts "
            "(`vigil worker`), so start one first"
        )
    return {topic: known[topic] for topic in topics}


async def _sleep(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None or seconds <= 0:
        await asyncio.sleep(max(0.0, seconds))
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


class _SendRate:
    """When each message is due in real time."""

    def __init__(self, began: float, backlog_end: int, speed: float | None, rate: float | None) -> None:
        self._began = began
        self.backlog_end = backlog_end
        self._speed = speed
        self._rate = rate

    def wait(self, message: SimulatedMessage, sent: int) -> float:
        """Seconds to wait before this message, the first not sent yet; not above 0 when it is due."""
        due = self._began
        if self._speed is not None and message.sent_at > self.backlog_end:
            due += (message.sent_at - self.backlog_end) / 1000 / self._speed
        if self._rate is not None:
            due = max(due, self._began + sent / self._rate)
        elif due == self._began:
            return 0.0
        return due - time.monotonic()


class _Outbox:
    """Messages on their way, in batches by partition: several times as fast as one by one, and as much in order."""

    def __init__(self, producer: AIOKafkaProducer, partitions: dict[str, int]) -> None:
        self.sent = 0
        self._producer = producer
        self._counts = partitions
        self._places: dict[tuple[str, bytes | None], tuple[str, int]] = {}
        self._batches: dict[tuple[str, int], Any] = {}
        self._waiting: set[asyncio.Future[Any]] = set()

    async def add(self, message: SimulatedMessage) -> None:
        place = self._places.get((message.topic, message.key))
        if place is None:
            if len(self._places) > 200_000:  # rooms come and go without end
                self._places.clear()
            place = (message.topic, partition_of(message.key, self._counts[message.topic]))
            self._places[message.topic, message.key] = place
        batch = self._batches.get(place)
        if batch is None:
            batch = self._batches[place] = self._producer.create_batch()
        if batch.append(key=message.key, value=message.value, timestamp=None) is None:
            await self._send(place)
            batch = self._batches[place] = self._producer.create_batch()
            batch.append(key=message.key, value=message.value, timestamp=None)
        self.sent += 1

    async def flush(self) -> None:
        """Hand everything to the producer, and wait while too much is on its way."""
        for place in list(self._batches):
            await self._send(place)

    async def settle(self) -> None:
        """Wait until everything is with the broker."""
        await self.flush()
        await asyncio.gather(*self._waiting)
        self._waiting.clear()

    async def _send(self, place: tuple[str, int]) -> None:
        batch = self._batches.pop(place)
        topic, partition = place
        self._waiting.add(await self._producer.send_batch(batch, topic, partition=partition))
        while self._waiting:
            done = {future for future in self._waiting if future.done()}
            for future in done:
                future.result()  # raises what the broker refused
            self._waiting -= done
            if len(self._waiting) < IN_FLIGHT:
                return
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
