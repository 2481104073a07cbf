"""How long a worker takes until it judges again, and what memory it holds, by the number of keys in its state.

one room played ─▶ its stored records, under many names ─▶ changelogs ─▶ a worker starts: seconds, MiB
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer

from app.admin import changelog_of
from app.rulebook import load_rulebook
from app.simulate import Simulation
from app.stream.shard import Shard
from app.stream.store import (
    FORMAT,
    HEADER,
    Marker,
    Record,
    StoredSource,
    marker_record,
    record_of,
    split_key,
    store_key,
)
from app.subjects import subjects
from benchmarks.common import cpu_seconds, local_broker, machine
from tools.harness import WorkerProcess, make_topics
from topics.catalog import Group

PARTITIONS: Final = 4
KEYS: Final = tuple(int(text) for text in os.environ.get("VIGIL_BENCH_KEYS", "10000,100000").split(","))
LOADED_UP_TO: Final = 10_000
"""Of more keys it is not measured what they hold once loaded: a worker keeps only the latest of them so."""

AHEAD_MS: Final = 3_600_000
"""The stored clock is so far ahead of the wall clock that nothing falls due while it is measured."""


class Template(NamedTuple):
    """The records of one key as a shard stores them: part name, payload and deadline."""

    parts: list[tuple[bytes, bytes, int]]

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return sum(len(payload) for _, payload, _ in self.parts)


def played(group: Group) -> tuple[list[Template], int]:
    """What the keys of a played quarter of an hour look like when stored, and the clock at its end."""
    end = time.time_ns() // 1_000_000 + AHEAD_MS
    simulation = Simulation(
        seed=9, rooms=40, suppliers=40, start_ms=end - 900_000, duration_s=900, history_days=60, rfq_every_s=600
    )
    logic = subjects(load_rulebook(), None)[group]
    shard = Shard(logic, 2000, partition=0)
    offsets = dict.fromkeys(logic.topics, 0)
    for message in simulation.messages():
        if message.topic in offsets:
            shard.intake(logic.topics.index(message.topic), [_Read(offsets[message.topic], message.key, message.value)])
            offsets[message.topic] += 1
    # As where all have fallen silent since: a topic that had nothing to say does not hold the clock back.
    shard.advance(max(source.max_at for source in shard.sources) - 2000)
    keys: dict[str, list[tuple[bytes, bytes, int]]] = {}
    for record in shard.snapshot().records:
        if record.value is not None and record.key[:2] != b"\0\0":
            key, part = split_key(record.key)
            _, _, due, _ = HEADER.unpack_from(record.value)
            keys.setdefault(key, []).append((part, record.value[HEADER.size :], due))
    return [Template(parts) for _, parts in sorted(keys.items())], shard.clock


class _Read(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


def records(templates: list[Template], keys: Iterable[int]) -> Iterator[Record]:
    """As many keys as asked for, each like one of those that were played."""
    for number in keys:
        for part, payload, due in templates[number % len(templates)].parts:
            # No flags: of a large state, few keys had their status published with the very last checkpoint.
            yield record_of(store_key(f"key-{number:09d}", part), payload, 1, 1, due, 0)


async def fill(broker: str, app_id: str, group: Group, number: int) -> tuple[int, float]:
    """Write the changelogs of so many keys, a whole checkpoint a partition; return records and mean bytes a key."""
    templates, clock = played(group)
    sources = len(subjects(load_rulebook(), None)[group].topics)
    marker = Marker(
        FORMAT, 1, 1, 0, 0, 0, 0, clock, 2000,
        tuple(StoredSource(0, 0, clock + 2000, clock + 2000) for _ in range(sources)), 0, load_rulebook().digest,
    )  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", linger_ms=0, max_request_size=8 * 1024 * 1024)
    await producer.start()
    topic, written = changelog_of(app_id, group), 0
    try:
        for partition in range(PARTITIONS):
            batch = producer.create_batch()
            mine = records(templates, range(partition, number, PARTITIONS))
            for record in (*mine, marker_record(marker)):
                told = {"key": record.key, "value": record.value, "timestamp": None}
                if batch.append(**told) is None:
                    await (await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(**told)
                written += 1
            await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()
    return written, sum(template.size for template in templates) / len(templates)


def rss_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process, now or (`VmHWM`) at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


class Started(NamedTuple):
    """One start of a worker."""

    seconds: float
    cpu: float
    mib: float


async def start(broker: str, app_id: str, kafka: bool, load_all: bool = False) -> Started:
    """Start a worker: seconds until it judges, CPU seconds, MiB. `load_all`: once every key was looked into."""
    log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
    began = time.monotonic()
    # At the end of recorded data every key says its last word: so each is loaded.
    clock = "recorded" if load_all else "live"
    worker = WorkerProcess(broker, log, app_id=app_id, clock=clock, session_timeout_ms=6000, idempotent_producer=kafka)
    try:
        while worker.get("/health/ready")[0] != 200:
            if worker.process.poll() is not None or time.monotonic() - began > 900:
                raise RuntimeError(f"the worker is not ready: {log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)
        seconds, pid = time.monotonic() - began, worker.process.pid
        told = Started(seconds, cpu_seconds(pid), rss_mib(pid))
        if not load_all:
            return told
        await _calm(pid)
        return told._replace(mib=rss_mib(pid))
    finally:
        worker.kill()


async def _calm(pid: int) -> None:
    """Wait until the process has little to do."""
    while True:
        before = cpu_seconds(pid)
        await asyncio.sleep(3)
        if cpu_seconds(pid) - before < 1:
            return


async def run() -> None:
    print(machine())
    print(f"{PARTITIONS} partitions, one worker has them all; from the start of its process until it judges")
    print(
        "| state | keys | records | bytes a key | s until ready | CPU s | MiB | bytes of memory a key | … once loaded |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    groups: tuple[Group, ...] = ("rooms", "suppliers")
    with local_broker() as (broker, kafka):
        for group in groups:
            base = 0.0
            for number in (0, *KEYS):
                app_id = f"bench-{group}-{number}"
                await make_topics(broker, PARTITIONS, app_id)
                written, size = await fill(broker, app_id, group, number) if number else (0, 0.0)
                told = await start(broker, app_id, kafka)
                a_key = loaded = "–"
                if not number:
                    base = told.mib
                else:
                    a_key = f"{(told.mib - base) * 2**20 / number:,.0f}"
                    if number <= LOADED_UP_TO:
                        every = await start(broker, app_id, kafka, load_all=True)
                        loaded = f"{(every.mib - base) * 2**20 / number:,.0f}"
                print(
                    f"| {group} | {number:,} | {written:,} | {size:,.0f} | {told.seconds:.1f} | {told.cpu:.1f} | "
                    f"{told.mib:.0f} | {a_key} | {loaded} |",
                    flush=True,
                )


def main() -> None:
    """Run it."""
    asyncio.run(run())
