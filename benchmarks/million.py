"""Recovery of a million rooms without a standby: from the start of a worker until it is ready."""

import asyncio
import os
from typing import Final

from benchmarks.common import local_broker
from benchmarks.page import record
from benchmarks.quiet import Quiet
from benchmarks.recovery import STATES, fill, start
from tests.support.harness import make_topics

ROOMS: Final = int(os.environ.get("VIGIL_BENCH_MILLION", "1000000"))
PARTITIONS: Final = 4


async def run() -> None:
    quiet = Quiet()
    with local_broker(verbose=False) as (broker, kafka):
        await make_topics(broker, PARTITIONS, "million")
        written, size = await fill(broker, "million", STATES["rooms"], ROOMS)
        started = await start(broker, "million", kafka)
    lines = [
        "| rooms | records | stored bytes per room | s until ready | CPU s | MiB |",
        "| --- " * 6 + "|",
        f"| {ROOMS:,} | {written:,} | {size:,.0f} | {started.seconds:.1f} | {started.cpu:.1f} | {started.mib:,.0f} |",
    ]
    record("million", lines, {"recovery": started.seconds} if ROOMS == 1_000_000 else {}, quiet)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
