"""The contract: every topic, in the order in which documents and tools list them, and the contract's version.

Each topic is declared beside the types of its messages. Which subject reads a topic stands in `app/domain/registry.py`.
"""

from collections.abc import Iterable
from typing import Final

from vigil.topics import (
    envelope,
    incidents,
    internal,
    products,
    programmes,
    reviews,
    rooms,
    rulebooks,
    scores,
    services,
    suppliers,
    verdicts,
)
from vigil.topics.topic import DAY_MS, Topic

VERSION: Final = "1.6"
"""Of the contract: the second number rises when something is added, the first when others have to change."""

SubjectName = str
"""Name of a subject: what one kind of shard judges, such as `rooms`."""

TOPICS: Final[tuple[Topic, ...]] = (
    *rooms.TOPICS,
    *suppliers.TOPICS,
    *products.TOPICS,
    *services.TOPICS,
    *reviews.TOPICS,
    *incidents.INPUT_TOPICS,
    *verdicts.TOPICS,
    *incidents.OUTPUT_TOPICS,
    *scores.TOPICS,
    *products.OUTPUT_TOPICS,
    *services.OUTPUT_TOPICS,
    *programmes.TOPICS,
    *rulebooks.TOPICS,
    *envelope.TOPICS,
    *verdicts.SHADOW_TOPICS,
    *internal.TOPICS,
)

BY_NAME: Final = {topic.name: topic for topic in TOPICS}


def inputs(topics: Iterable[Topic] = TOPICS) -> tuple[str, ...]:
    """The names of the topics that others write."""
    return tuple(topic.name for topic in topics if topic.direction == "in")


def written(topics: Iterable[Topic] = TOPICS) -> tuple[str, ...]:
    """The names of the topics that Vigil writes."""
    return tuple(topic.name for topic in topics if topic.direction != "in")


__all__ = ["BY_NAME", "DAY_MS", "TOPICS", "VERSION", "SubjectName", "Topic", "inputs", "written"]
