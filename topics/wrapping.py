"""Names in what an event is wrapped, for the JSON of messages that are none of ours."""

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

_DEEPEST: Final = 5
"""How many objects and lists an event is looked for in."""

_FIRST: Final = 3
"""Elements of a list in which an event is looked for."""

_EVENT_TIMES: Final = frozenset(
    ("timestamp", "ts", "time", "eventtime", "eventtimestamp", "datetime", "date", "occurredat", "createdat", "timems")
)
"""How others call `at`, in small letters and without signs."""

_TAGGED_VALUES: Final = (
    (
        {"boolean", "int", "long", "float", "double", "string"},
        "Avro's JSON encoding, in which the type of a union's value stands around it",
    ),
    ({"S", "N", "BOOL", "NULL"}, "DynamoDB's JSON, in which the type stands around each value"),
    ({"$numberInt", "$numberLong", "$numberDouble", "$date", "$oid"}, "MongoDB's extended JSON"),
)
"""Encodings that write a value as an object with one field."""


def wrapping(content: object, needed: Collection[str]) -> str | None:
    """What a JSON text is that holds no event itself, and what to do; None where that cannot be seen.

    `needed`: the names of the fields that an event must have.
    """
    if isinstance(content, str):
        return _text(content)
    if isinstance(content, list):
        if content and all(isinstance(one, dict) for one in content):
            return f"it is an array of {len(content)}: send one event a message"
        return _placed(content, needed)
    if not isinstance(content, dict):
        return None
    if (name := _envelope(content) or _tagged(content, needed)) is not None:
        return f"it is {name}"
    missing = [name for name in needed if name not in content]
    return (_placed(content, needed) if missing else None) or _misspelt(content, missing)


def _placed(content: object, needed: Collection[str]) -> str | None:
    place = _place_of_event(content, needed)
    return None if place is None else f"the event seems to stand at `${place}`: send it alone, as the value"


def _envelope(fields: Mapping[str, Any]) -> str | None:
    """In what an event seems to be wrapped, and what to set; None for an object that is no envelope we know."""
    inner = fields.get("payload")
    if "schema" in fields and "payload" in fields and not _is_change(inner):
        return "a Kafka Connect envelope of schema and payload: set schemas.enable=false in its JSON converter"
    if _is_change(fields) or _is_change(inner):
        return "a Debezium change event: unwrap it (transform ExtractNewRecordState)"
    if "specversion" in fields and ("data" in fields or "data_base64" in fields):
        return "a structured CloudEvent: send its data as the value (binary mode)"
    if "payload" in fields and ("tstype" in fields or {"topic", "partition", "offset"} <= fields.keys()):
        return "a line of kcat -J: its payload is the value"
    return None


def _is_change(fields: object) -> bool:
    return isinstance(fields, dict) and "op" in fields and ("before" in fields or "after" in fields)


def _tagged(fields: Mapping[str, Any], needed: Collection[str]) -> str | None:
    """In what encoding the value of a needed field is an object with one field."""
    for name in sorted(needed):
        value = fields.get(name)
        if isinstance(value, dict) and len(value) == 1:
            for tags, encoding in _TAGGED_VALUES:
                if not tags.isdisjoint(value):
                    return f"{encoding} (see `{name}`)"
    return None


def _text(content: str) -> str | None:
    """What a JSON string is."""
    if content.lstrip()[:1] in ("{", "["):
        return "it is a JSON text in a JSON text (encoded twice)"
    return "it is JSON in base64" if is_base64_of_json(content.encode()) else None


def is_base64_of_json(text: bytes) -> bool:
    """True if a text begins as the base64 of a JSON object does."""
    with suppress(ValueError):
        return base64.b64decode(text.lstrip()[:8], validate=True).lstrip()[:1] == b"{"
    return False


def _place_of_event(content: object, needed: Collection[str], depth: int = 0) -> str | None:
    """Where in a content an object stands that has most of the needed fields, as a path from `content`."""
    if isinstance(content, str) and (content.lstrip()[:1] == "{" or is_base64_of_json(content[:16].encode())):
        with suppress(ValueError, RecursionError):
            text = content if content.lstrip()[:1] == "{" else base64.b64decode(content, validate=True)
            content = json.loads(text)
    if depth and isinstance(content, dict) and 2 * sum(name in content for name in needed) > len(needed):
        return ""
    if depth < _DEEPEST:
        for step, inner in _steps(content):
            if (rest := _place_of_event(inner, needed, depth + 1)) is not None:
                return step + rest
    return None


def _steps(content: object) -> Iterator[tuple[str, object]]:
    if isinstance(content, dict):
        yield from ((f".{name[:64]}", inner) for name, inner in content.items())
    elif isinstance(content, list):
        yield from ((f"[{number}]", inner) for number, inner in enumerate(content[:_FIRST]))


def _misspelt(fields: Mapping[str, Any], missing: Collection[str]) -> str | None:
    """Fields that are there in another spelling: `roomId` for `room_id`."""
    plain = {_plain(name.rpartition(".")[2]): name for name in fields}
    if "at" in missing and "at" not in plain and (others := sorted(_EVENT_TIMES & plain.keys())):
        return f"the event time must be called `at`, not `{plain[others[0]][:64]}`"
    found = [(plain[_plain(name)], name) for name in sorted(missing) if _plain(name) in plain]
    if not found:
        return None
    return "; ".join(f"`{written[:64]}` must be spelt `{name}`" for written, name in found)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
