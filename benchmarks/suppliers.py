"""How long suppliers whose lines change at one moment keep a worker from anything else.

    many suppliers, a shard: the roll-out of stars, a month's end ─────┐
    one supplier with many products and orders: loaded, an order, a fact ─┴▶ longest stretch of events and timers, of a
                                                                          checkpoint, and of the garbage collector

A stretch is what nothing interrupts: a verdict of another shard waits for it. Measured in CPU time of the process.

    VIGIL_BENCH_SUPPLIERS=1000 VIGIL_BENCH_PRODUCTS=10000 python -m benchmarks suppliers
"""

import os
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import orjson

from benchmarks.common import machine
from tests.support import line_stories as lines
from tests.support.supplier_stories import DAY, RULEBOOK, Line, Message, at
from vigil.agents.shard_runner import TIMERS_PER_SLICE
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shards import make_shard
from vigil.app.runtime.interpreter import PacedCollector, stop_automatic_passes

SUPPLIERS: Final = int(os.environ.get("VIGIL_BENCH_SUPPLIERS", "1000"))
PRODUCTS: Final = int(os.environ.get("VIGIL_BENCH_PRODUCTS", "10000"))
PRODUCTS_EACH: Final = 10
"""Products of each of many suppliers."""

LOADED: Final = 500
"""Of the suppliers, so many stay loaded: the others are loaded when they fall due, as in a large shard."""

BEGIN: Final = at("2022-08-30")
ROLL_OUT: Final = at("2022-09-01")
"""All industries have stars from then on: every product changes."""

MONTH_END: Final = at("2022-11-01")


class Stretches(NamedTuple):
    """What one moment cost. CPU time in ms."""

    what: str
    checkpoints: int
    total: float
    arrivals: float
    """The longest stretch in which an event is applied, or timers are fired, or what they need is loaded."""
    checkpoint: float
    """The longest stretch in which a snapshot is taken."""
    garbage: float
    """The longest pass of the garbage collector, which a worker makes between the others."""
    outputs: int

    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.what} | {self.outputs:,} | {self.checkpoints:,} | {self.total / 1000:.1f} | "
            f"{self.arrivals:.0f} | {self.checkpoint:.0f} | {self.garbage:.0f} |"
        )


class Stage:
    """One shard of suppliers."""

    def __init__(self, store: ChangelogStore | None = None) -> None:
        """`store`: what to restore the shard from."""
        self._machine = SupplierMachine(RULEBOOK)
        self.shard = make_shard(self._machine, 2000, collector=OutputCollector(), store=store or ChangelogStore())
        self.shard.advance_watermark(BEGIN)
        self._offsets: dict[int, int] = {}
        self._collector = PacedCollector()

    def play(self, story: Iterable[Line]) -> None:
        """Let lines arrive."""
        for line in story:
            source_index = self._machine.topics.index(line.topic)
            offset = self._offsets.get(source_index, 0)
            self._offsets[source_index] = offset + 1
            message = Message(offset, line.key.encode(), orjson.dumps(line.value))
            self.shard.ingest(source_index, [message])

    def measure(self, what: str, until: int) -> Stretches:
        """Advance the watermark as a worker does, with checkpoints between, until nothing waits."""
        shard, timers, snapshots, passes, outputs, more = self.shard, [0.0], [0.0], [0.0], 0, True
        self.full_pass()
        while more or shard.has_unsaved_state:
            if more:
                began = time.process_time()
                more = shard.advance_watermark(until, TIMERS_PER_SLICE)
                timers.append(time.process_time() - began)
            began = time.process_time()
            snapshot = shard.snapshot()
            snapshots.append(time.process_time() - began)
            shard.confirm(snapshot)
            shard.evict(LOADED)
            outputs += len(snapshot.outputs)
            passes.append(self.look())
        total = sum(timers) + sum(snapshots) + sum(passes)
        ms = [1000 * seconds for seconds in (total, max(timers), max(snapshots), max(passes))]
        return Stretches(what, len(snapshots) - 1, *ms, outputs)

    def look(self) -> float:
        """Make the pass of the garbage collector that is due; return its CPU time in seconds."""
        began = time.process_time()
        self._collector.look()
        return time.process_time() - began

    def full_pass(self) -> None:
        """Make a full pass, as after an assignment."""
        self._collector.full()

    def load(self, what: str) -> Stretches:
        """Load the only key, as a worker does before it ingests an event of it."""
        (key,), states, arrivals, ready = self.shard.states, self.shard.states, [0.0], False
        self.shard.evict(0)
        while not ready:
            began = time.process_time()
            ready = states.prepare(key)
            arrivals.append(time.process_time() - began)
        return Stretches(what, 0, 1000 * sum(arrivals), 1000 * max(arrivals), 0, 0, 0)


def many(suppliers: int) -> Iterator[Line]:
    """Suppliers with PRODUCTS_EACH products."""
    for number in range(suppliers):
        supplier = f"s{number}"
        yield lines.member(BEGIN, supplier, opened_at=BEGIN - 200 * DAY)
        for product in range(PRODUCTS_EACH):
            yield lines.product(BEGIN, f"p{product}", supplier, industry="toys")


def _one(products: int) -> Iterator[Line]:
    yield lines.member(BEGIN)
    for number in range(products):
        yield lines.product(BEGIN, f"p{number}", industry="machinery", service="remote")
    for number in range(2 * products):
        paid = BEGIN - 80 * DAY + number * 80 * DAY // (2 * products)
        yield lines.paid(paid, f"o{number}", (f"p{number % products}", "100"), buyer=f"b{number % 997}")


def measure(suppliers: int, products: int) -> list[Stretches]:
    """Measure many suppliers, and one with many products and twice as many orders."""
    all_, one = Stage(), Stage()
    all_.play(many(suppliers))
    all_.measure("first lines", BEGIN + 1)
    name = f"{suppliers:,} suppliers with {PRODUCTS_EACH} products"
    found = [
        all_.measure(f"{name}: the roll-out of stars", ROLL_OUT + 1),
        all_.measure(f"{name}: two months' ends", MONTH_END + 1),
    ]
    one.play(_one(products))
    one.measure("first lines", BEGIN + 1)
    name = f"one supplier with {products:,} products, {2 * products:,} orders"
    found.append(one.load(f"{name}: it is loaded"))
    for what, line in (
        ("one order", lines.paid(BEGIN + 1, "new", ("p0", "100"))),
        ("a certificate that changes all", lines.certificate(BEGIN + 2, "warranty-agreement")),
    ):
        one.play([line])
        found.append(one.measure(f"{name}: {what}", BEGIN + 10))
    return found


def main() -> None:
    """Run the benchmark and print its table."""
    stop_automatic_passes()  # as a worker does
    print(f"on {machine()}")
    stretches = "longest stretch of events and timers, ms | of a checkpoint, ms | of the garbage collector, ms"
    print(f"| moment | lines | checkpoints | CPU s | {stretches} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for found in measure(SUPPLIERS, PRODUCTS):
        print(found.row())
