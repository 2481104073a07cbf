"""The AsyncAPI 3 document: every topic with its messages, keys, clean-up and CloudEvents headers."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from vigil.topics.catalog import TOPICS, VERSION, SubjectName, Topic
from vigil.topics.contracts.schemas import components, major, public
from vigil.topics.envelope import SOURCE, cloud_event_headers

BINDING: Final = "0.5.0"
"""Version of AsyncAPI's Kafka bindings."""

_HEADER_WORDS: Final = {
    "ce_specversion": "CloudEvents 1.0, binary content mode.",
    "ce_id": "The output's identity: a repeat carries the same one.",
    "ce_source": "Who says it: `/vigil/` and the `app_id` of the application.",
    "ce_type": "What it is, with the major version of its schema.",
    "ce_time": "The event time, RFC 3339 in UTC.",
    "content-type": "The value's media type.",
}


def asyncapi(readers: Mapping[str, SubjectName], topics: Iterable[Topic] = TOPICS) -> dict[str, Any]:
    """The document, from Vigil's point of view: it receives inputs and sends outputs.

    `readers`: the subject that reads each topic, by the topic's name.
    """
    topics = public(topics).values()
    return {
        "asyncapi": "3.0.0",
        "id": f"urn:vigil:contract:v{major()}",
        "info": {
            "title": "Vigil",
            "version": VERSION,
            "description": (
                "Judges live rooms and suppliers by the marketplace's published rules. Values are JSON objects (UTF-8, "
                "at most 64 KiB coming in). An integer is a JSON number equal to a whole number; unknown fields "
                "are ignored, and so are optional ones that cannot be read. "
                "Everything that goes out is sent at least once: repeats carry the same identity "
                "(`ce_id`) and content, but for `published_at`."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{broker}",
                "protocol": "kafka",
                "description": "The Kafka cluster that Vigil is told by VIGIL_BROKER.",
                "variables": {"broker": {"default": "localhost:9092", "description": "host:port"}},
            }
        },
        "channels": {topic.name: _channel(topic, readers.get(topic.name)) for topic in topics},
        "operations": {
            f"{'receive' if topic.direction == 'in' else 'send'}-{topic.name}": {
                "action": "receive" if topic.direction == "in" else "send",
                "summary": topic.description,
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
            for topic in topics
        },
        "components": {
            "schemas": {
                name: _as_draft_7(schema) for name, schema in components(topics, "#/components/schemas/{name}").items()
            },
            "messages": {name: message for topic in topics for name, message in _messages(topic).items()},
        },
    }


def _as_draft_7(schema: Any) -> Any:
    """A reference has no other keys there: they would be ignored."""
    if isinstance(schema, list):
        return [_as_draft_7(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    return {name: _as_draft_7(inner) for name, inner in schema.items()}


def _channel(topic: Topic, reader: SubjectName | None) -> dict[str, Any]:
    kafka: dict[str, Any] = {"topic": topic.name, "bindingVersion": BINDING}
    if topic.config:
        settings: dict[str, Any] = {"cleanup.policy": [topic.config["cleanup.policy"]]}
        for name in ("retention.ms", "retention.bytes"):
            if name in topic.config:
                settings[name] = int(topic.config[name])
        kafka["topicConfiguration"] = settings
    text = f"Key: the `{topic.key}`." if topic.name != "dead-letter" else "Key: that of the refused message."
    if reader is not None:
        text += f" One of the topics of the {reader} shards, which have the same number of partitions."
    return {
        "address": topic.name,
        "title": topic.description,
        "description": text,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic)},
        "bindings": {"kafka": kafka},
    }


def _messages(topic: Topic) -> dict[str, Any]:
    named = {} if topic.direction == "in" else {"headers": _headers(topic)}
    message: dict[str, Any] = {
        "name": topic.carries.__name__,
        "title": topic.description,
        "contentType": "application/json",
        **named,
        "payload": {"$ref": f"#/components/schemas/{topic.carries.__name__}"},
        "bindings": {"kafka": {"key": _key(topic), "bindingVersion": BINDING}},
        "examples": [{"name": "example", **_example_headers(topic), "payload": topic.examples[0].value}],
    }
    messages = {topic.name: message}
    if topic.tombstone is not None:
        messages[f"{topic.name}-tombstone"] = {
            "name": f"{topic.carries.__name__}Tombstone",
            "title": topic.tombstone,
            **named,
            "payload": {"type": "null"},
            "bindings": {"kafka": {"key": _key(topic), "bindingVersion": BINDING}},
        }
    return messages


def _key(topic: Topic) -> dict[str, Any]:
    if topic.name == "dead-letter":
        return {"description": "The refused message's key as it came; it may be missing, or not be text."}
    return {"type": "string", "minLength": 1, "maxLength": 128, "description": f"The `{topic.key}`, UTF-8."}


def _headers(topic: Topic) -> dict[str, Any]:
    fixed = {
        name: value.decode()
        for name, value in cloud_event_headers(topic.name, "", 0)
        if name not in ("ce_id", "ce_source", "ce_time")
    }
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": words}
            | ({"const": fixed[name]} if name in fixed else {})
            | ({"format": "date-time"} if name == "ce_time" else {})
            | ({"pattern": "^/vigil/."} if name == "ce_source" else {})
            for name, words in _HEADER_WORDS.items()
        },
        "required": list(_HEADER_WORDS),
    }


def _example_headers(topic: Topic) -> dict[str, Any]:
    if topic.direction == "in":
        return {}
    example = topic.examples[0]
    made = cloud_event_headers(topic.name, example.id or "", example.value["at"])
    return {"headers": {name: value.decode() for name, value in made}}


__all__ = ["BINDING", "SOURCE", "asyncapi"]
