"""Kafka's disk becomes full: the broker stops, and after it has space again nothing is lost."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send_paced
from tests.support.kafka import KafkaBroker
from vigil.app.simulate import Simulation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PARTITIONS = 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65_536)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    return ballast


async def test_nothing_is_lost_when_the_brokers_disk_was_full(
    kafka_here: None, small_disk: Path, tmp_path: Path
) -> None:
    simulation = Simulation(seed=8, rooms=20, suppliers=6, start_ms=1_662_048_000_000, duration_s=300)
    messages = list(simulation.messages())
    expected = replayed(messages)
    half = len(messages) // 2
    settings = {
        "clock": "recorded",
        "recorded_until": expected.until,
        "idle_after_ms": 60_000,  # a pause in the middle is not the end of the recording
        "session_timeout_ms": 3000,
        "max_poll_records": 20,
        "log_format": "text",
    }
    with KafkaBroker(small_disk / "kafka") as broker:
        await make_topics(broker.address, PARTITIONS)
        await send_paced(broker.address, messages[:half])
        worker = await WorkerProcess(broker.address, tmp_path / "worker.log", **settings).ready()
        ballast = fill(small_disk)
        sending = asyncio.create_task(send_paced(broker.address, messages[half:], 5))
        try:
            until = time.monotonic() + 60
            while Path(f"/proc/{broker.pid}").exists() and "Z" not in state(broker.pid):
                assert time.monotonic() < until, "the broker continues"
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            ballast.unlink()
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start, 120)
            if worker.process.poll() is not None:
                assert worker.process.returncode == 1
            for _ in range(20):  # as a supervisor would
                with contextlib.suppress(AssertionError):
                    if worker.process.poll() is not None:
                        worker = WorkerProcess(broker.address, tmp_path / "again.log", **settings)
                    await worker.ready()
                    break
            await sending
            worker.stop()
            worker = await WorkerProcess(
                broker.address, tmp_path / "last.log", **{**settings, "idle_after_ms": 2000}
            ).ready()
            await finished(broker.address, within_s=120, still_s=1.0)
            assert differences(expected, await read(broker.address)) == []
        finally:
            sending.cancel()
            worker.stop()


def state(pid: int) -> str:
    """Return the state of a process; Z for one that has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"
