"""What is no event of ours is named for what it is; a byte order mark and Confluent's five bytes are skipped."""

import base64
import gzip
from typing import Any

import orjson
import pytest
import zstandard

from tests.support.messages import INPUTS, accepted, good, key_of, put, rejection
from vigil.topics.diagnosis import unframed
from vigil.topics.fields import MAX_MESSAGE_BYTES

every_topic = pytest.mark.parametrize("topic", INPUTS)
BYTE_ORDER_MARK = "\ufeff".encode()
SCHEMA_42 = b"\x00\x00\x00\x00\x2a"


@every_topic
@pytest.mark.parametrize(
    "before", [BYTE_ORDER_MARK, SCHEMA_42, SCHEMA_42 + BYTE_ORDER_MARK, SCHEMA_42 + b" \n"], ids=lambda raw: raw.hex()
)
def test_what_stands_before_json_is_skipped(topic: str, before: bytes):
    assert accepted(topic, before + put(topic)) == accepted(topic, put(topic))
    assert "`$.at`" in rejection(topic, before + put(topic, at="soon"))


def test_an_unreadable_optional_field_is_left_out_behind_confluents_bytes_too():
    assert accepted("comment", SCHEMA_42 + put("comment", intent="smalltalk")).intent is None
    assert accepted("payment", SCHEMA_42 + put("payment", amount_usd=12.5)).cents == 1250


def test_the_limit_is_of_the_whole_message():
    whole = put("comment", extra="")
    value = put("comment", extra="x" * (MAX_MESSAGE_BYTES - len(whole)))
    assert accepted("comment", value)
    assert "65541 bytes" in rejection("comment", SCHEMA_42 + value)


@every_topic
def test_one_byte_order_mark_is_skipped_and_a_second_is_no_json(topic: str):
    assert rejection(topic, BYTE_ORDER_MARK * 2 + put(topic)).startswith("not valid JSON: ")


def encoded(encoding: str) -> bytes:
    return put("comment").decode().encode(encoding)


ENCODINGS = [
    (encoded("utf-16"), "UTF-16"),
    (encoded("utf-16-le"), "UTF-16"),
    (encoded("utf-16-be"), "UTF-16"),
    (encoded("utf-32"), "UTF-32"),
    (gzip.compress(put("comment"), mtime=0), "compressed with gzip"),
    (zstandard.compress(put("comment")), "compressed with zstd"),
    (b"\x04\x22\x4d\x18" + put("comment"), "compressed with LZ4"),
    (b"\x82SNAPPY\x00" + put("comment"), "compressed with Snappy"),
    (b"Obj\x01" + put("comment"), "an Avro file"),
    (SCHEMA_42 + b"\x0croom-1", "Confluent's wire format (schema 42)"),
    (SCHEMA_42 + put("comment")[1:], "Confluent's wire format (schema 42)"),
    (SCHEMA_42 + b"[]", "Confluent's wire format (schema 42)"),
    (b"\x03\x00" + b"\x07" * 16 + b"\x0croom-1", "AWS Glue Schema Registry"),
    (b":)\n\x00", "Smile"),
    (b"<comment/>", "XML"),
    (str(good("comment")).encode(), "in single quotes"),
    (base64.b64encode(put("comment")), "JSON in base64"),
    (put("comment") + b"\n" + put("comment"), "several JSON texts"),
]


@pytest.mark.parametrize("value, name", ENCODINGS, ids=[name for _, name in ENCODINGS])
def test_what_is_no_json_in_utf_8_is_named(value: bytes, name: str):
    words = rejection("comment", value)
    assert words.startswith("not valid JSON: ")
    assert name in words


def wrapped(**fields: Any) -> bytes:
    return orjson.dumps(fields)


ENVELOPES = [
    (wrapped(schema={"type": "struct"}, payload=good("comment")), "Kafka Connect envelope"),
    (wrapped(schema=None, payload=good("comment")), "schemas.enable=false"),
    (wrapped(before=None, after=good("comment"), op="c", ts_ms=1), "Debezium"),
    (wrapped(schema={}, payload={"before": None, "after": good("comment"), "op": "c"}), "Debezium"),
    (wrapped(specversion="1.0", id="1", source="/x", type="comment", data=good("comment")), "structured CloudEvent"),
    (wrapped(topic="comment", partition=0, offset=1, tstype="create", payload="{}"), "kcat -J"),
    (orjson.dumps(put("comment").decode()), "encoded twice"),
    (orjson.dumps("[" + put("comment").decode() + "]"), "encoded twice"),
    (orjson.dumps(base64.b64encode(put("comment")).decode()), "JSON in base64"),
    (orjson.dumps([good("comment")] * 3), "an array of 3"),
    (put("comment", room_id={"string": "room-1"}), "Avro's JSON encoding"),
    (put("comment", at={"long": 1662048000500}), "Avro's JSON encoding"),
    (put("comment", room_id={"S": "room-1"}), "DynamoDB's JSON"),
    (put("comment", at={"$numberLong": "1662048000500"}), "MongoDB's extended JSON"),
    (wrapped(data=good("comment")), "`$.data`"),
    (wrapped(value=good("comment")), "`$.value`"),
    (wrapped(payload=good("comment"), type="comment"), "`$.payload`"),
    (wrapped(message=put("comment").decode()), "`$.message`"),
    (wrapped(meta={}, event={"body": good("comment")}), "`$.event.body`"),
    (wrapped(records=[{"value": good("comment")}]), "`$.records[0].value`"),
    (put("comment").replace(b"room_id", b"roomId"), "`roomId` must be spelt `room_id`"),
]


@pytest.mark.parametrize("value, name", ENVELOPES)
def test_an_envelope_is_named(value: bytes, name: str):
    assert name in rejection("comment", value)


def test_what_is_no_envelope_is_not_named_as_one():
    for fields in (
        {"at": "soon", "data": good("comment")},
        {"text": '{"a": 1}'},
        {"extra": {"string": "x"}, "at": 1.5},
    ):
        assert "`$.data`" not in (words := rejection("comment", put("comment", **({"at": "soon"} | fields))))
        assert "Avro" not in words
    assert rejection("comment", b'{"data": {"a": 1}}') == "Object missing required field `room_id`"


def test_an_event_with_fields_of_an_envelope_is_an_event():
    extra = {"schema": "v2", "payload": {}, "specversion": "1.0", "data": {}}
    assert accepted("comment", put("comment", **extra)) == accepted("comment", put("comment"))


@every_topic
def test_a_key_in_quotes_is_named(topic: str):
    assert "in quotes, as a JSON serializer writes it" in rejection(topic, put(topic), b'"%b"' % key_of(topic))


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00" * 5, b"\x00" * 6, b"{}", b"\x00\x00\x00\x00\x2a["])
def test_other_values_stay_as_they_are(value: bytes):
    assert unframed(value) is value
