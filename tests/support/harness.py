"""Runs recordings through worker processes on a broker, and computes what a replay without faults gives."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from vigil.app.domain.registry import DEAD_LETTER, REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.embedded_broker import free_port, start_child
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.replay import Outputs, Replay
from vigil.app.runtime.replay_clocks import LATENESS_MS, AllowedLateness
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.catalog import inputs

INPUTS: Final = inputs()
OUTPUTS: Final = (*(output.topic for output in REGISTRY.replayed), DEAD_LETTER)


def recorded(messages: Iterable[SimulatedMessage]) -> list[bytes]:
    """Return the messages as lines of a recording. Keys must be UTF-8."""
    lines = []
    for message in messages:
        value = b"null" if message.value is None else message.value
        key = None if message.key is None else message.key.decode()
        lines.append(
            b'{"topic":' + orjson.dumps(message.topic) + b',"key":' + orjson.dumps(key) + b',"value":' + value + b"}"
        )
    return lines


def replayed(
    messages: Iterable[SimulatedMessage], lateness: int = LATENESS_MS, rulebook: Path | Rulebook | None = None
) -> Outputs:
    """Return the outputs of a replay of the messages; `rulebook`: a file or a rulebook, otherwise the built-in one."""
    book = rulebook if isinstance(rulebook, Rulebook) else load_rulebook(rulebook)
    run = Replay(book, AllowedLateness(lateness))
    run.feed(recorded(messages))
    return run.end()


async def make_topics(broker: str, partitions: int, app_id: str = "vigil") -> None:
    """Create the topics as a worker does."""
    await ensure_topics(Settings(broker=broker, partitions=partitions, app_id=app_id), REGISTRY.sources)


async def send(broker: str, messages: Iterable[SimulatedMessage], rate: float | None = None) -> int:
    """Send the messages in order of arrival, at most `rate` a second, and return their number."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, linger_ms=5, max_batch_size=256 * 1024, acks="all")
    await producer.start()
    began, number, waiting = time.monotonic(), 0, []
    try:
        for message in messages:
            waiting.append(await producer.send(message.topic, message.value, key=message.key))
            number += 1
            if len(waiting) >= 5000:
                await asyncio.gather(*waiting)
                waiting.clear()
            if rate and number % 500 == 0:
                await asyncio.sleep(max(0.0, number / rate - (time.monotonic() - began)))
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return number


async def send_paced(broker: str, messages: Sequence[SimulatedMessage], over_s: float | None = 0.0) -> None:
    """Send the messages in order and each exactly once, whatever happens to the broker meanwhile.

    They are sent evenly over `over_s` seconds; 0: at once; None: each at its `sent_at` by the wall clock.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, linger_ms=5, enable_idempotence=True, request_timeout_ms=60_000, retry_backoff_ms=50
    )
    await producer.start()
    began = time.monotonic()
    try:
        waiting: list[asyncio.Future[Any]] = []
        for number, message in enumerate(messages):
            if number % 5000 == 0:
                waiting = _unacknowledged(waiting)
            if number % 20 == 0 or over_s is None:
                ahead = (
                    message.sent_at / 1000 - time.time()
                    if over_s is None
                    else over_s * number / len(messages) - (time.monotonic() - began)
                )
                if ahead > 0:
                    await asyncio.sleep(ahead)
            waiting.append(await producer.send(message.topic, message.value, key=message.key))
        await asyncio.gather(*waiting)
    finally:
        with suppress(Exception):
            await asyncio.wait_for(producer.stop(), 10)


def _unacknowledged(sent: Iterable["asyncio.Future[Any]"]) -> list["asyncio.Future[Any]"]:
    """Return the messages that the broker has not acknowledged yet; raise the error of one that failed.

    To wait for two million at once at the end would block the event loop for seconds, and hold back what is still to be
    sent for as long: the last message of a run was too late then.
    """
    waiting = []
    for message in sent:
        if message.done():
            message.result()
        else:
            waiting.append(message)
    return waiting


class WorkerProcess:
    """One `vigil worker`, which does not outlive this process."""

    def __init__(self, broker: str, log: Path, *, command: Sequence[str] | None = None, **settings: object) -> None:
        """`command` replaces `vigil worker` and gets the same environment."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VIGIL_")}
        given = {"broker": broker, "web_port": free_port(), **settings}
        self.web_port: int = given["web_port"]  # type: ignore[assignment]
        environment |= {f"VIGIL_{name.upper()}": str(value) for name, value in given.items()}
        self.log = log
        with log.open("ab") as output:
            run = list(command or [sys.executable, "-m", "vigil", "worker"])
            self.process = start_child(run, output, environment)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the worker; status 0 while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def ready(self, within_s: float = 60) -> "WorkerProcess":
        """Wait until the worker is ready."""
        until = time.monotonic() + within_s
        while (await asyncio.to_thread(self.get, "/health/ready"))[0] != 200:
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"the worker is not ready: {self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.1)
        return self

    def signal(self, which: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(which)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, within_s: float = 15) -> int:
        """Stop it with SIGTERM and return the exit status."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not stop in {within_s} s") from None


async def finished(
    broker: str,
    app_id: str = "vigil",
    within_s: float = 120,
    still_s: float = 2.0,
    names: TopicNames | None = None,
    poll_s: float = 0.2,
) -> None:
    """Wait until the group has read, judged and committed everything, including its internal topics."""
    topics = (names or TopicNames(app_id)).all_on_cluster(REGISTRY.readers)
    consumer = AIOKafkaConsumer(bootstrap_servers=broker)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await consumer.start()
    await admin.start()
    try:
        partitions = []
        for topic in topics:
            await consumer._client._wait_on_metadata(topic)
            partitions += [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        until = time.monotonic() + within_s
        still_since, before = time.monotonic(), None
        while True:
            committed = await admin.list_consumer_group_offsets(app_id, partitions=partitions)
            ends = await consumer.end_offsets(partitions)
            whole = all(end == 0 or (tp in committed and committed[tp].offset >= end) for tp, end in ends.items())
            state = (whole, sorted(ends.items()))
            if state != before or not whole:
                before, still_since = state, time.monotonic()
            if whole and time.monotonic() - still_since >= still_s:
                return
            if time.monotonic() > until:
                behind = {
                    f"{tp.topic}/{tp.partition}": (committed[tp].offset if tp in committed else None, end)
                    for tp, end in ends.items()
                    if end and (tp not in committed or committed[tp].offset < end)
                }
                raise AssertionError(f"not finished: {behind}")
            await asyncio.sleep(poll_s)
    finally:
        await consumer.stop()
        await admin.close()


async def read(broker: str, topics: Sequence[str] = OUTPUTS) -> dict[str, list[tuple[bytes | None, Any]]]:
    """Return key and decoded value of every message by topic, in the order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[str, list[tuple[bytes | None, Any]]] = {topic: [] for topic in topics}
    try:
        partitions = []
        for topic in topics:
            await consumer._client._wait_on_metadata(topic)
            partitions += [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
        left = {tp for tp, end in ends.items() if end > 0}
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        until = time.monotonic() + 60
        while left and time.monotonic() < until:
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    value = None if record.value is None else orjson.loads(record.value)
                    found[tp.topic].append((record.key, value))
                if records[-1].offset + 1 >= ends[tp]:
                    left.discard(tp)
    finally:
        await consumer.stop()
    return found


def log_file(name: str) -> Path:
    """Return the path of a new log file."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-test-"))
    return folder / f"{name}.log"
