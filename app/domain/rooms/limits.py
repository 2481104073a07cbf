"""The effective limits of rooms: the rulebook's room sections, prepared for each stretch of time without a change."""

import bisect
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final

from msgspec import Struct

from vigil.app.domain.rooms.emitter import RuleVersion
from vigil.app.domain.rooms.risk import room_limits, warning_delay_ms
from vigil.app.domain.rooms.rules.active_condition import ConditionRule, ConditionRules
from vigil.app.domain.rooms.rules.greeting import GreetingRule
from vigil.app.domain.rooms.rules.rule import Holds, Rule
from vigil.app.domain.rooms.rules.speech import RepeatsRule, SpokenRule
from vigil.app.domain.rooms.rules.table import GREETING, REPEATS, RULES, comment_labels, frame_labels
from vigil.app.domain.rulebook.book import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.rooms import GreetingLimits, HarassmentLimits, RoomLimits
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME

_BY_LABEL: Final[Holds] = lambda frame, limits: True  # noqa: E731 - a function of one expression
"""The condition of a rule that labels decide: whether a frame carries the label is looked up elsewhere."""


class LimitsAt(Struct, frozen=True):
    """All limits that are effective while start ≤ event time < until. Durations are in milliseconds."""

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
    contested_ms: int
    greeting: GreetingRule
    conditions: ConditionRules
    spoken: dict[str, SpokenRule]
    """The rules that labels on the host's comments decide, by label or by what labels begin with."""


class EffectiveLimits:
    """The limits of all times."""

    def __init__(self, rulebook: Rulebook, rules: frozenset[str] | None = None) -> None:
        """`rules`: judge these only; None: all."""
        self._rulebook = rulebook
        self._rules = frozenset(RULES) if rules is None else rules
        self._starts = _version_starts(rulebook)
        # Before the first day no rule is in force; the limits that are no rule's hold as from that day on.
        self._limits = [
            self._limits_of(start, until)
            for start, until in zip([MIN_TIME, *self._starts], [*self._starts, MAX_TIME], strict=True)
        ]
        rooms = [version.limits for version in rulebook.section("rooms", RoomLimits).versions]
        self.longest_comment_memory_ms = 1000 * max(limits.comment_memory_s for limits in rooms)
        self.longest_contested_ms = 1000 * max(limits.contested_s for limits in rooms)
        self.longest_early_ms = max(limits.greeting.early_ms for limits in self._limits)
        self.longest_presence_ms = 1000 * max(limits.presence_s for limits in rooms)
        self.most_engaged_comments = max(limits.engaged_comments for limits in rooms)
        self.longest_again_ms = _longest_again_ms(self._limits)
        self.repeats = self._repeats() if REPEATS in self._rules else ()
        """The versions of the rule about near-identical comments, oldest first."""

    def at(self, when: int) -> LimitsAt:
        """The limits that are effective at the event time `when`."""
        return self._limits[bisect.bisect_right(self._starts, when)]

    def conditions_at(self, when: int) -> ConditionRules:
        """The rules "for N minutes" with the limits of the event time `when`."""
        return self.at(when).conditions

    def greeting_at(self, when: int) -> GreetingRule:
        """The greeting rule with the limits of the event time `when`."""
        return self.at(when).greeting

    def _version(self, rule: str, when: int) -> tuple[EffectiveVersion[Any], RuleVersion, bool]:
        """A rule's version at a time, and whether it is in force: before its first day a rule has its first limits."""
        dated = self._rulebook.at(rule, when)
        version = self._rulebook.versions(rule)[0] if dated is None else dated
        name = RuleVersion(rule, self._rulebook.families[rule], version.effective_date)
        return version, name, dated is not None

    def _limits_of(self, start: int, until: int) -> LimitsAt:
        rooms = room_limits(self._rulebook, start)
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
            contested_ms=rooms.contested_s * 1000,
            greeting=self._greeting(start),
            conditions=self._conditions(start, rooms),
            spoken={
                label: self._spoken(rule, start) for label, rule in comment_labels().items() if rule in self._rules
            },
        )

    def _greeting(self, when: int) -> GreetingRule:
        version, name, in_force = self._version(GREETING, when)
        limits: GreetingLimits = version.limits
        return GreetingRule(
            version=name,
            in_force=in_force and GREETING in self._rules,
            within_ms=limits.within_s * 1000,
            in_a_row=limits.in_a_row,
            at_risk_misses=limits.at_risk_misses,
            early_ms=limits.early_s * 1000,
            greeting_alone_counts=limits.greeting_alone_counts,
        )

    def _spoken(self, rule: str, when: int) -> SpokenRule:
        version, name, in_force = self._version(rule, when)
        return SpokenRule(name, in_force, version.limits.again_s * 1000)

    def _repeats(self) -> tuple[RepeatsRule, ...]:
        family = self._rulebook.families[REPEATS]
        return tuple(
            RepeatsRule(RuleVersion(REPEATS, family, version.effective_date), version)
            for version in self._rulebook.section(REPEATS, HarassmentLimits).versions
        )

    def _conditions(self, when: int, rooms: RoomLimits) -> ConditionRules:
        rules = self._judged_rules()
        conditions = [self._condition(rule, rule.holds, when, rooms) for rule in rules if rule.holds is not None]
        labelled = {rule.id: self._condition(rule, _BY_LABEL, when, rooms) for rule in rules if rule.frame_labels}
        return ConditionRules(
            live=_checks(conditions),
            disconnected=_checks(rule for rule in conditions if rule.spans_disconnect),
            by_id={rule.id: rule for rule in conditions} | labelled,
            labels={label: labelled[rule] for label, rule in frame_labels().items() if rule in labelled},
            by_sound=tuple(condition for condition in conditions if RULES[condition.id].by_sound),
            sounds={},
        )

    def _judged_rules(self) -> list[Rule]:
        """The rules of rooms that are judged, in the order of the table."""
        return [rule for rule in RULES.values() if rule.id in self._rules]

    def _condition(self, rule: Rule, holds: Holds, when: int, rooms: RoomLimits) -> ConditionRule:
        version, name, in_force = self._version(rule.id, when)
        duration_ms = version.limits.lasts_s * 1000
        return ConditionRule(
            id=rule.id,
            version=name,
            holds=holds,
            limits=version.limits,
            in_force=in_force,
            duration_ms=duration_ms,
            warning_delay_ms=warning_delay_ms(rooms, duration_ms),
            spans_disconnect=rule.spans_disconnect,
            restarted_by_reception=rule.restarted_by_reception,
            tolerate_ms=version.limits.tolerate_s * 1000,
            tolerate_share=Fraction(repr(version.limits.tolerate_share)),
        )


def _version_starts(rulebook: Rulebook) -> list[int]:
    """Every instant at which a section of rooms changes, ms since the epoch, oldest first."""
    sections = ["rooms", *RULES]
    return sorted({version.start for section in sections for version in rulebook.versions(section)})


def _longest_again_ms(limits: Iterable[LimitsAt]) -> int:
    """The longest `again_ms` of all spoken rules; 0 if there is none."""
    return max((rule.again_ms for each in limits for rule in each.spoken.values()), default=0)


def _checks(conditions: Iterable[ConditionRule]) -> tuple[tuple[Holds, Any, ConditionRule], ...]:
    """The rules, each with the condition and limits that are evaluated for every frame."""
    return tuple((rule.holds, rule.limits, rule) for rule in conditions)
