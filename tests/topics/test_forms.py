"""Values in other encodings and formats are named for what they are: the producer reads it in the dead letter."""

import base64
import json
import struct
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.topics.catalog import BY_NAME
from vigil.topics.decoder import nobody
from vigil.topics.fields import UNKEYED, InvalidEvent

AT = 1_662_048_000_000
FRAME: dict[str, Any] = {"room_id": "r", "host_id": "h", "at": AT, "stream": "live", "face": True, "black": False}
TEXT = json.dumps(FRAME)
JSON = TEXT.encode()


def rejection(value: bytes) -> str:
    decode = BY_NAME["frame-status"].decode
    assert decode is not None
    with pytest.raises(InvalidEvent) as caught:
        decode(UNKEYED, value, AT, nobody)
    assert caught.value.reason == "malformed"
    return caught.value.detail


def bson() -> bytes:
    fields = b"\x02room_id\0\x02\0\0\0r\0\x12at\0" + struct.pack("<q", AT) + b"\0"
    return struct.pack("<i", len(fields) + 4) + fields


def with_text(text: str, encoding: str) -> bytes:
    return json.dumps({**FRAME, "detector": text}, ensure_ascii=False).encode(encoding)


PROTOBUF = b"\x0a\x01r\x12\x01h\x18\x80\xa8\xa6\xb3\xaf0\x22\x04live\x28\x01\x30\x00"
CBOR = b"\xa2groom_idarehost_idah"

BINARY = [
    (msgspec.msgpack.encode(FRAME), "it is MessagePack"),
    (msgspec.msgpack.encode(list(FRAME.values())), "it is MessagePack"),
    (msgspec.msgpack.encode({str(number): number for number in range(20)}), "it is MessagePack"),
    (PROTOBUF, "it seems to be Protobuf"),
    (CBOR, "it is CBOR"),
    (b"\xd9\xd9\xf7" + CBOR, "it is CBOR"),
    (b"\xbf" + CBOR[1:] + b"\xff", "it is CBOR"),
    (bson(), "it is BSON"),
    (zlib.compress(JSON), "compressed with zlib"),
    (base64.b64encode(zlib.compress(JSON, wbits=31)), "compressed with gzip, and in base64"),
    (TEXT.encode("utf-32-le"), "UTF-32"),
    (TEXT.encode("utf-32-be"), "UTF-32"),
    (TEXT.encode("cp037"), "EBCDIC"),
    (with_text("café", "latin-1"), "not UTF-8: invalid continuation byte at byte 118: is it Latin-1"),
    (with_text("欢迎光临", "gbk"), "is it Latin-1, GBK or Shift JIS?"),
    (struct.pack(">I", len(JSON)) + JSON, "its length stands before it, in four bytes"),
    (b"PAR1\x15\x04", "a Parquet file"),
]

TEXTS = [
    (b"", "it is empty"),
    (b" \n", "it is empty"),
    (b"\0\0", "it is empty"),
    (b"r,h,1662048000000,live,true,false", "a line of separated values (CSV)"),
    (b'"r";"h";1662048000000;"live"', "a line of separated values (CSV)"),
    (b"r\th\t1662048000000\tlive", "a line of separated values (CSV)"),
    (b"room_id=r&host_id=h&at=1662048000000", "form data"),
    (b"room_id=r host_id=h at=1662048000000", "a list of name=value"),
    (b'room_id = "r"\nhost_id = "h"\n', "a list of name=value"),
    (b"room_id: r\nhost_id: h\n", "YAML"),
    (b"%7B%22room_id%22%3A%22r%22%7D", "URL-encoded"),
    (JSON.hex().encode(), "JSON in hexadecimal digits"),
    (b"\n  <?xml version='1.0'?><frame/>", "XML or HTML"),
    (b"<34>1 2022-09-01T16:00:00Z host app - - - hello", "a syslog line"),
    (b"-----BEGIN PGP MESSAGE-----", "encrypted or signed"),
    (b"[{'room_id': 'r'}]", "in single quotes"),
    (b"data: " + JSON, "a JSON object begins at character 7"),
    (b"callback(" + JSON + b");", "a JSON object begins at character 10"),
    (b"// a frame\n" + JSON, "a JSON object begins at character 12"),
    (JSON + b"\0\0\0\0", "characters that cannot be seen stand around the JSON"),
    (b"\x1e" + JSON + b"\n", "characters that cannot be seen stand around the JSON"),
    (b"\xef\xbb\xbf" * 2 + JSON, "characters that cannot be seen stand around the JSON"),
    (JSON[:60], "it is cut off after 60 characters"),
    (JSON[:-8], f"it is cut off after {len(JSON) - 8} characters"),
    (JSON[:-1] + b", }", f"a comma stands before the end of an object or list (at character {len(JSON) + 2})"),
    (JSON.replace(b"true", b"True"), "True (at character 81) is Python's: JSON has true, false and null"),
    (JSON[:-1] + b', "av_offset_ms": None}', "is Python's: JSON has true, false and null"),
    (b"hello", "Expecting value: line 1 column 1"),
]


@pytest.mark.parametrize(("value", "words"), [*BINARY, *TEXTS])
def test_another_form_is_named(value: bytes, words: str) -> None:
    detail = rejection(value)
    assert detail.startswith("not valid JSON: ")
    assert words in detail


@pytest.mark.parametrize("text", ["a, }", "True}", ": None", "x=1&y=2", 'say "{"', "data: {}"])
def test_what_a_text_says_is_not_taken_for_its_form(text: str) -> None:
    """The fault is elsewhere: a field that is missing, or a surrogate."""
    value = json.dumps({**FRAME, "detector": text})
    assert rejection(value.replace('"room_id"', '"x"').encode()).startswith("Object missing required field `room_id`")
    assert "a lone surrogate" in rejection((value[:-1] + ', "x": "\\ud800"}').encode())


def test_a_deep_nesting_is_not_taken_for_another_form() -> None:
    assert rejection(b'{"a":' * 9000).endswith("it is nested too deeply")


@pytest.mark.parametrize(
    "value", [b"," * 65_000, b"a=" * 32_000, b"\x80" * 65_000, b"\x0a\x00" * 32_000, b"a: " * 21_000]
)
def test_a_long_value_is_looked_at_once(value: bytes) -> None:
    assert rejection(value)


@given(st.binary(max_size=64))
def test_whatever_comes_is_rejected_in_words(value: bytes) -> None:
    assert rejection(value)


ENVELOPES = [
    ({"message": {"data": base64.b64encode(JSON).decode()}, "subscription": "s"}, "$.message.data"),
    ({"Records": [{"kinesis": {"data": base64.b64encode(JSON).decode()}}]}, "$.Records[0].kinesis.data"),
    (["tag", 1_662_048_000, FRAME], "$[2]"),
    (["tag", [[1_662_048_000, FRAME]]], "$[1][0][1]"),
    ({"a": {"b": {"c": {"d": FRAME}}}}, "$.a.b.c.d"),
]


@pytest.mark.parametrize(("envelope", "place"), ENVELOPES)
def test_an_event_is_found_in_an_envelope_that_nobody_knows(envelope: Any, place: str) -> None:
    assert f"the event seems to stand at `{place}`: send it alone" in rejection(json.dumps(envelope).encode())


def test_an_event_time_of_another_name_and_names_with_a_prefix_are_named() -> None:
    renamed = {("timestamp" if name == "at" else name): value for name, value in FRAME.items()}
    assert "the event time must be called `at`, not `timestamp`" in rejection(json.dumps(renamed).encode())
    prefixed = {f"frame.{name}": value for name, value in FRAME.items()}
    assert "`frame.room_id` must be spelt `room_id`" in rejection(json.dumps(prefixed).encode())


TIMES = [
    ("-1662048000000", "-1662048000000 would lie before 1970"),
    ("1662048000000.5", "milliseconds have no fraction here"),
    ("44805.66", "44805.66 seems to be days of a spreadsheet"),
    ("20220901", "20220901 seems to be a date in digits"),
    ("133064640000000000", "133064640000000000 seems to be Windows file time"),
    ("637976448000000000", "637976448000000000 seems to be .NET ticks"),
    ("[2022,9,1,16,0]", "it is written in parts"),
    ('{"seconds":1662048000,"nanos":0}', "it is written in parts"),
    ('"1662048000.123"', "'1662048000.123' is a number in quotes"),
    ('"1,662,048,000,000"', "is a number in quotes"),
    ('"1.662048E12"', "is a number in quotes"),
    ('"Thu, 01 Sep 2022 16:00:00 GMT"', "is text, not a number of milliseconds since the Unix epoch"),
    ('"01/09/2022 16:00"', "is text, not a number of milliseconds"),
    ('""', "it is an empty text"),
]


@pytest.mark.parametrize(("written", "words"), TIMES)
def test_a_time_in_another_form_is_named(written: str, words: str) -> None:
    assert words in rejection(JSON.replace(str(AT).encode(), written.encode()))
