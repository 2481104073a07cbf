"""Do a table's keys and values fit the type of its limits? Each misfit becomes a problem that names its remedy."""

import difflib
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from vigil.app.domain.rulebook.lines import Path
from vigil.app.domain.rulebook.units import NAMES, split_unit

_WORDS: Final = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_LARGEST: Final = 10**12
"""No number is larger: as seconds, 30,000 years. What is computed with it stays within 64 bits."""

_AT: Final = re.compile(r" - at `\$(?P<path>[^`]*)`$")


class Problem(NamedTuple):
    """What is wrong at a place of the file, and what to do about it."""

    path: Path
    text: str


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known name that is most like a mistyped one; `cutoff`: which share of it must be right."""
    by_folded = {other.casefold().replace("_", "-"): other for other in known}
    matches = difflib.get_close_matches(name.casefold().replace("_", "-"), by_folded, n=1, cutoff=cutoff)
    return by_folded[matches[0]] if matches else None


def hint(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or all the known names."""
    names = sorted(known)
    guess = nearest(name, names)
    return f"did you mean {guess}?" if guess else f"known here: {', '.join(names)}"


def misfits(value: Any, kind: type[Struct], path: Path) -> list[Problem]:
    """Every misfit of a table and the type of its limits; none when `msgspec.convert` would take it."""
    problems = list(_struct(value, kind, path))
    if not problems:
        # What no single value shows: the type's own __post_init__ compares them.
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            text = _AT.sub("", str(error))
            problems.append(Problem((*path, *_inner(str(error))), f"is refused: {text}"))
    return problems


def _inner(text: str) -> Path:
    match = _AT.search(text)
    parts = re.findall(r"\.([\w-]+)|\[(\d+)\]", match["path"]) if match else []
    return tuple(int(index) if index else key for key, index in parts)


def _struct(value: Any, kind: type[Struct], path: Path) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem(path, f"must be a table with {', '.join(kind.__struct_fields__)}, not {value!r}")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    absent = {name for name, field in fields.items() if field.required and name not in value}
    for key, inner in value.items():
        if field := fields.get(key):
            yield from _value(inner, field.type, (*path, key))
        else:
            text, meant = _unknown(key, fields)
            absent.discard(meant)
            yield Problem((*path, key), text)
    for name in fields:
        if name in absent:
            yield Problem((*path, name), f"is missing: give it as {wanted(fields[name].type, name)}")


def _unknown(key: str, fields: Mapping[str, Any]) -> tuple[str, str]:
    """Words for an unknown key, and the known name that was probably meant ("" when none was)."""
    stem, unit = split_unit(key)
    for known in fields:
        known_stem, known_unit = split_unit(known)
        if known_unit and stem == known_stem and unit != known_unit:
            return f"has the wrong unit: this is given in {NAMES[known_unit]}, as {known}", known
    guess = nearest(key, fields)
    return f"is not known here; {hint(key, fields)}", guess or ""


def _value(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    bare = _bare(kind)
    if get_origin(bare) in (Union, types.UnionType):
        options = [option for option in get_args(bare) if option is not type(None)]
        structural = [option for option in options if _takes(option, value)]
        if len(structural) == 1:
            yield from _value(value, structural[0], path)
            return
    elif isinstance(bare, type) and issubclass(bare, Struct):
        yield from _struct(value, bare, path)
        return
    elif get_origin(bare) in (tuple, list) and isinstance(value, list) and get_args(bare)[-1] is ...:
        for index, inner in enumerate(value):
            yield from _value(inner, get_args(bare)[0], (*path, index))
        if any(True for _ in _leaf([], kind, path)) and not value:
            yield Problem(path, "must not be empty")
        return
    elif get_origin(bare) is list and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _value(inner, get_args(bare)[0], (*path, index))
        return
    elif get_origin(bare) in (dict, Mapping) and isinstance(value, dict):
        for key, inner in value.items():
            yield from _value(inner, get_args(bare)[1], (*path, key))
        return
    yield from _leaf(value, kind, path)


def _takes(option: Any, value: Any) -> bool:
    """Is the option of a union the one that a table or list is meant for?"""
    bare = _bare(option)
    if isinstance(value, dict):
        return get_origin(bare) in (dict, Mapping) or (isinstance(bare, type) and issubclass(bare, Struct))
    return isinstance(value, list) and get_origin(bare) in (tuple, list)


def _leaf(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"is {value}: write {wanted(kind, _name(path))}")
        return
    if isinstance(value, int) and abs(value) > _LARGEST:
        yield Problem(path, f"is larger than any number may be: write {wanted(kind, _name(path))}")
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        options = list(_options(kind))
        if isinstance(value, str) and options:
            yield Problem(path, f"{value!r} is not known; {hint(value, options)}")
        else:
            yield Problem(path, f"is {_said(value)}: write {wanted(kind, _name(path))}")


def _name(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _said(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _options(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from (str(option) for option in get_args(kind))
    elif get_origin(kind) is not None:
        for inner in get_args(kind):
            yield from _options(inner)


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def wanted(kind: Any, name: str) -> str:
    """In words, what a value of this type and name may be: `a whole number of seconds above 0`."""
    bare, metas = _bare(kind), [meta for meta in get_args(kind)[1:] if isinstance(meta, Meta)]
    if get_origin(kind) is not Annotated:
        metas = []
    if get_origin(bare) in (Union, types.UnionType):
        parts = [wanted(option, name) for option in get_args(bare) if option is not type(None)]
        return " or ".join(parts)
    if get_origin(bare) in (tuple, list):
        items = [option for option in get_args(bare) if option is not ...]
        if get_args(bare)[-1] is ... or get_origin(bare) is list:
            return f"a list, each {wanted(items[0], name)}"
        return f"a list of {len(items)}, each {wanted(items[0], name)}"
    if options := list(_options(bare)):
        return f"one of {', '.join(options)}"
    words = _WORDS.get(bare, "a table" if isinstance(bare, type) and issubclass(bare, Struct) else str(bare))
    unit = split_unit(name)[1]
    if unit and bare in (int, float):
        words += f" of {NAMES[unit]}"
    for meta in metas:
        for bound, sign in ((meta.gt, "above"), (meta.ge, "at least"), (meta.lt, "below"), (meta.le, "at most")):
            if bound is not None:
                words += f"{' and' if words.split()[-1].isdigit() else ','} {sign} {bound}"
    return words
