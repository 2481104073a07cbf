"""Producers with different partitioners, on Apache Kafka: nobody is judged by what lies in the wrong partition.

All data lies there when the workers begin. Hosts greet every buyer; without what the shards publish to each other, six
of eight get a verdict where their comments are placed by CRC-32.
"""

import asyncio
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import WorkerProcess, read
from tests.support.kafka import KafkaBroker
from tests.support.run_command import run
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.partitioners import PARTITIONERS
from vigil.app.kafka.settings import Settings

pytestmark = pytest.mark.timeout(240)

PARTITIONS = 4
ROOMS = [f"crc-{number}" for number in range(8)]
"""Six of them are placed elsewhere by CRC-32 than by murmur2."""

ENTERED = (5, 25, 45, 65, 85)
ENDED_S = 119


class Case(NamedTuple):
    """What is placed otherwise than the setting `partitioner` says, and what follows."""

    wrong: tuple[str, ...]
    partitioner: str = "murmur2"
    voided: int = 18
    """Entries that may have been received, at least: the first three of six rooms, enough for six verdicts."""
    received: int = 6
    """And those that were."""


CASES = {
    "all by murmur2": Case((), voided=0, received=24),
    "comments by CRC-32": Case(("comment",)),
    "comments and entries by CRC-32": Case(("comment", "buyer-entry"), voided=0),
    "comments by murmur2, all others by CRC-32": Case(("comment",), partitioner="crc32"),
}

IN_CI = ("comments by CRC-32", 2)
RUNS = [
    pytest.param(*run, marks=pytest.mark.ci if run == IN_CI else pytest.mark.slow)
    for run in itertools.product(CASES, (1, 2))
]


def messages(end: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Topic, room and message: two minutes of rooms whose hosts greet every buyer within three seconds."""
    made = []
    for number, room in enumerate(ROOMS):
        start = end - ENDED_S * 1000 + number
        common = {"room_id": room, "host_id": f"host-{room}"}
        for second in range(ENDED_S + 1):
            fields = {"stream": "live", "face": True, "black": False}
            made.append(("frame-status", room, {**common, "at": start + second * 1000, **fields}))
        for second in ENTERED:
            made.append(("buyer-entry", room, {**common, "at": start + second * 1000, "buyer_id": f"b{second}"}))
            said = {"comment_id": f"c{second}", "author_id": "host", "author_role": "host", "intent": "greet-ask"}
            text = "welcome, what are you looking for?"
            made.append(("comment", room, {**common, "at": start + second * 1000 + 3000, **said, "text": text}))
    return sorted(made, key=lambda message: message[2]["at"])


async def send(settings: Settings, wrong: tuple[str, ...]) -> None:
    right = settings.partitioner
    other = "crc32" if right == "murmur2" else "murmur2"
    async with AIOKafkaProducer(bootstrap_servers=settings.broker, linger_ms=5) as producer:
        sent = []
        for topic, room, message in messages(time.time_ns() // 1_000_000 - 4000):
            key = room.encode()
            partition = PARTITIONERS[other if topic in wrong else right](key, PARTITIONS)
            value = json.dumps(message).encode()
            sent.append(await producer.send(settings.topic_prefix + topic, value, key=key, partition=partition))
        await asyncio.gather(*sent)


def metric(workers: list[WorkerProcess], name: str) -> float:
    """The sum over all workers and labels."""
    found = [re.findall(rf"^{name}(?:{{.*}})? (.*)$", worker.get("/metrics")[1], re.MULTILINE) for worker in workers]
    return sum(float(value) for values in found for value in values)


@pytest.mark.parametrize(("name", "workers"), RUNS)
async def test_nobody_is_judged_by_what_lies_in_the_wrong_partition(
    own_kafka: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, workers: int
) -> None:
    case = CASES[name]
    settings = Settings(broker=own_kafka.address, partitions=PARTITIONS, partitioner=case.partitioner)  # type: ignore[arg-type]
    await ensure_topics(settings, REGISTRY.sources)
    await send(settings, case.wrong)
    started = [
        WorkerProcess(settings.broker, tmp_path / f"{n}.log", session_timeout_ms=6000, partitioner=case.partitioner)
        for n in range(workers)
    ]
    for worker in started:
        await worker.ready()
    misrouted = 6 * len(ENTERED) * len(case.wrong)

    async def judged() -> bool:
        return (
            metric(started, "vigil_unobserved_seconds_total") >= 6 * 3 * len(case.wrong)
            and metric(started, "vigil_entries_voided_total") >= case.voided
            and metric(started, "vigil_reception_seconds_count") >= case.received
        )

    try:
        end = time.monotonic() + 60
        while not await judged():
            assert time.monotonic() < end, [worker.get("/metrics")[1] for worker in started]
            await asyncio.sleep(0.2)
        await asyncio.sleep(2)
        published = await read(settings.broker, ["verdict", "notice", "dead-letter"])
        assert published["verdict"] == []
        assert [notice for _, notice in published["notice"] if notice["kind"] == "entry-missed"] == []
        reasons = [(letter["topic"], letter["reason"]) for _, letter in published["dead-letter"]]
        assert sorted(reasons) == sorted((topic, "misrouted") for topic in case.wrong for _ in range(30))
        assert metric(started, "vigil_refused_total") == misrouted
        monkeypatch.setenv("VIGIL_PARTITIONER", case.partitioner)
        await asyncio.to_thread(_doctor_names_the_producers, settings.broker, case)
    finally:
        for worker in started:
            worker.stop()


def _doctor_names_the_producers(broker: str, case: Case) -> None:
    shown = run("doctor", "--json", "--broker", broker)
    checks = [check for check in json.loads(shown.stdout) if check["name"] == "misrouted"]
    assert {check["words"].partition(":")[0] for check in checks if check["level"] == "fail"} == set(case.wrong)
    if case.wrong:
        assert shown.exit_code == 1
        assert all("partitioner" in check["remedy"] for check in checks)
