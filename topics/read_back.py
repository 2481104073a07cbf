"""Reads messages back from the topics that Vigil writes. Anybody may have written there: nothing is taken for granted.

Ranges of times and lengths of ids stand in the types, so that a message that passes here can be shown anywhere.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct

from vigil.topics.envelope import DEAD_LETTER_MESSAGE_BYTES
from vigil.topics.fields import MAX_OUTPUT_BYTES

S = TypeVar("S", bound=Struct)


class ForeignMessageError(Exception):
    """A message that Vigil cannot have written. The text says why."""


def read_back(decoder: "msgspec.json.Decoder[S]", value: bytes, most_bytes: int = MAX_OUTPUT_BYTES) -> S:
    """Decode a message of a topic that Vigil writes; raise ForeignMessageError where it is none of Vigil's."""
    if len(value) > most_bytes:
        raise ForeignMessageError(f"{len(value):,} bytes, more than {most_bytes:,}")
    try:
        return decoder.decode(value)
    except RecursionError as error:
        raise ForeignMessageError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignMessageError(str(error)) from error


def most_bytes_of(topic: str) -> int:
    """The size above which a message of a topic is not Vigil's."""
    return DEAD_LETTER_MESSAGE_BYTES if topic == "dead-letter" else MAX_OUTPUT_BYTES


class ForeignMessages:
    """Counts the foreign messages of each topic, and remembers the first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        """By topic."""

    def add(self, topic: str, partition: int, offset: int, error: Exception) -> None:
        """Count one."""
        self.counts[topic] = self.counts.get(topic, 0) + 1
        self._first.setdefault(topic, f"partition {partition}, offset {offset}: {error}")

    def lines(self) -> list[str]:
        """A sentence for each topic that has any."""
        return [
            f"{count:,} message{'s' if count > 1 else ''} in {topic} that Vigil did not write left out "
            f"(the first: {self._first[topic]})."
            for topic, count in sorted(self.counts.items())
        ]
