"""A valid message of each input topic, to be changed by tests."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from vigil.topics.catalog import TOPICS
from vigil.topics.contracts.decoding import decode
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.fields import InvalidEvent

INPUTS = tuple(topic.name for topic in TOPICS if topic.direction == "in")
KEYS = {topic.name: topic.key for topic in TOPICS}

Change = Callable[[dict[str, Any]], object]


def good(topic: str) -> dict[str, Any]:
    """The fields of a valid message (a copy)."""
    fields: dict[str, Any] = orjson.loads(orjson.dumps(EXAMPLES[topic].value))
    return fields


def key_of(topic: str) -> bytes:
    return EXAMPLES[topic].key.encode()


def put(topic: str, **fields: Any) -> bytes:
    """The bytes of a valid message with some fields changed."""
    return orjson.dumps(good(topic) | fields)


def written(topic: str, field: str, raw: bytes) -> bytes:
    """A valid message in which a field is written in a way that no JSON library would."""
    return put(topic, **{field: "@@"}).replace(b'"@@"', raw)


def rejection(topic: str, value: bytes | None, key: bytes | None = b"@good") -> str:
    """The detail with which a message is rejected."""
    with pytest.raises(InvalidEvent) as caught:
        decode(topic, key_of(topic) if key == b"@good" else key, value)
    assert caught.value.reason == "malformed"
    return caught.value.detail


def accepted(topic: str, value: bytes | None, key: bytes | None = b"@good") -> Any:
    """The event of a message that must be accepted."""
    return decode(topic, key_of(topic) if key == b"@good" else key, value)
