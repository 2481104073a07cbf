"""What a rulebook changes in one that judges already, and from when on: what may be published while workers run. Pure.

    parent  ├─────────── alike ───────────┤ begins ─ ─ ▶ event time
    newer   ├─────────────────────────────┼─ its versions ─ ▶

Limits are looked up by event time. Two rulebooks therefore judge alike up to the first instant at which a version of
one differs from that of the other, and it does not matter when a worker exchanges one for the other before that. What
counts at all times, such as the longest memory of all versions or the names that events may use, has no such instant
(`Subject.always`): it cannot be changed while workers run.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.changes import families_in_another_order
from vigil.app.engine.watermark import MAX_TIME


class OnAirChange(NamedTuple):
    """How a rulebook differs from its parent."""

    begins: int
    """The first event time (ms) at which a version of one differs from that of the other; MAX_TIME if none does."""
    always: tuple[str, ...]
    """What differs at all times, one text each."""


def on_air_change(parent: Rulebook, newer: Rulebook) -> OnAirChange:
    """How `newer` differs from `parent`. Descriptions and citations count, too: verdicts carry them."""
    sections = dict.fromkeys((*parent.sections, *newer.sections))
    begins = min((_begins(parent.versions(name), newer.versions(name)) for name in sections), default=MAX_TIME)
    return OnAirChange(begins, tuple(_always(parent, newer)))


def _begins(was: Sequence[EffectiveVersion[Any]], now: Sequence[EffectiveVersion[Any]]) -> int:
    """The first start of a version that only one of the two has."""
    before, after = ({_content(version) for version in versions} for versions in (was, now))
    return min((start for start, *_ in before ^ after), default=MAX_TIME)


def _content(version: EffectiveVersion[Any]) -> tuple[int, str, str, str, str]:
    return version.start, repr(version.limits), version.citation, version.description, version.description_zh


def _always(parent: Rulebook, newer: Rulebook) -> Iterator[str]:
    if parent.time_zone != newer.time_zone:
        yield f"time_zone is {newer.time_zone} instead of {parent.time_zone}"
    for family in families_in_another_order(parent, newer):
        yield f"[{family}.*] stand in another order"
    was, now = REGISTRY.always(parent), REGISTRY.always(newer)
    for place in dict.fromkeys((*was, *now)):
        if was.get(place) != now.get(place):
            yield _difference(place, was, now)


def _difference(place: str, was: Mapping[str, object], now: Mapping[str, object]) -> str:
    before, after = was.get(place), now.get(place)
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        changed = [f"+{name}" for name in sorted(after - before)] + [f"-{name}" for name in sorted(before - after)]
        return f"{place}: {', '.join(changed)}"
    short = all(value is None or isinstance(value, int | str) for value in (before, after))
    return f"{place}: {after} instead of {before}" if short else f"{place} differs"
