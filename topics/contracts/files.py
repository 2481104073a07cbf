"""The contract as files: `asyncapi.json`, `schemas/<topic>.json`, and the story of the examples to replay."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vigil.topics.catalog import TOPICS, SubjectName, Topic
from vigil.topics.contracts.asyncapi import asyncapi
from vigil.topics.contracts.examples import story
from vigil.topics.contracts.schemas import public, schema_of

STORY_FILE: Final = "story.jsonl"


def pretty(document: Any) -> str:
    """JSON for people and for diffs: fields in their own order, one line each."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def files(readers: Mapping[str, SubjectName], topics: Iterable[Topic] = TOPICS) -> dict[str, str]:
    """Every file by its path; the same bytes on any machine. `readers`: the subject that reads each topic."""
    topics = tuple(topics)
    contents = {"asyncapi.json": pretty(asyncapi(readers, topics))}
    for topic in public(topics).values():
        contents[f"schemas/{topic.name}.json"] = pretty(schema_of(topic))
    contents[STORY_FILE] = "".join(
        json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in story(topics)
    )
    return contents
