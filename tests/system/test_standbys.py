"""A worker that stands by takes a killed one's shards over with the state that it has already."""

import asyncio
import re
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, send
from tests.support.kafka import KafkaBroker
from tests.system.test_recorded import PARTITIONS, processed, recording, settings
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import (
    FORMAT,
    CheckpointMarker,
    StoredSourcePosition,
    marker_record,
    record_of,
    store_key,
)
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.kafka.admin import changelog_of
from vigil.app.simulate import Simulation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def told(worker: WorkerProcess, metric: str) -> float:
    """The sum of a metric's series."""
    status, page = worker.get("/metrics")
    assert status == 200, (metric, status, worker.process.poll(), worker.log.read_text()[-2000:])
    return sum(float(line.split()[-1]) for line in page.splitlines() if re.match(rf"{metric}(\{{|\s)", line))


async def two(address: str, tmp_path: Path, **options: object) -> tuple[WorkerProcess, WorkerProcess]:
    """Two workers, each a standby of the other, both ready."""
    options = {"standbys": 1, "session_timeout_ms": 3000, "log_format": "text", **options}
    first, second = (WorkerProcess(address, tmp_path / f"worker-{n}.log", **options) for n in (0, 1))
    await first.ready()
    await second.ready()
    return first, second


async def until_it_has_all(heir: WorkerProcess) -> None:
    """Wait until a worker has every shard."""
    until = time.monotonic() + 60
    while await asyncio.to_thread(told, heir, "vigil_shards") < len(REGISTRY.subjects) * PARTITIONS:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    await heir.ready()


async def test_a_standby_takes_over_with_what_it_has_and_reads_only_the_rest(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    killed, heir = await two(address, tmp_path, allowed_lateness_ms=600_000)
    try:
        began = await asyncio.to_thread(told, heir, "vigil_restored_records_total")
        start = time.time_ns() // 1_000_000 - 590_000
        await send(address, Simulation(seed=5, rooms=0, suppliers=300, start_ms=start, duration_s=580).messages())
        until = time.monotonic() + 60
        while True:
            written = await asyncio.to_thread(told, killed, "vigil_checkpoint_records_total")
            stood_by = await asyncio.to_thread(told, heir, "vigil_restored_records_total")
            if written > 500 and stood_by - began > 0.5 * written:
                break
            assert time.monotonic() < until, (began, written, stood_by)
            await asyncio.sleep(0.2)
        keys = await asyncio.to_thread(told, heir, "vigil_keys") + await asyncio.to_thread(told, killed, "vigil_keys")
        killed.kill()
        await until_it_has_all(heir)
        read_again = await asyncio.to_thread(told, heir, "vigil_restored_records_total") - stood_by
        # The one counts a checkpoint once it is acknowledged, which the other may have read by then.
        rest = max(0.0, written - (stood_by - began))
        assert read_again < rest + 0.3 * written, (began, written, stood_by, read_again)
        until = time.monotonic() + 30
        while await asyncio.to_thread(told, heir, "vigil_keys") < keys:  # the last ones were not stored: it reads them
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
    finally:
        heir.stop()
        killed.kill()


async def test_what_a_standby_goes_on_with_gives_what_the_replay_gives(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    messages, expected = recording()
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    await send(address, messages)
    # In small bites, so that the kill comes in the middle.
    killed, heir = await two(
        address, tmp_path, **settings(expected) | {"max_poll_records": 15, "checkpoint_interval_ms": 300}
    )
    try:
        until = time.monotonic() + 60
        while await processed(address) < 0.3:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        killed.kill()
        assert await processed(address) < 0.9
        await until_it_has_all(heir)
        await finished(address)
        assert differences(expected, await read(address)) == []
    finally:
        heir.stop()
        killed.kill()


async def remember(address: str, number: int) -> None:
    """Write the stored state of so many suppliers, each once, as it lies in a changelog that was compacted."""
    machine = REGISTRY.machines(load_rulebook())["suppliers"]
    sources = tuple(StoredSourcePosition(0, 0, 1, 1) for _ in machine.topics)
    marker = CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, 1, 2000, sources, 0, load_rulebook().digest)
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            mine = range(partition, number, PARTITIONS)
            records = [record_of(store_key(f"supplier-{n}"), b"never looked into", 1, 1, MAX_TIME, 0) for n in mine]
            for record in (*records, marker_record(marker)):
                await producer.send(changelog_of("vigil", "suppliers"), record.value, record.key, partition)
        await producer.flush()
    finally:
        await producer.stop()


async def test_a_standby_that_is_slow_to_read_has_all_of_it_in_the_end(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    """At the end of a rebalance Faust empties its queues, and by then there are changelogs of standbys in them."""
    address, number = own_kafka.address, 12_000
    await make_topics(address, PARTITIONS)
    await remember(address, number)
    slow = [sys.executable, "-m", "tests.support.faulty_worker", "--slow=1"]
    killed, heir = await two(address, tmp_path, max_poll_records=50, command=slow)
    try:
        until = time.monotonic() + 90
        # All but markers: who lost some of it would not come so far.
        while await asyncio.to_thread(told, heir, "vigil_restored_records_total") < number:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(told, heir, "vigil_standby_lag") <= PARTITIONS  # at most the take-overs' markers
        killed.kill()
        await until_it_has_all(heir)
        assert await asyncio.to_thread(told, heir, "vigil_keys") == number
        assert await asyncio.to_thread(told, heir, "vigil_standby_lag") == 0
        assert heir.stop() == 0
    finally:
        heir.kill()
        killed.kill()
