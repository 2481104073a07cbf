"""Time from a deadline plus the allowed lateness until a consumer can read the output, and the steps on the way.

    rooms that miss entries ─▶ Kafka ─▶ worker(s) ─▶ verdict, notice ─▶ a consumer's clock
                                          └─ vigil_step_seconds: fetch, watermark, judge, wait, checkpoint, send

Three loads: `base` (40 rooms), `5000` (5,000 events a second), `restart` (two workers with standbys, each restarted).

    VIGIL_BENCH_LOADS=base VIGIL_BENCH_LATENCY_S=20 python -m benchmarks latency
"""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.common import cpu_seconds, local_broker, quantile
from benchmarks.page import record
from benchmarks.quiet import Quiet
from tests.support.harness import WorkerProcess, make_topics
from vigil.agents.steps import STEPS

LATENESS_MS: Final = 2000
SECONDS: Final = float(os.environ.get("VIGIL_BENCH_LATENCY_S", "45"))
WARM_UP_S: Final = 18.0
"""The first deadlines come 12 s after the first entries."""

WARM_UP_MESSAGES: Final = 1000
"""To each topic, before the first event."""

MISSING_ROOMS: Final = 40
"""Rooms in which nobody greets: each entry is an output."""

EVENTS_PER_ROOM: Final = 1.3
"""A frame a second, an entry every ten, a comment every five."""


ROOM_TOPICS: Final = ("frame-status", "buyer-entry", "comment")


class Load(NamedTuple):
    """What is measured."""

    title: str
    rooms: int
    workers: int


LOADS: Final = {
    "base": Load(f"{MISSING_ROOMS} rooms", MISSING_ROOMS, 1),
    "5000": Load("5,000 events a second", round(5000 / EVENTS_PER_ROOM), 1),
    "restart": Load(f"{MISSING_ROOMS} rooms, two workers with standbys, each restarted", MISSING_ROOMS, 2),
}
ASKED: Final = os.environ.get("VIGIL_BENCH_LOADS", ",".join(LOADS)).split(",")


class ReadDelay(NamedTuple):
    """When an output was read (`time.monotonic`), and its delay in ms."""

    read_at: float
    ms: float


StepCounts = Counter[tuple[str, float]]
"""Of a histogram: by step and upper bound, the observations up to that bound."""


async def warm_up(producer: AIOKafkaProducer) -> None:
    """Send messages that cannot be judged until producer and broker are quick.

    A source's usual delay is the largest of a minute: that of the first message, for which a JVM loads its classes, is
    none of a shop that is open. Rejected messages do not count for it.
    """
    for number in range(WARM_UP_MESSAGES):
        for topic in ROOM_TOPICS:
            await producer.send(topic, b"warm-up", key=b"warm-up-%d" % number)
        await asyncio.sleep(0.005)
    await producer.flush()


async def send_rooms(producer: AIOKafkaProducer, rooms: int, until: float) -> None:
    """Send the rooms' events evenly over each second, as they happen. Hosts answer but for the first rooms."""
    began, number = time.monotonic(), 0
    while (now := time.monotonic()) < until:
        due = int((now - began) * rooms)
        for one in range(number, due):
            await _send_room(producer, one % rooms, one // rooms)
        number = max(number, due)
        await asyncio.sleep(0.005)


async def _send_room(producer: AIOKafkaProducer, room: int, second: int) -> None:
    key = b"room-%d" % room
    common = {"room_id": key.decode(), "host_id": f"h{room}", "at": time.time_ns() // 1_000_000}
    await producer.send(
        "frame-status", orjson.dumps({**common, "stream": "live", "face": True, "black": False}), key=key
    )
    if (room + second) % 10 == 0:
        entry = {**common, "buyer_id": f"b{room}-{second}"}
        await producer.send("buyer-entry", orjson.dumps(entry), key=key)
    if (room + second) % 5 == 3:
        author = {"author_id": f"h{room}", "author_role": "host", "intent": "answer"}
        if room < MISSING_ROOMS:
            author = {"author_id": f"b{room}", "author_role": "buyer"}
        comment = {**common, **author, "comment_id": f"c{room}-{second}", "text": "how nice to see you"}
        await producer.send("comment", orjson.dumps(comment), key=key)


async def read_delays(consumer: AIOKafkaConsumer, sending: "asyncio.Task[None]", delays: list[ReadDelay]) -> None:
    """Collect the delay of each output at a deadline: the verdict of a third miss, the notice of each miss."""
    while not sending.done():
        fetched = await consumer.getmany(timeout_ms=100)
        now = time.time() * 1000
        for records in fetched.values():
            for message in (orjson.loads(each.value) for each in records):
                if message.get("rule") == "greeting-miss" and message.get("kind") in (None, "entry-missed"):
                    delays.append(ReadDelay(time.monotonic(), now - message["at"] - LATENESS_MS))


def step_counts(workers: list[WorkerProcess]) -> StepCounts:
    """Return the histograms of the steps, summed over the workers."""
    counts: StepCounts = Counter()
    for worker in workers:
        for family in text_string_to_metric_families(worker.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == "vigil_step_seconds_bucket":
                    counts[sample.labels["step"], float(sample.labels["le"])] += round(sample.value)
    return counts


def step_quantile(counts: StepCounts, step: str, share: float) -> float:
    """Return a quantile of a step in ms, interpolated within its bucket; 0 if it was never observed."""
    bounds = sorted(bound for name, bound in counts if name == step)
    wanted, below, floor = share * (counts[step, bounds[-1]] if bounds else 0), 0, 0.0
    for bound in bounds:
        inside = counts[step, bound] - below
        if inside and counts[step, bound] >= wanted:
            top = floor if bound == float("inf") else bound
            return 1000 * (floor + (top - floor) * (wanted - below) / inside)
        below, floor = counts[step, bound], bound
    return 0.0


class LoadResult(NamedTuple):
    """What one load gave."""

    delays: list[float]
    steps: StepCounts
    core: float
    """CPU seconds per second of all workers."""

    def row(self, load: Load) -> str:
        """A row of the table: p50 / p99 of everything and of each step."""
        cells = [load.title, f"{len(self.delays):,}", *(f"{quantile(self.delays, share):.0f}" for share in (0.5, 0.99))]
        cells += [f"{step_quantile(self.steps, step, 0.5):.0f} / {step_quantile(self.steps, step, 0.99):.0f}"
                  for step in STEPS]  # fmt: skip
        return "| " + " | ".join([*cells, f"{self.core:.0%}"]) + " |"


async def measure(load: Load) -> LoadResult:
    """Measure one load on a broker of its own."""
    with local_broker(verbose=False) as (broker, kafka):
        await make_topics(broker, 4)
        folder = Path(tempfile.mkdtemp(prefix="vigil-bench-"))

        def start(number: int) -> WorkerProcess:
            return WorkerProcess(
                broker, folder / f"{number}.log", idempotent_producer=kafka, standbys=load.workers - 1,
                session_timeout_ms=6000,
            )  # fmt: skip

        workers = [start(number) for number in range(load.workers)]
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        consumer = AIOKafkaConsumer(
            "verdict", "notice", bootstrap_servers=broker, auto_offset_reset="earliest", fetch_max_wait_ms=10
        )
        delays: list[ReadDelay] = []
        try:
            for worker in workers:
                await worker.ready()
            await producer.start()
            await consumer.start()
            await warm_up(producer)
            sending = asyncio.create_task(send_rooms(producer, load.rooms, time.monotonic() + WARM_UP_S + SECONDS))
            reading = asyncio.create_task(read_delays(consumer, sending, delays))
            await asyncio.sleep(WARM_UP_S)
            began, before = time.monotonic(), step_counts(workers)
            cpu = sum(cpu_seconds(worker.process.pid) for worker in workers)
            if load.workers > 1:
                before = Counter()  # the histograms of a worker end with it
                await _restart_each(workers, start)
                await sending
            else:
                await sending
            spent = sum(cpu_seconds(worker.process.pid) for worker in workers) - (cpu if load.workers == 1 else 0)
            await reading
            steps = step_counts(workers)
            steps.subtract(before)
        finally:
            await consumer.stop()
            await producer.stop()
            for worker in workers:
                worker.stop()
        settled = [delay for when, delay in delays if when >= began]
        return LoadResult(settled, steps, spent / (time.monotonic() - began))


async def _restart_each(workers: list[WorkerProcess], start: Callable[[int], WorkerProcess]) -> None:
    """Restart one after another, each when the one before is ready again."""
    for number, worker in enumerate(workers):
        await asyncio.to_thread(worker.stop)
        workers[number] = await start(number).ready()
        await asyncio.sleep(5)


async def run() -> None:
    quiet = Quiet()
    results = {name: await measure(LOADS[name]) for name in ASKED}
    lines = [
        "| load | outputs | p50, ms | p99, ms | " + " | ".join(STEPS) + " | of a core |",
        "| --- " * (5 + len(STEPS)) + "|",
        *(result.row(LOADS[name]) for name, result in results.items()),
    ]
    figures = {}
    for name, result in results.items():
        figures[f"latency-{name}"] = quantile(result.delays, 0.99)
        figures[f"latency-{name}-p50"] = quantile(result.delays, 0.5)
    record("latency", lines, figures, quiet)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
