"""A backlog of 500,000 room events worked off by one worker, checkpoints on; beside it plain Faust on the same."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.common import cpu_seconds, local_broker, machine, peak_mib
from tests.support.harness import WorkerProcess, make_topics, send
from vigil.app.simulate import Simulation

EVENTS: Final = int(os.environ.get("VIGIL_BENCH_EVENTS", "500000"))
PLAIN_EVENTS: Final = 15_000
"""Plain Faust gets a part of the same events: all of them would take it many minutes."""

PARTITIONS: Final = 4
SIMULATION: Final = Simulation(
    seed=7, rooms=500, suppliers=0, start_ms=1_662_048_000_000, duration_s=EVENTS / 500 * 0.85
)


def _read(worker: WorkerProcess) -> float:
    lines = worker.get("/metrics")[1].splitlines()
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith(
            ('vigil_events_total{topic="b', 'vigil_events_total{topic="c', 'vigil_events_total{topic="f')
        )
    )


async def vigil(broker: str, number: int, kafka: bool) -> float:
    """Events a CPU second of a worker, from when it is ready to when all is judged."""
    log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
    worker = WorkerProcess(
        broker, log, clock="recorded", session_timeout_ms=6000, idempotent_producer=kafka, log_format="text"
    )
    try:
        while worker.get("/health/ready")[0] != 200:
            await asyncio.sleep(0.02)
        before, cpu, began = _read(worker), cpu_seconds(worker.process.pid), time.monotonic()
        while _read(worker) < number:
            await asyncio.sleep(0.1)
        spent, wall = cpu_seconds(worker.process.pid) - cpu, time.monotonic() - began
        judged = number - before
        print(
            f"vigil worker: {judged:,.0f} events, {wall:.1f} s, {spent:.1f} CPU s, {judged / spent:,.0f} events a CPU"
        )
        print(f"              second, {judged / wall:,.0f} a second, {peak_mib(worker.process.pid):.0f} MiB at most")
        return judged / spent
    finally:
        worker.stop()


def plain_faust(broker: str) -> float:
    """Events a CPU second of an agent with a table write an event, as Faust's own guide shows it."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_faust", broker, str(PLAIN_EVENTS)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    line = next((line for line in told.stdout.splitlines() if line.startswith("RESULT")), None)
    if line is None:
        raise RuntimeError(f"plain Faust did not come to an end: {told.stdout[-500:]} {told.stderr[-1500:]}")
    _, events, spent = line.split()
    rate = int(events) / float(spent)
    print(f"plain Faust:  {int(events):,} events, {float(spent):.1f} CPU s, {rate:,.0f} a CPU second")
    return rate


async def run() -> None:
    print(machine())
    with local_broker() as (broker, kafka):
        await make_topics(broker, PARTITIONS)
        number = await send(broker, SIMULATION.messages())
        print(f"backlog: {number:,} room events of {SIMULATION.rooms} rooms in {PARTITIONS} partitions")
        ours = await vigil(broker, number, kafka)
        theirs = await asyncio.to_thread(plain_faust, broker)
        print(f"ratio: {ours / theirs:.0f} times plain Faust; the aim is 60,000 events a CPU second")


def main() -> None:
    """Run it."""
    asyncio.run(run())
