"""One active condition: an unbroken series of frames that satisfy a rule "for N minutes", and the rule's limits."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, NamedTuple

from msgspec import Struct

from vigil.app.domain.rooms.emitter import RuleVersion
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.rule import Holds
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.rooms import FrameStatus

SILENCE: Final = -1
"""No set of conditions: what a frame has sounded like is not known."""

MAX_SOUNDS: Final = 4096
"""Offsets of the sound whose conditions are remembered: nearly all are within a second."""


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
    tolerate_ms: int
    """0: the first frame that does not satisfy the condition ends it."""
    tolerate_share: Fraction


class ConditionRules(NamedTuple):
    """All rules "for N minutes" with the limits of one time."""

    live: tuple[tuple[Holds, Any, ConditionRule], ...]
    """The conditions that a live frame can begin: unpacked, as each frame is checked against all of them."""
    disconnected: tuple[tuple[Holds, Any, ConditionRule], ...]
    """Those that a disconnected frame can begin."""
    by_id: dict[str, ConditionRule]
    labels: dict[str, ConditionRule]
    """By label or by what labels begin with."""
    by_sound: tuple[ConditionRule, ...]
    """Those that the sound decides, which differs a little from frame to frame."""
    sounds: dict[int | None, int]
    """What `sound` has found, by `av_offset_ms`."""

    def of_label(self, label: str) -> ConditionRule | None:
        """The rule that a label on a frame decides, if any."""
        return of_label(self.labels, label)

    def sound(self, frame: FrameStatus) -> int:
        """The conditions `by_sound` that a frame satisfies, a bit each."""
        found = self.sounds.get(frame.av_offset_ms)
        if found is None:
            found = sum(rule.holds(frame, rule.limits) << bit for bit, rule in enumerate(self.by_sound))
            if len(self.sounds) >= MAX_SOUNDS:
                self.sounds.clear()
            self.sounds[frame.av_offset_ms] = found
        return found


RulesAt = Callable[[int], ConditionRules]
"""The rules with the limits of an event time."""


class StoredCondition(Struct, array_like=True):
    """An active condition as it is stored, by position: new fields go to the end and have a default."""

    rule: str
    label: str | None
    since: int
    first: int
    before: int
    at_risk: bool
    violated: bool
    bridged: int = 0
    skipped: int = 0
    satisfied_at: int | None = None
    media_uri: str | None = None
    over: bool = False


class FirstFrame(NamedTuple):
    """What is remembered of the first frame of a series."""

    at: int
    before: int
    """How many frames the room had before it."""
    media_uri: str | None
    """Where it can be seen."""


class ActiveCondition:
    """An unbroken series of frames that all satisfy one rule's condition."""

    __slots__ = (
        "at_risk",
        "bridged",
        "first",
        "label",
        "next",
        "rule",
        "satisfied_at",
        "since",
        "skipped",
        "violated",
    )

    def __init__(self, rule: ConditionRule, label: str | None, since: int, first: FirstFrame) -> None:
        self.rule = rule
        self.label = label
        self.since = since
        """From when the time counts: the first frame, or the reception that restarted it."""
        self.first = first
        self.at_risk = False
        self.violated = False
        self.bridged = 0
        """How much of its time, ms, no frame satisfied it."""
        self.skipped = 0
        """How many frames since its first one did not satisfy it."""
        self.satisfied_at: int | None = None
        """While it is interrupted: the last frame that satisfied it."""
        self.next = 0
        """From which event time on a satisfying frame has something to do besides continuing it."""
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
        if self.satisfied_at is not None:
            self.next = MIN_TIME
        elif not self.open:
            self.next = MAX_TIME
        elif self.rule.warning_delay_ms is not None and not self.at_risk:
            self.next = self.since + self.rule.warning_delay_ms
        else:
            self.next = self.due

    @property
    def ends_at(self) -> int:
        """When it ends unless a frame satisfies it by then; MAX_TIME while it is not interrupted."""
        return MAX_TIME if self.satisfied_at is None else self.satisfied_at + self.rule.tolerate_ms

    def interrupt(self, satisfied_at: int) -> None:
        """Note a frame that does not satisfy it; the last one before that did was at `satisfied_at`."""
        self.skipped += 1
        if self.satisfied_at is None:
            self.satisfied_at = satisfied_at
            self.next = MIN_TIME

    def restarted(self, rule: ConditionRule, at: int) -> "ActiveCondition":
        """The same series of frames, whose time counts from `at` on, with the limits of that time."""
        again = ActiveCondition(rule, self.label, at, self.first)
        again.skipped, again.satisfied_at = self.skipped, self.satisfied_at
        again.reschedule()
        return again

    def bridge(self, at: int) -> bool:
        """Note that a frame satisfies it again; return False if it has ended nevertheless."""
        assert self.satisfied_at is not None  # noqa: S101 - it is interrupted
        missing = at - self.satisfied_at
        # It is within `tolerate_ms`: otherwise the timer has ended the condition before.
        if self.bridged + missing > self.rule.tolerate_share * (at - self.since):
            return False
        self.bridged += missing
        self.satisfied_at = None
        self.reschedule()
        return True

    def store(self, over: bool = False) -> StoredCondition:
        """What the tracker is given after a restart; `over`: it only waits for its end."""
        return StoredCondition(
            rule=self.rule.id,
            label=self.label,
            since=self.since,
            first=self.first.at,
            before=self.first.before,
            at_risk=self.at_risk,
            violated=self.violated,
            bridged=self.bridged,
            skipped=self.skipped,
            satisfied_at=self.satisfied_at,
            media_uri=self.first.media_uri,
            over=over,
        )

    @classmethod
    def load(cls, stored: StoredCondition, rule: ConditionRule) -> "ActiveCondition":
        """The condition that was stored."""
        active = cls(rule, stored.label, stored.since, FirstFrame(stored.first, stored.before, stored.media_uri))
        active.at_risk, active.violated = stored.at_risk, stored.violated
        active.bridged, active.skipped, active.satisfied_at = stored.bridged, stored.skipped, stored.satisfied_at
        active.reschedule()
        return active
