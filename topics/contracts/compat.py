"""Is a new version of a schema compatible? Outputs may only get narrower, inputs only wider.

out   every message of the new version must be one that the old version allows
in    every message that the old version accepts must be accepted by the new one
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_FIXED: Final = ("$id", "x-topic", "x-direction", "x-key", "x-tombstone")
"""What routes and identifies messages: any change of it breaks."""

_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_WORDS: Final = frozenset({"title", "description", "examples", "$comment"})
_UNDERSTOOD: Final = frozenset(
    {"type", "enum", "const", "anyOf", "$ref", "properties", "required", "items", "additionalProperties"}
) | {*_LOWER, *_UPPER, *_FIXED, *_WORDS, "$schema", "$defs"}


def breaks(old: Schema, new: Schema) -> list[str]:
    """What in a topic's new schema breaks users of the old one, for people; empty when nothing does."""
    found = [
        f"{name} was {old.get(name)!r} and is {new.get(name)!r}" for name in _FIXED if old.get(name) != new.get(name)
    ]
    if old["x-direction"] == "in":
        found += [f"{place}: {words}" for place, words in _Comparison(old, new, out=False).escapes()]
    else:
        found += [f"{place}: {words}" for place, words in _Comparison(new, old, out=True).escapes()]
    return found


class _Comparison:
    """Looks for values that the `inner` schema allows and the `outer` one does not."""

    def __init__(self, inner: Schema, outer: Schema, *, out: bool) -> None:
        self._roots = inner, outer
        self._out = out

    def escapes(self) -> Iterator[tuple[str, str]]:
        yield from self._values("$", *self._roots)

    def _values(self, place: str, inner: Schema, outer: Schema) -> Iterator[tuple[str, str]]:
        choices = _alternatives(inner, self._roots[0])
        allowed = _alternatives(outer, self._roots[1])
        for one in choices:
            # Report what is wrong by the alternative of the other side that fits best.
            verdicts = [list(self._one(place, one, other)) for other in allowed]
            best = min(verdicts, key=len)
            if best and all(_types(one).isdisjoint(_types(other)) for other in allowed):
                yield place, self._says(f"may be {_named(one)}", f"may not be {_named(one)} any more")
            else:
                yield from best

    def _one(self, place: str, inner: Schema, outer: Schema) -> Iterator[tuple[str, str]]:
        """Both are free of `anyOf` and `$ref`."""
        for name in sorted(outer.keys() - _UNDERSTOOD):  # a rule that only the inner one has allows no more values
            if without_words(inner.get(name)) != without_words(outer.get(name)):
                yield place, f"the rule `{name}` changed"
        foreign = _types(inner) - _types(outer)
        if foreign:
            kinds = " or ".join(sorted(foreign))
            yield place, self._says(f"may be {kinds}", f"may not be {kinds} any more")
            return
        yield from self._enums(place, inner, outer)
        yield from self._bounds(place, inner, outer)
        if "properties" in outer or "properties" in inner:
            yield from self._object(place, inner, outer)
        for name, below in (("items", "[]"), ("additionalProperties", ".*")):
            if isinstance(outer.get(name), Mapping):
                yield from self._values(f"{place}{below}", inner.get(name) or {}, outer[name])

    def _enums(self, place: str, inner: Schema, outer: Schema) -> Iterator[tuple[str, str]]:
        given, taken = _enumerated(inner), _enumerated(outer)
        if taken is None:
            return
        if given is None:
            yield place, self._says("is no longer one of a list", "must be one of a list now")
            return
        for value in given:
            if value not in taken:
                yield place, self._says(f"has the new value {value!r}", f"does not take {value!r} any more")

    def _bounds(self, place: str, inner: Schema, outer: Schema) -> Iterator[tuple[str, str]]:
        new, old = (inner, outer) if self._out else (outer, inner)
        for name in (*_LOWER, *_UPPER):
            if name not in outer:
                continue
            far = name not in inner or (inner[name] < outer[name] if name in _LOWER else inner[name] > outer[name])
            if far:
                yield place, f"`{name}` was {old.get(name, 'not given')} and is {new.get(name, 'not given')}"

    def _object(self, place: str, inner: Schema, outer: Schema) -> Iterator[tuple[str, str]]:
        has, wants = inner.get("properties", {}), outer.get("properties", {})
        sure, must = set(inner.get("required", ())), set(outer.get("required", ()))
        for name in sorted(wants.keys() & has.keys()):
            if name in must and name not in sure:
                yield f"{place}.{name}", self._says("may be missing", "is required now")
            yield from self._values(f"{place}.{name}", has[name], wants[name])
        for name in sorted(wants.keys() - has.keys()):
            if self._out:
                yield f"{place}.{name}", "is gone"
            elif name in must:
                yield f"{place}.{name}", "is new and required"
        if not self._out:
            for name in sorted(has.keys() - wants.keys()):
                yield f"{place}.{name}", "is not read any more"

    def _says(self, of_output: str, of_input: str) -> str:
        return of_output if self._out else of_input


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """The schema without `anyOf` and `$ref`: one of these must hold."""
    if "$ref" in schema:
        return _alternatives(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" not in schema:
        return [schema]
    return [alternative for inner in schema["anyOf"] for alternative in _alternatives(inner, root)]


_EVERY: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})


def _types(schema: Schema) -> frozenset[str]:
    """The JSON types that it allows."""
    if "type" in schema:
        kinds = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    elif (values := _enumerated(schema)) is not None:
        names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
        kinds = {names[type(value)] for value in values}
    else:
        return _EVERY
    return frozenset(kinds | {"integer"} if "number" in kinds else kinds)


def _named(schema: Schema) -> str:
    return " or ".join(sorted(_types(schema)))


def _enumerated(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def without_words(schema: Any) -> Any:
    """A schema, or a part of one, without what is for people only."""
    if isinstance(schema, list):
        return [without_words(inner) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {}
    for name, inner in schema.items():
        if name in ("properties", "$defs"):  # their keys are names of fields and types
            kept[name] = {each: without_words(of) for each, of in inner.items()}
        elif name not in _WORDS:
            kept[name] = without_words(inner)
    return kept
