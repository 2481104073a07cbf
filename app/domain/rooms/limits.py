"""Which numbers hold at a time: the rulebook's room sections, looked up once for as long as nothing changes."""

import bisect
from typing import Any, Final

from msgspec import Struct

from vigil.app.domain.rooms.rules.conditions import (
    CONDITIONS,
    LABELS,
    THROUGH_DISCONNECTED,
    ConditionRule,
    ConditionRules,
)
from vigil.app.domain.rooms.rules.speech import REPEATS, SPOKEN, SpokenRule
from vigil.app.domain.rulebook import EffectiveVersion, Rulebook, RulebookError
from vigil.app.domain.rulebook.rooms import GreetingLimits, RoomLimits
from vigil.app.domain.rulebook.validation import nearest
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME

GREETING: Final = "greeting-miss"

JUDGED: Final = frozenset({GREETING, *CONDITIONS, *LABELS.values(), *SPOKEN.values(), REPEATS})
"""Every rule that is judged."""


class GreetingRule(Struct, frozen=True):
    """greeting-miss as it stands at a time."""

    family: str
    effective: str
    in_force: bool
    within_ms: int
    in_a_row: int
    at_risk_misses: int


class LimitsAt(Struct, frozen=True):
    """Everything that holds from `start` until before `until`. Durations are in milliseconds."""

    start: int
    until: int
    gap_ms: int
    forget_ended_ms: int
    forget_silent_ms: int
    comment_memory_ms: int
    presence_ms: int
    engaged_comments: int
    status_every_ms: int
    waiting_shown: int
    greeting: GreetingRule
    runs: ConditionRules
    spoken: dict[str, SpokenRule]
    """The rules that a label on a host comment decides, by label or by what it starts with."""


class EffectiveLimits:
    """The numbers of all times."""

    def __init__(self, rulebook: Rulebook, rules: frozenset[str] | None = None) -> None:
        """`rules`: judge these only; None: all. Raise RulebookError when a rule lacks numbers, or numbers a judge."""
        _check(rulebook)
        self._rulebook = rulebook
        self._rules = JUDGED if rules is None else rules
        sections = ["rooms", *sorted(JUDGED)]
        starts = sorted({dated.start for section in sections for dated in rulebook.versions(section)})
        self._starts = starts
        # Before the first day nothing is judged; what is no rule holds as from that day on.
        self._numbers = [
            self._numbers_of(start, until)
            for start, until in zip([MIN_TIME, *starts], [*starts, MAX_TIME], strict=True)
        ]
        rooms = [self._rooms(numbers.start) for numbers in self._numbers]
        self.longest_comment_memory_ms = 1000 * max(limits.comment_memory_s for limits in rooms)
        self.longest_presence_ms = 1000 * max(limits.presence_s for limits in rooms)
        self.most_engaged_comments = max(limits.engaged_comments for limits in rooms)
        spoken = [rule for numbers in self._numbers for rule in numbers.spoken.values()]
        self.longest_again_ms = max((rule.again_ms for rule in spoken), default=0)
        self.repeats: list[EffectiveVersion[Any]] = rulebook.versions(REPEATS) if REPEATS in self._rules else []
        """The limits of near-identical comments, oldest first."""
        self.repeats_family = rulebook.families[REPEATS]

    def at(self, when: int) -> LimitsAt:
        """What holds at the event time `when`."""
        return self._numbers[bisect.bisect_right(self._starts, when)]

    def runs_at(self, when: int) -> ConditionRules:
        """The run rules as they stand at `when`."""
        return self.at(when).runs

    def greeting_at(self, when: int) -> GreetingRule:
        """greeting-miss as it stands at `when`."""
        return self.at(when).greeting

    def _rooms(self, when: int) -> RoomLimits:
        limits: RoomLimits = self._dated("rooms", when)[0].limits
        return limits

    def _dated(self, section: str, when: int) -> tuple[EffectiveVersion[Any], bool]:
        """The limits at a time and whether they are in force: before its first day a rule has those to come."""
        dated = self._rulebook.at(section, when)
        return (self._rulebook.versions(section)[0], False) if dated is None else (dated, True)

    def _numbers_of(self, start: int, until: int) -> LimitsAt:
        rooms = self._rooms(start)
        dated, in_force = self._dated(GREETING, start)
        greeting: GreetingLimits = dated.limits
        conditions = [
            self._run_rule(rule, start, condition.words, condition.holds, rooms)
            for rule, condition in CONDITIONS.items()
            if rule in self._rules
        ]
        return LimitsAt(
            start=start,
            until=until,
            gap_ms=rooms.max_frame_gap_s * 1000,
            forget_ended_ms=rooms.forget_ended_s * 1000,
            forget_silent_ms=rooms.forget_silent_s * 1000,
            comment_memory_ms=rooms.comment_memory_s * 1000,
            presence_ms=rooms.presence_s * 1000,
            engaged_comments=rooms.engaged_comments,
            status_every_ms=rooms.status_every_s * 1000,
            waiting_shown=rooms.waiting_shown,
            greeting=GreetingRule(
                family=self._rulebook.families[GREETING],
                effective=dated.effective_date,
                in_force=in_force and GREETING in self._rules,
                within_ms=greeting.within_s * 1000,
                in_a_row=greeting.in_a_row,
                at_risk_misses=greeting.at_risk_misses,
            ),
            runs=ConditionRules(
                conditions=tuple(conditions),
                by_name={
                    **{rule.rule: rule for rule in conditions},
                    **{rule: self._label_rule(rule, start, rooms) for rule in LABELS.values()},
                },
                labels={
                    label: self._label_rule(rule, start, rooms) for label, rule in LABELS.items() if rule in self._rules
                },
            ),
            spoken={
                label: SpokenRule(
                    rule,
                    self._rulebook.families[rule],
                    self._dated(rule, start)[0].effective_date,
                    self._dated(rule, start)[1],
                    self._dated(rule, start)[0].limits.again_s * 1000,
                )
                for label, rule in SPOKEN.items()
                if rule in self._rules
            },
        )

    def _label_rule(self, rule: str, start: int, rooms: RoomLimits) -> ConditionRule:
        return self._run_rule(rule, start, "", lambda frame, limits: True, rooms)

    def _run_rule(self, rule: str, start: int, words: str, holds: Any, rooms: RoomLimits) -> ConditionRule:
        dated, in_force = self._dated(rule, start)
        lasts_ms = dated.limits.lasts_s * 1000
        warned = dated.limits.lasts_s >= rooms.at_risk_from_s
        return ConditionRule(
            rule=rule,
            family=self._rulebook.families[rule],
            words=words,
            holds=holds,
            limits=dated.limits,
            effective=dated.effective_date,
            in_force=in_force,
            lasts_ms=lasts_ms,
            at_risk_ms=round(lasts_ms * rooms.at_risk_share) if warned else None,
            through_disconnected=rule in THROUGH_DISCONNECTED,
        )


def _check(rulebook: Rulebook) -> None:
    """Every rule needs numbers, and all numbers a judge."""
    tabled = set(rulebook.families)
    problems = []
    for rule in sorted(JUDGED ^ tabled):
        if rule in tabled:
            fault = (
                f"[{rule}] has no judge: take it out, or give it a condition in app/domain/rooms/rules/conditions.py"
            )
        else:
            fault = f"[{rule}] is missing, and so has no numbers: add it with [{rule}.from.YYYY-MM-DD]"
        guess = nearest(rule, (JUDGED | tabled) - {rule})
        problems.append(f"rulebook: {fault}" + (f"; did you mean {guess}?" if guess else ""))
    if problems:
        raise RulebookError("\n".join(problems))
