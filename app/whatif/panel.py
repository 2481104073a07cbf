"""Rooms under several rulebooks at once: one shard decodes, orders and knows duplicates, and every judge judges.

    event ──▶ the base's room, which alone is asked what is known and what is shown
      └─can it matter to the rules judged anew?──▶ each candidate's judge ──▶ its own way out

What is remembered of rooms, and for how long, must be the same under all the rulebooks (app/whatif/plan.py sees to
it): so judges forget when the base does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.rooms import Room, RoomsLogic
from app.rooms.in_force import GREETING, InForce
from app.rooms.room import shows_reception
from app.rulebook import Rulebook
from app.stream.clock import NEVER
from app.stream.logic import Context, Parts
from topics.envelope import Output
from topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent


class Judge(Room):
    """A room that is asked for the verdicts and notices of some rules alone, never for its figures.

    Without `signals` it need not see what cannot change them: live frames while it is calm in which nothing begins,
    buyers' comments, and entries where no greeting is judged.
    """

    __slots__ = ("_signals", "calm_until", "greets")

    def __init__(self, room_id: str, in_force: InForce, greets: bool, signals: bool) -> None:
        self.greets = greets
        self._signals = signals
        self.calm_until = 0
        """On air and no run is running: up to this time a frame matters only where it begins one."""
        super().__init__(room_id, in_force, False, {})

    def begins(self, frame: FrameStatus) -> bool:
        """Would a run begin with the frame?"""
        rules = self._numbers.runs
        for rule in rules.conditions:
            if rule.holds(frame, rule.limits):
                return True
        return bool(frame.labels) and any(rules.of_label(label) for label in frame.labels)

    def forget(self, at: int, context: Context) -> None:
        """The base has forgotten the room."""
        self._tell.context = context
        self._forget(at, context)

    def _comment(self, comment: Comment) -> None:
        at = comment.at
        if comment.author_role == "host" and self._main.frames:
            self._speech.comment(comment, self._numbers.spoken)
            if shows_reception(comment):
                self._greeting.reception(at)
                self._runs.reception(at, self._numbers.runs)

    def _look_ahead(self) -> None:
        runs, main = bool(self._runs), self._main
        self._forget_at = NEVER
        self._due = min(self._gap_at if runs or self._signals else NEVER, self._greeting.due)
        calm = main.stream == "live" and not runs and not self._signals
        self.calm_until = self._numbers.until if calm else 0


class Member:
    """How a candidate judges rooms, and where what it says goes."""

    def __init__(self, candidate: Rulebook, rules: frozenset[str], signals: bool, context: Context) -> None:
        """`signals`: of lost signals, too, notices are wanted."""
        self.context = context
        self._in_force = InForce(candidate, rules)
        self._greets = GREETING in rules
        self._signals = signals

    def judge(self, room_id: str) -> Judge:
        """Its judge of a new room."""
        return Judge(room_id, self._in_force, self._greets, self._signals)


class Panel:
    """One room, judged by the base and by every member."""

    __slots__ = ("_base", "_judges", "_theirs")

    def __init__(self, base: Room, judges: list[tuple[Judge, Context]]) -> None:
        self._base = base
        self._judges = judges
        self._theirs = NEVER
        """The earliest deadline of a judge."""

    def knows(self, event: RoomEvent) -> bool:
        return self._base.knows(event)

    def apply(self, event: RoomEvent, clock: int, context: Context) -> None:
        new = self._base.forgotten()
        self._base.apply(event, clock, context)
        at, applied = event.at, False
        live = type(event) is FrameStatus and event.stream == "live"
        entry = type(event) is BuyerEntry
        if type(event) is Comment and event.author_role == "buyer" and not new:
            return
        for judge, own in self._judges:
            if not new:
                if live:
                    if at < judge.calm_until and not judge.begins(event):  # type: ignore[arg-type]
                        continue
                elif entry and not judge.greets:
                    continue
            own.now = context.now
            judge.apply(event, clock, own)
            applied = True
        if applied:
            self._look_ahead()

    def deadline(self) -> int:
        due = self._base.deadline()
        return due if due < self._theirs else self._theirs

    def deadline_passed(self, at: int, context: Context) -> None:
        if self._base.deadline() <= at:
            self._base.deadline_passed(at, context)
        for judge, own in self._judges:
            own.now = context.now
            if judge.deadline() <= at:
                judge.deadline_passed(at, own)
            if self._base.forgotten():
                judge.forget(at, own)
        self._look_ahead()

    def status(self, clock: int, final: bool) -> Iterable[Output]:
        return self._base.status(clock, final)

    def status_owed(self) -> bool:
        return self._base.status_owed()

    def forgotten(self) -> bool:
        return self._base.forgotten()

    def dump(self) -> Mapping[bytes, bytes | None]:
        raise NotImplementedError("a panel lives as long as a replay, and is not stored")

    def _look_ahead(self) -> None:
        self._theirs = min(judge.deadline() for judge, _ in self._judges)


class PanelLogic:
    """The shards of rooms under a base and at least one member."""

    topics: tuple[str, ...] = RoomsLogic.topics
    ordered = True
    refuses_late = True

    def __init__(self, base: RoomsLogic, members: Sequence[Member]) -> None:
        self._base = base
        self._members = members
        self.decode = base.decode
        self.key_of = base.key_of
        self.natural_id = base.natural_id

    def load(self, key: str, parts: Parts) -> Panel:
        base = self._base.load(key, parts)
        return Panel(base, [(member.judge(key), member.context) for member in self._members])

    def knows(self, state: Any, event: RoomEvent) -> bool:
        known: bool = state.knows(event)
        return known
