"""How many rooms a core carries live: a worker beside rooms that play in real time, and what it takes of a core.

vigil simulate, in real time ─▶ Kafka ─▶ one worker ─▶ CPU a room, the delay that it adds, memory
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
"""Until every room is on the air and the clocks are settled."""

SECONDS: Final = 60


class Seen(dict[tuple[str, float], float]):
    """Counts of a histogram by topic and upper bound."""


def seen(worker: WorkerProcess) -> tuple[Seen, float, float]:
    """Delays that the worker added so far, messages that it read, and records that it stored."""
    delays, read, stored = Seen(), 0.0, 0.0
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
    """The bound below which this share of the delays lies, over all topics."""
    bounds = sorted({bound for _, bound in after})
    counts = [sum(after[at] - before.get(at, 0.0) for at in after if at[1] == bound) for bound in bounds]
    return next((bound for bound, count in zip(bounds, counts, strict=True) if count >= share * counts[-1]), 0.0)


async def measure(rooms: int) -> None:
    """One worker and so many rooms, for a while."""
    with local_broker(say=False) as (broker, kafka):
        await make_topics(broker, PARTITIONS)
        log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
        worker = WorkerProcess(broker, log, session_timeout_ms=10_000, idempotent_producer=kafka)
        lasts = f"{WARM_UP_S + SECONDS + 10}s"
        simulate = [sys.executable, "-m", "vigil", "simulate", "--broker", broker, "--rooms", str(rooms)]
        try:
            await worker.ready()
            told = subprocess.Popen(
                [*simulate, "--suppliers", "0", "--duration", lasts],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                await asyncio.sleep(WARM_UP_S)
                pid = worker.process.pid
                (delays, read, stored), cpu, began = seen(worker), cpu_seconds(pid), time.monotonic()
                await asyncio.sleep(SECONDS)
                now, read_now, stored_now = seen(worker)
                spent, lasted = cpu_seconds(pid) - cpu, time.monotonic() - began
            finally:
                told.kill()
                told.wait()
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
    print(
        "| rooms | events a second | records stored a second | of a core | rooms a core | p50 < ms | p99 < ms | MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for rooms in ROOMS:
        await measure(rooms)


def main() -> None:
    """Run it."""
    asyncio.run(run())
