"""A standby acquires the shards of a killed worker with the state that it already has."""

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
from vigil.app.kafka.admin import changelog_of
from vigil.app.simulate import Simulation

pytestmark = [pytest.mark.ci, pytest.mark.timeout(240)]


def metric_of(worker: WorkerProcess, metric: str) -> float:
    """Return the sum of a metric's series."""
    status, page = worker.get("/metrics")
    assert status == 200, (metric, status, worker.process.poll(), worker.log.read_text()[-2000:])
    return sum(float(line.split()[-1]) for line in page.splitlines() if re.match(rf"{metric}(\{{|\s)", line))


async def two(address: str, tmp_path: Path, **options: object) -> tuple[WorkerProcess, WorkerProcess]:
    """Start two workers, each a standby of the other, and wait until both are ready."""
    options = {"standbys": 1, "session_timeout_ms": 3000, "log_format": "text", **options}
    first, second = (WorkerProcess(address, tmp_path / f"worker-{n}.log", **options) for n in (0, 1))
    try:
        await first.ready()
        await second.ready()
    except BaseException:  # a caller that never gets them cannot end them
        first.kill()
        second.kill()
        raise
    return first, second


async def wait_for_all_shards(standby: WorkerProcess) -> None:
    """Wait until a worker owns every shard."""
    until = time.monotonic() + 60
    while await asyncio.to_thread(metric_of, standby, "vigil_shards") < len(REGISTRY.subjects) * PARTITIONS:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    await standby.ready()


async def test_a_standby_acquires_shards_with_its_state_and_reads_only_the_rest(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    killed, standby = await two(address, tmp_path, allowed_lateness_ms=600_000)
    try:
        began = await asyncio.to_thread(metric_of, standby, "vigil_restored_records_total")
        start = time.time_ns() // 1_000_000 - 590_000
        await send(address, Simulation(seed=5, rooms=0, suppliers=300, start_ms=start, duration_s=580).messages())
        until = time.monotonic() + 60
        before = 0.0
        while True:
            written = await asyncio.to_thread(metric_of, killed, "vigil_checkpoint_records_total")
            mirrored = await asyncio.to_thread(metric_of, standby, "vigil_restored_records_total")
            # The lines of many suppliers are written in several checkpoints; what follows is about the time after them.
            if written > 500 and written - before < 0.05 * written and mirrored - began > 0.5 * written:
                break
            assert time.monotonic() < until, (began, written, mirrored)
            before = written
            await asyncio.sleep(1)
        keys = await asyncio.to_thread(metric_of, standby, "vigil_keys") + await asyncio.to_thread(
            metric_of, killed, "vigil_keys"
        )
        killed.kill()
        await wait_for_all_shards(standby)
        read_again = await asyncio.to_thread(metric_of, standby, "vigil_restored_records_total") - mirrored
        # A worker counts a checkpoint once it is acknowledged; the standby may have read it before.
        rest = max(0.0, written - (mirrored - began))
        assert read_again < rest + 0.3 * written, (began, written, mirrored, read_again)
        until = time.monotonic() + 30
        while (
            await asyncio.to_thread(metric_of, standby, "vigil_keys") < keys
        ):  # the last ones were not stored, and are judged again
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
    finally:
        standby.stop()
        killed.kill()


async def test_a_failover_to_a_standby_gives_the_outputs_of_a_replay(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    messages, expected = recording()
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    await send(address, messages)
    # In small polls, so that the kill falls in the middle.
    killed, standby = await two(
        address, tmp_path, **settings(expected) | {"max_poll_records": 15, "checkpoint_interval_ms": 300}
    )
    try:
        until = time.monotonic() + 60
        while await processed(address) < 0.3:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        killed.kill()
        assert await processed(address) < 0.9
        await wait_for_all_shards(standby)
        await finished(address)
        assert differences(expected, await read(address)) == []
    finally:
        standby.stop()
        killed.kill()


async def fill_changelog(address: str, number: int) -> None:
    """Write the stored state of a number of suppliers, each once, as in a compacted changelog."""
    machine = REGISTRY.machines(load_rulebook())["suppliers"]
    sources = tuple(StoredSourcePosition(0, 0, 1, 1) for _ in machine.topics)
    now = time.time_ns() // 1_000_000  # no rule changes after it, which would call every key
    marker = CheckpointMarker(FORMAT, 1, 1, 0, 0, 0, 0, now, 2000, sources, 0, load_rulebook().digest)
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    await producer.start()
    try:
        for partition in range(PARTITIONS):
            mine = range(partition, number, PARTITIONS)
            records = [record_of(store_key(f"supplier-{n}"), b"never looked into", (1, 1)) for n in mine]
            for record in (*records, marker_record(marker)):
                await producer.send(changelog_of("vigil", "suppliers"), record.value, record.key, partition)
        await producer.flush()
    finally:
        await producer.stop()


async def test_a_slow_standby_finally_has_the_whole_state(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    """At the end of a rebalance Faust clears its queues, which then contain changelog records for standbys."""
    address, number = own_kafka.address, 12_000
    await make_topics(address, PARTITIONS)
    await fill_changelog(address, number)
    slow = [sys.executable, "-m", "tests.support.faulty_worker", "--slow=1"]
    killed, standby = await two(address, tmp_path, max_poll_records=50, command=slow)
    try:
        until = time.monotonic() + 90
        # Without markers. A standby that lost records would not reach this number.
        while await asyncio.to_thread(metric_of, standby, "vigil_restored_records_total") < number:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        # Markers still come, of acquisitions and of checkpoints, and it reads them as slowly as everything else.
        while await asyncio.to_thread(metric_of, standby, "vigil_standby_lag") > PARTITIONS:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        killed.kill()
        await wait_for_all_shards(standby)
        assert await asyncio.to_thread(metric_of, standby, "vigil_keys") == number
        assert await asyncio.to_thread(metric_of, standby, "vigil_standby_lag") == 0
        assert standby.stop() == 0
    finally:
        standby.kill()
        killed.kill()
