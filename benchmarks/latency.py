"""Time from a deadline plus the allowed lateness until a consumer can read the output, at a light load."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.common import local_broker, machine, quantile
from tests.support.harness import WorkerProcess, make_topics

ROOMS: Final = 40
SECONDS: Final = 75
LATENESS_MS: Final = 2000


async def _rooms_that_miss(producer: AIOKafkaProducer, until: float) -> None:
    """Send rooms in which buyers enter and nobody greets them, with frames about once a second."""
    number = 0
    while time.monotonic() < until:
        now = time.time_ns() // 1_000_000
        for room in range(ROOMS):
            name = f"room-{room}"
            frame = {"room_id": name, "host_id": f"h{room}", "at": now, "stream": "live", "face": True, "black": False}
            await producer.send("frame-status", orjson.dumps(frame), key=name.encode())
            if (number + room) % 5 == 0:
                entry = {"room_id": name, "host_id": f"h{room}", "at": now, "buyer_id": f"b{number}-{room}"}
                await producer.send("buyer-entry", orjson.dumps(entry), key=name.encode())
            await asyncio.sleep(0.9 / ROOMS)
            now = time.time_ns() // 1_000_000
        number += 1


async def run() -> None:
    print(machine())
    with local_broker() as (broker, kafka):
        await make_topics(broker, 4)
        log = Path(tempfile.mkdtemp(prefix="vigil-bench-")) / "worker.log"
        worker = WorkerProcess(broker, log, session_timeout_ms=6000, idempotent_producer=kafka)
        producer = AIOKafkaProducer(bootstrap_servers=broker)
        consumer = AIOKafkaConsumer(
            "verdict", "notice", bootstrap_servers=broker, auto_offset_reset="earliest", fetch_max_wait_ms=10
        )
        await producer.start()
        await consumer.start()
        delays: list[float] = []
        try:
            await worker.ready()
            sending = asyncio.create_task(_rooms_that_miss(producer, time.monotonic() + SECONDS))
            while not sending.done():
                fetched: dict[Any, Any] = await consumer.getmany(timeout_ms=100)
                now = time.time_ns() // 1_000_000
                for records in fetched.values():
                    for record in records:
                        message = orjson.loads(record.value)
                        # Both are published at a deadline: the verdict of the third miss, and the notice of each miss.
                        if message.get("rule") == "greeting-miss" and message.get("kind") in (None, "entry-missed"):
                            delays.append(now - message["at"] - LATENESS_MS)
            await sending
        finally:
            await consumer.stop()
            await producer.stop()
            worker.stop()
        settled = delays[len(delays) // 5 :]
        print(f"{len(settled)} deadlines of {ROOMS} rooms, fetch wait 20 ms, idle_after 200 ms; deadline plus lateness")
        print(f"to readable: p50 {quantile(settled, 0.5):.0f} ms, p99 {quantile(settled, 0.99):.0f} ms")


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
