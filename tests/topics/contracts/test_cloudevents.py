"""What a worker sends is read with the CloudEvents SDK, as any consumer would read it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from aiokafka import AIOKafkaConsumer
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from vigil.topics.contracts import EXAMPLES, PUBLIC, schema_of

NOT_JUDGED = {"verdict-shadow", "rulebook"}
"""Outputs of which a worker sends none here; a command writes `rulebook` (tests/runtime/rulebooks/test_publish.py)."""

OUTPUTS = [name for name, topic in PUBLIC.items() if topic.direction == "out" and name not in NOT_JUDGED]


async def records(broker: str, topic: str) -> list[Any]:
    """Every message of a topic as it stands there."""
    found: list[Any] = []
    async with AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest") as consumer:
        while batches := await consumer.getmany(timeout_ms=1500):
            for batch in batches.values():
                found += batch
    return found


@pytest.mark.parametrize("topic", OUTPUTS)
async def test_the_sdk_reads_it(judged: str, topic: str):
    found = await records(judged, topic)
    assert found
    for record in found:
        message = KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value)
        event = from_binary_event(message)
        assert event.get_specversion() == "1.0"
        assert event.get_type() == f"vigil.{topic}.v1"
        assert event.get_source() == "/vigil/vigil"
        assert event.get_datacontenttype() == "application/json"
        data: Any = event.get_data()
        jsonschema.Draft202012Validator(schema_of(PUBLIC[topic])).validate(data)
        time = event.get_time()
        assert time is not None
        assert time == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=data["at"])
        if topic in ("verdict", "notice"):
            assert event.get_id() == data[f"{topic}_id"]
        elif topic == "enforcement":
            assert event.get_id() == f"{data['action_id']}:{data['revision']}"
        elif topic == "dead-letter":
            assert event.get_id() == f"{data['topic']}/{data['partition']}/{data['offset']}"
        if topic != "dead-letter":
            assert record.key.decode() == PUBLIC[topic].key_of(data)


async def test_the_example_verdict_is_what_the_worker_sent(judged: str):
    (record,) = await records(judged, "verdict")
    message = KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value)
    event = from_binary_event(message)
    data: Any = event.get_data()
    example = EXAMPLES["verdict"]
    assert event.get_id() == example.id
    assert data | {"published_at": 0} == example.value | {"published_at": 0}
    assert abs(data["published_at"] / 1000 - datetime.now(UTC).timestamp()) < 600
