"""A message as large as the broker accepts, or with a huge key, is rejected and stops nothing."""

import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import WorkerProcess, make_topics, read


@pytest.mark.ci
async def test_huge_messages_and_keys_are_rejected_and_stop_nothing(any_broker_of_its_own: str, tmp_path: Path) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    producer = AIOKafkaProducer(bootstrap_servers=broker, max_request_size=2**20)
    await producer.start()
    await producer.send_and_wait("comment", b"x" * 1_000_000, key=b"room")
    await producer.send_and_wait("comment", b"{}", key=b"k" * 1_000_000)
    good = b'{"room_id":"room","host_id":"h","at":%d,"stream":"live","face":true,"black":false}'
    await producer.send_and_wait("frame-status", good % (time.time_ns() // 1_000_000), key=b"room")
    await producer.stop()
    worker = await WorkerProcess(
        broker, tmp_path / "worker.log", session_timeout_ms=3000, idempotent_producer=False
    ).ready()
    try:
        until = time.monotonic() + 30
        published = await read(broker, ["dead-letter", "room-status"])
        while (len(published["dead-letter"]) < 2 or not published["room-status"]) and time.monotonic() < until:
            published = await read(broker, ["dead-letter", "room-status"])
        assert [letter["offset"] for _, letter in published["dead-letter"]] == [0, 1]
        assert "1000000 bytes" in published["dead-letter"][0][1]["detail"]
        assert published["room-status"]
        assert worker.process.poll() is None
    finally:
        assert worker.stop() == 0
