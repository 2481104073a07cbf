"""Slow speech on real Kafka: what it costs with the default allowance, and that doctor recommends the right one."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import WorkerProcess, make_topics, read
from tests.support.kafka import KafkaBroker
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.examine import examine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DELAYS: Final = (3, 5)
"""How long transcripts of two rooms take, s."""

ENTRIES: Final = 3
"""Buyers of each room: so many in a row without reception are a violation."""

PATIENT: Final[dict[str, Any]] = {"app_id": "patient", "topic_prefix": "patient.", "input_prefix": ""}
PATIENT_LATENESS: Final = {"comment": 7000}


def now() -> int:
    return round(time.time() * 1000)


class Rooms:
    """Rooms whose host receives each buyer after 9 s by speech, while viewers of a third room type all the time."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._late: list[asyncio.Task[None]] = []

    async def _send(self, topic: str, room: str, **fields: object) -> None:
        body = {"room_id": room, "host_id": f"host-{room}", "at": now(), **fields}
        await self._producer.send(topic, orjson.dumps(body), key=room.encode())

    async def _comment(self, room: str, **fields: object) -> None:
        await self._send("comment", room, comment_id=f"{room}-{time.time_ns()}", **fields)

    async def _transcript(self, room: str, at: int, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        said = {"author_id": "host", "author_role": "host", "text": "Welcome! What do you look for?"}
        await self._comment(room, at=at, via="speech", **said)

    async def _second(self, second: int) -> None:
        for delay in DELAYS:
            room = f"speech-{delay}"
            await self._send("frame-status", room, stream="live", face=True, black=False)
            if second % 11 == 1 and second < 11 * ENTRIES:
                await self._send("buyer-entry", room, buyer_id=f"buyer-{second}")
            if second % 11 == 10:
                self._late.append(asyncio.create_task(self._transcript(room, now(), delay)))
        for _ in range(5):
            await self._comment("chat", author_id="viewer", author_role="buyer", text="nice")
            await asyncio.sleep(0.2)

    async def broadcast(self) -> None:
        for second in range(11 * ENTRIES + 10):
            await self._second(second)
        await asyncio.gather(*self._late)


def lateness(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.name == "lateness"]


async def doctor(settings: Settings, *metrics: str) -> list[Check]:
    return [check async for check in examine(settings, metrics=metrics)]


async def test_slow_speech_is_contested_and_with_the_recommended_allowance_in_time(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    broker = own_kafka.address
    await make_topics(broker, 1)
    hasty = WorkerProcess(broker, tmp_path / "hasty.log", partitions=1)
    await hasty.ready()
    patient = WorkerProcess(
        broker,
        tmp_path / "patient.log",
        partitions=1,
        allowed_lateness_ms_by_topic="comment=7000",
        **PATIENT,
    )
    await patient.ready()
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        await Rooms(producer).broadcast()
    await asyncio.sleep(9)  # what the patient one waits for

    found = await read(broker, ["verdict", "notice", "dead-letter"])
    rooms = {f"speech-{delay}" for delay in DELAYS}
    assert {verdict["room_id"] for _, verdict in found["verdict"]} == rooms, "false ones"
    contested = [notice for _, notice in found["notice"] if notice["kind"] == "verdict-contested"]
    assert {notice["room_id"] for notice in contested} == rooms
    late = [letter for _, letter in found["dead-letter"]]
    assert {letter["reason"] for letter in late} == {"late"}
    in_time = await read(broker, ["patient.verdict", "patient.notice", "patient.dead-letter"])
    assert [verdict for _, verdict in in_time["patient.verdict"]] == []
    assert {notice["kind"] for _, notice in in_time["patient.notice"]} <= {"signal-lost"}
    assert in_time["patient.dead-letter"] == []

    address = f"http://127.0.0.1:{hasty.web_port}/metrics"
    checks = await doctor(Settings(broker=broker), address)
    (check,) = lateness(checks)
    assert check.words.startswith("comment by speech: 99.9 % of ")
    assert f"by the metrics of {address}, since the start" in check.words
    assert recommended(check) in (5000, 6000)  # they are 4.8 to 5.0 s late
    (refused,) = [check for check in checks if check.name == "late"]
    assert recommended(refused) == recommended(check)
    (sampled,) = lateness(await doctor(Settings(broker=broker), "http://127.0.0.1:1/metrics"))
    assert "no worker's metrics at http://127.0.0.1:1/metrics" in sampled.words
    assert recommended(sampled) in (5000, 5500)
    settings = Settings(broker=broker, allowed_lateness_ms_by_topic=PATIENT_LATENESS, **PATIENT)
    (enough,) = lateness(await doctor(settings, f"http://127.0.0.1:{patient.web_port}/metrics"))
    assert (enough.level, "that is allowed" in enough.words) == ("ok", True)
    assert (hasty.stop(), patient.stop()) == (0, 0)


def recommended(check: Check) -> int:
    """The allowance that a check recommends for comments, ms."""
    found = re.match(r"allowed_lateness_ms_by_topic: comment = (\d+) would do", check.remedy)
    assert found is not None, check
    return int(found[1])
