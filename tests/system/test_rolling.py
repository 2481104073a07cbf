"""A rolling upgrade: workers are replaced one after another while rooms are on air, and no output is delayed by more
than the handover."""

import asyncio
import json
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send_paced
from tests.support.kafka import KafkaBroker
from vigil.app.simulate import Simulation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PARTITIONS = 4
LATENESS_MS = 4000
PAST_S = 300
ON_AIR_S = 50
SLACK_MS = 3000
"""Additional delay on a busy machine."""

Span = tuple[int, int]
"""Start and end, ms since the epoch."""


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def published_at(broker: str, topic: str) -> list[tuple[int, dict[str, Any]]]:
    """Return every message of a topic and the time at which it was written."""
    async with AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends, found = await consumer.end_offsets(partitions), []
        for tp in partitions:
            while await consumer.position(tp) < ends[tp]:
                for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                    found.append((record.timestamp, json.loads(record.value)))
        return found


def assigned(log: Path) -> list[int]:
    """Return the times at which a worker was assigned shards."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        round(datetime.fromisoformat(line["timestamp"]).timestamp() * 1000)
        for line in lines
        if line["event"] == "partitions assigned"
    ]


async def test_replacing_workers_one_by_one_delays_no_output_longer_than_the_handover(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    address, now = own_kafka.address, wall_ms()
    simulation = Simulation(
        seed=9, rooms=250, suppliers=4, start_ms=now - PAST_S * 1000, duration_s=PAST_S + ON_AIR_S, fault_every_s=8.0
    )
    messages = list(simulation.messages())
    expected = replayed(messages, LATENESS_MS)
    await make_topics(address, PARTITIONS)
    past = sum(message.sent_at <= now for message in messages)
    await send_paced(address, messages[:past])
    sending = asyncio.create_task(send_paced(address, messages[past:], None))

    def start(name: str) -> WorkerProcess:
        return WorkerProcess(address, tmp_path / f"{name}.log", allowed_lateness_ms=LATENESS_MS)

    workers = {name: start(name) for name in ("one", "two")}
    began: list[int] = []
    stops: list[float] = []
    try:
        for worker in workers.values():
            await worker.ready()
        await asyncio.sleep(5)
        for name in ("one", "two"):
            for step in ("stop", "start"):
                began.append(wall_ms())
                if step == "stop":
                    workers[name].signal(signal.SIGTERM)
                    assert await asyncio.to_thread(workers[name].process.wait, 15) == 0
                    stops.append((wall_ms() - began[-1]) / 1000)
                else:
                    workers[f"new {name}"] = start(f"new {name}")
                    await workers[f"new {name}"].ready()
                await asyncio.sleep(3)
        rolled = wall_ms()
        await sending
        await finished(address, still_s=1.0)
        outputs = await read(address)
        delays = [
            (at, said["at"] + LATENESS_MS, at - said["at"] - LATENESS_MS)
            for topic in ("verdict", "notice")
            for at, said in await published_at(address, topic)
            if began[0] <= said["at"] + LATENESS_MS <= rolled
        ]
    finally:
        sending.cancel()
        for worker in workers.values():
            worker.stop()
    assert differences(expected, outputs, live=True) == []
    settled = [at for log in tmp_path.glob("*.log") for at in assigned(log)]
    handovers: list[Span] = []
    for begin, end in zip(began, [*began[1:], rolled], strict=True):
        handovers.append((begin, max(at for at in settled if begin <= at <= end)))
    print(f"handovers {[end - begin for begin, end in handovers]} ms, stops {stops} s")
    print(f"{len(delays)} outputs meanwhile, the slowest {max(delay for _, _, delay in delays)} ms after it was due")
    assert len(delays) > 15
    late = [
        (at, due)
        for at, due, delay in delays
        if delay > SLACK_MS and not any(begin <= due <= end and at <= end + SLACK_MS for begin, end in handovers)
    ]
    assert late == []
