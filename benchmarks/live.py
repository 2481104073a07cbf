"""Live rooms per core: the CPU use of a worker for rooms that are simulated in real time.

vigil simulate, in real time ─▶ Kafka ─▶ one worker ─▶ CPU per room, added delay, memory
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.common import cpu_seconds, local_broker, machine, peak_mib
from tests.support.harness import WorkerProcess, make_topics

ROOMS: Final = tuple(int(text) for text in os.environ.get("VIGIL_BENCH_ROOMS", "500,1000,2000,4000").split(","))
PARTITIONS: Final = 4
WARM_UP_S: Final = 20
"""Time until every room is on air and the watermarks advance evenly."""

SECONDS: Final = 60


class DelayCounts(dict[tuple[str, float], float]):
    """Counts of a histogram by topic and upper bound."""


def counters(worker: WorkerProcess) -> tuple[DelayCounts, float, float]:
    """Return the delays that the worker added so far, the messages read and the records stored."""
    delays, read, stored = DelayCounts(), 0.0, 0.0
    for family in text_string_to_metric_families(worker.get("/metrics")[1]):
        for sample in family.samples:
            if sample.name == "vigil_judgement_delay_seconds_bucket":
                delays[sample.labels["topic"], float(sample.labels["le"])] = sample.value
            elif sample.name == "vigil_events_total":
                read += sample.value
            elif sample.name == "vigil_checkpoint_records_total":
                stored += sample.value
    return delays, read, stored


def within(before: Mapping[tuple[str, float], float], after: Mapping[tuple[str, float], float], share: float) -> float:
    """Return the bucket below which this share of the delays of all topics lies."""
    bounds = sorted({bound for _, bound in after})
    counts = [sum(after[at] - before.get(at, 0.0) for at in after if at[1] == bound) for bound in bounds]
    return next((bound for bound, count in zip(bounds, counts, strict=True) if count >= share * counts[-1]), 0.0)


async def measure(rooms: int) -> None:
    """Measure one worker with this number of rooms."""
    with local_broker(verbose=False) as (broker, kafka):
        await make_topics(broker, PARTITIONS)
        log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
        worker = WorkerProcess(broker, log, session_timeout_ms=10_000, idempotent_producer=kafka)
        lasts = f"{WARM_UP_S + SECONDS + 10}s"
        simulate = [sys.executable, "-m", "vigil", "simulate", "--broker", broker, "--rooms", str(rooms)]
        try:
            await worker.ready()
            simulator = subprocess.Popen(
                [*simulate, "--suppliers", "0", "--duration", lasts],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                await asyncio.sleep(WARM_UP_S)
                pid = worker.process.pid
                (delays, read, stored), cpu, began = counters(worker), cpu_seconds(pid), time.monotonic()
                await asyncio.sleep(SECONDS)
                now, read_now, stored_now = counters(worker)
                spent, lasted = cpu_seconds(pid) - cpu, time.monotonic() - began
            finally:
                simulator.kill()
                simulator.wait()
            share = spent / lasted
            cells = [
                f"{rooms:,}",
                f"{(read_now - read) / lasted:,.0f}",
                f"{(stored_now - stored) / lasted:,.0f}",
                f"{share:.0%}",
                f"{rooms / share:,.0f}",
                f"{within(delays, now, 0.5) * 1000:.0f}",
                f"{within(delays, now, 0.99) * 1000:.0f}",
                f"{peak_mib(pid):.0f}",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)
        finally:
            worker.stop()


async def run() -> None:
    print(machine())
    print(f"{PARTITIONS} partitions, one worker, rooms in real time; broker and simulator on the same machine")
    print("| rooms | events per second | records per second | of a core | rooms per core | p50 < ms | p99 < ms | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for rooms in ROOMS:
        await measure(rooms)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
