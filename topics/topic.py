"""What the contract says about one topic: its key, its messages, its clean-up, and an example of a message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from vigil.topics.labels import OnIgnored

DAY_MS: Final = 24 * 60 * 60 * 1000

Direction = Literal["in", "out", "internal"]

Decode = Callable[[bytes | None, bytes | None, int, OnIgnored], Any]
"""Decodes key and value of a message that arrives at a time (ms); raises InvalidEvent. The last argument receives the
optional fields that cannot be read."""


Complete = Callable[[Any, OnIgnored], Any]
"""Returns an event as `decode` does, from one that fits its type and its key; raises InvalidEvent. None: only `decode`
can, from the message as it was written."""


class Example(NamedTuple):
    """A message as it stands in its topic."""

    key: str
    value: dict[str, Any]
    id: str | None = None
    """The `ce_id` header of an output."""


def composed_key(*ids: str) -> str:
    """The key of a message that several ids identify: joined by `/`, with `%` and `/` of an id escaped."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in ids)


@dataclass(frozen=True)
class Topic:
    """One topic of the contract."""

    name: str
    direction: Direction
    key: str
    """The field that the Kafka message key repeats (of a dead letter: the rejected message's key); several fields,
    joined by `/`, for a composed key."""
    carries: type[Struct]
    description: str
    retention_days: int | None = None
    """None where the topic is compacted, and for inputs: their producers decide."""
    compacted: bool = False
    partitions: int | None = None
    """The number that Vigil creates it with; None: as its subject's topics, or the setting `partitions`."""
    more_config: Mapping[str, str] = field(default_factory=dict)
    """Further topic configuration that Vigil creates it with."""
    tombstone: str | None = None
    """What a message without a value means; None where there is none."""
    decode: Decode | None = None
    """Of inputs."""
    complete: Complete | None = None
    """Of inputs of which an event can be decoded together with what is around it; what `decode` does besides."""
    examples: tuple[Example, ...] = ()
    """The first one stands in the contract's documents; together they make one story. None of internal topics."""

    def key_of(self, value: Mapping[str, Any]) -> str:
        """The key of a message with this value."""
        fields = self.key.split("/")
        return str(value[self.key]) if len(fields) == 1 else composed_key(*(str(value[field]) for field in fields))

    @property
    def config(self) -> dict[str, str]:
        """The topic configuration that Vigil creates it with."""
        if self.compacted:
            return {"cleanup.policy": "compact", **self.more_config}
        if self.retention_days is None:
            return dict(self.more_config)
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_days * DAY_MS),
            **self.more_config,
        }

    @property
    def stamped(self) -> bool:
        """True if its messages carry `published_at`."""
        return "published_at" in self.carries.__struct_fields__
