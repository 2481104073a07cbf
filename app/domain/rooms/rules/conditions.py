"""Rules of the form "for N continuous minutes": one machine tracks the conditions of all of them.

    a frame satisfies it ──▶ active ──frame at ≥ since + share──▶ at-risk ──frame at ≥ since + N──▶ violation
                            ▲  └─────a frame that does not, a gap, not live──▶ ended: risk-cleared after at-risk
                            └─ bridged: with `tolerate_s`, when a frame satisfies it again soon enough

A condition is judged to its end by the limits that were effective when it began (I-15). A violation occurs at since + N
exactly, and is published when a frame with `at` ≥ since + N continues the condition: so no violation rests on frames
that are missing (I-14).

With `tolerate_s` a detector may flicker: a frame that does not satisfy the condition interrupts it, and the next one
that does decides. It continues where no more than `tolerate_s` passed since the last satisfying frame, and where all
that was bridged is no more than `tolerate_share` of the time since its start; otherwise it has ended `tolerate_s` after
that frame. State: one entry per active condition, dropped when it ends.
"""

from vigil.app.domain.rooms.emitter import EventTimes, EvidenceItem, VerdictEmitter, shown
from vigil.app.domain.rooms.rules.active_condition import (
    ActiveCondition,
    ConditionRule,
    ConditionRules,
    FirstFrame,
    RulesAt,
    StoredCondition,
)
from vigil.app.domain.rooms.rules.table import RESTRICTED
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.app.messages import Message
from vigil.topics.rooms import FrameStatus, Stream
from vigil.topics.verdicts import OpenCondition


class ConditionTracker:
    """The active conditions of a room."""

    __slots__ = ("_by_label", "_by_rule", "_emitter", "_over", "due", "unseen_until")

    def __init__(
        self, emitter: VerdictEmitter, stored: list[StoredCondition], rules_at: RulesAt, unseen_until: int
    ) -> None:
        self._emitter = emitter
        self.unseen_until = unseen_until
        """Up to here a frame may not have been observed: no condition begins before."""
        self._by_rule: dict[str, ActiveCondition] = {}
        self._by_label: dict[str, ActiveCondition] = {}
        self._over: list[ActiveCondition] = []
        """Conditions that are over, and whose warning is cleared when they end: a frame that satisfied them again came
        soon enough, but more than the tolerated share was to be bridged."""
        for each in stored:
            rule = rules_at(each.since).by_id.get(each.rule)
            if rule is None:
                continue  # stored by a version of Vigil that judged it
            active = ActiveCondition.load(each, rule)
            if each.over:
                self._over.append(active)
            elif each.label is None:
                self._by_rule[each.rule] = active
            else:
                self._by_label[each.label] = active
        self.due = MAX_TIME
        """When the next interrupted condition ends."""
        self._reschedule()

    def __bool__(self) -> bool:
        return bool(self._by_rule or self._by_label or self._over)

    def frame(self, frame: FrameStatus, number: int, previous_at: int, rules: ConditionRules) -> None:
        """Judge a frame, the room's `number`th; the one before it was at `previous_at`."""
        active = self._by_rule
        if self._over:
            self._end_over(frame.at, frame.stream)
        if active:
            self._continue(frame, number, previous_at)
        if frame.stream == "live":
            begin, labels = rules.live, frame.labels
        else:
            begin, labels = rules.disconnected if frame.stream == "disconnected" else (), ()
        for holds, limits, rule in begin:
            if holds(frame, limits) and rule.id not in active and frame.at > self.unseen_until:
                active[rule.id] = _begun(rule, None, frame, number)
        if labels or self._by_label:
            if self._by_label:
                self._continue_labels(frozenset(labels), frame, number, previous_at)
            self._begin_labels(labels, frame, number, rules)
        if self.due < MAX_TIME:
            self._reschedule()

    def gap(self, at: int) -> None:
        """End every condition at `at`: no frame came for too long."""
        for conditions in (self._by_rule, self._by_label):
            for name in list(conditions):
                self._end(conditions.pop(name), at)
        while self._over:
            self._end(self._over.pop(), at)
        self.due = MAX_TIME

    def on_timer(self, at: int) -> None:
        """End the conditions that no frame has satisfied for too long by `at`."""
        for conditions in (self._by_rule, self._by_label):
            for name in [name for name, active in conditions.items() if active.ends_at <= at]:
                self._end(conditions.pop(name), at)
        self._end_over(at)
        self._reschedule()

    def reception(self, at: int, rules: ConditionRules) -> bool:
        """The host showed reception: conditions that it restarts count from `at`, with the limits of that time.

        Return True if there was one.
        """
        if not self._by_rule:
            return False
        restarted = False
        for name, active in self._by_rule.items():
            if active.rule.restarted_by_reception:
                self._end(active, at)
                self._by_rule[name] = active.restarted(rules.by_id[name], at)
                restarted = True
        if self.due < MAX_TIME:
            self._reschedule()
        return restarted

    def same_until(self, at: int, start: int) -> int:
        """Before this time nothing follows from frames that show the same as the latest one, which was at `at`.

        `start`: from when on the present limits are effective. Conditions that began before are judged by others.
        """
        if self._over or at <= self.unseen_until:
            return MIN_TIME
        until = MAX_TIME
        for conditions in (self._by_rule, self._by_label):
            for active in conditions.values():
                if active.since < start:
                    return MIN_TIME
                if active.next < until:
                    until = active.next
        return until

    def unobserved_reception(self, last: int, at: int, rules: ConditionRules) -> None:
        """The host may have shown reception up to `last`: conditions that it restarts count from then on."""
        for name, active in self._by_rule.items():
            if active.rule.restarted_by_reception and active.since <= last:
                self._end(active, at)
                self._by_rule[name] = active.restarted(rules.by_id[name], last)
        if self.due < MAX_TIME:
            self._reschedule()

    def unobserved_frame(self, last: int, at: int) -> None:
        """A frame up to `last` may have shown anything: no condition runs through it, and none begins before.

        One that was violated stays, as it may have gone on: it would be violated again.
        """
        self.unseen_until = max(self.unseen_until, last)
        for conditions in (self._by_rule, self._by_label):
            unseen = [name for name, one in conditions.items() if one.first.at <= last and not one.violated]
            for name in unseen:
                self._end(conditions.pop(name), at)
        for active in [active for active in self._over if active.first.at <= last]:
            self._over.remove(active)
            self._end(active, at)
        self._reschedule()

    def open_from(self) -> int:
        """When the first condition began that a reception restarts and that may still be violated; MAX_TIME: none."""
        restarted = (one for one in self._by_rule.values() if one.rule.restarted_by_reception and not one.violated)
        return min((one.since for one in restarted), default=MAX_TIME)

    def open(self) -> tuple[OpenCondition, ...]:
        """The conditions without a violation yet, the next due first."""
        labelled = (active for label, active in self._by_label.items() if not label.startswith(RESTRICTED))
        found = [active for active in (*self._by_rule.values(), *labelled) if active.open]
        found.sort(key=lambda active: (active.due, active.rule.id, active.since))
        return tuple(OpenCondition(rule=one.rule.id, since=one.since, due=one.due) for one in found)

    def store(self) -> list[StoredCondition]:
        """What the constructor is given after a restart."""
        active = [one.store() for conditions in (self._by_rule, self._by_label) for one in conditions.values()]
        return active + [one.store(over=True) for one in self._over]

    def _continue(self, frame: FrameStatus, number: int, previous_at: int) -> None:
        """Continue, interrupt or end the active conditions that labels do not decide."""
        at = frame.at
        live = frame.stream == "live"
        ended: list[tuple[str, int | None]] = []
        for name, active in self._by_rule.items():
            rule = active.rule
            judged = live or _judged(rule, frame.stream)
            if judged and rule.holds(frame, rule.limits):
                if at >= active.next and not self._satisfied(active, frame, number):
                    ended.append((name, None))
            elif not (judged and rule.tolerate_ms and self._interrupted(active, at, previous_at)):
                ended.append((name, min(at, active.ends_at)))
        if ended:
            self._drop(self._by_rule, ended)

    def _continue_labels(self, labels: frozenset[str], frame: FrameStatus, number: int, previous_at: int) -> None:
        """Continue, interrupt or end the active conditions that labels decide; `labels`: those of the frame."""
        at = frame.at
        live = frame.stream == "live"
        ended: list[tuple[str, int | None]] = []
        for label, active in self._by_label.items():
            if label in labels:
                if at >= active.next and not self._satisfied(active, frame, number):
                    ended.append((label, None))
            elif not (live and active.rule.tolerate_ms and self._interrupted(active, at, previous_at)):
                ended.append((label, min(at, active.ends_at)))
        self._drop(self._by_label, ended)

    def _drop(self, conditions: dict[str, ActiveCondition], ended: list[tuple[str, int | None]]) -> None:
        """Drop conditions that have ended at a time, or are over and end by their timer (None)."""
        for name, at in ended:
            active = conditions.pop(name)
            if at is not None:
                self._end(active, at)
            elif active.at_risk and not active.violated:
                self._over.append(active)

    def _end_over(self, at: int, stream: Stream = "live") -> None:
        """End the conditions that are over and whose time has come, or to which a frame of this stream puts an end."""
        for active in self._over.copy():
            if active.ends_at <= at or not _judged(active.rule, stream):
                self._over.remove(active)
                self._end(active, at)

    def _begin_labels(self, labels: tuple[str, ...], frame: FrameStatus, number: int, rules: ConditionRules) -> None:
        for label in labels:
            if label not in self._by_label and (rule := rules.of_label(label)) and frame.at > self.unseen_until:
                self._by_label[label] = _begun(rule, label, frame, number)

    def _satisfied(self, active: ActiveCondition, frame: FrameStatus, number: int) -> bool:
        """A frame satisfies a condition that has more to do than to continue; return False if it has ended before."""
        if active.satisfied_at is not None and not active.bridge(frame.at):
            return False
        if frame.at >= active.next:
            self._publish(active, frame, number)
        return True

    def _interrupted(self, active: ActiveCondition, at: int, previous_at: int) -> bool:
        """A frame does not satisfy a condition that tolerates this; return False if it has ended already."""
        active.interrupt(previous_at)
        self.due = min(self.due, active.ends_at)
        return at <= active.ends_at

    def _publish(self, active: ActiveCondition, frame: FrameStatus, number: int) -> None:
        """Publish what a condition has to publish by a frame that continues it."""
        rule = active.rule
        if rule.warning_delay_ms is not None and not active.at_risk:
            if not self._another_warned(active):
                self._emitter.at_risk(rule.id, active.since, active.since + rule.warning_delay_ms, active.due)
            active.at_risk = True
        if frame.at >= active.due:
            active.violated = True
            evidence = _evidence(active, frame, number)
            spans = [(active.since, frame.at)] if rule.restarted_by_reception else ()
            self._emitter.verdict(rule.version, active.label, EventTimes(active.since, active.due), evidence, spans)
        active.reschedule()

    def _end(self, active: ActiveCondition, at: int) -> None:
        if active.at_risk and not active.violated and not self._another_warned(active):
            self._emitter.risk_cleared(active.rule.id, active.since, at)

    def _another_warned(self, active: ActiveCondition) -> bool:
        """True if the warning of a label stands for another label of the same rule too: notices name no label."""
        return active.label is not None and any(
            other.at_risk and other is not active and other.rule.id == active.rule.id and other.since == active.since
            for other in (*self._by_label.values(), *self._over)
        )

    def _reschedule(self) -> None:
        """Set `due`."""
        active = [*self._by_rule.values(), *self._by_label.values(), *self._over]
        self.due = min((one.ends_at for one in active), default=MAX_TIME)


def _judged(rule: ConditionRule, stream: Stream) -> bool:
    """True if frames of this stream can satisfy a rule's condition; others end it at once."""
    return stream == "live" or (rule.spans_disconnect and stream == "disconnected")


def _begun(rule: ConditionRule, label: str | None, frame: FrameStatus, number: int) -> ActiveCondition:
    """The condition that begins with a frame, the room's `number`th."""
    return ActiveCondition(rule, label, frame.at, FirstFrame(frame.at, number - 1, frame.media_uri))


def _evidence(active: ActiveCondition, frame: FrameStatus, number: int) -> list[EvidenceItem]:
    """The first frame and the latest one."""
    first = active.first
    params: dict[str, str | int] = {"frames": number - first.before - active.skipped}
    kind = "frames" if active.label is None else "labelled"
    if active.label is None:
        params["rule"] = active.rule.id
    else:
        params["label"] = shown(active.label)
    if active.bridged:
        kind += "-bridged"
        params["bridged_ms"] = active.bridged
    return [
        EvidenceItem("frame-status", first.at, Message(f"evidence.{kind}-first", params), first.media_uri),
        EvidenceItem("frame-status", frame.at, Message(f"evidence.{kind}-last", params), frame.media_uri),
    ]
