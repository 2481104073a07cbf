"""The enforcement ladders: which step the nth violation of a family leads to, as a function of what counts.

    violations by (at, verdict id) ──window──▶ count ──ladder at `at`──▶ rung ──running bans──▶ action

A host's actions are a function of the set of its violations that count. An overturned violation is taken out, a late
one is put in at its place; then what follows from it and from all later violations is concluded again.

Source: live-broadcast rules of July 2022. Decided by Vigil: a ban runs from the violation's time and ends no earlier
than any ban of the host that is running then; "for good" is as long as verdicts are remembered.
"""

import bisect
from typing import Final, NamedTuple

from vigil.app.domain.hosts.conclusion import Conclusion
from vigil.app.domain.hosts.decisions import UNDECIDED, Decision, decided
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import APPROVAL, Approval, DayRange, HostMemory, Ladder, Rung

DAY_MS: Final = 24 * 60 * 60 * 1000


class Violation(NamedTuple):
    """What the ladders need to know of a verdict. Violations sort by (`at`, `verdict_id`)."""

    at: int
    verdict_id: str
    rule: str
    family: str


def remembered_ms(rulebook: Rulebook, when: int) -> int:
    """How long a verdict or review of the time `when` counts and is recognised."""
    return rulebook.section("hosts", HostMemory).at_or_first(when).limits.remember_days * DAY_MS


def _least(days: int | DayRange | None) -> int | None:
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
        freeze_days=_least(rung.freeze_days),
        past_days=_least(rung.past_days),
    )


class LadderCounts:
    """A host's violations that count, in order, and what each of them leads to."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._order: list[Violation] = []
        self._families: dict[str, list[Violation]] = {}
        self._banned_until: list[int] = []
        """For each violation the latest end of the bans up to and including its own; 0 is none. One that is held counts
        for none."""
        self._approval = rulebook.optional_section(APPROVAL, Approval)
        self.decisions: Final[dict[str, Decision]] = {}
        """By verdict: what moderators decided."""

    def add(self, violation: Violation) -> list[tuple[Violation, Conclusion | None]]:
        """Count a violation. Return it and every later one with what it now leads to (None: no ladder is effective)."""
        self.insert(violation)
        return self.conclude_from(violation)

    def insert(self, violation: Violation) -> None:
        """Count a violation. The next evaluation begins at it, or at an earlier violation that is still pending."""
        index = bisect.bisect_left(self._order, violation)
        self._order.insert(index, violation)
        self._banned_until.insert(index, 0)
        bisect.insort(self._families.setdefault(violation.family, []), violation)

    def conclude_from(self, violation: Violation) -> list[tuple[Violation, Conclusion | None]]:
        """Return a violation, and every later one, with what it now leads to."""
        return self._conclude_from(bisect.bisect_left(self._order, violation))

    def remove(self, violation: Violation) -> list[tuple[Violation, Conclusion | None]]:
        """Do not count a violation any more. Return every later one with what it now leads to."""
        index = bisect.bisect_left(self._order, violation)
        del self._order[index], self._banned_until[index]
        family = self._families[violation.family]
        del family[bisect.bisect_left(family, violation)]
        return self._conclude_from(index)

    def _conclude_from(self, index: int) -> list[tuple[Violation, Conclusion | None]]:
        return [self._conclude(at) for at in range(index, len(self._order))]

    def _conclude(self, index: int) -> tuple[Violation, Conclusion | None]:
        violation = self._order[index]
        banned_until = self._banned_until[index - 1] if index else 0
        name = f"ladder.{violation.family}"
        known = name in self._rulebook.sections  # a console may read actions of a family that only a newer Vigil knows
        ladder = self._rulebook.section(name, Ladder).limits_at(violation.at) if known else None
        if ladder is None:
            self._banned_until[index] = banned_until
            return violation, None
        decision = self.decisions.get(violation.verdict_id, UNDECIDED)
        approval = self._approval.limits_at(violation.at)
        conclusion = conclude(violation, self._count(violation, ladder), ladder, banned_until)
        conclusion = decided(conclusion, decision, approval)
        own = 0 if conclusion.held else conclusion.ban_until or 0
        self._banned_until[index] = max(banned_until, own)
        return violation, conclusion

    def _count(self, violation: Violation, ladder: Ladder) -> int:
        """The number of violations of the family at t − window < at ≤ t, where t is the time of this one."""
        if ladder.window_days is None:
            window = remembered_ms(self._rulebook, violation.at)
        else:
            window = ladder.window_days * DAY_MS
        family = self._families[violation.family]
        first = bisect.bisect_left(family, (violation.at - window + 1,))
        return bisect.bisect_left(family, violation) - first + 1
