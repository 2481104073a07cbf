"""A topic hours ahead of the others, twenty times as many rooms, and a slow broker: memory stays bounded, nothing is
lost, and metrics show it."""

import asyncio
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send, send_paced
from tests.support.kafka import KafkaBroker
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOURS = 6
PARTITIONS = 2
MOST_BUFFERED = 5_000
MAX_POLL = 500

IN_FLIGHT = 18 * MAX_POLL
"""Batches that still arrive after a topic is paused: 16 in the queue of the stream, and one at either end."""


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def gauges(metrics: str, name: str) -> list[float]:
    """Return the values of a metric by labels."""
    return [float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(f"{name}{{")]


async def watched(worker: WorkerProcess, done: asyncio.Event) -> dict[str, float]:
    """Return the highest values until the task is done."""
    peaks: dict[str, float] = {}
    while not done.is_set():
        values = await asyncio.to_thread(now, worker)
        peaks = {name: max(value, peaks.get(name, 0.0)) for name, value in values.items()}
        await asyncio.sleep(0.2)
    return peaks


def now(worker: WorkerProcess) -> dict[str, float]:
    """Return the metrics of waiting events, and the memory of the process."""
    page = worker.get("/metrics")[1]
    return {
        "buffered": max(gauges(page, "vigil_buffered_events"), default=0.0),
        "held": max(gauges(page, "vigil_held_back_partitions"), default=0.0),
        "lag": sum(gauges(page, "vigil_event_lag")),
        "behind": max(gauges(page, "vigil_clock_delay_seconds"), default=0.0),
        "rss": rss_mb(worker.process.pid),
    }


async def test_six_hours_of_frames_before_other_events_are_held_back(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    simulation = Simulation(
        seed=5, rooms=6, suppliers=4, start_ms=1_662_048_000_000, duration_s=HOURS * 3600, fault_every_s=600.0
    )
    messages = list(simulation.messages())
    frames = [message for message in messages if message.topic == "frame-status"]
    assert len(frames) > 100_000
    expected = replayed(messages)
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    await send(address, frames)
    await send(address, (message for message in messages if message.topic != "frame-status"))
    worker = await WorkerProcess(
        address,
        tmp_path / "worker.log",
        clock="recorded",
        recorded_until=expected.until,
        max_buffered_events=MOST_BUFFERED,
        max_poll_records=MAX_POLL,
        log_format="text",
    ).ready()
    began, before, done = time.monotonic(), rss_mb(worker.process.pid), asyncio.Event()
    try:
        watching = asyncio.create_task(watched(worker, done))
        await finished(address, within_s=120, still_s=1.0)
        done.set()
        peaks = await watching
        print(f"{len(messages)} messages in {time.monotonic() - began:.0f} s; {before:.0f} MB at first; peaks {peaks}")
        assert differences(expected, await read(address)) == []
    finally:
        done.set()
        assert worker.stop() == 0
    assert peaks["held"] >= 1
    assert 0 < peaks["buffered"] <= MOST_BUFFERED + IN_FLIGHT
    assert peaks["rss"] < before + 250


USUAL = 60
BURST = 20 * USUAL
BURST_S = (10, 25)
LATENESS_MS = 10_000
"""Allowed lateness: what a busy machine sends with a delay must not be late."""


def with_a_burst(start: int) -> list[SimulatedMessage]:
    """Return the events of some rooms for 40 s, and of twenty times as many for some seconds."""
    simulation = Simulation(seed=7, rooms=BURST, suppliers=0, start_ms=start, duration_s=40, fault_every_s=15.0)
    usual = {f"room-{slot:05d}" for slot in range(USUAL)}
    begin, end = (start + second * 1000 for second in BURST_S)
    return [
        message
        for message in simulation.messages()
        if begin <= message.sent_at < end or (message.key or b"").decode()[: len("room-00000")] in usual
    ]


async def short_of_cpu(worker: WorkerProcess, seconds: float) -> None:
    """Limit the worker to a fiftieth of a core.

    It rests for nearly a second at a time: on the fastest machine, too, more than a thousand events arrive meanwhile.
    """
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(0.98)
            worker.signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
    finally:
        worker.signal(signal.SIGCONT)


async def test_twenty_times_as_many_rooms_as_a_worker_can_judge(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    worker = await WorkerProcess(
        address, tmp_path / "worker.log", allowed_lateness_ms=LATENESS_MS, max_poll_records=MAX_POLL, log_format="text"
    ).ready()
    before, done = rss_mb(worker.process.pid), asyncio.Event()
    try:
        start = time.time_ns() // 1_000_000 + 3000  # time to generate them
        messages = with_a_burst(start)
        expected = replayed(messages, LATENESS_MS)
        rates = Counter((message.sent_at - start) // 1000 for message in messages)
        assert rates[BURST_S[1] - 2] > 15 * rates[BURST_S[0] - 2]
        watching = asyncio.create_task(watched(worker, done))
        sending = asyncio.create_task(send_paced(address, messages, None))
        await asyncio.sleep(start / 1000 + BURST_S[0] - time.time())
        before_it = now(worker)
        await short_of_cpu(worker, BURST_S[1] - BURST_S[0])
        await sending
        # The watermark must have passed all of them.
        await asyncio.sleep((messages[-1].sent_at + LATENESS_MS) / 1000 + 2 - time.time())
        await finished(address, within_s=120, still_s=1.0)
        done.set()
        peaks, after = await watching, now(worker)
        print(f"{len(messages)} messages; {before_it} … {peaks} … {after}; {before:.0f} MB at first")
        assert differences(expected, await read(address), live=True) == []
    finally:
        done.set()
        assert worker.stop() == 0
    assert peaks["lag"] > 10 * before_it["lag"] + 500, "the metrics do not tell"
    assert after["lag"] == 0
    # A silent shard waits for as long as its last events were late, also those that the worker itself made wait.
    assert after["behind"] < peaks["behind"], "it does not catch up"
    assert peaks["rss"] < before + 250


async def barely_answering(broker: KafkaBroker) -> None:
    """Stop the broker for nine tenths of the time."""
    try:
        while True:
            broker.pause()
            await asyncio.sleep(0.9)
            broker.resume()
            await asyncio.sleep(0.1)
    finally:
        broker.resume()


async def test_a_slow_broker_causes_delays_only(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    simulation = Simulation(seed=6, rooms=30, suppliers=8, start_ms=1_662_048_000_000, duration_s=300)
    messages = list(simulation.messages())
    expected = replayed(messages)
    address, half = own_kafka.address, len(messages) // 2
    await make_topics(address, PARTITIONS)
    await send(address, messages[:half])
    worker = await WorkerProcess(
        address,
        tmp_path / "worker.log",
        clock="recorded",
        recorded_until=expected.until,
        idle_after_ms=10_000,  # a pause in the middle is not the end of the recording
        max_poll_records=50,
        log_format="text",
    ).ready()
    before, done = rss_mb(worker.process.pid), asyncio.Event()
    slow = asyncio.create_task(barely_answering(own_kafka))
    try:
        watching = asyncio.create_task(watched(worker, done))
        await send_paced(address, messages[half:], 15)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        await finished(address, within_s=120, still_s=1.0)
        done.set()
        peaks = await watching
        assert differences(expected, await read(address)) == []
        _, page = worker.get("/metrics")
        (slowest,) = [count for name, count in checkpoints(page) if name == "0.5"]
        (all_of_them,) = [count for name, count in checkpoints(page) if name == "+Inf"]
        print(f"{all_of_them - slowest:.0f} of {all_of_them:.0f} checkpoints took over 0.5 s; peaks {peaks}")
    finally:
        done.set()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert worker.stop() == 0
    assert all_of_them > slowest, "the metrics do not tell"
    assert peaks["rss"] < before + 250


def checkpoints(metrics: str) -> list[tuple[str, float]]:
    """Return the number of checkpoints by the upper bound of their duration."""
    lines = re.findall(r'^vigil_checkpoint_seconds_bucket\{le="([^"]+)"\} (\S+)$', metrics, re.MULTILINE)
    return [(most, float(count)) for most, count in lines]
