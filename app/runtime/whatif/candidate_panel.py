"""Rooms under several rulebooks at once: one shard decodes, orders and finds duplicates; each rulebook judges.

    event ──▶ the base's room, which alone decides what is a duplicate and what is published as state
      └─may it matter to the rules judged again?──▶ each candidate's room ──▶ its own output collector

What is remembered of rooms, and for how long, must be the same under all the rulebooks: a candidate that changes it is
replayed apart (app/runtime/whatif/replay_plan.py). So candidates forget a room when the base does.
"""

from collections.abc import Mapping, Sequence

from vigil.app.domain.rooms import RoomMachine, RoomState
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.machine import RoomEventMachine
from vigil.app.domain.rooms.room import shows_reception
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import RoomInput
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus


class CandidateRoom(RoomState):
    """A room that gives the verdicts and notices of some rules, never its statistics.

    Without `signals` it need not get events that cannot change them: live frames that start no condition while it is
    calm, buyers' comments, and entries where no greeting is judged.
    """

    __slots__ = ("_signals", "calm_until", "greets")

    def __init__(self, room_id: str, in_force: EffectiveLimits, greets: bool, signals: bool) -> None:
        self.greets = greets
        self._signals = signals
        self.calm_until = 0
        """On air without an active condition: up to this time a frame matters only if it starts one."""
        super().__init__(room_id, in_force, False, {})

    def begins(self, frame: FrameStatus) -> bool:
        """True if a condition starts with the frame."""
        rules = self._effective.conditions
        for holds, limits, _ in rules.live:
            if holds(frame, limits):
                return True
        return bool(frame.labels) and any(rules.of_label(label) for label in frame.labels)

    def forget(self, at: int, collector: OutputCollector) -> None:
        """The base has forgotten the room."""
        self._emitter.collector = collector
        self._expire(at, collector)

    def _comment(self, comment: Comment) -> None:
        at = comment.at
        if comment.author_role == "host":
            if self._frames:
                self._speech.comment(comment, self._effective.spoken)
            if shows_reception(comment):
                self._greeting.reception(at, comment.intent)
                self._reception(at)

    def _reschedule(self) -> None:
        runs = bool(self._conditions)
        self._expire_at = MAX_TIME
        expected = self._awaits_frame and (runs or self._signals)
        self._gap_at = self._frame_at + self._gap_ms if expected else MAX_TIME
        self.earliest_timer = min(self._gap_at, self._greeting.due, self._conditions.due)
        calm = self._picture[0] == "live" and not runs and not self._signals
        self.calm_until = self._effective.until if calm else 0


class Member:
    """How a candidate judges rooms, and the collector of its outputs."""

    def __init__(self, candidate: Rulebook, rules: frozenset[str], signals: bool, collector: OutputCollector) -> None:
        """`signals`: publish notices about lost signals, too."""
        self.collector = collector
        self._limits = EffectiveLimits(candidate, rules)
        self._greets = GREETING in rules
        self._signals = signals

    def judge(self, room_id: str) -> CandidateRoom:
        """The candidate's room of a new one."""
        return CandidateRoom(room_id, self._limits, self._greets, self._signals)


class CandidatePanel(KeyStateDefaults[RoomInput]):
    """One room, judged by the base and by every member."""

    __slots__ = ("_base", "_judges", "_theirs")

    def __init__(self, base: RoomState, judges: list[tuple[CandidateRoom, OutputCollector]]) -> None:
        self._base = base
        self._judges = judges
        self._theirs = MAX_TIME
        """The earliest timer of a candidate's room."""

    def is_duplicate(self, event: RoomInput) -> bool:
        return self._base.is_duplicate(event)

    def apply(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        new = self._base.expired()
        self._base.apply(event, watermark, collector)
        judges = self._judges if new else self._concerned(event)
        for judge, own in judges:
            own.now = collector.now
            judge.apply(event, watermark, own)
        if judges:
            self._reschedule()

    def on_late(self, event: RoomInput, watermark: int, collector: OutputCollector) -> None:
        if self._base.is_duplicate(event):
            return
        self._base.on_late(event, watermark, collector)
        for judge, own in self._judges:
            judge.on_late(event, watermark, own)

    def _concerned(self, event: RoomInput) -> Sequence[tuple[CandidateRoom, OutputCollector]]:
        """The candidates' rooms that an event of a known room may change."""
        judges = self._judges
        if isinstance(event, FrameStatus):
            if event.stream != "live":
                return judges
            at = event.at
            return [(judge, own) for judge, own in judges if at >= judge.calm_until or judge.begins(event)]
        if isinstance(event, BuyerEntry):
            return [(judge, own) for judge, own in judges if judge.greets]
        return () if isinstance(event, Comment) and event.author_role == "buyer" else judges

    def next_timer(self) -> int:
        due = self._base.next_timer()
        return due if due < self._theirs else self._theirs

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        if self._base.next_timer() <= at:
            self._base.on_timer(at, collector)
        for judge, own in self._judges:
            own.now = collector.now
            if judge.next_timer() <= at:
                judge.on_timer(at, own)
            if self._base.expired():
                judge.forget(at, own)
        self._reschedule()

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        return self._base.pending_outputs(watermark, final)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        self._base.mark_published(outputs, final)

    def has_deferred_output(self) -> bool:
        return self._base.has_deferred_output()

    def expired(self) -> bool:
        return self._base.expired()

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        raise NotImplementedError("a panel lives as long as a replay, and is not stored")

    def _reschedule(self) -> None:
        self._theirs = min(judge.next_timer() for judge, _ in self._judges)


class CandidatePanelMachine(RoomEventMachine):
    """The shards of rooms under a base and at least one member."""

    def __init__(self, base: RoomMachine, members: Sequence[Member]) -> None:
        self._base = base
        self._members = members

    def load(self, key: str, chunks: StateChunks) -> CandidatePanel:
        base = self._base.load(key, chunks)
        return CandidatePanel(base, [(member.judge(key), member.collector) for member in self._members])
