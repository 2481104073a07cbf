"""The form of outputs: a message with its identity, its JSON, and CloudEvents 1.0 headers (binary mode)."""

import base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import orjson
from msgspec import Struct

from vigil.topics.fields import UNKEYED, Instant, Reason
from vigil.topics.topic import Example, Topic

SOURCE: Final = "/vigil/vigil"
"""CloudEvents `source` of what the application with the default `app_id` publishes: `/vigil/<app_id>`."""

MAX_CARRIED_BYTES: Final = 1_500_000
"""Maximum size of a rejected message, key and value together, that its dead letter contains.

A compressed batch may hold messages of any size, whatever batch size its topic accepts. Key and value in base64, each a
third larger, stay below what `dead-letter` and the changelogs accept (4 and 8 MiB).
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_UNPUBLISHED: Final = b',"published_at":null}'
"""How the JSON of a body ends that is published later: the field is the last one of each type that has it."""

Header = tuple[str, bytes]
"""Name and value of a Kafka header."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A rejected message in its original bytes, and why it was rejected."""

    topic: str | None
    """Null where it is missing or not known (replay)."""
    partition: int | None
    """The partition; with topic and offset the identity of the message. Null in a replay."""
    offset: int | None
    """The offset; in a replay the number of the line where the recording has no offset."""
    reason: Reason
    """`malformed`, `misrouted` (it lies in another partition than its key belongs to), `future` (`at` is ahead of the
    clock), `late`, a review of an `unknown-verdict`, a command about an `unknown-incident`, or one `too-many` of its
    supplier."""
    detail: str
    """What is wrong with the message, in English."""
    at: Instant
    """The watermark when it was rejected."""
    key: str | None
    """The original bytes, base64."""
    value: str | None
    """The original bytes, base64."""


class Output(NamedTuple):
    """One message to publish. `id` is its identity: consumers that key on it see each output once."""

    topic: str
    key: bytes | None
    id: str
    at: int
    body: Struct | None
    """None is a tombstone."""
    triggered_at: int = 0
    """The event time of the event or timer that published it; 0 if there is none. Not part of the message."""


def encode_body(body: Struct | None) -> bytes | None:
    """An output's JSON as it is stored until it is sent, without `published_at` (see `stamp`); None is a tombstone."""
    if body is None:
        return None
    if getattr(body, "published_at", None) is not None:  # it was read from a topic of Vigil's own
        body = msgspec.structs.replace(body, published_at=None)
    payload = orjson.dumps(msgspec.to_builtins(body))
    return payload[: -len(_UNPUBLISHED)] + b"}" if payload.endswith(_UNPUBLISHED) else payload


def stamp(payload: bytes, published_at: int) -> bytes:
    """Add `published_at` (ms), the one field that may differ between repeats, to a stored payload."""
    return payload[:-1] + b',"published_at":%d}' % published_at


def without_value(payload: bytes) -> bytes:
    """A dead letter's payload without the message and its key, for a message that is too large for the topic."""
    letter = orjson.loads(payload)
    letter["detail"] += _left_out(len(letter["value"] or "") * 3 // 4)
    return orjson.dumps({**letter, "key": None, "value": None})


def carried(detail: str, key: bytes | None, value: bytes | None) -> tuple[str, bytes | None, bytes | None]:
    """Detail, key and value of a dead letter; key and value are left out where they are too large together."""
    size = len(key or b"") + len(value or b"")
    if size <= MAX_CARRIED_BYTES:
        return detail, key, value
    return detail + _left_out(size), None, None


def _left_out(size: int) -> str:
    return f" (about {size} bytes: too large for this topic; it stands at its own place)"


def timestamp(at: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return f"{_second(at // 1000)}.{at % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _second(number: int) -> str:
    """Date and time of a second since the epoch: outputs come close together."""
    return (_EPOCH + timedelta(seconds=number)).isoformat()[:19]


def cloud_event_headers(topic: str, id_: str, at: int, source: str = SOURCE) -> list[Header]:
    """The CloudEvents attributes of an output as Kafka headers. `topic`: of the catalogue."""
    version, from_, type_, content = _same_headers(topic, source)
    return [version, ("ce_id", id_.encode()), from_, type_, ("ce_time", timestamp(at).encode()), content]


@lru_cache(maxsize=256)
def _same_headers(topic: str, source: str) -> tuple[Header, Header, Header, Header]:
    """Those that all outputs of a topic share."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_type", f"vigil.{topic}.v1".encode()),
        ("content-type", b"application/json"),
    )


def base64_or_none(raw: bytes | None) -> str | None:
    """The original bytes in base64; None where there were none."""
    return None if raw is None or raw is UNKEYED else base64.b64encode(raw).decode()


DEAD_LETTER_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of a partition of `dead-letter` that are kept, so that a flood of bad messages cannot fill the disk."""

DEAD_LETTER_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""A rejected message in base64 is a third larger than it was."""

TOPICS: Final = (
    Topic(
        "dead-letter",
        "out",
        "key",
        DeadLetter,
        "a message that was refused",
        retention_days=14,
        more_config={"max.message.bytes": str(DEAD_LETTER_MESSAGE_BYTES), "retention.bytes": str(DEAD_LETTER_BYTES)},
        examples=(
            Example(
                "room-1",
                {
                    "topic": "buyer-entry",
                    "partition": 0,
                    "offset": 11,
                    "reason": "malformed",
                    "detail": "Expected `str` of length >= 1 - at `$.buyer_id`",
                    "at": 1662048007000,
                    "key": "cm9vbS0x",
                    "value": "eyJyb29tX2lkIjoicm9vbS0xIiwiaG9zdF9pZCI6Im1lcmNoYW50LTciLCJhdCI6"
                    "MTY2MjA0ODAxNDAwMCwiYnV5ZXJfaWQiOiIiLCJidXllcl90aWVyIjoiTDIifQ==",
                },
                id="buyer-entry/0/11",
            ),
        ),
    ),
)
