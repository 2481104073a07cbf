"""What changes: between two days within one rulebook, and from one rulebook to another."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, NamedTuple

from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook, plain
from vigil.app.domain.rulebook.formatting import flatten


class LimitChange(NamedTuple):
    """One value that changes on a day. A value of None is not given, or its section is not effective yet."""

    section: str
    """Empty for the time zone; the name of a family (`permit`) for the order of its sections."""
    effective_date: str | None
    """The day or instant of the change, as the version names it; None where the value differs at all times."""
    start: int | None
    """The same in ms of event time, by the rulebook that has the version."""
    key: str
    """Path of the value: `within_s`, `rungs[1].ban_days`."""
    was: Any
    now: Any
    citation: str | None
    """The citation of the version that sets the new value."""


def changes_between(rulebook: Rulebook, since: int, until: int) -> list[LimitChange]:
    """What becomes effective at since < t ≤ until (ms of event time), ordered by time."""
    found = []
    for section in rulebook.sections:
        before: EffectiveVersion[Any] | None = None
        for version in rulebook.versions(section):
            if since < version.start <= until:
                found += list(_value_changes(section, before, version, version))
            before = version
    return sorted(found, key=lambda change: change.start or 0)


def compare_rulebooks(base: Rulebook, other: Rulebook) -> list[LimitChange]:
    """What differs in `other` from `base`; a difference that lasts is listed once, for the day on which it begins."""
    found: list[LimitChange] = []
    if base.time_zone != other.time_zone:
        found.append(LimitChange("", None, None, "time_zone", base.time_zone, other.time_zone, None))
    found += _order_changes(base, other)
    for section in dict.fromkeys((*other.sections, *base.sections)):
        was, now = base.family_of(section), other.family_of(section)
        if was != now:
            found.append(LimitChange(section, None, None, "family", was, now, None))
        by_start = {version.start: version for book in (base, other) for version in book.versions(section)}
        previous: dict[str, tuple[Any, Any]] = {}
        for start in sorted(by_start):
            changes = list(_value_changes(section, base.at(section, start), other.at(section, start), by_start[start]))
            found += [change for change in changes if previous.get(change.key) != (change.was, change.now)]
            previous = {change.key: (change.was, change.now) for change in changes}
    return found


def _order_changes(base: Rulebook, other: Rulebook) -> Iterator[LimitChange]:
    """The families whose sections stand in another order; sections that only one of the two has do not count."""
    for family in families_in_another_order(base, other):
        was, now = ([name.removeprefix(f"{family}.") for name in book.listed[family]] for book in (base, other))
        yield LimitChange(family, None, None, "order", was, now, None)


def families_in_another_order(base: Rulebook, other: Rulebook) -> list[str]:
    """The families of sections that both have, whose common sections stand in another order."""
    return [family for family in other.listed if _common(base, other, family) != _common(other, base, family)]


def _common(book: Rulebook, other: Rulebook, family: str) -> list[str]:
    """The sections of a family that both have, in the order of `book`."""
    theirs = other.listed.get(family, ())
    return [name for name in book.listed.get(family, ()) if name in theirs]


def _natural_order(key: str) -> list[str | int]:
    """A sort key by which `gmv[10]` comes after `gmv[9]`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", key)]


def _value_changes(
    section: str,
    before: EffectiveVersion[Any] | None,
    after: EffectiveVersion[Any] | None,
    dated: EffectiveVersion[Any],
) -> Iterator[LimitChange]:
    """The values that differ between two versions, listed under the date of a third."""
    was = flatten(before.limits) if before else {}
    now = flatten(after.limits) if after else {}
    if before and after:
        for key, items in _shifted(plain(before.limits), plain(after.limits)):
            was, now = _without(key, was), _without(key, now)
            was.update((f"{key}[{number}]", item) for number, item, _ in items)
            now.update((f"{key}[{number}]", item) for number, _, item in items)
    citation = after.citation if after else None
    for key in sorted({**was, **now}, key=_natural_order):
        if was.get(key) != now.get(key):
            yield LimitChange(section, dated.effective_date, dated.start, key, was.get(key), now.get(key), citation)


def _shifted(was: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, list[tuple[int, Any, Any]]]]:
    """The lists of tables with tables put in or taken out before their end: (number, table or None, table or None).

    Compared place by place, every table behind that place would differ.
    """
    for key in was.keys() & now.keys():
        before, after = was[key], now[key]
        if _has_tables(before) and _has_tables(after) and len(before) != len(after):
            shorter = min(len(before), len(after))
            if before[:shorter] != after[:shorter]:
                yield key, list(_items(before, after))


def _has_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _items(before: list[Any], after: list[Any]) -> Iterator[tuple[int, Any, Any]]:
    """The items that only one of two lists has, and those that stand in the place of another."""
    same = SequenceMatcher(None, [repr(item) for item in before], [repr(item) for item in after], autojunk=False)
    for what, i, i_end, j, j_end in same.get_opcodes():
        if what != "equal":
            pairs = zip_longest(before[i:i_end], after[j:j_end])
            yield from ((max(i, j) + place, was, now) for place, (was, now) in enumerate(pairs))


def _without(key: str, flat: dict[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in flat.items() if not path.startswith(f"{key}[")}
