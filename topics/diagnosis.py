"""Names what a message is that is no event: its encoding, or the unit of its times."""

import re
from typing import Final

from vigil.topics.fields import LAST_TIME, LEAST_TIME
from vigil.topics.wrapping import is_base64_of_json

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_BEGINNINGS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"\x82SNAPPY\x00", "compressed with Snappy"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Obj\x01", "an Avro file"),
    (b"\xac\xed\x00\x05", "a serialized Java object"),
    (b":)\n", "Smile (binary JSON)"),
    (b"\x03\x00", "in the format of the AWS Glue Schema Registry"),
    (b"\x03\x05", "in the format of the AWS Glue Schema Registry, compressed"),
    (b"<", "XML or HTML"),
    (b"{'", "in single quotes, as Python's str() writes it"),
)
"""How what is no JSON begins."""

_FRAME_BYTES: Final = 5
"""Confluent's wire format: a zero byte and the four bytes of a schema's id stand before the value."""

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?\s*")
_SHOWN: Final = 40


def unframed(value: bytes) -> bytes:
    """A Kafka value without Confluent's five bytes before JSON, and without a byte order mark; else the same object."""
    if value[:1] == b"\x00" and len(value) > _FRAME_BYTES:
        rest = value[_FRAME_BYTES:].removeprefix(BYTE_ORDER_MARK)
        if rest.lstrip(b" \t\r\n")[:1] == b"{":
            return rest
    return value[len(BYTE_ORDER_MARK) :] if value.startswith(BYTE_ORDER_MARK) else value


def not_text(value: bytes) -> str | None:
    """What a value is that is no JSON in UTF-8; None where that cannot be seen."""
    for beginning, name in _BEGINNINGS:
        if value.startswith(beginning):
            return f"it is {name}, not JSON in UTF-8"
    head = value[:8]
    if len(head) >= 4 and any(not any(head[here::2]) and all(head[1 - here :: 2]) for here in (0, 1)):
        return "it is UTF-16, not JSON in UTF-8"
    if head[:1] == b"\x00" and len(value) > _FRAME_BYTES:
        schema = int.from_bytes(value[1:_FRAME_BYTES], "big")
        return (
            f"it begins like Confluent's wire format (schema {schema}) and no JSON object follows: Avro and Protobuf "
            "are not read"
        )
    if is_base64_of_json(value):
        return "it is JSON in base64, not JSON"
    return None


def why_no_time(value: object) -> str | None:
    """What a value is that stands for a time in milliseconds and is none; None where that cannot be seen."""
    if isinstance(value, str):
        return _text_for_a_time(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value == 0:
        return f"{_short(value)} stands for no time: it seems that nothing set it"
    if 0 < value < LEAST_TIME:
        return f"{_short(value)} seems to be seconds, not milliseconds, since the Unix epoch"
    for name, in_a_ms in (("microseconds", 1000), ("nanoseconds", 1_000_000)):
        if LEAST_TIME * in_a_ms <= value <= LAST_TIME * in_a_ms:
            return f"{_short(value)} seems to be {name}, not milliseconds, since the Unix epoch"
    return None


def _text_for_a_time(text: str) -> str | None:
    if _ISO.fullmatch(text[:64]):
        return f"{text[:_SHOWN]!r} is ISO text, not a number of milliseconds since the Unix epoch"
    if text[:64].isdecimal():
        return f"{text[:_SHOWN]!r} is a number in quotes"
    return None


def _short(value: float) -> str:
    return str(value)[:_SHOWN]
