"""One run of one engine over a trace that is in Kafka already: its CPU time, and the verdicts that it published.

CPU time is what the operating system counted for the process and all children that it waited for, from start to end
(wait4). The broker and this process are not in it. Once a second the committed offsets of the group are asked for.
"""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from benchmarks.common import peak_mib
from benchmarks.peers.engines import Engine, RunPlan, StartedAs, environment
from benchmarks.peers.room import TOPICS
from benchmarks.peers.trace import TraceMessage
from vigil.app.kafka.embedded_broker import start_child

PARTITIONS: Final = 4
WITHIN_S: Final = 400
POLL_S: Final = 1.0
RULES: Final = ("absence", "black-screen", "greeting-miss")

FoundVerdict = tuple[str, str, int]
"""Room, rule and time."""


class EngineRun(NamedTuple):
    """What one run cost and found."""

    cpu: float
    """Seconds, user and system."""
    wall: float
    mib: float
    """Peak of resident memory."""
    right: int
    missing: int
    spurious: int
    doubled: int

    @property
    def correct(self) -> bool:
        """Whether all verdicts are there, and none that must not be."""
        return not (self.missing or self.spurious)


async def make_topics(broker: str, topics: Iterable[str], partitions: int = PARTITIONS) -> None:
    """Create topics whose records never expire: the trace is of another time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        forever = {"retention.ms": "-1"}
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=forever) for name in topics])
    finally:
        await admin.close()


async def fill(broker: str, prefix: str, messages: list[TraceMessage], partitions: int = PARTITIONS) -> None:
    """Write the trace to topics of its own, in whole batches, with event times as timestamps."""
    await make_topics(broker, [prefix + topic for topic in TOPICS], partitions)
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_batch_size=512 * 1024, acks="all")
    await producer.start()
    choose, numbers = DefaultPartitioner(), list(range(partitions))
    batches: dict[tuple[str, int], object] = {}
    sent = []
    try:
        for message in messages:
            key = message.room.encode()
            place = message.topic, choose(key, numbers, numbers)
            batch = batches.get(place) or batches.setdefault(place, producer.create_batch())
            if batch.append(key=key, value=message.value, timestamp=message.at) is None:  # type: ignore[attr-defined]
                sent.append(await producer.send_batch(batch, prefix + place[0], partition=place[1]))
                batches[place] = batch = producer.create_batch()
                batch.append(key=key, value=message.value, timestamp=message.at)
        for (topic, partition), batch in batches.items():
            sent.append(await producer.send_batch(batch, prefix + topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def run_engine(
    engine: Engine, broker: str, prefix: str, expected: list[FoundVerdict], partitions: int = PARTITIONS
) -> EngineRun:
    """Run an engine to the end of the trace, and compare what it found. Raise RuntimeError if it fails."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-peer-"))
    plan = RunPlan(broker, prefix, f"peer{time.time_ns() // 1_000_000}", folder / "state", partitions)
    started = engine.start(plan)
    if started.verdicts == plan.name:
        await make_topics(broker, [plan.name], partitions)
    log = folder / "log"
    began = time.monotonic()
    with log.open("ab") as output:
        child = start_child(started.command, output, environment() | started.environment)
    try:
        used, mib = await _wait(child, broker, plan, started)
    except RuntimeError as error:
        raise RuntimeError(f"{engine.title}: {error}; its log ends:\n{log.read_text()[-3000:]}") from error
    finally:
        if child.returncode is None:
            child.kill()
            child.wait()
    wall = time.monotonic() - began
    found = await _verdicts(broker, started.verdicts, partitions)
    shutil.rmtree(folder)
    distinct, wanted = set(found), set(expected)
    right = len(distinct & wanted)
    return EngineRun(
        used.ru_utime + used.ru_stime, wall, mib, right, len(wanted) - right, len(distinct) - right,
        len(found) - len(distinct),
    )  # fmt: skip


async def _wait(
    child: subprocess.Popen[bytes], broker: str, plan: RunPlan, started: StartedAs
) -> tuple[resource.struct_rusage, float]:
    """Wait until the engine is done, ask it to end if it does not; return what it used, and its largest memory."""
    until = time.monotonic() + WITHIN_S
    stopped, mib = False, 0.0
    async with _Group(broker, plan.name, started.read) as group:
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                child.returncode = os.waitstatus_to_exitcode(status)
                break
            with suppress(OSError, StopIteration):  # it ends
                mib = peak_mib(child.pid)
            if time.monotonic() > until:
                raise RuntimeError(f"it was not done within {WITHIN_S} s: {await group.behind()}")
            if started.read and not stopped and not await group.behind():
                stopped = True
                child.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1 if stopped or not started.read else POLL_S)
    if not stopped and started.read:
        raise RuntimeError(f"it ended by itself with status {child.returncode}")
    if not started.read and child.returncode:
        raise RuntimeError(f"it ended with status {child.returncode}")
    return used, mib


class _Group:
    """The committed offsets of a group."""

    def __init__(self, broker: str, name: str, topics: tuple[str, ...]) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=broker)
        self._name, self._topics = name, topics

    async def __aenter__(self) -> "_Group":
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def behind(self) -> list[str]:
        """Return the topics that the group has not committed to their ends."""
        described = await self._admin.describe_topics(list(self._topics)) if self._topics else []
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        if len({tp.topic for tp in partitions}) < len(self._topics):
            return ["topics that do not exist yet"]
        try:
            committed = await self._admin.list_consumer_group_offsets(self._name, partitions=partitions)
        except KafkaError as error:  # the group is new
            return [repr(error)]
        ends = await self._consumer.end_offsets(partitions)
        behind = {tp.topic for tp, end in ends.items() if end and (tp not in committed or committed[tp].offset < end)}
        return sorted(behind)


async def _verdicts(broker: str, topic: str, number_of: int) -> list[FoundVerdict]:
    """Read all committed verdicts of the three rules."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    found = []
    try:
        partitions = [TopicPartition(topic, number) for number in range(number_of)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        left = {tp for tp, end in ends.items() if end}
        until = time.monotonic() + 30
        while left and time.monotonic() < until:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    value = orjson.loads(record.value)
                    if value["rule"] in RULES:
                        found.append((value["room_id"], value["rule"], value["at"]))
            # The position passes what is no verdict: markers of transactions, and aborted records.
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
    return found
