"""The form of outputs: their JSON, its time of publishing, and the times in their headers."""

from datetime import UTC, datetime, timedelta

import msgspec
import orjson
import pytest

from vigil.app.engine.changelog import sendable
from vigil.topics.catalog import TOPICS
from vigil.topics.envelope import Output, encode_body, stamp, timestamp

EXAMPLES = [(topic, example) for topic in TOPICS if topic.direction != "in" for example in topic.examples]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("topic", "example"), EXAMPLES, ids=[f"{topic.name}-{n}" for n, (topic, _) in enumerate(EXAMPLES)]
)
def test_the_json_of_an_output_has_all_its_fields_in_order_but_when_it_was_published(topic, example):
    if example.value is None:
        return
    body = msgspec.convert(example.value, topic.carries)
    fields = msgspec.to_builtins(body)
    fields.pop("published_at", None)
    payload = encode_body(body)
    assert payload == orjson.dumps(fields)
    if topic.stamped:
        assert stamp(payload, 7) == orjson.dumps({**fields, "published_at": 7})
        assert encode_body(msgspec.structs.replace(body, published_at=None)) == payload


def test_the_time_of_publishing_is_the_last_field_of_whatever_has_it():
    stamped = [topic.carries.__struct_fields__ for topic in TOPICS if topic.stamped]
    assert stamped
    assert {fields[-1] for fields in stamped} == {"published_at"}


def test_a_body_that_goes_to_two_topics_has_the_same_json_in_both_and_another_has_its_own():
    topic, example = next(pair for pair in EXAMPLES if pair[0].name == "verdict")
    one = msgspec.convert(example.value, topic.carries)
    other = msgspec.structs.replace(one, room_id="room-other")
    bodies = (one, one, other, None, other)
    messages = sendable(Output("verdict", b"k", str(number), 5, body, 3) for number, body in enumerate(bodies))
    assert [message.payload for message in messages] == [encode_body(body) for body in bodies]
    assert messages[0].payload is messages[1].payload
    assert [(one.topic, one.key, one.id, one.at, one.triggered_at) for one in messages[:1]] == [
        ("verdict", b"k", "0", 5, 3)
    ]


@pytest.mark.parametrize("at", [0, 1, 999, 1000, 951_782_400_000, 1_662_048_017_087, 253_402_300_799_999, -1, -1001])
def test_a_timestamp_is_rfc_3339_with_milliseconds(at):
    text = (EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert timestamp(at) == text
