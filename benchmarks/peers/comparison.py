"""Runs the engines in turns over two sizes of one trace, and compares CPU time and verdicts.

    trace ─▶ Kafka (two sizes; for slow engines some of the rooms) ─▶ each engine, in turns ─▶ table, bars

An engine costs: start-up + events × cost per event. Two sizes separate the two. A run whose verdicts are not exactly
those of the trace is no result.

    VIGIL_BENCH_ENGINES=vigil,kstreams VIGIL_BENCH_RUNS=1 VIGIL_BENCH_SECONDS=600,900 python -m benchmarks peers
"""

import asyncio
import os
from statistics import median
from typing import Final, NamedTuple

from benchmarks import svg
from benchmarks.common import local_broker
from benchmarks.page import PICTURES, record
from benchmarks.peers.engines import ENGINES, Engine
from benchmarks.peers.install import PeerMissing
from benchmarks.peers.run import EngineRun, fill, run_engine
from benchmarks.peers.trace import expected, trace
from benchmarks.quiet import Quiet

ASKED: Final = os.environ.get("VIGIL_BENCH_ENGINES", ",".join(ENGINES)).split(",")
RUNS: Final = int(os.environ.get("VIGIL_BENCH_RUNS", "3"))
SECONDS: Final = tuple(int(text) for text in os.environ.get("VIGIL_BENCH_SECONDS", "600,1800").split(","))
"""Of the trace: the two sizes."""

ROOMS: Final = int(os.environ.get("VIGIL_BENCH_PEER_ROOMS", "500"))
SLOW_RUNS: Final = 1
"""Engines that take a minute for a run have one."""

SLOW_SHARE: Final = 10
"""Slow engines get every tenth of the rooms."""


class TraceInput(NamedTuple):
    """One size of the trace, in Kafka."""

    prefix: str
    events: int
    verdicts: list[tuple[str, str, int]]


async def prepare(broker: str, rooms: int) -> list[TraceInput]:
    """Write both sizes for so many rooms."""
    inputs = []
    for seconds in SECONDS:
        messages, prefix = trace(rooms, seconds), f"r{rooms}s{seconds}."
        await fill(broker, prefix, messages)
        inputs.append(TraceInput(prefix, len(messages), expected(messages)))
        print(
            f"{rooms} rooms, {seconds} s: {len(messages):,} events, {len(inputs[-1].verdicts):,} verdicts", flush=True
        )
    return inputs


class EngineResult(NamedTuple):
    """What the runs of one engine say."""

    pairs: list[tuple[EngineRun, EngineRun]]
    inputs: list[TraceInput]

    def marginal(self) -> tuple[float, float, float]:
        """Least, median and largest CPU seconds for a million further events."""
        more = (self.inputs[1].events - self.inputs[0].events) / 1e6
        costs = [(large.cpu - small.cpu) / more for small, large in self.pairs]
        return min(costs), median(costs), max(costs)

    def row(self, engine: Engine) -> str:
        """A row of the table."""
        low, middle, high = self.marginal()
        start = median(small.cpu for small, _ in self.pairs) - middle * self.inputs[0].events / 1e6
        wall = [large.wall - small.wall for small, large in self.pairs]
        rate = (self.inputs[1].events - self.inputs[0].events) / max(0.1, median(wall))
        peak = max(large.mib for _, large in self.pairs)
        spread = f" ({low:,.1f}–{high:,.1f})" if len(self.pairs) > 1 else ""
        return (
            f"| {engine.title} | {middle:,.1f}{spread} | {max(0.0, start):,.1f} | {rate:,.0f} | {peak:,.0f} | "
            f"{self.pairs[-1][1].right:,} of {len(self.inputs[1].verdicts):,} | {engine.guarantee} | {engine.stored} | "
            f"{engine.work} |"
        )


async def compare(broker: str) -> dict[str, EngineResult]:
    """Run all engines in turns; those that are missing or wrong are left out, with the reason."""
    names = [name for name in ASKED if name in ENGINES]
    sizes = {slow: await prepare(broker, ROOMS // SLOW_SHARE if slow else ROOMS)
             for slow in sorted({ENGINES[name].slow for name in names})}  # fmt: skip
    pairs: dict[str, list[tuple[EngineRun, EngineRun]]] = {name: [] for name in names}
    for number in range(RUNS):
        for name in names if number % 2 == 0 else names[::-1]:
            engine = ENGINES[name]
            if name not in pairs or (engine.slow and number >= SLOW_RUNS):
                continue
            try:
                pairs[name].append(await both(engine, broker, sizes[engine.slow]))
            except (PeerMissing, RuntimeError) as error:
                print(f"left out: {engine.title}: {error}", flush=True)
                del pairs[name]
    return {name: EngineResult(runs, sizes[ENGINES[name].slow]) for name, runs in pairs.items()}


async def both(engine: Engine, broker: str, inputs: list[TraceInput]) -> tuple[EngineRun, EngineRun]:
    """Run an engine over both sizes; raise RuntimeError if its verdicts are wrong."""
    runs = []
    for each in inputs:
        run = await run_engine(engine, broker, each.prefix, each.verdicts)
        print(
            f"{engine.title}: {each.events:,} events, {run.cpu:.1f} CPU s, {run.wall:.1f} s, {run.mib:.0f} MiB, "
            f"{run.right:,} verdicts right, {run.missing} missing, {run.spurious} spurious, {run.doubled} doubled",
            flush=True,
        )
        if not run.correct:
            raise RuntimeError(f"its verdicts are wrong: {run.missing} are missing, {run.spurious} are spurious")
        runs.append(run)
    return runs[0], runs[1]


def table(results: dict[str, EngineResult]) -> list[str]:
    """Return the result as a table, cheapest first."""
    rows = [
        "| engine | CPU s per million further events | start-up, CPU s | events per second | peak MiB | verdicts right "
        "| guarantee | state | work beside the job |",
        "| --- " * 9 + "|",
    ]
    ordered = sorted(results, key=lambda name: results[name].marginal()[1])
    rows += [results[name].row(ENGINES[name]) for name in ordered]
    sizes = " and ".join(f"{each.events:,}" for each in next(iter(results.values())).inputs)
    note = f"Two sizes, {sizes} events of {ROOMS} rooms, {RUNS} pairs of runs in turns (median, and least–largest)."
    if slow := [ENGINES[name].title for name in results if ENGINES[name].slow]:
        note += f" {', '.join(slow)}: {ROOMS // SLOW_SHARE} of the rooms, {SLOW_RUNS} pair."
    return [*rows, "", note]


async def run() -> None:
    quiet = Quiet()
    with local_broker() as (broker, kafka):
        if not kafka:
            print("the comparison needs Apache Kafka: transactions, and one broker for all")
            return
        results = await compare(broker)
    if not results:
        return
    figures = {"job": results["vigil"].marginal()[1]} if "vigil" in results else {}
    lines = table(results)
    if quiet.problem() is None and len(results) > 1:
        order = ["vigil", *(name for name in results if name != "vigil")]
        values = {ENGINES[name].title: results[name].marginal() for name in order if name in results}
        (PICTURES / "peers.svg").write_text(svg.bars("CPU seconds per million further events", "s", values))
        lines += ["", "![CPU seconds per million further events of each engine](pictures/peers.svg)"]
    record("peers", lines, figures, quiet)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
