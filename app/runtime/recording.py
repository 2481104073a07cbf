"""Recordings: lines of JSON, each a message with its topic, in order of arrival; and what is wrong with those that
are none."""

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from vigil.app.runtime.recorded_lines import MAX_LINE_BYTES, CutLine
from vigil.topics.decoder import why_no_json
from vigil.topics.diagnosis import BYTE_ORDER_MARK
from vigil.topics.fields import MAX_MESSAGE_BYTES, UNKEYED
from vigil.topics.repair import NoJsonError, parsed
from vigil.topics.wrapping import wrapping

Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""As Kafka counts."""

Partition = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""As Kafka numbers them."""

SHOWN_TOPIC: Final = 128
"""Characters of an unknown topic's name that a dead letter shows."""


class RecordedLine(Struct):
    """One line of a recording."""

    topic: str
    value: msgspec.Raw
    key: str | UnsetType | None = UNSET
    partition: Partition | None = None
    offset: Offset | None = None


class _Message(Struct):
    """A line without its place."""

    topic: str
    value: msgspec.Raw
    key: str | UnsetType | None = UNSET


class _WrittenPlace(Struct):
    """The numbers of a line, as they may be written."""

    partition: int | float | None = None
    offset: int | float | None = None


class PartialLine(Struct):
    """What can be read of a line that is no line of a recording."""

    topic: msgspec.Raw = msgspec.Raw(b"null")
    value: msgspec.Raw | UnsetType = UNSET
    key: msgspec.Raw = msgspec.Raw(b"null")
    partition: msgspec.Raw = msgspec.Raw(b"null")
    offset: msgspec.Raw = msgspec.Raw(b"null")


class Line(NamedTuple):
    """A recorded message as a shard reads it."""

    offset: int
    """The number of the line, from 1: the order of arrival."""
    key: bytes | None
    value: bytes | None
    place: tuple[int | None, int]
    """The recorded partition, if any; the recorded offset, or the number of the line."""


class RejectedLine(NamedTuple):
    """A line that no shard can read, as its dead letter describes it."""

    topic: str | None
    partition: int | None
    offset: int
    detail: str
    key: bytes | None
    value: bytes | None
    decoded: bool = False


decode_line: Final = msgspec.json.Decoder(RecordedLine).decode
"""Raises msgspec.DecodeError, UnicodeError or RecursionError."""

_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_place: Final = msgspec.json.Decoder(_WrittenPlace).decode
_decode_partial: Final = msgspec.json.Decoder(PartialLine).decode

_BEGIN: Final = re.compile(r"\s*\{")
_NAME: Final = re.compile(r'\s*"([^"\\]*)"\s*:\s*')
_NEXT: Final = re.compile(r"\s*,")
_value_at: Final = json.JSONDecoder().raw_decode

_SURROGATE: Final = re.compile(rb"\\u[dD][89A-Fa-f][0-9A-Fa-f]{2}")
_NO_SURROGATE: Final = rb"\u0000"
"""Has the length of the escape that it replaces, so that positions in the line stay."""


_STRING_OR_CONSTANT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|NaN|-?Infinity', re.DOTALL)


def _without_constant(found: re.Match[bytes]) -> bytes:
    """A string as it is; in place of NaN and infinities an array of the same length, which no part of a line may be."""
    return found[0] if found[0].startswith(b'"') else b"[%b]" % b"0".rjust(len(found[0]) - 2)


def _as_written(value: msgspec.Raw, whole: bytes, raw: bytes) -> msgspec.Raw:
    """The part of a line that stands where `value` stands in a line of the same length."""
    begin = whole.find(bytes(value))
    return msgspec.Raw(raw[begin : begin + len(bytes(value))])


def read_again(raw: bytes) -> RecordedLine | None:
    """A line that decodes without its byte order mark, with 12.0 for 12, or with NaN in its value; else None."""
    bare = raw.removeprefix(BYTE_ORDER_MARK)
    whole = _STRING_OR_CONSTANT.sub(_without_constant, bare)
    try:
        place = _decode_place(whole)
        message = _decode_message(whole)
        if whole != bare:
            message.value = _as_written(message.value, whole, bare)
        partition: int | None = msgspec.convert(_whole(place.partition), Partition | None)
        offset: int | None = msgspec.convert(_whole(place.offset), Offset | None)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return RecordedLine(message.topic, message.value, message.key, partition, offset)


def _whole(number: int | float | None) -> int | float | None:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def unknown_topic(line: RecordedLine, number: int, inputs: Collection[str]) -> RejectedLine:
    """A line of a topic that is no input."""
    detail = f"unknown topic {line.topic[:SHOWN_TOPIC]!r}; known here: {', '.join(inputs)}"
    offset = number if line.offset is None else line.offset
    return RejectedLine(None, line.partition, offset, detail, key_bytes(line.key), bytes(line.value))


def unreadable(raw: bytes, number: int, error: Exception, inputs: Collection[str]) -> RejectedLine:
    """A line that cannot be decoded; where it names an input, as much of the message as can be read."""
    if isinstance(raw, CutLine):
        detail = f"not a line of a recording: it has {raw.size:,} bytes, more than {MAX_LINE_BYTES:,}"
        return RejectedLine(None, None, number, detail, None, None)
    detail = f"not a line of a recording: {_why(raw, error)}"
    partial = _partial(raw)
    topic: str | None = _as(str, partial.topic)
    if topic not in inputs:
        return RejectedLine(None, None, number, detail, None, raw)
    value = raw if partial.value is UNSET else bytes(partial.value)
    offset: int | None = _as(Offset, partial.offset)
    return RejectedLine(
        topic,
        _as(Partition, partial.partition),
        number if offset is None else offset,
        detail,
        key_bytes(_as(str, partial.key)),
        value,
    )


def _why(raw: bytes, error: Exception) -> str:
    """What is wrong with a line, and what it seems to be."""
    try:
        content = parsed(raw.decode())
    except (UnicodeDecodeError, NoJsonError) as fault:
        return why_no_json(raw, fault)
    what = wrapping(content, ("topic", "value"))
    return str(error) if what is None else f"{error}: {what}"


def _partial(raw: bytes) -> PartialLine:
    """As much as can be read of a line, also where it contains lone surrogates."""
    try:
        whole = _SURROGATE.sub(lambda _: _NO_SURROGATE, raw)
        partial = _decode_partial(whole)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return PartialLine(topic=msgspec.Raw(msgspec.json.encode(_topic_of_broken(raw))))
    if _NO_SURROGATE in bytes(partial.key):
        partial.key = msgspec.Raw(b"null")
    if partial.value is not UNSET:
        partial.value = _as_written(partial.value, whole, raw)
    return partial


def _topic_of_broken(raw: bytes) -> str | None:
    """The topic of a line that is no JSON as a whole, if it stands before the place where it breaks."""
    text = raw.decode(errors="replace")
    before = _BEGIN.match(text)
    while before is not None and (name := _NAME.match(text, before.end())) is not None:
        try:
            value, end = _value_at(text, name.end())
        except (ValueError, RecursionError):
            return None
        if name[1] == "topic":
            return value if isinstance(value, str) and value.isprintable() else None
        before = _NEXT.match(text, end)
    return None


def _as(kind: Any, written: msgspec.Raw) -> Any:
    """A part of a line if it has a type, else None."""
    try:
        return msgspec.json.decode(written, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def key_bytes(written: str | UnsetType | None) -> bytes | None:
    """The Kafka key of a recorded one; raise UnicodeError where it cannot be encoded."""
    if written is UNSET:
        return UNKEYED
    return written.encode() if isinstance(written, str) else None


def value_bytes(raw: msgspec.Raw) -> bytes | None:
    """The Kafka value of a recorded one; None for null, a tombstone."""
    value = bytes(raw)
    if value == b"null":
        return None
    if len(value) > MAX_MESSAGE_BYTES:
        # The limit holds for the compact form, which is what a producer would have sent.
        try:
            return orjson.dumps(orjson.loads(value))
        except orjson.JSONDecodeError:
            return value
    return value
