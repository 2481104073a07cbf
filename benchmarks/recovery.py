"""Recovery time and memory of a worker by the number of keys in its state.

simulated keys ─▶ their stored records, under many names ─▶ changelogs ─▶ a worker starts: seconds, MiB
                                                                      └─▶ of two, one is killed: seconds

    VIGIL_BENCH_KEYS=10000,1000000 VIGIL_BENCH_STATES=rooms python -m benchmarks recovery
"""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer

from benchmarks.common import cpu_seconds, local_broker, machine, memory_mib
from tests.support.harness import WorkerProcess, make_topics
from vigil.agents.faust.transport import MAX_RECORD_BYTES, changelog_batch
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import (
    FORMAT,
    HEADER,
    ChangelogRecord,
    CheckpointMarker,
    StoredSourcePosition,
    marker_record,
    record_of,
    split_key,
    store_key,
)
from vigil.app.engine.shards import make_shard
from vigil.app.kafka.admin import changelog_of
from vigil.app.simulate import Simulation
from vigil.topics.catalog import SubjectName

PARTITIONS: Final = 4
KEYS: Final = tuple(int(text) for text in os.environ.get("VIGIL_BENCH_KEYS", "10000,100000").split(","))
LOADED_UP_TO: Final = 10_000
"""The memory of loaded keys is measured up to this number: a worker keeps only its most recent keys loaded."""

AHEAD_MS: Final = 3_600_000
"""The stored watermark is this far ahead of the wall clock, so that no timer fires during the measurement."""

SESSION_MS: Final = 6000
SPARE_MIB: Final = 2048
"""Memory of the broker and the system."""

OF_MEMORY: Final = 1.4
"""Approximate upper bound of memory per stored byte, to skip states that do not fit this machine."""


class StateKind(NamedTuple):
    """A kind of state to measure."""

    subject: SubjectName
    history_days: float


STATES: Final = {
    "rooms": StateKind("rooms", 0),
    "suppliers-60-days": StateKind("suppliers", 60),
    "suppliers-6-days": StateKind("suppliers", 6),
}
ASKED: Final = os.environ.get("VIGIL_BENCH_STATES", ",".join(STATES)).split(",")


class StoredKey(NamedTuple):
    """The records of one key as a shard stores them: state chunk, payload and timer."""

    parts: list[tuple[bytes, bytes, int]]

    @property
    def size(self) -> int:
        """Size of the payloads in bytes."""
        return sum(len(payload) for _, payload, _ in self.parts)


def simulated_keys(kind: StateKind) -> tuple[list[StoredKey], int]:
    """Return the stored keys of a simulated quarter of an hour, and the watermark at its end."""
    end = time.time_ns() // 1_000_000 + AHEAD_MS
    simulation = Simulation(
        seed=9, rooms=40, suppliers=40, start_ms=end - 900_000, duration_s=900, history_days=kind.history_days,
        rfq_every_s=600,
    )  # fmt: skip
    state_machine = REGISTRY.machines(load_rulebook())[kind.subject]
    shard = make_shard(state_machine, 2000, partition=0)
    offsets = dict.fromkeys(state_machine.topics, 0)
    for message in simulation.messages():
        if message.topic in offsets:
            shard.ingest(
                state_machine.topics.index(message.topic),
                [_SimulatedRecord(offsets[message.topic], message.key, message.value)],
            )
            offsets[message.topic] += 1
    # As if all sources were idle: a topic without messages does not hold the watermark back.
    shard.advance_watermark(max(source.max_event_time for source in shard.sources) - 2000)
    keys: dict[str, list[tuple[bytes, bytes, int]]] = {}
    for record in shard.snapshot().records:
        if record.value is not None and record.key[:2] != b"\0\0":
            key, part = split_key(record.key)
            _, _, due, _ = HEADER.unpack_from(record.value)
            keys.setdefault(key, []).append((part, record.value[HEADER.size :], due))
    return [StoredKey(parts) for _, parts in sorted(keys.items())], shard.watermark


class _SimulatedRecord(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


def records(templates: list[StoredKey], keys: Iterable[int]) -> Iterator[ChangelogRecord]:
    """Yield the records of the numbered keys, each a copy of a simulated one."""
    for number in keys:
        for part, payload, due in templates[number % len(templates)].parts:
            # No flags: in a large state, few keys published a state output with the last checkpoint.
            yield record_of(store_key(f"key-{number:09d}", part), payload, (1, 1), due)


async def fill(broker: str, app_id: str, kind: StateKind, number: int) -> tuple[int, float]:
    """Write the changelogs of `number` keys, one checkpoint per partition; return records and mean bytes per key.

    There is one checkpoint, as in a compacted log, in which only the last marker is left.
    """
    templates, clock = simulated_keys(kind)
    sources = len(REGISTRY.machines(load_rulebook())[kind.subject].topics)
    marker = CheckpointMarker(
        FORMAT, 1, 1, 0, 0, 0, 0, clock, 2000,
        tuple(StoredSourcePosition(0, 0, clock + 2000, clock + 2000) for _ in range(sources)), 0,
        load_rulebook().digest,
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", linger_ms=0, max_request_size=MAX_RECORD_BYTES)
    await producer.start()
    topic, written = changelog_of(app_id, kind.subject), 0
    try:
        for partition in range(PARTITIONS):
            batch, sent = changelog_batch(), None
            mine = records(templates, range(partition, number, PARTITIONS))
            for record in chain(mine, [marker_record(marker)]):
                fields = {"key": record.key, "value": record.value, "timestamp": None}
                if batch.append(**fields) is None:
                    if sent is not None:  # one batch is in flight while the next is built
                        await sent
                    sent = await producer.send_batch(batch, topic, partition=partition)
                    batch = changelog_batch()
                    batch.append(**fields)
                written += 1
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
    return written, sum(template.size for template in templates) / len(templates)


class Started(NamedTuple):
    """One start of a worker."""

    seconds: float
    cpu: float
    mib: float


async def start(broker: str, app_id: str, kafka: bool, load_all: bool = False) -> Started:
    """Start a worker; measure the time until it is ready, CPU and memory. `load_all`: memory with all keys loaded."""
    log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
    began = time.monotonic()
    # At the end of recorded data every key is loaded for its final outputs.
    clock = "recorded" if load_all else "live"
    worker = WorkerProcess(
        broker,
        log,
        app_id=app_id,
        clock=clock,
        session_timeout_ms=SESSION_MS,
        idempotent_producer=kafka,
        take_outputs=True,
        max_ahead_ms=2 * AHEAD_MS,
    )
    try:
        while worker.get("/health/ready")[0] != 200:
            if worker.process.poll() is not None or time.monotonic() - began > 900:
                raise RuntimeError(f"the worker is not ready: {log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)
        seconds, pid = time.monotonic() - began, worker.process.pid
        result = Started(seconds, cpu_seconds(pid), memory_mib(pid))
        if not load_all:
            return result
        await _calm(pid)
        return result._replace(mib=memory_mib(pid))
    finally:
        worker.kill()


async def _calm(*pids: int) -> None:
    """Wait until the processes have been nearly idle for a while."""
    quiet = 0
    while quiet < 3:
        before = sum(map(cpu_seconds, pids))
        await asyncio.sleep(2)
        quiet = quiet + 1 if sum(map(cpu_seconds, pids)) - before < len(pids) / 2 else 0


class Failover(NamedTuple):
    """The failover after one of two workers was killed."""

    seconds: float
    """Time from the kill until the other worker owns all shards and is ready."""
    read: int
    """Changelog records that it read meanwhile."""
    mib: float
    """Memory of the larger worker before the kill."""


async def fail_over(broker: str, app_id: str, kafka: bool, standbys: int, stored: int) -> Failover:
    """Start two workers, wait until they have restored all `stored` records, and kill one."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-bench-"))
    killed, successor = pair = [
        WorkerProcess(
            broker, folder / f"{n}.log", app_id=app_id, standbys=standbys, session_timeout_ms=SESSION_MS,
            idempotent_producer=kafka, take_outputs=True, max_ahead_ms=2 * AHEAD_MS,
        )
        for n in range(2)
    ]  # fmt: skip
    try:
        for worker in pair:
            await worker.ready(within_s=900)
        while standbys and min(_metric(worker, "vigil_restored_records_total") for worker in pair) < stored:
            await asyncio.sleep(0.5)
        await _calm(*(worker.process.pid for worker in pair))
        mib = max(memory_mib(worker.process.pid) for worker in pair)
        before = _metric(successor, "vigil_restored_records_total")
        began = time.monotonic()
        killed.kill()
        await _wait_for_all_shards(successor, within_s=900)
        seconds = time.monotonic() - began
        return Failover(seconds, round(_metric(successor, "vigil_restored_records_total") - before), mib)
    finally:
        for worker in pair:
            worker.kill()


async def _wait_for_all_shards(worker: WorkerProcess, within_s: float) -> None:
    """Wait until the worker owns every shard and is ready; raise RuntimeError if it ends or takes longer."""
    until = time.monotonic() + within_s
    while not _owns_all(worker):
        if worker.process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the failover did not complete: {worker.log.read_text()[-2000:]}")
        await asyncio.sleep(0.05)


def _owns_all(worker: WorkerProcess) -> bool:
    """Whether the worker owns every shard and is ready."""
    shards = len(REGISTRY.subjects) * PARTITIONS
    return _metric(worker, "vigil_shards") >= shards and worker.get("/health/ready")[0] == 200


def _metric(worker: WorkerProcess, metric: str) -> float:
    """Return the sum of a metric's series."""
    lines = worker.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{metric}(\{{|\s)", line))


def available_mib() -> float:
    """Return the available memory of this machine."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))


async def run() -> None:
    print(machine())
    print(f"{PARTITIONS} partitions. One worker owns all: from the start of its process until it is ready.")
    print(
        f"Two: from the kill of one until the other is ready with all; {SESSION_MS / 1000:g} s of it are the session."
    )
    print(
        "| state | keys | records | bytes per key | s until ready | CPU s | MiB | bytes of memory per key | … loaded "
        "| two, one killed: s | records read | with a standby: s | records read | MiB each |"
    )
    print("| --- " * 14 + "|")
    room = available_mib() - SPARE_MIB
    base = 0.0
    for name in ASKED:
        kind = STATES[name]
        for number in KEYS if base else (0, *KEYS):
            # A new broker for each row, so that disk and memory of the last one do not affect it.
            with local_broker(verbose=False) as (broker, kafka):
                app_id = f"bench-{name}-{number}"
                await make_topics(broker, PARTITIONS, app_id)
                written, size = await fill(broker, app_id, kind, number) if number else (0, 0.0)
                need = OF_MEMORY * size * number / 2**20
                if need > room:
                    print(f"| {name} | {number:,} | {written:,} | {size:,.0f} | does not fit | " + "| " * 9, flush=True)
                    continue
                started = await start(broker, app_id, kafka)
                if not number:
                    base = started.mib
                    print(
                        f"| none | 0 | 0 | – | {started.seconds:.1f} | {started.cpu:.1f} | {started.mib:.0f} | "
                        + "– | " * 7
                    )
                    continue
                a_key, loaded = f"{(started.mib - base) * 2**20 / number:,.0f}", "–"
                if number <= LOADED_UP_TO:
                    every = await start(broker, app_id, kafka, load_all=True)
                    loaded = f"{(every.mib - base) * 2**20 / number:,.0f}"
                without = await fail_over(broker, app_id, kafka, 0, written)
                row = (
                    f"| {name} | {number:,} | {written:,} | {size:,.0f} | {started.seconds:.1f} | {started.cpu:.1f} | "
                    f"{started.mib:,.0f} | {a_key} | {loaded} | {without.seconds:.1f} | {without.read:,} | "
                )
                if 2 * need < room:
                    both = await fail_over(broker, app_id, kafka, 1, written)
                    row += f"{both.seconds:.1f} | {both.read:,} | {both.mib:,.0f} |"
                else:
                    row += "do not fit | – | – |"
                print(row, flush=True)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
