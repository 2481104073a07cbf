"""A host's ladders: what counts now, when each violation leaves its window, and what the next one would lead to."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from vigil.app.domain.hosts.conclusion import Conclusion
from vigil.app.domain.hosts.decisions import UNDECIDED
from vigil.app.domain.hosts.ladder import DAY_MS, LadderCounts, Violation, remembered_ms
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import FAMILIES, Ladder
from vigil.topics.verdicts import Action

NEXT_ID: Final = "\uffff"
"""The id of the next violation. It sorts after every verdict id: of violations at one instant, it comes last."""


class CountedViolation(NamedTuple):
    """A violation that lies within the window."""

    action: Action
    leaves_at: int
    """When it no longer counts."""


class FamilyLadder(NamedTuple):
    """The ladder of one family for one host, as it is now."""

    family: str
    ladder: Ladder
    counted: list[CountedViolation]
    next: Conclusion
    next_rung: int
    """The index of the rung on which the next violation would be."""
    always: dict[str, Conclusion]
    """By rule, the result of the next violation of a rule that always has a more severe one than its rung."""


def ladders(rulebook: Rulebook, actions: Iterable[Action], now: int) -> list[FamilyLadder]:
    """Return the ladders that hold now; families with violations come first.

    `actions` are all of the host's, each at its latest revision.
    """
    active = [action for action in actions if action.status != "withdrawn"]
    counts = LadderCounts(rulebook)
    for action in active:
        approvals = tuple((name, action.at) for name in action.approved_by)
        counts.decisions[action.action_id] = UNDECIDED._replace(approvals=approvals)
        counts.add(Violation(action.at, action.action_id, action.rule, action.family))
    found = [_family_ladder(rulebook, family, active, counts, now) for family in FAMILIES]
    return sorted((each for each in found if each is not None), key=lambda each: -len(each.counted))


def _family_ladder(
    rulebook: Rulebook, family: str, active: list[Action], counts: LadderCounts, now: int
) -> FamilyLadder | None:
    """Return a family's ladder as `counts` has it; None where none holds now."""
    dated = rulebook.at(f"ladder.{family}", now)
    if dated is None:
        return None
    following = _next(counts, Violation(now, NEXT_ID, "", family))
    if following is None:
        return None
    ladder: Ladder = dated.limits
    window = remembered_ms(rulebook, now) if ladder.window_days is None else ladder.window_days * DAY_MS
    by_rule = {rule: _next(counts, Violation(now, NEXT_ID, rule, family)) for rule in ladder.always_close}
    return FamilyLadder(
        family=family,
        ladder=ladder,
        counted=_counted(family, active, window, now),
        next=following,
        next_rung=min(following.count, len(ladder.rungs)) - 1,
        always={rule: one for rule, one in by_rule.items() if one is not None and one.steps != following.steps},
    )


def _counted(family: str, active: list[Action], window: int, now: int) -> list[CountedViolation]:
    """Return the family's violations of the last `window` ms, the newest first."""
    counted = [
        CountedViolation(action, action.at + window)
        for action in active
        if action.family == family and now - window < action.at <= now
    ]
    return sorted(counted, key=lambda one: (one.action.at, one.action.action_id), reverse=True)


def _next(counts: LadderCounts, violation: Violation) -> Conclusion | None:
    """Return what a violation would lead to."""
    found = next((conclusion for each, conclusion in counts.add(violation) if each is violation), None)
    counts.remove(violation)
    return found


def banned_until(actions: Iterable[Action], now: int) -> int | None:
    """Return when the ban ends that holds now; None where there is none."""
    ends = [one.ban_until for one in actions if one.status == "active" and one.ban_until is not None]
    return max((end for end in ends if end > now), default=None)
