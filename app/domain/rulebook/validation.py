"""Checks the keys and values of a TOML table against the type of its limits.

msgspec stops at the first value that does not fit and names the type in Python's words. The reader of a rulebook wants
every problem at once, each with its place and a remedy in the words of the file, so the types are walked here a second
time. `msgspec.convert` stays the authority: what passes here is converted by it.
"""

import difflib
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple, TypeGuard, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from vigil.app.domain.rulebook.toml_positions import Path
from vigil.app.domain.rulebook.units import NAMES, split_unit

Annotation = object
"""A type annotation as `msgspec.structs.fields` gives it: a class, a union, a Literal, an Annotated."""

_NAMES_OF_TYPES: Final = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}

_LARGEST: Final = 10**12
"""The largest number that is accepted: as seconds, 30,000 years. What is computed with it stays within 64 bits."""

_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")
"""The place that msgspec appends to the text of a ValidationError."""


class Problem(NamedTuple):
    """What is wrong at a place of the file, and what to do about it."""

    path: Path
    text: str


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name that is most like a mistyped one; None if none is as similar as `cutoff` (0–1)."""
    by_folded = {other.casefold().replace("_", "-"): other for other in known}
    matches = difflib.get_close_matches(name.casefold().replace("_", "-"), by_folded, n=1, cutoff=cutoff)
    return by_folded[matches[0]] if matches else None


def hint(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or all the known names."""
    names = sorted(known)
    guess = nearest(name, names)
    return f"did you mean {guess}?" if guess else f"known here: {', '.join(names)}"


def validate(value: object, kind: type[Struct], path: Path) -> list[Problem]:
    """Every problem of a table at `path` that is to become a `kind`; empty if `msgspec.convert` accepts it."""
    problems = list(_check_struct(value, kind, path))
    if not problems:
        # No single value is wrong; the type's own __post_init__ compares them with each other.
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text = _AT.sub("", str(error))
            problems.append(Problem((*path, *_path_in(str(error))), f"is refused: {text}"))
    return problems


def _path_in(text: str) -> Path:
    """The path of a ValidationError's text: `… - at `$.rungs[1]`` gives (`rungs`, 1)."""
    match = _AT.search(text)
    parts = re.findall(r"\.([\w-]+)|\[(\d+)\]", match["path"]) if match else []
    return tuple(int(index) if index else key for key, index in parts)


def _check_struct(value: object, kind: type[Struct], path: Path) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, f"must be a table with {', '.join(kind.__struct_fields__)}, not {value!r}")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    absent = {name for name, field in fields.items() if field.required and name not in value}
    for key, inner in value.items():
        if field := fields.get(key):
            yield from _check(inner, field.type, (*path, key))
        else:
            text, meant = _unknown_key(key, fields)
            absent.discard(meant)
            yield Problem((*path, key), text)
    for name in fields:
        if name in absent:
            yield Problem((*path, name), f"is missing: give it as {wanted(fields[name].type, name)}")


def _unknown_key(key: str, fields: Mapping[str, object]) -> tuple[str, str]:
    """The text for an unknown key, and the known key that was probably meant ("" if none was)."""
    stem, unit = split_unit(key)
    for known in fields:
        known_stem, known_unit = split_unit(known)
        if known_unit and stem == known_stem and unit != known_unit:
            return f"has the wrong unit: this is given in {NAMES[known_unit]}, as {known}", known
    guess = nearest(key, fields)
    return f"is not known here; {hint(key, fields)}", guess or ""


def _check(value: object, kind: Annotation, path: Path) -> Iterator[Problem]:
    """The problems of a value of any kind."""
    bare = _bare(kind)
    if _is_union(bare):
        yield from _check_union(value, kind, path)
    elif _is_struct(bare):
        yield from _check_struct(value, bare, path)
    elif isinstance(value, list) and _is_list(bare):
        yield from _check_list(value, kind, path)
    elif isinstance(value, dict) and get_origin(bare) in (dict, Mapping):
        for key, inner in value.items():
            yield from _check(inner, get_args(bare)[1], (*path, key))
    else:
        yield from _check_single(value, kind, path)


def _check_union(value: object, kind: Annotation, path: Path) -> Iterator[Problem]:
    """The problems of a value of several kinds: those of the one kind that a table or list can be meant for."""
    structural = [option for option in _options(_bare(kind)) if _is_meant_for(option, value)]
    if len(structural) == 1:
        yield from _check(value, structural[0], path)
    else:
        yield from _check_single(value, kind, path)


def _check_list(value: list[object], kind: Annotation, path: Path) -> Iterator[Problem]:
    item = get_args(_bare(kind))[0]
    for index, inner in enumerate(value):
        yield from _check(inner, item, (*path, index))
    if not value and any(True for _ in _check_single(value, kind, path)):
        yield Problem(path, "must not be empty")


def _check_single(value: object, kind: Annotation, path: Path) -> Iterator[Problem]:
    """The problem of a value that is judged as a whole: a number, a string, a list of fixed length."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"is {value}: write {wanted(kind, _key_of(path))}")
        return
    if isinstance(value, int) and abs(value) > _LARGEST:
        yield Problem(path, f"is larger than any number may be: write {wanted(kind, _key_of(path))}")
        return
    try:
        msgspec.convert(value, cast("type[object]", kind))
    except msgspec.ValidationError:
        choices = list(_choices(kind))
        if isinstance(value, str) and choices:
            yield Problem(path, f"{value!r} is not known; {hint(value, choices)}")
        else:
            yield Problem(path, f"is {_quoted(value)}: write {wanted(kind, _key_of(path))}")


def _key_of(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


# ---- kinds -------------------------------------------------------------------------------------------------------


def _bare(kind: Annotation) -> Annotation:
    """The kind without its constraints."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _is_struct(bare: Annotation) -> TypeGuard[type[Struct]]:
    return isinstance(bare, type) and issubclass(bare, Struct)


def _is_union(bare: Annotation) -> bool:
    return get_origin(bare) in (Union, types.UnionType)


def _options(union: Annotation) -> list[Annotation]:
    """What a union allows besides None, which TOML cannot write."""
    return [option for option in get_args(union) if option is not type(None)]


def _is_list(bare: Annotation) -> bool:
    """True for lists and tuples of any length."""
    return get_origin(bare) is list or (get_origin(bare) is tuple and get_args(bare)[-1] is ...)


def _is_meant_for(option: Annotation, value: object) -> bool:
    """True if the option of a union is the one that a table or list is meant for."""
    bare = _bare(option)
    if isinstance(value, dict):
        return get_origin(bare) in (dict, Mapping) or _is_struct(bare)
    return isinstance(value, list) and get_origin(bare) in (tuple, list)


def _choices(kind: Annotation) -> Iterator[str]:
    """The values of every Literal within a kind."""
    if get_origin(kind) is Literal:
        yield from (str(choice) for choice in get_args(kind))
    elif get_origin(kind) is not None:
        for inner in get_args(kind):
            yield from _choices(inner)


def wanted(kind: Annotation, key: str) -> str:
    """What a value of this kind under this key may be, in words: `a whole number of seconds, above 0`."""
    bare = _bare(kind)
    if _is_union(bare):
        return " or ".join(wanted(option, key) for option in _options(bare))
    if get_origin(bare) in (tuple, list):
        return _wanted_list(bare, key)
    if choices := list(_choices(bare)):
        return f"one of {', '.join(choices)}"
    if isinstance(bare, type) and bare in _NAMES_OF_TYPES:
        words = _NAMES_OF_TYPES[bare]
    else:
        words = "a table" if _is_struct(bare) else str(bare)
    unit = split_unit(key)[1]
    if unit and bare in (int, float):
        words += f" of {NAMES[unit]}"
    return words + _bounds(kind, words)


def _wanted_list(bare: Annotation, key: str) -> str:
    items = [item for item in get_args(bare) if item is not ...]
    if _is_list(bare):
        return f"a list, each {wanted(items[0], key)}"
    return f"a list of {len(items)}, each {wanted(items[0], key)}"


def _bounds(kind: Annotation, words: str) -> str:
    """`, above 0 and at most 365`: the constraints of an Annotated kind, to be appended to `words`."""
    bounds = ""
    for meta in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        if not isinstance(meta, Meta):
            continue
        for bound, sign in ((meta.gt, "above"), (meta.ge, "at least"), (meta.lt, "below"), (meta.le, "at most")):
            if bound is not None:
                joint = " and" if (words + bounds).split()[-1].isdigit() else ","
                bounds += f"{joint} {sign} {bound}"
    return bounds
