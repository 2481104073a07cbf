"""A worker that stands by takes a killed one's shards over with the state that it has already."""

import asyncio
import re
import time
from pathlib import Path

from app.subjects import GROUPS
from tests.kafka.test_recorded import PARTITIONS, processed, recording, settings
from tools.harness import WorkerProcess, differences, finished, make_topics, read, send
from tools.kafka import KafkaBroker


def told(worker: WorkerProcess, metric: str) -> float:
    """The sum of a metric's series."""
    lines = worker.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{metric}(\{{|\s)", line))


async def test_a_standby_takes_over_with_its_own_state(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    messages, expected = recording()
    address = own_kafka.address
    await make_topics(address, PARTITIONS)
    await send(address, messages)
    # In small bites, so that the kill comes in the middle.
    options = {**settings(expected), "standbys": 1, "max_poll_records": 15, "checkpoint_interval_ms": 300}
    workers = [WorkerProcess(address, tmp_path / f"worker-{n}.log", **options) for n in (0, 1)]
    killed, heir = workers
    try:
        for worker in workers:
            await worker.ready()
        recovered = await asyncio.to_thread(told, heir, "vigil_restored_records_total")
        # It follows the other's changelogs, a second or two behind …
        until = time.monotonic() + 60
        written = stood_by = 0.0
        while written < 500 or stood_by - recovered < 0.5 * written:
            assert time.monotonic() < until, (recovered, stood_by, written)
            await asyncio.sleep(0.05)
            written = await asyncio.to_thread(told, killed, "vigil_checkpoint_records_total")
            stood_by = await asyncio.to_thread(told, heir, "vigil_restored_records_total")
        killed.kill()
        assert await processed(address) < 0.95
        until = time.monotonic() + 60
        while await asyncio.to_thread(told, heir, "vigil_shards") < len(GROUPS) * PARTITIONS:
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
        read_again = await asyncio.to_thread(told, heir, "vigil_restored_records_total") - stood_by
        # … so that the rest is all that it reads when it takes over.
        assert read_again < 0.5 * written, (stood_by, read_again, written)
        await finished(address)
        assert differences(expected, await read(address)) == []
    finally:
        heir.stop()
        killed.kill()
