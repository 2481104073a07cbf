"""Messages that Vigil did not write: no JSON of its own, and its examples with every value replaced by junk."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.fields import MAX_OUTPUT_BYTES

FAR = 253_402_300_800_000
"""The first millisecond of the year 10000."""

NUMBERS = (FAR, -1, 10**18, 10**30, 10**4290, 1e308, -1e308)
WRONG = (None, "", [], {}, "x" * 2000, "\u202e<b>", True)

BYTES = (
    b"hello",
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"\x00\x00\x00\x00\x01{}",
    b"[" * 100_000,
    b'{"x":' * 100_000,
    b'{"at":"\\ud800"}',
    b'{"at": NaN}',
    b" " * (MAX_OUTPUT_BYTES + 1),
)
"""Messages that are no JSON object of Vigil's."""


def spoilt(topic: str) -> Iterator[bytes]:
    """Every example of a topic with one of its values replaced, each with identities of its own."""
    example = EXAMPLES[topic].value
    for path in _leaves(example):
        for number, junk in enumerate((*NUMBERS, *WRONG)):
            message = copy.deepcopy(example)
            for name, value in message.items():
                if name.endswith("_id") and isinstance(value, str):
                    message[name] = f"{value[:20]}-{'.'.join(map(str, path))}-{number}"
            _at(message, path[:-1])[path[-1]] = junk
            yield json.dumps(message).encode()


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield (*path, name)
        yield from _leaves(child, (*path, name))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value
