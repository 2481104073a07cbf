"""Names the form of a value that is no JSON object: another encoding, another format, or JSON with something around it.

Only values that no decoder takes come here. What cannot be recognised has no name.
"""

import json
import re
import struct
from contextlib import suppress
from typing import Final

import msgspec

_NOT_JSON: Final = ", not JSON in UTF-8"

_BEGINNINGS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"{\x00\x00\x00", "UTF-32"),
    (b"\x00\x00\x00{", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\xc0\x7f", "EBCDIC"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"H4sI", "compressed with gzip, and in base64"),
    (b"\x78\x01", "compressed with zlib"),
    (b"\x78\x9c", "compressed with zlib"),
    (b"\x78\xda", "compressed with zlib"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4"),
    (b"\x82SNAPPY\x00", "compressed with Snappy"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"-----BEGIN ", "encrypted or signed (PEM or PGP)"),
    (b"Obj\x01", "an Avro file"),
    (b"PAR1", "a Parquet file"),
    (b"ORC\n", "an ORC file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"\xff\xff\xff\xff", "an Arrow message"),
    (b"\xe0\x01\x00\xea", "Ion (binary JSON)"),
    (b"\xac\xed\x00\x05", "a serialized Java object"),
    (b":)\n", "Smile (binary JSON)"),
    (b"\x03\x00", "in the format of the AWS Glue Schema Registry"),
    (b"\x03\x05", "in the format of the AWS Glue Schema Registry, compressed"),
    (b"{'", "in single quotes, as Python's str() writes it"),
    (b"[{'", "in single quotes, as Python's str() writes it"),
)
"""How what is no JSON begins."""

_LENGTH_BYTES: Final = 4
_LONGEST_LINE: Final = 4096
"""Characters of a text that are looked at."""

_TEXTS: Final = (
    (re.compile(r"<\d{1,3}>"), "a syslog line"),
    (re.compile(r"<"), "XML or HTML"),
    (re.compile(r"\??[\w.%-]+=[^&\s]*(&[\w.%-]+=[^&\s]*)+$"), "form data (name=value&…)"),
    (re.compile(r"%7B", re.IGNORECASE), "URL-encoded"),
    (re.compile(r"7b22[0-9a-f]+$", re.IGNORECASE), "JSON in hexadecimal digits"),
    (re.compile(r"(---\n|[\w-]+: .*\n[\w-]+: )"), "YAML"),
    (re.compile(r"[\w.-]+ ?= ?\S"), "a list of name=value"),
    (re.compile(r"([^,;\t|{}\n]*[,;\t|]){2}[^{}\n]*(\n|$)"), "a line of separated values (CSV)"),
)
"""Texts that are no JSON at all, after white space."""

_PYTHON: Final = re.compile(r"(True|False|None)\b")
_SPACE: Final = " \t\r\n"
"""What JSON takes for white space."""


def binary_form(value: bytes) -> str | None:
    """What a value is that is no text, or a text that begins like no JSON; None where that cannot be seen."""
    for beginning, name in _BEGINNINGS:
        if value.startswith(beginning):
            return f"it is {name}{_NOT_JSON}"
    head = value[:8]
    if len(head) >= _LENGTH_BYTES and any(not any(head[here::2]) and all(head[1 - here :: 2]) for here in (0, 1)):
        return f"it is UTF-16{_NOT_JSON}"
    if len(value) - _LENGTH_BYTES == int.from_bytes(head[:_LENGTH_BYTES], "big") and b"{" in head[_LENGTH_BYTES:]:
        return "its length stands before it, in four bytes: send JSON alone"
    for is_form, name in ((_is_message_pack, "MessagePack"), (_is_cbor, "CBOR"), (_is_bson, "BSON")):
        if is_form(value):
            return f"it is {name}{_NOT_JSON}"
    return f"it seems to be Protobuf{_NOT_JSON}" if _is_protobuf(value) else None


def text_form(text: str, at: int) -> str | None:
    """What a text is in which `json` has found a fault at a character; None where that cannot be seen."""
    bare = text.strip(_SPACE + "\0\x1e\ufeff")
    if not bare:
        return "it is empty"
    if bare != text.strip(_SPACE) and _begins_json(bare) == len(bare):
        return "characters that cannot be seen stand around the JSON: send it alone"
    start = bare.find('{"')
    if start > 0 and bare[0] not in '{["' and _begins_json(bare[start:]):
        return f"a JSON object begins at character {start + 1} of it: send it alone"
    for pattern, name in _TEXTS:
        if pattern.match(bare[:_LONGEST_LINE]):
            return f"it seems to be {name}{_NOT_JSON}"
    return _spoilt(text, at) if bare[0] == "{" else None


def _spoilt(text: str, at: int) -> str | None:
    """Why a text that begins like a JSON object is none."""
    if (python := _PYTHON.match(text, at)) is not None:
        return f"{python[0]} (at character {at + 1}) is Python's: JSON has true, false and null"
    if at >= len(text.rstrip(_SPACE)):
        return f"it is cut off after {len(text)} characters"
    if text[at] in "}]" and text[:at].rstrip(_SPACE).endswith(","):
        return f"a comma stands before the end of an object or list (at character {at + 1})"
    return None


def _begins_json(text: str) -> int:
    """The length of the JSON object at the beginning of a text; 0 without one."""
    with suppress(ValueError, RecursionError):
        content, end = json.JSONDecoder().raw_decode(text)
        return end if isinstance(content, dict) else 0
    return 0


def _is_message_pack(value: bytes) -> bool:
    if not 0x80 <= value[:1][0] <= 0x9F and value[:1] not in (b"\xde", b"\xdf", b"\xdc"):
        return False
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return isinstance(msgspec.msgpack.decode(value), dict | list)
    return False


def _is_cbor(value: bytes) -> bool:
    """True if a value begins with a map whose first key is a text."""
    bare = value.removeprefix(b"\xd9\xd9\xf7")
    if len(bare) < _LENGTH_BYTES or not (0xA1 <= bare[0] <= 0xB9 or bare[0] == 0xBF):
        return False
    key = bare[2:] if bare[0] in (0xB8,) else bare[3:] if bare[0] == 0xB9 else bare[1:]
    length = key[0] - 0x60
    name = key[1 : 1 + length]
    return 0 < length < 24 and len(name) == length and name.isascii() and name.decode().isidentifier()


def _is_bson(value: bytes) -> bool:
    if len(value) < 5 or value[-1]:
        return False
    return bool(struct.unpack("<i", value[:_LENGTH_BYTES])[0] == len(value))


def _is_protobuf(value: bytes) -> bool:
    """True if a value is two fields or more in Protobuf's wire format, of which the first is one of the first two."""
    at = fields = 0
    while at < len(value):
        tag, at = _varint(value, at)
        kind = tag & 7
        if not tag >> 3 or (not fields and tag >> 3 > 2):
            return False
        if kind == 0:
            _, at = _varint(value, at)
        elif kind == 2:
            length, at = _varint(value, at)
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return False
        fields += 1
    return at == len(value) and fields > 1


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """A number at a place, and the place behind it: behind the end of the value where it is cut off."""
    number = shift = 0
    for here in range(at, min(at + 10, len(value))):
        number |= (value[here] & 0x7F) << shift
        if value[here] < 0x80:
            return number, here + 1
        shift += 7
    return 0, len(value) + 1
