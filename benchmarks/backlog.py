"""One worker processes a backlog of 500,000 room events with checkpoints, compared with plain Faust."""

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
"""Plain Faust processes a part of the same events: all of them would take many minutes."""

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
    """Return the events per CPU second of a worker, from when it is ready until all events are judged."""
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
            f"vigil worker: {judged:,.0f} events, {wall:.1f} s, {spent:.1f} CPU s, {judged / spent:,.0f} events per CPU"
        )
        print(
            f"              second, {judged / wall:,.0f} per second, peak memory {peak_mib(worker.process.pid):.0f} MiB"
        )
        return judged / spent
    finally:
        worker.stop()


def plain_faust(broker: str) -> float:
    """Return the events per CPU second of an agent with one table write per event, as in Faust's guide."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_faust", broker, str(PLAIN_EVENTS)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    line = next((line for line in result.stdout.splitlines() if line.startswith("RESULT")), None)
    if line is None:
        raise RuntimeError(f"plain Faust did not finish: {result.stdout[-500:]} {result.stderr[-1500:]}")
    _, events, spent = line.split()
    rate = int(events) / float(spent)
    print(f"plain Faust:  {int(events):,} events, {float(spent):.1f} CPU s, {rate:,.0f} per CPU second")
    return rate


async def run() -> None:
    print(machine())
    with local_broker() as (broker, kafka):
        await make_topics(broker, PARTITIONS)
        number = await send(broker, SIMULATION.messages())
        print(f"backlog: {number:,} room events of {SIMULATION.rooms} rooms in {PARTITIONS} partitions")
        ours = await vigil(broker, number, kafka)
        theirs = await asyncio.to_thread(plain_faust, broker)
        print(f"ratio: {ours / theirs:.0f} times plain Faust; the target is 60,000 events per CPU second")


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
