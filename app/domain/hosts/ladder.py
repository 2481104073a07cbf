"""The enforcement ladders: which step the nth violation of a family leads to, as a function of what counts.

    violations in order of (at, verdict id) ──window──▶ count ──ladder in force at `at`──▶ rung ──running bans──▶ action

An overturned violation is taken out, a late one put in where it belongs: what follows from the others is then
concluded anew. Source: live-broadcast rules of July 2022.
"""

import bisect
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import DayRange, Ladder, Rung
from vigil.topics.verdicts import Step

DAY_MS: Final = 24 * 60 * 60 * 1000

Choice = tuple[str, ...] | dict[str, tuple[int, int]] | None


class Violation(NamedTuple):
    """What the ladders need to know of a verdict. Violations sort by (`at`, `verdict_id`)."""

    at: int
    verdict_id: str
    rule: str
    family: str


class Conclusion(Struct, frozen=True, array_like=True):
    """What a violation leads to; the fields are an action's."""

    count: int
    steps: tuple[Step, ...]
    choice_of_steps: tuple[Step, ...] | None
    choice_of_days: dict[str, list[int]] | None
    ban_days: int | None
    ban_until: int | None
    freeze_days: int | None
    past_days: int | None

    @property
    def choice(self) -> Choice:
        """What a moderator may choose from; None where there is nothing to choose."""
        if self.choice_of_days is not None:
            return {name: (least, most) for name, (least, most) in self.choice_of_days.items()}
        return self.choice_of_steps


def remembered_ms(rulebook: Rulebook, when: int) -> int:
    """How long a verdict or review of the time `when` counts and is recognised."""
    dated = rulebook.at("hosts", when) or rulebook.versions("hosts")[0]
    return int(dated.limits.remember_days) * DAY_MS


def _days(days: int | DayRange | None) -> int | None:
    return days.least if isinstance(days, DayRange) else days


def conclude(violation: Violation, count: int, ladder: Ladder, banned_until: int) -> Conclusion:
    """What the violation leads to as the `count`th of its family, while earlier bans run until `banned_until`."""
    rung: Rung = ladder.rungs[min(count, len(ladder.rungs)) - 1]
    steps, choice = rung.steps, rung.choice
    if violation.rule in ladder.always_close and "close" not in steps:
        steps, choice = ("close", *(step for step in steps if step != "warn")), None
    ranges = {
        name: [days.least, days.most]
        for name, days in (("freeze_days", rung.freeze_days), ("past_days", rung.past_days))
        if isinstance(days, DayRange)
    }
    return Conclusion(
        count=count,
        steps=steps,
        choice_of_steps=choice,
        choice_of_days=ranges or None,
        ban_days=rung.ban_days,
        ban_until=None if rung.ban_days is None else max(violation.at + rung.ban_days * DAY_MS, banned_until),
        freeze_days=_days(rung.freeze_days),
        past_days=_days(rung.past_days),
    )


class LadderCounts:
    """A host's counted violations in order. Adding or removing one tells what it and all later ones lead to."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._order: list[Violation] = []
        self._families: dict[str, list[Violation]] = {}
        self._banned: list[int] = []
        """The latest end of the bans of the violations up to and with this one; 0 is none."""

    def add(self, violation: Violation) -> list[tuple[Violation, Conclusion | None]]:
        """Count a violation in; it and every later one with what they now lead to (None: no ladder was in force)."""
        index = bisect.bisect_left(self._order, violation)
        self._order.insert(index, violation)
        self._banned.insert(index, 0)
        bisect.insort(self._families.setdefault(violation.family, []), violation)
        return self._from(index)

    def remove(self, violation: Violation) -> list[tuple[Violation, Conclusion | None]]:
        """Count a violation no more; every later one with what it now leads to."""
        index = bisect.bisect_left(self._order, violation)
        del self._order[index], self._banned[index]
        family = self._families[violation.family]
        del family[bisect.bisect_left(family, violation)]
        return self._from(index)

    def _from(self, index: int) -> list[tuple[Violation, Conclusion | None]]:
        return [self._conclude(at) for at in range(index, len(self._order))]

    def _conclude(self, index: int) -> tuple[Violation, Conclusion | None]:
        violation = self._order[index]
        banned = self._banned[index - 1] if index else 0
        dated = self._rulebook.at(f"ladder.{violation.family}", violation.at)
        if dated is None:
            self._banned[index] = banned
            return violation, None
        conclusion = conclude(violation, self._count(violation, dated.limits), dated.limits, banned)
        self._banned[index] = max(banned, conclusion.ban_until or 0)
        return violation, conclusion

    def _count(self, violation: Violation, ladder: Ladder) -> int:
        """How many of the family count up to and with this one: those at t − window < at ≤ t."""
        if ladder.window_days is None:
            # "For good" is as long as verdicts are remembered.
            window = remembered_ms(self._rulebook, violation.at)
        else:
            window = ladder.window_days * DAY_MS
        family = self._families[violation.family]
        first = bisect.bisect_left(family, (violation.at - window + 1,))
        return bisect.bisect_left(family, violation) - first + 1
