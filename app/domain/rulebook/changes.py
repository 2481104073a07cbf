"""What changes: from one day to another within a rulebook, and from one rulebook to another."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.words import flat


class LimitChange(NamedTuple):
    """One value that is another from a day on. None: the value is not given, or the section not in force."""

    section: str
    """Empty for the time zone."""
    effective: str | None
    """The day, `YYYY-MM-DD`; None where it is another at all times."""
    start: int | None
    """That day's beginning, ms of event time (of the rulebook that has it)."""
    key: str
    """`within_s`, `rungs[1].ban_days`."""
    was: Any
    now: Any
    source: str | None
    """By whose word it is so now."""


def between(rulebook: Rulebook, since: int, until: int) -> list[LimitChange]:
    """What came into force at since < t ≤ until, in order of time."""
    found = []
    for section in rulebook.sections:
        before: EffectiveVersion[Any] | None = None
        for dated in rulebook.versions(section):
            if since < dated.start <= until:
                found += list(_values(section, before, dated, dated))
            before = dated
    return sorted(found, key=lambda change: change.start or 0)


def compared(base: Rulebook, other: Rulebook) -> list[LimitChange]:
    """What is another in `other` than in `base`, told once, for the day from which it is."""
    found: list[LimitChange] = []
    if base.time_zone != other.time_zone:
        found.append(LimitChange("", None, None, "time_zone", base.time_zone, other.time_zone, None))
    for section in other.sections:
        was, now = base.headings[section].get("family"), other.headings[section].get("family")
        if was != now:
            found.append(LimitChange(section, None, None, "family", was, now, None))
        days = {dated.start: dated for book in (base, other) for dated in book.versions(section)}
        told: dict[str, tuple[Any, Any]] = {}
        for start in sorted(days):
            changes = list(_values(section, base.at(section, start), other.at(section, start), days[start]))
            found += [change for change in changes if told.get(change.key) != (change.was, change.now)]
            told = {change.key: (change.was, change.now) for change in changes}
    return found


def _natural(key: str) -> list[str | int]:
    """`gmv[10]` after `gmv[9]`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", key)]


def _values(
    section: str, before: EffectiveVersion[Any] | None, after: EffectiveVersion[Any] | None, on: EffectiveVersion[Any]
) -> Iterator[LimitChange]:
    was = flat(before.limits) if before else {}
    now = flat(after.limits) if after else {}
    source = after.source if after else None
    for key in sorted({**was, **now}, key=_natural):
        if was.get(key) != now.get(key):
            yield LimitChange(section, on.effective, on.start, key, was.get(key), now.get(key), source)
