"""Clocks that are wrong, on real Kafka, a producer's and a worker's: nothing is judged by them, nothing is harmed."""

import asyncio
import itertools
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import WorkerProcess, make_topics, read
from tests.support.kafka import KafkaBroker

pytestmark = [pytest.mark.ci, pytest.mark.timeout(240)]

ROOMS = 6
HOUR = 3600


class Live:
    """Rooms that send a frame and a labelled comment a second, and the worker that judges them."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.skew = folder / "skew.txt"
        self.log = folder / "worker.log"
        self.sent: list[str] = []
        """The labels that were sent: each of them is a violation of its own."""
        self._numbers = itertools.count()

    async def talk(self, seconds: int, ahead: tuple[int, int] | None = None) -> None:
        """Let all rooms be on air for some seconds; `ahead`: one frame of this room, hours ahead, comes first."""
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            if ahead is not None:
                await self._frame(producer, f"room-{ahead[0]}", round(time.time() * 1000) + ahead[1] * HOUR * 1000)
            for second in range(seconds):
                for number in range(ROOMS):
                    room, at = f"room-{number}", round(time.time() * 1000)
                    await self._frame(producer, room, at)
                    await self._violation(producer, room, at + 1, f"{second}")
                await asyncio.sleep(1)

    async def talk_ahead(self, room: str, hours: int) -> None:
        """Let a room send with a clock that is hours ahead, in all topics."""
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for second in range(5):
                at = round(time.time() * 1000) + hours * HOUR * 1000 + second * 1000
                await self._frame(producer, room, at)
                await self._violation(producer, room, at + 1, "ahead")
                entry = {"room_id": room, "host_id": f"host-{room}", "at": at, "buyer_id": f"buyer-{second}"}
                await producer.send_and_wait("buyer-entry", orjson.dumps(entry), key=room.encode())

    async def violation(self, room: str) -> None:
        """Let one room be on air and violate a rule now."""
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            at = round(time.time() * 1000)
            await self._frame(producer, room, at)
            await self._violation(producer, room, at + 1, "one")

    async def _violation(self, producer: AIOKafkaProducer, room: str, at: int, name: str) -> None:
        label = f"prohibited:{room}-{next(self._numbers)}-{name}"
        comment = {"room_id": room, "host_id": f"host-{room}", "at": at, "comment_id": label, "text": "buy this"}
        comment |= {"author_id": "host", "author_role": "host", "labels": [label]}
        await producer.send_and_wait("comment", orjson.dumps(comment), key=room.encode())
        self.sent.append(label)

    async def _frame(self, producer: AIOKafkaProducer, room: str, at: int) -> None:
        frame = {"room_id": room, "host_id": f"host-{room}", "at": at, "stream": "live", "face": True, "black": False}
        await producer.send_and_wait("frame-status", orjson.dumps(frame), key=room.encode())

    def worker(self, skew_s: float = 0, **settings: Any) -> WorkerProcess:
        """Start a worker whose clock is off by these seconds."""
        self.set_clock(skew_s)
        program = str(Path(__file__).parents[1] / "support" / "skewed_worker.py")
        command = [sys.executable, program, str(self.skew)]
        return WorkerProcess(self.address, self.log, command=command, session_timeout_ms=3000, **settings)

    def set_clock(self, skew_s: float) -> None:
        """Set the clock of the machine."""
        self.skew.write_text(str(skew_s))

    async def judged(self, within_s: float = 20, or_late: bool = False) -> set[str]:
        """The labels with a verdict, once all that were sent have one, or after a time.

        `or_late`: and those of comments that were rejected as late.
        """
        until = time.monotonic() + within_s
        while True:
            consumed = await read(self.address)
            labels = {value["subject"] for _, value in consumed["verdict"]}
            if or_late:
                late = [value for _, value in consumed["dead-letter"] if value["reason"] == "late"]
                labels |= {
                    label for value in late for label in orjson.loads(b64decode(value["value"])).get("labels", ())
                }
            if labels >= set(self.sent) or time.monotonic() > until:
                return labels
            await asyncio.sleep(1)

    async def letters(self) -> list[dict[str, Any]]:
        return [value for _, value in (await read(self.address))["dead-letter"]]


async def exited(worker: WorkerProcess, within_s: float = 30) -> int:
    return await asyncio.to_thread(worker.process.wait, within_s)


async def not_ready(worker: WorkerProcess, words: str) -> None:
    """Wait until the worker says why it is not ready."""
    until = time.monotonic() + 40
    while words not in (page := await asyncio.to_thread(worker.get, "/health/ready"))[1]:
        assert time.monotonic() < until and worker.process.poll() is None, (page, worker.log.read_text()[-2000:])
        await asyncio.sleep(0.2)
    assert page[0] != 200


@pytest.fixture
async def live(own_kafka: KafkaBroker, tmp_path: Path) -> Live:
    await make_topics(own_kafka.address, 2)
    return Live(own_kafka.address, tmp_path)


async def test_one_frame_from_the_future_is_refused_and_nothing_else_happens(live: Live) -> None:
    worker = await live.worker().ready()
    await live.talk(5, ahead=(3, 8))
    assert await live.judged() >= set(live.sent)
    (letter,) = await live.letters()
    assert (letter["topic"], letter["reason"]) == ("frame-status", "future")
    assert "local time seems to be sent as UTC" in letter["detail"]
    assert worker.stop() == 0


async def test_a_clock_that_is_set_an_hour_ahead_and_back_harms_nothing(live: Live) -> None:
    worker = await live.worker().ready()
    await live.talk(3)
    live.set_clock(HOUR)
    assert await exited(worker) == 1
    assert "the wall clock was set ahead by 3600.0 s" in live.log.read_text()
    worker = live.worker(HOUR)
    await not_ready(worker, "3600.0 s ahead of the broker's")
    await live.talk(3)
    live.set_clock(0)
    assert await exited(worker) == 1
    assert "the wall clock was set back by 3600.0 s" in live.log.read_text()
    worker = await live.worker().ready()
    assert await live.judged() >= set(live.sent)
    assert await live.letters() == []
    assert worker.stop() == 0


@pytest.mark.slow
async def test_a_clock_that_is_set_by_three_seconds_stops_the_worker_and_loses_nothing_in_silence(live: Live) -> None:
    """Less than would keep a worker from being ready: it is the step that stops it, either way.

    Such a worker lets the clock of a source without events go up to 0.8 s too far (3 s, less 2 s of lateness and 0.2 s
    of idleness): what comes then is late, and reported.
    """
    worker = await live.worker().ready()
    await live.talk(3)
    for skew, words in ((3, "the wall clock was set ahead by 3.0 s"), (0, "the wall clock was set back by 3.0 s")):
        live.set_clock(skew)
        assert await exited(worker) == 1
        assert words in live.log.read_text()
        await live.talk(2)
        worker = await live.worker(skew).ready()
        await live.talk(3)
        assert await live.judged(or_late=True) >= set(live.sent)
    assert {letter["reason"] for letter in await live.letters()} <= {"late"}
    live.sent.clear()
    await live.talk(2)
    assert await live.judged() >= set(live.sent)
    assert worker.stop() == 0


async def test_a_clock_that_is_days_slow_from_the_start_refuses_nothing(live: Live) -> None:
    await live.talk(1)
    worker = live.worker(-48 * HOUR)
    await not_ready(worker, "172800.0 s behind the broker's")
    await live.talk(2)
    assert await live.letters() == []
    live.set_clock(0)
    assert await exited(worker) == 1
    worker = await live.worker().ready()
    assert await live.judged() >= set(live.sent)
    assert await live.letters() == []
    assert worker.stop() == 0


async def test_a_stored_clock_that_is_ahead_is_refused_in_words_and_repaired(live: Live) -> None:
    worker = await live.worker(max_ahead_ms=86_400_000).ready()
    await live.talk(1, ahead=(3, 8))
    await asyncio.sleep(2)
    running = await asyncio.to_thread(repair, live.address)
    assert (running.returncode, "stop all workers first" in running.stderr) == (2, True)
    assert worker.stop() == 0
    live.sent.clear()
    worker = live.worker()
    assert await exited(worker) == 1
    assert "run `vigil repair clock`" in live.log.read_text()
    await live.talk(2)  # while nobody runs
    result = await asyncio.to_thread(repair, live.address)
    assert result.returncode == 0, result.stderr
    assert "rooms, partition" in result.stdout and "clock set back from" in result.stdout
    worker = await live.worker().ready()
    await live.talk(2)
    assert await live.judged() >= set(live.sent)
    assert worker.stop() == 0
    assert "no stored clock is ahead" in (await asyncio.to_thread(repair, live.address)).stderr


async def test_rooms_of_the_future_are_forgotten_listed_and_judged_again_in_the_present(live: Live) -> None:
    # Nothing is judged whose rules are not known yet, either, so that has to be as far ahead.
    worker = await live.worker(max_ahead_ms=86_400_000, rulebook_notice_ms=86_400_000).ready()
    await live.talk(3)
    assert await live.judged() >= set(live.sent)
    await live.talk_ahead("room-ahead", 8)
    await asyncio.sleep(3)
    assert worker.stop() == 0
    assert (await status(live, "room-ahead")) is not None
    result = await asyncio.to_thread(repair, live.address)
    assert result.returncode == 0, result.stderr
    forgotten = [line.partition(": ")[2] for line in result.stdout.splitlines() if line.endswith("forgotten")]
    assert forgotten == ["room room-ahead forgotten"]
    live.sent.clear()
    worker = await live.worker().ready()
    await asyncio.sleep(1)
    assert (await status(live, "room-ahead")) is None
    assert (await status(live, "room-0")) is not None
    await live.talk(2)
    await live.violation("room-ahead")
    assert await live.judged() >= set(live.sent)
    assert await live.letters() == []
    assert worker.stop() == 0


async def status(live: Live, room: str) -> Any:
    """The last status of a room."""
    return dict((await read(live.address, ["room-status"]))["room-status"])[room.encode()]


def repair(address: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vigil", "repair", "clock", "--broker", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
