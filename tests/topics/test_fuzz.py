"""A decoder returns an event or raises InvalidEvent for any input, and agrees with the JSON Schema."""

import contextlib
import math
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import orjson
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.support import strategies
from tests.support.examples import examples
from tests.support.messages import INPUTS
from vigil.topics.catalog import BY_NAME
from vigil.topics.contracts import PUBLIC, schema_of
from vigil.topics.contracts.decoding import decode
from vigil.topics.decoder import nobody
from vigil.topics.fields import MAX_MESSAGE_BYTES, InvalidEvent
from vigil.topics.labels import OnIgnored
from vigil.topics.products import OF_EPR, OF_PAID
from vigil.topics.services import OF_KIND
from vigil.topics.suppliers import cents_of

every_topic = pytest.mark.parametrize("topic", INPUTS)
VALIDATORS = {name: jsonschema.Draft202012Validator(schema_of(PUBLIC[name])) for name in INPUTS}


def outcome(topic: str, key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Any:
    """The event, or None if the message is rejected. Any other exception is a failure."""
    try:
        return decode(topic, key, value, on_ignored=on_ignored)
    except InvalidEvent as error:
        assert error.reason == "malformed"
        assert error.detail
        error.detail.encode()  # it goes out as JSON: no lone surrogates
        assert len(error.detail) < 2000
        return None


@every_topic
@given(key=st.none() | st.binary(max_size=300), value=st.none() | st.binary(max_size=300))
def test_any_bytes(topic: str, key: bytes | None, value: bytes | None):
    outcome(topic, key, value)


@every_topic
@given(data=st.data())
def test_mangled_messages(topic: str, data: st.DataObject):
    value = data.draw(strategies.mangled(topic))
    key = data.draw(st.none() | st.binary(max_size=10))
    with contextlib.suppress(ValueError):
        key = strategies.key(topic, orjson.loads(value)) if orjson.loads(value) else key
    outcome(topic, key, value)


@every_topic
@given(data=st.data())
def test_valid_events_are_accepted_as_they_were_sent(topic: str, data: st.DataObject):
    fields = data.draw(strategies.events[topic])
    value = orjson.dumps(fields)
    assume(len(value) <= MAX_MESSAGE_BYTES)
    VALIDATORS[topic].validate(fields)
    event = msgspec.to_builtins(decode(topic, strategies.key(topic, fields), value))
    assert {name: event[name] for name in fields if name != "layout"} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items() if name != "layout"
    }


@every_topic
@settings(max_examples=examples(200))
@given(data=st.data())
def test_what_the_json_schema_allows_is_read_whole_and_the_rest_in_part_or_not_at_all(topic: str, data: st.DataObject):
    fields = data.draw(strategies.spoilt(topic))
    try:
        value = orjson.dumps(fields)
    except orjson.JSONEncodeError:
        value = msgspec.json.encode(fields)  # beyond 64 bits
    assume(not _beyond_schemas(fields))
    ignored: list[str] = []
    event = outcome(topic, strategies.key(topic, fields), value, lambda field, number: ignored.append(field))
    assert (event is not None and not ignored) == VALIDATORS[topic].is_valid(fields)


DECISIVE = {
    "review": ("choice",),
    "order": OF_PAID,
    "certificate": (*OF_EPR, "valid_from", "valid_until", "holder", "invoice"),
    "service-request": OF_KIND["requested"],
    "activity": tuple(field for fields in OF_KIND.values() for field in fields),
}
"""Fields that some kinds of events must have, and bounds that must be readable: they are not left out."""

OPTIONAL = [
    (topic, field.encode_name)
    for topic in INPUTS
    for field in msgspec.structs.fields(BY_NAME[topic].carries)
    if not field.required and field.encode_name not in DECISIVE.get(topic, ())
]


@pytest.mark.parametrize("topic, field", OPTIONAL)
@settings(max_examples=examples(30))
@given(data=st.data())
def test_junk_in_one_optional_field_changes_no_other(topic: str, field: str, data: st.DataObject):
    fields = {name: value for name, value in data.draw(strategies.events[topic]).items() if name != field}
    assume(fields.get("kind") != "submitted")
    junk = data.draw(strategies.json_values | strategies.raw_numbers)
    key = strategies.key(topic, fields)
    value = strategies.dumps({**fields, field: "@junk@"}).replace(b'"@junk@"', strategies.dumps(junk))
    assume(len(value) <= MAX_MESSAGE_BYTES)
    ignored: list[str] = []
    got = decode(topic, key, value, on_ignored=lambda name, number: ignored.append(name))
    without = decode(topic, key, strategies.dumps(fields))
    assert msgspec.structs.replace(got, **{field: getattr(without, field)}) == without
    assert {name.partition(".")[0] for name in ignored} <= {field}
    if getattr(got, field) == getattr(without, field):
        return
    assert msgspec.convert(msgspec.to_builtins(got), type(got)) == got, "what was read keeps the contract"


def _beyond_schemas(fields: dict[str, Any]) -> bool:
    """What JSON Schema cannot say: how many decimals a number has, and how many labels are read."""

    labels = fields.get("labels")
    beyond = isinstance(labels, list) and any(isinstance(label, str) and len(label) > 128 for label in labels)
    lines = fields.get("lines")
    amounts = [line.get("amount_usd") for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    floats = any(isinstance(amount, float) for amount in (fields.get("amount_usd"), *amounts))
    return floats or beyond or _nearly(fields.get("layout"))


def _nearly(layout: Any) -> bool:
    """A share a rounding error out of range is read."""
    shares = [layout.get(name) for name in ("camera_share", "uncovered_share")] if isinstance(layout, dict) else []
    return any(isinstance(share, float) and not 0 <= share <= 1 and -1e-6 <= share <= 1 + 1e-6 for share in shares)


amount_texts = st.from_regex(r"[0-9]{0,45}(\.[0-9]{0,45})?", fullmatch=True) | st.text("0123456789.-+e ", max_size=50)


@settings(max_examples=examples(500))
@given(amount_texts)
@example("1" + "0" * 15)
@example("1" + "0" * 15 + ".00")
@example("1" + "0" * 15 + ".01")
@example("0" * 24 + "1" + "0" * 15)
@example("0" * 25 + "1" + "0" * 15)
@example("0." + "0" * 40)
@example("1." + "0" * 40)
@example("1." + "0" * 41)
@example("1\n")
def test_amounts_in_text_decoder_and_schema_agree(text: str):
    schema = schema_of(PUBLIC["payment"])["properties"]["amount_usd"]
    try:
        cents = cents_of(text)
    except InvalidEvent:
        cents = None
    assert (cents is not None) == jsonschema.Draft202012Validator(schema).is_valid(text)
    if cents is not None:
        assert Decimal(text) * 100 == cents


@given(st.integers(1, 10**12))
def test_amounts_as_numbers_lose_no_cent(cents: int):
    assert cents_of(float(f"{cents // 100}.{cents % 100:02}")) == cents


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_amounts_as_any_number(number: float):
    try:
        cents = cents_of(number)
    except InvalidEvent:
        return
    assert cents >= 1
    assert math.isclose(cents, number * 100, rel_tol=1e-12)
