"""Producers may use any compression, and a small batch may decompress to more than Vigil ever writes."""

import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import WorkerProcess, make_topics, read
from tests.support.kafka import KafkaBroker

pytestmark = [pytest.mark.ci, pytest.mark.timeout(180)]

CODECS = ("gzip", "snappy", "lz4", "zstd")
HUGE = 12 * 2**20


async def test_every_codec_is_read_and_a_message_that_is_huge_when_decompressed_is_rejected(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    address = own_kafka.address
    await make_topics(address, 1)
    frame = b'{"room_id":"%b","host_id":"h","at":%d,"stream":"live","face":true,"black":false}'
    for codec in CODECS:
        producer = AIOKafkaProducer(
            bootstrap_servers=address, compression_type=codec, max_request_size=2 * HUGE, max_batch_size=2 * HUGE
        )
        async with producer:
            now = time.time_ns() // 1_000_000
            await producer.send_and_wait("frame-status", frame % (codec.encode(), now), key=codec.encode())
            if codec == "zstd":
                await producer.send_and_wait("comment", b"x" * HUGE, key=b"room")
                await producer.send_and_wait("comment", b"{}", key=b"k" * HUGE)
    worker = await WorkerProcess(address, tmp_path / "worker.log", session_timeout_ms=3000).ready()
    try:
        until = time.monotonic() + 30
        published = await read(address, ["dead-letter", "room-status"])
        while (len(published["dead-letter"]) < 2 or len(published["room-status"]) < 4) and time.monotonic() < until:
            published = await read(address, ["dead-letter", "room-status"])
        assert {value["room_id"] for _, value in published["room-status"]} == set(CODECS)
        for offset, (key, letter) in enumerate(published["dead-letter"]):
            assert (letter["topic"], letter["offset"]) == ("comment", offset)
            assert "too large for this topic" in letter["detail"]
            assert key is letter["key"] is letter["value"] is None
        assert worker.process.poll() is None
    finally:
        assert worker.stop() == 0
