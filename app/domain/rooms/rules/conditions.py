"""Rules of the form "for N continuous minutes": one machine tracks the conditions of all of them.

    a frame satisfies it ──▶ active ──frame at ≥ since + share──▶ at-risk ──frame at ≥ since + N──▶ violation
                               └─────a frame that does not, a gap, not live──▶ ended: risk-cleared after at-risk

A condition is judged to its end by the limits that were effective when it began. A violation occurs at since + N
exactly, and is published when a frame with `at` ≥ since + N continues the condition: so no violation rests on frames
that are missing. State: one entry per active condition, dropped when it ends.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from vigil.app.domain.rooms.emitter import EvidenceItem, RuleVersion, VerdictEmitter, shown
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.rule import Holds
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Message
from vigil.topics.rooms import FrameStatus
from vigil.topics.verdicts import OpenCondition


class ConditionRule(NamedTuple):
    """A rule "for N minutes" with the limits of one time. Durations are in milliseconds."""

    id: str
    version: RuleVersion
    holds: Holds
    """Does a frame satisfy the condition? That a frame has a label is decided elsewhere."""
    limits: Any
    in_force: bool
    """False before the rule's first day: a condition that begins then is tracked, but never judged."""
    duration_ms: int
    warning_delay_ms: int | None
    """None: the rule is too short for a warning."""
    spans_disconnect: bool
    restarted_by_reception: bool


class ConditionRules(NamedTuple):
    """All rules "for N minutes" with the limits of one time."""

    live: tuple[tuple[Holds, Any, ConditionRule], ...]
    """The conditions that a live frame can begin: unpacked, as each frame is checked against all of them."""
    disconnected: tuple[tuple[Holds, Any, ConditionRule], ...]
    """Those that a disconnected frame can begin."""
    by_id: dict[str, ConditionRule]
    labels: dict[str, ConditionRule]
    """By label or by what labels begin with."""

    def of_label(self, label: str) -> ConditionRule | None:
        """The rule that a label on a frame decides, if any."""
        return of_label(self.labels, label)


RulesAt = Callable[[int], ConditionRules]
"""The rules with the limits of an event time."""

StoredCondition = tuple[str, str | None, int, int, int, bool, bool]
"""Of an active condition: rule, label, since, first frame, frames before it, at-risk sent, violation sent."""


class ActiveCondition:
    """An unbroken series of frames that all satisfy one rule's condition."""

    __slots__ = ("at_risk", "before", "first", "label", "next", "rule", "since", "violated")

    def __init__(self, rule: ConditionRule, label: str | None, since: int, first: int, before: int) -> None:
        self.rule = rule
        self.label = label
        self.since = since
        """From when the time counts: the first frame, or the reception that restarted it."""
        self.first = first
        """The event time of its first frame."""
        self.before = before
        """How many frames the room had before it."""
        self.at_risk = False
        self.violated = False
        self.next = 0
        """From which event time on a frame has something to publish."""
        self.reschedule()

    @property
    def due(self) -> int:
        """When it becomes a violation."""
        return self.since + self.rule.duration_ms

    @property
    def open(self) -> bool:
        """True while it may still become a violation."""
        return self.rule.in_force and not self.violated

    def reschedule(self) -> None:
        """Set `next`."""
        if not self.open:
            self.next = MAX_TIME
        elif self.rule.warning_delay_ms is not None and not self.at_risk:
            self.next = self.since + self.rule.warning_delay_ms
        else:
            self.next = self.due

    def store(self) -> StoredCondition:
        """What the tracker is given after a restart."""
        return (self.rule.id, self.label, self.since, self.first, self.before, self.at_risk, self.violated)


class ConditionTracker:
    """The active conditions of a room."""

    __slots__ = ("_by_label", "_by_rule", "_emitter")

    def __init__(self, emitter: VerdictEmitter, stored: list[StoredCondition], rules_at: RulesAt) -> None:
        self._emitter = emitter
        self._by_rule: dict[str, ActiveCondition] = {}
        self._by_label: dict[str, ActiveCondition] = {}
        for rule_id, label, since, first, before, at_risk, violated in stored:
            rule = rules_at(since).by_id.get(rule_id)
            if rule is None:
                continue  # stored by a version of Vigil that judged it
            active = ActiveCondition(rule, label, since, first, before)
            active.at_risk, active.violated = at_risk, violated
            active.reschedule()
            if label is None:
                self._by_rule[rule_id] = active
            else:
                self._by_label[label] = active

    def __bool__(self) -> bool:
        return bool(self._by_rule or self._by_label)

    def frame(self, frame: FrameStatus, number: int, rules: ConditionRules) -> None:
        """Judge a frame, the room's `number`th."""
        active = self._by_rule
        if active:
            self._continue(frame, number)
        if frame.stream == "live":
            begin, labels = rules.live, frame.labels
        else:
            begin, labels = rules.disconnected if frame.stream == "disconnected" else (), ()
        for holds, limits, rule in begin:
            if holds(frame, limits) and rule.id not in active:
                active[rule.id] = ActiveCondition(rule, None, frame.at, frame.at, number - 1)
        if labels or self._by_label:
            self._labels(labels, frame.at, number, rules)

    def gap(self, at: int) -> None:
        """End every condition at `at`: no frame came for too long."""
        for conditions in (self._by_rule, self._by_label):
            for name in list(conditions):
                self._end(conditions.pop(name), at)

    def reception(self, at: int, rules: ConditionRules) -> None:
        """The host showed reception: conditions that it restarts count from `at`, with the limits of that time."""
        for name, active in self._by_rule.items():
            if active.rule.restarted_by_reception:
                self._end(active, at)
                self._by_rule[name] = ActiveCondition(rules.by_id[name], None, at, active.first, active.before)

    def open(self) -> tuple[OpenCondition, ...]:
        """The conditions without a violation yet, the next due first."""
        found = [active for by in (self._by_rule, self._by_label) for active in by.values() if active.open]
        found.sort(key=lambda active: (active.due, active.rule.id, active.since))
        return tuple(OpenCondition(rule=one.rule.id, since=one.since, due=one.due) for one in found)

    def store(self) -> list[StoredCondition]:
        """What the constructor is given after a restart."""
        return [active.store() for conditions in (self._by_rule, self._by_label) for active in conditions.values()]

    def _continue(self, frame: FrameStatus, number: int) -> None:
        """Continue or end the active conditions that labels do not decide."""
        at = frame.at
        live = frame.stream == "live"
        ended = []
        for name, active in self._by_rule.items():
            rule = active.rule
            if (live or (rule.spans_disconnect and frame.stream != "ended")) and rule.holds(frame, rule.limits):
                if at >= active.next:
                    self._publish(active, at, number)
            else:
                ended.append(name)
        for name in ended:
            self._end(self._by_rule.pop(name), at)

    def _labels(self, labels: tuple[str, ...], at: int, number: int, rules: ConditionRules) -> None:
        conditions = self._by_label
        if conditions:
            carried = frozenset(labels)
            for label in [label for label in conditions if label not in carried]:
                self._end(conditions.pop(label), at)
        for label in labels:
            if active := conditions.get(label):
                if at >= active.next:
                    self._publish(active, at, number)
            elif rule := rules.of_label(label):
                conditions[label] = ActiveCondition(rule, label, at, at, number - 1)

    def _publish(self, active: ActiveCondition, at: int, number: int) -> None:
        """Publish what a condition has to publish by `at`, the time of a frame that continues it."""
        rule = active.rule
        if rule.warning_delay_ms is not None and not active.at_risk:
            if not self._another_warned(active):
                self._emitter.at_risk(rule.id, active.since, active.since + rule.warning_delay_ms, active.due)
            active.at_risk = True
        if at >= active.due:
            active.violated = True
            evidence = self._evidence(active, at, number)
            self._emitter.verdict(rule.version, active.label, active.since, active.due, evidence)
        active.reschedule()

    def _evidence(self, active: ActiveCondition, at: int, number: int) -> list[EvidenceItem]:
        """The first and the latest frame."""
        frames = number - active.before
        if active.label is None:
            kind, params = "frames", {"frames": frames, "rule": active.rule.id}
        else:
            kind, params = "labelled", {"frames": frames, "label": shown(active.label)}
        return [
            EvidenceItem("frame-status", active.first, Message(f"evidence.{kind}-first", params)),
            EvidenceItem("frame-status", at, Message(f"evidence.{kind}-last", params)),
        ]

    def _end(self, active: ActiveCondition, at: int) -> None:
        if active.at_risk and not active.violated and not self._another_warned(active):
            self._emitter.risk_cleared(active.rule.id, active.since, at)

    def _another_warned(self, active: ActiveCondition) -> bool:
        """True if the warning of a label stands for another label of the same rule too: notices name no label."""
        return active.label is not None and any(
            other.at_risk and other is not active and other.rule.id == active.rule.id and other.since == active.since
            for other in self._by_label.values()
        )
