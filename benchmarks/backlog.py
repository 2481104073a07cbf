"""One worker processes a backlog of 500,000 room events with checkpoints, compared with plain Faust."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.common import cpu_seconds, local_broker, peak_mib
from benchmarks.page import record
from benchmarks.quiet import Quiet
from tests.support.harness import WorkerProcess, finished, make_topics, send
from vigil.app.simulate import Simulation

EVENTS: Final = int(os.environ.get("VIGIL_BENCH_EVENTS", "500000"))
PLAIN_EVENTS: Final = 15_000
"""Plain Faust processes a part of the same events: all of them would take many minutes."""

PARTITIONS: Final = 4
POLL_S: Final = 1.0
SIMULATION: Final = Simulation(
    seed=7, rooms=500, suppliers=0, start_ms=1_662_048_000_000, duration_s=EVENTS / 500 * 0.85
)


async def vigil(broker: str, number: int, kafka: bool) -> float:
    """Return the CPU seconds of a worker for a million events, from when it is ready until all is committed."""
    log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
    worker = WorkerProcess(
        broker, log, clock="recorded", session_timeout_ms=6000, idempotent_producer=kafka, log_format="text"
    )
    try:
        while worker.get("/health/ready")[0] != 200:
            await asyncio.sleep(0.02)
        cpu, began = cpu_seconds(worker.process.pid), time.monotonic()
        # Not /metrics: to render it costs the worker more than a thousand events.
        await finished(broker, still_s=POLL_S, poll_s=POLL_S)
        spent, wall = cpu_seconds(worker.process.pid) - cpu, time.monotonic() - began
        cost = spent / number * 1e6
        print(f"vigil worker: {number:,} events, {wall:.1f} s, {spent:.1f} CPU s, {cost:.1f} CPU s per million events,")
        print(f"              {number / spent:,.0f} per CPU second, peak {peak_mib(worker.process.pid):.0f} MiB")
        return cost
    finally:
        worker.stop()


def plain_faust(broker: str) -> float:
    """Return the CPU seconds for a million events of an agent with one table write per event, as in Faust's guide."""
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
    cost = float(spent) / int(events) * 1e6
    print(f"plain Faust:  {int(events):,} events, {float(spent):.1f} CPU s, {cost:,.0f} CPU s per million events")
    return cost


async def run() -> None:
    quiet = Quiet()
    with local_broker() as (broker, kafka):
        await make_topics(broker, PARTITIONS)
        number = await send(broker, SIMULATION.messages())
        print(f"backlog: {number:,} room events of {SIMULATION.rooms} rooms in {PARTITIONS} partitions")
        ours = await vigil(broker, number, kafka)
        theirs = await asyncio.to_thread(plain_faust, broker)
    lines = [
        "| events | rooms | Vigil: CPU s per million events | plain Faust with the same rules | ratio |",
        "| --- " * 5 + "|",
        f"| {number:,} | {SIMULATION.rooms} | {ours:.1f} | {theirs:,.0f} | {theirs / ours:.0f} |",
    ]
    record("backlog", lines, {"backlog": ours}, quiet)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
