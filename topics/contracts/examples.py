"""One example of each message, all from one story: a test replays the inputs, and compares the outputs."""

from collections.abc import Iterable
from typing import Any, Final

from vigil.topics.catalog import TOPICS
from vigil.topics.topic import Example, Topic


def story(topics: Iterable[Topic] = TOPICS) -> list[dict[str, Any]]:
    """The inputs in order of event time, as the lines of a recording.

    A host greets nobody, and one buyer entry has an empty id.
    """
    lines = [
        {"topic": topic.name, "key": example.key, "value": example.value}
        for topic in topics
        if topic.direction == "in"
        for example in topic.examples
    ]
    return sorted(lines, key=lambda line: line["value"]["at"])


STORY: Final = story()

EXAMPLES: Final[dict[str, Example]] = {topic.name: topic.examples[0] for topic in TOPICS if topic.examples}
"""The first message of each topic."""
