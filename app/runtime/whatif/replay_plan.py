"""What must be judged again under a candidate rulebook; the rest is taken from the base. Pure.

a rule's numbers or family ────────▶ that rule in every room, and the subjects that read verdicts
[rooms]: gap, at-risk ─────────────▶ every rule, and the subjects that read verdicts
sections of any other subject ─────▶ that subject, and those that read what the sections decide
what is remembered, the time zone ─▶ everything, apart
"""

from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from vigil.app.domain.registry import REGISTRY, Registry
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.changes import families_in_another_order
from vigil.app.domain.subject import matches
from vigil.topics.catalog import SubjectName

ROOMS: Final[SubjectName] = "rooms"
"""Its rules are judged again one by one, not the subject as a whole."""

_SIGNALS: Final = ("max_frame_gap_s",)
_RISKS: Final = ("at_risk_from_s", "at_risk_share")
_CONTESTS: Final = ("contested_s",)
_MEMORY: Final = ("comment_memory_s", "forget_ended_s", "forget_silent_s")
"""Numbers of [rooms] that decide which comments are duplicates, and so what is judged at all."""


class ReplayPlan(NamedTuple):
    """What to judge again under a candidate."""

    sections: tuple[str, ...]
    """Those that differ, in the order of the rulebook."""
    rules: frozenset[str]
    """Judged again in every room."""
    signals: bool
    """Is the loss of signals judged again, too?"""
    subjects: frozenset[SubjectName]
    """Judged again as a whole; never rooms."""
    apart: bool
    """True if nothing can be shared but the reading."""


def differing(base: Rulebook, other: Rulebook) -> tuple[str, ...]:
    """The sections with different numbers, in the order of the rulebook; all where the time zones differ.

    Those of a family, too, where lists show them in another order.
    """
    moved = families_in_another_order(base, other)
    return tuple(
        section
        for section in dict.fromkeys((*base.sections, *other.sections))
        if base.time_zone != other.time_zone
        or base.family_of(section) != other.family_of(section)
        or _by_day(base, section) != _by_day(other, section)
        or ("." in section and section.partition(".")[0] in moved)
    )


def _by_day(book: Rulebook, section: str) -> list[tuple[str, Any]]:
    return [(dated.effective_date, dated.limits) for dated in book.versions(section)]


def plan(base: Rulebook, candidate: Rulebook, registry: Registry = REGISTRY) -> ReplayPlan:
    """What must be judged again so that the outcome is that of a replay under the candidate."""
    sections = differing(base, candidate)

    def changed(names: tuple[str, ...]) -> bool:
        return ROOMS in sections and any(_over_time(base, name) != _over_time(candidate, name) for name in names)

    rules = frozenset(RULES).intersection(sections)
    signals = changed(_SIGNALS)
    if signals or changed(_RISKS):
        rules = frozenset(RULES)
    if changed(_CONTESTS):
        rules |= {rule.id for rule in RULES.values() if rule.contestable}
    permits = any(matches("permit.*", section) for section in sections)  # they decide verdicts of rooms, too
    apart = base.time_zone != candidate.time_zone or changed(_MEMORY) or permits
    subjects = affected(sections, registry, rooms=bool(rules))
    return ReplayPlan(sections, rules, signals, frozenset(subjects - {ROOMS}), apart)


def affected(sections: Collection[str], registry: Registry = REGISTRY, *, rooms: bool = True) -> set[SubjectName]:
    """The subjects whose judgements may change with these sections: those that have one of them, and those that read
    from an affected subject what one of the sections decides.

    `rooms`: the changes of rooms affect what they publish.
    """
    names = set(sections)
    found = {subject for subject in map(registry.subject_of_section, sections) if subject is not None}
    if not rooms:
        found.discard(ROOMS)
    pending = list(found)
    while pending:
        for output in registry.subjects[pending.pop()].outputs:
            reader = registry.readers.get(output.topic)
            decided = output.sections is None or any(
                matches(pattern, name) for pattern in output.sections for name in names
            )
            if reader is not None and decided and reader not in found:
                found.add(reader)
                pending.append(reader)
    return found


def _over_time(book: Rulebook, name: str) -> list[tuple[int, Any]]:
    """A number of [rooms] with the times from which it is another."""
    value: Callable[[Any], Any] = lambda limits: getattr(limits, name)  # noqa: E731 - a function of one expression
    changes: list[tuple[int, Any]] = []
    for dated in book.versions("rooms"):
        if not changes:
            changes.append((-1, value(dated.limits)))  # the first numbers hold before their day as well
        elif changes[-1][1] != value(dated.limits):
            changes.append((dated.start, value(dated.limits)))
    return changes
