"""JSON Schemas of all inputs and outputs: msgspec's, with the rules that a type alone cannot express."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from vigil.topics.catalog import TOPICS, VERSION, Topic
from vigil.topics.contracts.words import words_of
from vigil.topics.products import OF_EPR, OF_PAID
from vigil.topics.services import OF_KIND
from vigil.topics.suppliers import MAX_AMOUNT_CENTS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def public(topics: Iterable[Topic] = TOPICS) -> dict[str, Topic]:
    """The topics that others write or read, by name; the internal ones may change with any version."""
    return {topic.name: topic for topic in topics if topic.direction != "internal"}


PUBLIC: Final = public()


def schema_of(topic: Topic) -> Schema:
    """The JSON Schema (2020-12) of a topic's message values; `x-topic` and `x-key` say where it goes."""
    parts = components([topic], "#/$defs/{name}")
    root = parts.pop(topic.carries.__name__)
    schema: Schema = {
        "$schema": DIALECT,
        "$id": f"urn:vigil:{topic.name}:v{major()}",
        "x-topic": topic.name,
        "x-direction": topic.direction,
        "x-key": topic.key,
        **root,
        "examples": [topic.examples[0].value],
    }
    if topic.tombstone is not None:
        schema["x-tombstone"] = topic.tombstone
    if parts:
        schema["$defs"] = parts
    return schema


def major() -> str:
    """The end of `ce_type` and `$id`: within one major version nothing breaks."""
    return VERSION.split(".")[0]


def components(topics: Iterable[Topic], ref_template: str) -> dict[str, Schema]:
    """The schema of every type that the topics' messages are made of, by the type's name."""
    topics = list(topics)
    kinds = [topic.carries for topic in topics]
    _, made = msgspec.json.schema_components(kinds, ref_template=ref_template)
    types = _types(kinds)
    outputs = _names(topics, "out") - _names(topics, "in")
    schemas: dict[str, Schema] = {}
    for name in sorted(made):
        kind = types[name]
        schema: Schema = _plain(made[name])
        for field, of_field in schema["properties"].items():
            of_field["description"] = words_of(kind, field)
        if name in outputs:
            # A default is for reading messages of earlier versions: what is published has every field.
            schema["required"] = list(schema["properties"])
            for of_field in schema["properties"].values():
                of_field.pop("default", None)
        schemas[name] = _with_rules(kind, schema, out=name in outputs)
    return schemas


def _names(topics: Iterable[Topic], direction: str) -> set[str]:
    """The names of all types that the topics of one direction are made of."""
    kinds = [topic.carries for topic in topics if topic.direction == direction]
    return set(msgspec.json.schema_components(kinds)[1])


def _types(kinds: Iterable[type[Struct]]) -> dict[str, type[Struct]]:
    found: dict[str, type[Struct]] = {}
    for module in {sys.modules[kind.__module__] for kind in kinds}:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Struct):
                found[value.__name__] = value
    return found


def _plain(schema: Any) -> Any:
    """Lists of fixed length in a form that draft-07, which AsyncAPI speaks, knows too."""
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: _plain(inner) for name, inner in schema.items()}
    first, *others = schema.pop("prefixItems", None) or [None]
    if first is not None:
        if any(other != first for other in others):  # pragma: no cover - none of the contract's
            raise NotImplementedError("a list of fixed length with items of several types")
        schema["items"] = first
    return schema


def _with_rules(kind: type[Struct], schema: Schema, *, out: bool) -> Schema:
    """Adds what decoders require, and what outputs guarantee, beyond the types."""
    name, fields = kind.__name__, schema["properties"]
    if name == "Quote":
        schema["if"] = {"properties": {"kind": {"const": "submitted"}}, "required": ["kind"]}
        schema["then"] = {"required": ["rfq_at"]}
    elif name == "Review":
        schema["if"] = {"properties": {"choice": {"type": "object"}}, "required": ["choice"]}
        schema["then"] = {"properties": {"decision": {"const": "upheld"}}}
    elif name == "ReviewChoice":
        schema["oneOf"] = _STEP_OR_DAYS
    elif name in _REQUIRED_BY_KIND:
        schema["allOf"] = [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {
                    "required": list(required),
                    "properties": {one: _given(one) for one in required},
                },
            }
            for kind, required in _REQUIRED_BY_KIND[name].items()
        ]
    elif name in ("Payment", "OrderLine"):
        dollars = MAX_AMOUNT_CENTS // 100
        fields["amount_usd"] = {
            "description": (
                f"US dollars, more than 0 and at most {dollars:,}, at most two decimals (trailing zeros aside): "
                'a string of digits such as "12.50", or a number.'
            ),
            "anyOf": [
                {"type": "string", "pattern": _amount_pattern(dollars)},
                {"type": "number", "exclusiveMinimum": 0, "maximum": dollars},
            ],
        }
    elif name == "Verdict" and out:
        # Null only in the outbox, before it is published.
        fields["published_at"] = {"type": "integer", "description": fields["published_at"]["description"]}
    return schema


def _given(field: str) -> Schema:
    """What a field must be where its kind requires it."""
    return {"type": "array", "minItems": 1} if field == "lines" else {"not": {"type": "null"}}


_NULL: Final = {"type": "null"}

_STEP_OR_DAYS: Final = [
    {
        "required": ["step"],
        "properties": {"step": {"type": "string"}, "freeze_days": _NULL, "past_days": _NULL},
    },
    *(
        {"required": [days], "properties": {"step": _NULL, days: {"type": "integer"}, **other}}
        for days, other in (("freeze_days", {}), ("past_days", {"freeze_days": _NULL}))
    ),
]
"""What a choice has: a step, or one or both of the numbers of days."""

_REQUIRED_BY_KIND: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "Order": {"paid": OF_PAID},
    "Certificate": {"epr": OF_EPR},
    "ServiceRequest": {kind: fields for kind, fields in OF_KIND.items() if kind == "requested"},
    "Activity": {kind: fields for kind, fields in OF_KIND.items() if kind != "requested"},
}
"""By type and `kind`: the fields that are required."""


def _amount_pattern(most: int) -> str:
    """Decimals that `vigil.topics.suppliers.cents_of` takes: above 0, at most `most` (a power of ten), whole cents.

    Some engines let `$` match before a line feed at the end, hence the last look ahead.
    """
    digits = len(str(most)) - 1
    short = r"(?=[0-9]{1,40}(\.[0-9]{1,40})?$)"
    return rf"^{short}(?=.*[1-9])0*([0-9]{{1,{digits}}}(\.[0-9]{{1,2}}0*)?|{most}(\.0+)?)$(?!\n)"
