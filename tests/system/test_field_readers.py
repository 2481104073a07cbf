"""What producers really do, with a live worker on Apache Kafka: doctor names the cause, and readers show no more."""

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.console_stories import ConsoleStage
from tests.support.harness import WorkerProcess, make_topics, read
from tests.support.kafka import KafkaBroker
from tests.support.run_command import run
from vigil.app.console.ingest.topic_ingest import TopicIngest
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.partitioners import by_crc32, by_murmur2
from vigil.app.kafka.settings import Settings, SettingsError

pytestmark = [pytest.mark.ci, pytest.mark.timeout(240)]

PARTITIONS = 4
HOUR = 3_600_000
ROOMS = [f"room-{number}" for number in range(8)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def frame(room: str, at: int) -> bytes:
    fields = {"room_id": room, "host_id": f"h-{room}", "at": at, "stream": "live", "face": True, "black": False}
    return json.dumps(fields).encode()


def comment(room: str, at: int, text: str, *labels: str) -> bytes:
    fields = {
        "room_id": room, "host_id": f"h-{room}", "at": at, "comment_id": text, "author_id": "h", "author_role": "host",
        "text": text, "labels": labels,
    }  # fmt: skip
    return json.dumps(fields).encode()


async def doctor(broker: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and the worst check of each name."""
    shown = await asyncio.to_thread(run, "doctor", "--json", "--broker", broker, *options)
    checks: dict[str, dict[str, str]] = {}
    for check in json.loads(shown.stdout):
        if check["name"] not in checks or check["level"] == "fail":
            checks[check["name"]] = check
    return shown.exit_code, checks


async def until(condition: Any, within_s: float = 30) -> Any:
    """What a condition gives once it is true."""
    end = time.monotonic() + within_s
    while True:
        result = await condition()
        if result or time.monotonic() > end:
            assert result
            return result
        await asyncio.sleep(0.3)


async def _send_seconds(producer: AIOKafkaProducer) -> None:
    """Send a frame and a comment of each room, again and again."""
    while True:
        for room in ROOMS:
            key, at = room.encode(), now_ms()
            place = by_murmur2(key, PARTITIONS)
            await producer.send("frame-status", frame(room, at), key=key, partition=place)
            await producer.send("comment", comment(room, at, f"c{at}"), key=key, partition=place)
        await asyncio.sleep(0.3)


async def test_doctor_names_partitioner_future_events_and_open_transactions(
    own_kafka: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    worker = await WorkerProcess(broker, tmp_path / "worker.log", session_timeout_ms=6000).ready()
    try:
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            sending = asyncio.create_task(_send_seconds(producer))
            await asyncio.sleep(2)
            status, checks = await doctor(broker)
            failed = {name: check for name, check in checks.items() if check["level"] == "fail"}
            assert (status, failed) == (0, {})
            assert {"broker clock", "worker clock"} & checks.keys()

            at = now_ms()
            for room in ROOMS:
                key = room.encode()
                place = by_crc32(key, PARTITIONS)
                await producer.send_and_wait("comment", comment(room, at, "by crc32"), key=key, partition=place)
            key = b"room-3"
            await producer.send_and_wait(
                "frame-status", frame("room-3", at + 8 * HOUR), key=key, partition=by_murmur2(key, 4)
            )

            async def both_rejected() -> bool:
                reasons = {letter["reason"] for _, letter in (await read(broker, ["dead-letter"]))["dead-letter"]}
                return {"misrouted", "future"} <= reasons

            await until(both_rejected)
            status, checks = await doctor(broker)
            assert status == 1
            assert checks["misrouted"]["level"] == checks["future"]["level"] == "fail"
            assert checks["misrouted"]["words"].startswith("comment: ")
            assert "partitioner=murmur2_random" in checks["misrouted"]["remedy"]
            assert checks["future"]["words"].startswith("frame-status: 1 message")
            assert checks["clocks"]["level"] == "ok"
            _, graded = await doctor(broker, "--producers")
            assert graded["partitioner"]["words"].startswith("comment: ")

            monkeypatch.setattr("vigil.app.runtime.doctor.group.OPEN_MS", 500)
            hanging = AIOKafkaProducer(bootstrap_servers=broker, transactional_id="t-hang")
            await hanging.start()
            await hanging.begin_transaction()
            sent = await hanging.send_and_wait("frame-status", frame("room-3", now_ms()), key=b"room-3", partition=3)
            await asyncio.sleep(1)
            status, checks = await doctor(broker)
            assert (status, checks["transactions"]["level"]) == (1, "fail")
            assert f"frame-status, partition {sent.partition} for" in checks["transactions"]["words"]
            assert "transactional id 't-hang'" in checks["transactions"]["words"]
            await hanging.abort_transaction()
            await hanging.stop()
            sending.cancel()
    finally:
        assert worker.stop() == 0


async def _create_again(broker: str, topic: str) -> None:
    async with Cluster(Settings(broker=broker)) as cluster:
        await cluster._admin.delete_topics([topic])

        async def gone() -> bool:
            return not await cluster.partitions([topic])

        async def there() -> bool:
            with suppress(SettingsError):  # a broker deletes and creates in the background
                await cluster.create({topic: (PARTITIONS, {})})
            return bool(await cluster.partitions([topic]))

        await until(gone)
        await until(there)
    await asyncio.sleep(1)  # leaders are elected


async def test_aborted_and_foreign_messages_are_shown_by_no_reader(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    room = "room-1"
    key, place = room.encode(), by_murmur2(room.encode(), PARTITIONS)
    worker = await WorkerProcess(broker, tmp_path / "worker.log", session_timeout_ms=6000).ready()
    try:
        async with AIOKafkaProducer(bootstrap_servers=broker, transactional_id="t-abort") as producer:
            await producer.begin_transaction()
            at = now_ms()
            await producer.send_and_wait("comment", comment(room, at, "never said", "abuse"), key=key, partition=place)
            await producer.send_and_wait("frame-status", frame("room-2", at), key=b"room-2", partition=0)
            await producer.abort_transaction()
            async with producer.transaction():
                at = now_ms()
                await producer.send("frame-status", frame(room, at), key=key, partition=place)
                await producer.send("comment", comment(room, at + 1, "said", "prohibited:x"), key=key, partition=place)

        async def verdicts() -> list[Any]:
            return (await read(broker, ["verdict"]))["verdict"]

        ((_, verdict),) = await until(verdicts)
        assert verdict["subject"] == "prohibited:x"
        async with AIOKafkaProducer(bootstrap_servers=broker) as stranger:
            await stranger.send_and_wait("verdict", b"hello")
            await stranger.send_and_wait("notice", json.dumps({"at": 10**15}).encode())
        _, checks = await doctor(broker)
        assert checks["outputs"]["level"] == "warn"
        assert "1 message in verdict that Vigil did not write" in checks["outputs"]["words"]
        shown = await asyncio.to_thread(run, "explain", verdict["verdict_id"], "--broker", broker)
        assert shown.exit_code == 0, shown.output
        assert "said" in shown.stdout and "never said" not in shown.stdout
        assert "1 message in verdict that Vigil did not write left out" in shown.stdout

        console = ConsoleStage(Settings(broker=broker))
        model = console.state.model
        ingest = TopicIngest(Settings(broker=broker), console.console, model)
        reading = asyncio.create_task(ingest.run())

        async def caught_up() -> bool:
            return ingest.caught_up and len(model.verdicts) == 1

        try:
            await until(caught_up)
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
        assert "room-2" not in model.tracks and "room-1" in model.tracks
        assert model.foreign == {"verdict": 1, "notice": 1}
    finally:
        assert worker.stop() == 0
    await _create_again(broker, "frame-status")
    status, checks = await doctor(broker)
    assert (status, checks["sources"]["level"]) == (1, "fail")
    assert f"frame-status, partition {place}: the topic was created again" in checks["sources"]["words"]
