"""Candidates: a rulebook with some numbers changed, as a file with these numbers would be read.

    greeting-miss.within_s=8                     the last dated version of the section
    greeting-miss.from.2022-07-19.within_s=8     that version
    ladder.reception.rungs[1].ban_days=14        inside a list
    ladder.reception.window_days=none            as if it were not given
    absence.family=low-quality                   a rule's family
    greeting-miss.within_s=8:15                  a sweep: 8, 9, … 15
    harassment.similarity=0.8:0.95:0.05          a sweep with a step

What a file could not say is refused in the same words, with the change in the place of the file.
"""

import re
import tomllib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple

from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.book import EffectiveVersion, SectionHeading, plain
from vigil.app.domain.rulebook.reader import SECTIONS, read_tables, section_type
from vigil.app.domain.rulebook.validation import hint

MOST_VALUES: Final = 1000
"""A sweep has no more values than this."""

_PART: Final = re.compile(r"(?P<key>[^.\[\]]+)(?P<indices>(?:\[\d+\])*)")
_NUMBER: Final = re.compile(r"[+-]?\d+(?:_\d+)*(?:\.\d+)?")
_SWEEP_REMEDY: Final = "write it as 8:15 or, with a step, as 0.8:0.95:0.05"


class _Place(NamedTuple):
    """Where a change goes."""

    section: str
    effective: str | None
    """The version's day; None for what stands at the section's head."""
    path: tuple[str | int, ...]


def tables(rulebook: Rulebook) -> dict[str, Any]:
    """The rulebook as the tables of a file."""
    raw: dict[str, Any] = {"time_zone": rulebook.time_zone}
    for section in rulebook.sections:
        table = raw
        for name in section.split("."):
            table = table.setdefault(name, {})
        heading = rulebook.headings[section]
        table["says"] = heading.description
        if heading.description_zh:
            table["says_zh"] = heading.description_zh
        if heading.family is not None:
            table["family"] = heading.family
        table["from"] = {
            dated.effective_date: {
                **plain(dated.limits),
                "source": dated.citation,
                **_own_description(dated, heading),
            }
            for dated in rulebook.versions(section)
        }
    return raw


def _own_description(dated: EffectiveVersion[Any], heading: SectionHeading) -> dict[str, str]:
    """The descriptions of a version that are not those of its section."""
    own = {"says": dated.description} if dated.description != heading.description else {}
    if dated.description_zh and (own or dated.description_zh != heading.description_zh):
        own["says_zh"] = dated.description_zh
    return own


def patched(base: Rulebook, changes: Iterable[str]) -> Rulebook:
    """The base with every change made, read strictly; raise RulebookError."""
    changes = list(changes)
    raw = tables(base)
    made: dict[_Place, str] = {}
    for change in changes:
        where, value = _split(change)
        place = _place(base, where, change)
        if place in made:
            raise RulebookError(f"{change}: is changed already by {made[place]}: keep one of them")
        made[place] = change
        _set(raw, place, _value(value), change)
    return read_tables(raw, ", ".join(changes) or "no change")


def sweep(base: Rulebook, change: str) -> list[tuple[int | float, Rulebook]]:
    """A candidate for each value of a sweep, ascending; raise RulebookError."""
    where, _ = _split(change)
    return [(value, patched(base, [f"{where}={value}"])) for value in sweep_values(change)]


def sweep_values(change: str) -> list[int | float]:
    """The values of `<place>=<first>:<last>[:<step>]`, both ends included; raise RulebookError."""
    parts = _split(change)[1].split(":")
    first, last, step = _sweep_range(parts, change)
    number = int((last - first) / step) + 1
    if number > MOST_VALUES:
        raise RulebookError(f"{change}: {number:,} values are more than {MOST_VALUES:,}: give a larger step")
    values = [first + index * step for index in range(number)]
    if any("." in part for part in parts):
        return [float(value) for value in values]
    return [int(value) for value in values]


def _sweep_range(parts: list[str], change: str) -> tuple[Decimal, Decimal, Decimal]:
    """The first value, the last one and the step; raise RulebookError."""
    if len(parts) not in (2, 3) or not all(_NUMBER.fullmatch(part) for part in parts):
        raise RulebookError(f"{change}: {':'.join(parts)!r} is no sweep: {_SWEEP_REMEDY}")
    first, last, *steps = (Decimal(part.replace("_", "")) for part in parts)
    if first > last:
        raise RulebookError(f"{change}: goes down from {first} to {last}: give the smaller one first")
    if not steps:
        if not (_is_whole(first) and _is_whole(last)):
            raise RulebookError(f"{change}: fractions need a step: {_SWEEP_REMEDY}")
        return first, last, Decimal(1)
    if steps[0] <= 0:
        raise RulebookError(f"{change}: the step is {steps[0]}: write one above 0")
    return first, last, steps[0]


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()


def _split(change: str) -> tuple[str, str]:
    where, equals, value = (part.strip() for part in change.partition("="))
    if not (where and equals and value):
        raise RulebookError(f"{change}: is no change: write it as <rule>.<number>=<value>, greeting-miss.within_s=8")
    return where, value


def _place(base: Rulebook, where: str, change: str) -> _Place:
    section = _section_of(base, where, change)
    rest = where[len(section) :].removeprefix(".")
    effective: str | None
    if rest.startswith("from."):
        effective, _, rest = rest.removeprefix("from.").partition(".")
        _check_version(base, section, effective, change)
    elif rest == "family" and section in RULES:
        effective = None
    else:
        effective = base.versions(section)[-1].effective_date
    if not rest:
        kind = section_type(section)
        known = "" if kind is None else ", ".join(kind.__struct_fields__)
        raise RulebookError(f"{change}: names no number; known here: {known}")
    return _Place(section, effective, _path(rest, change))


def _section_of(base: Rulebook, where: str, change: str) -> str:
    """The longest name of a section with which the place begins; raise RulebookError where there is none."""
    named = [name for name in dict.fromkeys((*SECTIONS, *base.sections)) if f"{where}.".startswith(f"{name}.")]
    if not named:
        name = where.rpartition(".")[0] or where
        raise RulebookError(f"{change}: {name!r} is no rule or section; {hint(name, SECTIONS)}")
    return max(named, key=len)


def _check_version(base: Rulebook, section: str, day: str, change: str) -> None:
    """Raise RulebookError where the section has no version of that day."""
    days = [dated.effective_date for dated in base.versions(section)]
    if day not in days:
        lack = f"{section} has no version of {day!r}, but of {', '.join(days)}"
        raise RulebookError(f"{change}: {lack}; a new day is a new dated table in a file")


def _path(said: str, change: str) -> tuple[str | int, ...]:
    path: list[str | int] = []
    for part in said.split("."):
        match = _PART.fullmatch(part)
        if match is None:
            raise RulebookError(f"{change}: {said!r} is no place: write it as rungs[1].ban_days")
        path += [match["key"], *(int(index) for index in re.findall(r"\[(\d+)\]", match["indices"]))]
    return tuple(path)


def _value(said: str) -> Any:
    """A value as a file would write it; words need no quotation marks, and `none` is a value that is not given."""
    if said == "none":
        return None
    try:
        raw = tomllib.loads(f"value = {said}")
    except (ValueError, RecursionError):
        return said
    return raw["value"] if list(raw) == ["value"] else said


def _set(raw: dict[str, Any], place: _Place, value: Any, change: str) -> None:
    """Set one value in the tables; a key that does not fit is left to the reader, a path that leads nowhere is not."""
    inner: Any = raw
    for name in place.section.split("."):
        inner = inner[name]
    if place.effective is not None:
        inner = inner["from"][place.effective]
        inner["source"] = f"{inner['source']}; changed for comparison: {change}"
    *way, last = place.path
    inner = _descend(inner, place.path, change)
    if isinstance(inner, list) != isinstance(last, int):
        what = f"a list of {len(inner)}: name one as [0]" if isinstance(inner, list) else "no list"
        raise RulebookError(f"{change}: {_shown(way)} is {what}")
    if isinstance(inner, list):
        _set_item(inner, last, value, f"{change}: {_shown(way)}")
    elif value is None:
        inner.pop(last, None)
    else:
        inner[last] = value


def _descend(table: dict[str, Any], path: tuple[str | int, ...], change: str) -> Any:
    """The table or list that holds the last key of the path; raise RulebookError where the path leads nowhere."""
    inner: Any = table
    for done, key in enumerate(path[:-1], start=1):
        inner = _item(inner, key)
        if not isinstance(inner, dict | list):
            raise RulebookError(f"{change}: there is no {_shown(path[:done])} to change inside of")
    return inner


def _item(inner: dict[str, Any] | list[Any], key: str | int) -> Any:
    """What a table or a list has at the key; None where it has nothing there."""
    if isinstance(inner, dict):
        return inner.get(key) if isinstance(key, str) else None
    return inner[key] if isinstance(key, int) and key < len(inner) else None


def _set_item(items: list[Any], index: Any, value: Any, place: str) -> None:
    if index >= len(items) + (value is not None):
        raise RulebookError(f"{place} has {len(items)} items, the last is [{len(items) - 1}]")
    if value is None:
        del items[index]
    elif index == len(items):
        items.append(value)
    else:
        items[index] = value


def _shown(path: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
