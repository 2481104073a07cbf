"""A recording gives the same outputs through a file and through Kafka, also if a worker is killed (I-1, I-10)."""

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from tests.support.comparison import differences
from tests.support.harness import INPUTS, WorkerProcess, finished, make_topics, read, replayed, send
from tests.support.kafka import KafkaBroker
from vigil.app.runtime.replay import Outputs
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage

PARTITIONS = 4


@cache
def recording() -> tuple[list[SimulatedMessage], Outputs]:
    """Return forty rooms for twelve minutes and fifteen suppliers with a history, and the outputs of a replay.

    In it is the recruitment of July, whose places go to claims from all partitions in order of time, and some rooms
    show goods that need a permit; verdicts about them are reviewed as others are.
    """
    simulation = Simulation(
        seed=7,
        rooms=40,
        suppliers=15,
        start_ms=1_662_048_000_000,
        duration_s=720,
        fault_every_s=20,
        history_days=40,
        reviews=0.4,
        duplicates=0.01,
        products=2,
    )
    messages = list(simulation.messages())
    return messages, replayed(messages)


def reviewed_restricted_goods(expected: Outputs) -> int:
    verdicts: list[Any] = [output.body for output in expected["verdict"]]
    restricted = {verdict.verdict_id for verdict in verdicts if (verdict.subject or "").startswith("restricted:")}
    actions: list[Any] = [output.body for output in expected["enforcement"]]
    return len({action.action_id for action in actions if action.decided_by is not None} & restricted)


def recruited(expected: Outputs) -> list[int]:
    """The places of the recruitment."""
    lines: list[Any] = [output.body for output in expected["participation"]]
    return [line.place for line in lines if line.programme == "recruit" and line.place is not None]


def settings(expected: Outputs) -> dict[str, object]:
    return {"clock": "recorded", "recorded_until": expected.until, "log_format": "text", "session_timeout_ms": 3000}


async def processed(broker: str) -> float:
    """Return the share of the input that the group has committed."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id="vigil", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in INPUTS for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        done = sum([await consumer.committed(tp) or 0 for tp in partitions])
        return done / sum(ends.values())
    finally:
        await consumer.stop()


@pytest.mark.ci
async def test_one_worker_gives_the_outputs_of_a_replay(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    messages, expected = recording()
    assert len(expected["verdict"]) > 100
    assert len({output.body.rule for output in expected["verdict"]}) == 14  # type: ignore[union-attr]
    assert reviewed_restricted_goods(expected) > 0
    assert len(recruited(expected)) > 2
    await make_topics(own_kafka.address, PARTITIONS)
    await send(own_kafka.address, messages)
    worker = await WorkerProcess(own_kafka.address, tmp_path / "worker.log", **settings(expected)).ready()
    try:
        await finished(own_kafka.address)
        assert differences(expected, await read(own_kafka.address)) == []
    finally:
        assert worker.stop() == 0


@pytest.mark.ci
async def test_two_workers_of_which_one_is_killed_give_the_outputs_of_a_replay(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    messages, expected = recording()
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    await send(address, messages)
    # In small polls, so that the kill falls in the middle.
    options = {**settings(expected), "max_poll_records": 50, "checkpoint_interval_ms": 300}
    both = [WorkerProcess(address, tmp_path / f"worker-{n}.log", **options) for n in (0, 1)]
    try:
        for worker in both:
            await worker.ready()
        until = time.monotonic() + 60
        while await processed(address) < 0.1:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        both[0].kill()
        assert await processed(address) < 0.9
        await asyncio.sleep(1)
        both[0] = WorkerProcess(address, tmp_path / "worker-0.log", **options)
        await both[0].ready()
        await finished(address)
        assert differences(expected, await read(address)) == []
    finally:
        for worker in both:
            worker.stop()
