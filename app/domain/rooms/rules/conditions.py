"""Rules that say "for N continuous minutes": one machine for all of them, and the table of their conditions.

    holds ──▶ run begins ──still holds, at ≥ since + half──▶ at-risk ──at ≥ since + N──▶ violation, then silent
                 └────────holds no more, a gap, not live────▶ ended: risk-cleared where at-risk was told

A run is judged to its end by the limits in force when it began. A violation occurs at since + N exactly and is
published when a frame of the run with `at` ≥ since + N is judged, so no violation rests on frames that are missing.
Forgets: a run when it ends.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from vigil.app.domain.rooms.emitter import VerdictEmitter, shown
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rulebook.rooms import AvLimits, LayoutLimits
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.rooms import FrameStatus, Layout
from vigil.topics.verdicts import Evidence, OpenCondition

Holds = Callable[[FrameStatus, Any], bool]
"""Does a frame satisfy a rule's condition under the limits?"""


class Condition(NamedTuple):
    """When a frame belongs to a run, in words that follow "a frame" and as a function."""

    words: str
    holds: Holds


CONTENTLESS: Final = frozenset({"equipment", "eating", "chatting", "driving", "none"})
"""What a host may do instead of hosting."""

CONDITIONS: Final[dict[str, Condition]] = {
    "absence": Condition("without a visible face", lambda frame, limits: not frame.face),
    "black-screen": Condition("with a black picture", lambda frame, limits: frame.black),
    "av-desync": Condition("with picture and sound apart", lambda frame, limits: apart(frame.av_offset_ms, limits)),
    "dead-air": Condition("of a stopped broadcast", lambda frame, limits: off_air(frame)),
    "sleeping": Condition("of a sleeping host", lambda frame, limits: frame.activity == "sleeping"),
    "no-content": Condition("without content", lambda frame, limits: frame.activity in CONTENTLESS),
    "layout": Condition("with a bad layout", lambda frame, limits: bad_layout(frame.layout, limits)),
}
"""The run rules that the picture decides. A null field satisfies no condition."""

LABELS: Final = {
    "theme-mismatch": "theme-mismatch",
    "illegal-background": "illegal-background",
    "minor": "minor",
    "rights:": "rights",
    "prohibited:": "prohibited-goods",
}
"""The run rules that a label decides, by label or by what it starts with; each label has a run of its own."""

THROUGH_DISCONNECTED: Final = frozenset({"dead-air"})
"""Rules whose runs go on through disconnected frames."""

RESTARTED_BY_RECEPTION: Final = ("absence",)
"""Rules whose runs begin anew when the host shows reception."""


def apart(av_offset_ms: int | None, limits: AvLimits) -> bool:
    """Is sound too early or too late?"""
    return av_offset_ms is not None and not limits.earliest_ms <= av_offset_ms <= limits.latest_ms


def off_air(frame: FrameStatus) -> bool:
    """Has broadcasting stopped without being ended?"""
    return frame.activity == "signed-off" or frame.stream == "disconnected"


def bad_layout(layout: Layout | None, limits: LayoutLimits) -> bool:
    """Does the canvas show what it must not?"""
    return layout is not None and (
        layout.camera_share <= limits.camera_share_at_most
        or layout.uncovered_share > limits.uncovered_share_over
        or layout.materials > limits.materials_over
        or layout.camera_in_safe_area is False
        or layout.videos > limits.videos_over
    )


class ConditionRule(NamedTuple):
    """A run rule as it stands at a time."""

    rule: str
    family: str
    words: str
    holds: Holds
    """Of a label's rule: that a frame bears the label is known by other means."""
    limits: Any
    effective: str
    in_force: bool
    """False before the rule came into force: what begins then is never judged, but is a run all the same."""
    lasts_ms: int
    at_risk_ms: int | None
    """None: the rule is too short for a warning."""
    through_disconnected: bool


class ConditionRules(NamedTuple):
    """All run rules as they stand at a time."""

    conditions: tuple[ConditionRule, ...]
    by_name: dict[str, ConditionRule]
    labels: dict[str, ConditionRule]
    """By label or by what it starts with."""

    def of_label(self, label: str) -> ConditionRule | None:
        """The rule that a label on a frame decides, if any."""
        return of_label(self.labels, label)


RulesAt = Callable[[int], ConditionRules]
"""The run rules at an event time."""

StoredCondition = tuple[str, str | None, int, int, int, bool, bool]
"""Of a run: rule, label, since, first frame, frames before it, at-risk told, violation told."""


class ActiveCondition:
    """An unbroken series of frames that all satisfy one rule's condition."""

    __slots__ = ("at_risk", "before", "first", "label", "next", "rule", "since", "violated")

    def __init__(self, rule: ConditionRule, label: str | None, since: int, first: int, before: int) -> None:
        self.rule = rule
        self.label = label
        self.since = since
        """From when the time runs: the first frame, or the reception that began the run anew."""
        self.first = first
        """When its first frame was."""
        self.before = before
        """How many frames the room had before it."""
        self.at_risk = False
        self.violated = False
        self.next = 0
        """From which time on a frame has something to publish."""
        self.look_ahead()

    @property
    def due(self) -> int:
        """When it becomes a violation."""
        return self.since + self.rule.lasts_ms

    @property
    def open(self) -> bool:
        """May it still become a violation?"""
        return self.rule.in_force and not self.violated

    def look_ahead(self) -> None:
        """Set `next`."""
        if not self.open:
            self.next = MAX_TIME
        elif self.rule.at_risk_ms is not None and not self.at_risk:
            self.next = self.since + self.rule.at_risk_ms
        else:
            self.next = self.due

    def store(self) -> StoredCondition:
        """What `Runs` is given back after a restart."""
        return (self.rule.rule, self.label, self.since, self.first, self.before, self.at_risk, self.violated)


class ConditionTracker:
    """The running runs of a room."""

    __slots__ = ("_by_label", "_by_rule", "_tell")

    def __init__(self, tell: VerdictEmitter, stored: list[StoredCondition], rules_at: RulesAt) -> None:
        self._tell = tell
        self._by_rule: dict[str, ActiveCondition] = {}
        self._by_label: dict[str, ActiveCondition] = {}
        for name, label, since, first, before, at_risk, violated in stored:
            rule = rules_at(since).by_name.get(name)
            if rule is None:
                continue  # stored by a version of Vigil that judged it
            run = ActiveCondition(rule, label, since, first, before)
            run.at_risk, run.violated = at_risk, violated
            run.look_ahead()
            if label is None:
                self._by_rule[name] = run
            else:
                self._by_label[label] = run

    def __bool__(self) -> bool:
        return bool(self._by_rule or self._by_label)

    def frame(self, frame: FrameStatus, number: int, rules: ConditionRules) -> None:
        """Judge a frame, the room's `number`th."""
        at = frame.at
        live = frame.stream == "live"
        running = self._by_rule
        if running:
            ended = None
            for name, run in running.items():
                rule = run.rule
                if (live or (rule.through_disconnected and frame.stream == "disconnected")) and rule.holds(
                    frame, rule.limits
                ):
                    if at >= run.next:
                        self._publish(run, at, number)
                elif ended is None:
                    ended = [name]
                else:
                    ended.append(name)
            if ended is not None:
                for name in ended:
                    self._end(running.pop(name), at)
        if live:
            for rule in rules.conditions:
                if rule.holds(frame, rule.limits) and rule.rule not in running:
                    running[rule.rule] = ActiveCondition(rule, None, at, at, number - 1)
            if frame.labels or self._by_label:
                self._labels(frame.labels, at, number, rules)
            return
        if self._by_label:
            self._labels((), at, number, rules)
        if frame.stream == "disconnected":
            for rule in rules.conditions:
                if rule.through_disconnected and rule.holds(frame, rule.limits) and rule.rule not in running:
                    running[rule.rule] = ActiveCondition(rule, None, at, at, number - 1)

    def gap(self, at: int) -> None:
        """No frame came for too long by `at`: every run ends there."""
        for runs in (self._by_rule, self._by_label):
            for name in list(runs):
                self._end(runs.pop(name), at)

    def reception(self, at: int, rules: ConditionRules) -> None:
        """The host showed reception: an absence begins anew, by the limits of that time."""
        for name in RESTARTED_BY_RECEPTION:
            if run := self._by_rule.get(name):
                self._end(run, at)
                self._by_rule[name] = ActiveCondition(rules.by_name[name], None, at, run.first, run.before)

    def open(self) -> tuple[OpenCondition, ...]:
        """The runs that have not given their violation, the next due first."""
        runs = [run for runs in (self._by_rule, self._by_label) for run in runs.values() if run.open]
        runs.sort(key=lambda run: (run.due, run.rule.rule, run.since))
        return tuple(OpenCondition(rule=run.rule.rule, since=run.since, due=run.due) for run in runs)

    def store(self) -> list[StoredCondition]:
        """What the constructor is given back after a restart."""
        return [run.store() for runs in (self._by_rule, self._by_label) for run in runs.values()]

    def _labels(self, labels: tuple[str, ...], at: int, number: int, rules: ConditionRules) -> None:
        running = self._by_label
        if running:
            borne = frozenset(labels)
            for label in [label for label in running if label not in borne]:
                self._end(running.pop(label), at)
        for label in labels:
            if run := running.get(label):
                if at >= run.next:
                    self._publish(run, at, number)
            elif rule := rules.of_label(label):
                running[label] = ActiveCondition(rule, label, at, at, number - 1)

    def _publish(self, run: ActiveCondition, at: int, number: int) -> None:
        """A frame at `at` continues a run that has something to tell by then."""
        rule = run.rule
        if rule.at_risk_ms is not None and not run.at_risk:
            if not self._told_for_another(run):
                self._tell.notice("at-risk", rule.rule, run.since, run.since + rule.at_risk_ms, due=run.due)
            run.at_risk = True
        if at >= run.due:
            run.violated = True
            self._tell.verdict(
                rule.rule, rule.family, run.label, rule.effective, run.since, run.due, self._evidence(run, at, number)
            )
        run.look_ahead()

    def _evidence(self, run: ActiveCondition, at: int, number: int) -> tuple[Evidence, ...]:
        frames = number - run.before
        what = f"labelled {shown(run.label)}" if run.label is not None else run.rule.words
        return (
            Evidence(topic="frame-status", at=run.first, note=f"the first of {frames} frames in a row {what}"),
            Evidence(topic="frame-status", at=at, note=f"the last of {frames} frames in a row {what}"),
        )

    def _end(self, run: ActiveCondition, at: int) -> None:
        if run.at_risk and not run.violated and not self._told_for_another(run):
            self._tell.notice("risk-cleared", run.rule.rule, run.since, at)

    def _told_for_another(self, run: ActiveCondition) -> bool:
        """Does the warning of a label's run stand for another label of the same rule too? (Notices name no label.)"""
        return run.label is not None and any(
            other.at_risk and other is not run and other.rule.rule == run.rule.rule and other.since == run.since
            for other in self._by_label.values()
        )
