"""A good message of each topic that comes in, to be spoilt."""

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
    """The fields of a good message (a copy)."""
    fields: dict[str, Any] = orjson.loads(orjson.dumps(EXAMPLES[topic].value))
    return fields


def key_of(topic: str) -> bytes:
    return EXAMPLES[topic].key.encode()


def put(topic: str, **fields: Any) -> bytes:
    """A good message's bytes with other fields."""
    return orjson.dumps(good(topic) | fields)


def written(topic: str, field: str, raw: bytes) -> bytes:
    """A good message in which a field is written in a way that no JSON library would."""
    return put(topic, **{field: "@@"}).replace(b'"@@"', raw)


def refusal(topic: str, value: bytes | None, key: bytes | None = b"@good") -> str:
    """The words with which a message is refused."""
    with pytest.raises(InvalidEvent) as caught:
        decode(topic, key_of(topic) if key == b"@good" else key, value)
    assert caught.value.reason == "malformed"
    return caught.value.detail


def accepted(topic: str, value: bytes | None, key: bytes | None = b"@good") -> Any:
    """The event of a message that must be taken."""
    return decode(topic, key_of(topic) if key == b"@good" else key, value)
