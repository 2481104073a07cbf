"""A host's ladders: what counts now, when each violation leaves its window, and what the next one would lead to."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from vigil.app.domain.hosts.ladder import DAY_MS, Conclusion, LadderCounts, Violation, remembered_ms
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES, Ladder
from vigil.topics.verdicts import Action

NEXT: Final = "\uffff"
"""Sorts after every verdict id: the next violation comes after those of the same instant."""


class Counted(NamedTuple):
    """A violation within the window."""

    action: Action
    leaves_at: int
    """When it no longer counts."""


class FamilyLadder(NamedTuple):
    """One family's ladder for one host, as of now."""

    family: str
    ladder: Ladder
    counted: list[Counted]
    next: Conclusion
    next_rung: int
    """The index of the rung that the next violation is on."""
    always: dict[str, Conclusion]
    """What the next violation of a rule leads to that is always dealt with more severely."""


def ladders(rulebook: Rulebook, actions: Iterable[Action], now: int) -> list[FamilyLadder]:
    """The ladders in force; `actions` at their latest revisions. Families with violations come first."""
    active = [action for action in actions if action.status == "active"]
    counts = LadderCounts(rulebook)
    for action in active:
        counts.add(Violation(action.at, action.action_id, action.rule, action.family))
    found = []
    for family in FAMILIES:
        dated = rulebook.at(f"ladder.{family}", now)
        if dated is None:
            continue
        ladder: Ladder = dated.limits
        window = remembered_ms(rulebook, now) if ladder.window_days is None else ladder.window_days * DAY_MS
        counted = [
            Counted(action, action.at + window)
            for action in active
            if action.family == family and now - window < action.at <= now
        ]
        counted.sort(key=lambda one: (one.action.at, one.action.action_id), reverse=True)
        following = _next(counts, Violation(now, NEXT, "", family))
        if following is None:
            continue
        always = {rule: _next(counts, Violation(now, NEXT, rule, family)) for rule in ladder.always_close}
        found.append(
            FamilyLadder(
                family,
                ladder,
                counted,
                following,
                min(following.count, len(ladder.rungs)) - 1,
                {rule: told for rule, told in always.items() if told is not None and told.steps != following.steps},
            )
        )
    return sorted(found, key=lambda one: -len(one.counted))


def _next(counts: LadderCounts, violation: Violation) -> Conclusion | None:
    told = next((conclusion for each, conclusion in counts.add(violation) if each is violation), None)
    counts.remove(violation)
    return told


def banned_until(actions: Iterable[Action], now: int) -> int | None:
    """The end of the ban that runs now; None where none does."""
    ends = [one.ban_until for one in actions if one.status == "active" and one.ban_until is not None]
    return max((end for end in ends if end > now), default=None)
