"""Builders for stories of a room's incidents: findings, actions and commands, played with crashes in between.

Times are seconds after START.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from vigil.app.domain.incidents.machine import IncidentMachine
from vigil.app.domain.incidents.room import IncidentEvent, RoomIncidents
from vigil.app.domain.incidents.stored import ReceivedCase
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.envelope import DeadLetter, Output
from vigil.topics.incidents import Case, IncidentStatus, StepOutcome
from vigil.topics.internal import ActionInRoom, FoundInRoom
from vigil.topics.verdicts import Action, identity

S = 1000
DAY = 24 * 3600
START = 1_660_000_000_000
RULEBOOK = load_rulebook()


def at(seconds: float) -> int:
    return START + round(seconds * S)


def found(kind: Any, when: float, since: float = 0, rule: str | None = "black-screen", **more: Any) -> FoundInRoom:
    """Something that the room found."""
    fields: dict[str, Any] = {"room_id": "room", "host_id": "host", **more}
    rule = None if kind.startswith("signal") or kind == "stream" else rule
    return FoundInRoom(kind=kind, at=at(when), since=at(since), rule=rule, **fields)


def warned(when: float = 60, since: float = 0, due: float = 120, **more: Any) -> FoundInRoom:
    return found("at-risk", when, since, due=at(due), **more)


def cleared(when: float, since: float = 0, **more: Any) -> FoundInRoom:
    return found("risk-cleared", when, since, **more)


def violated(when: float = 120, since: float = 0, name: str = "v", **more: Any) -> FoundInRoom:
    return found("verdict", when, since, verdict_id=name, **{"family": "low-quality", **more})


def stream(what: Any, when: float) -> FoundInRoom:
    return found("stream", when, stream=what)


def missed(since: float, buyer: str = "anna") -> FoundInRoom:
    """A buyer of L1 or above was missed."""
    return found("entry-missed", since + 10, since, "greeting-miss", buyer_id=buyer, priority="high")


def lost(since: float, when: float | None = None) -> FoundInRoom:
    return found("signal-lost", since + 15 if when is None else when, since)


def back(since: float, when: float) -> FoundInRoom:
    return found("signal-back", when, since)


def action(number: int = 1, name: str = "v", when: float = 120, **more: Any) -> ActionInRoom:
    """What follows from a verdict; `action`: fields of the action; other fields are those of the message."""
    fields: dict[str, Any] = {
        "status": "active", "steps": ("warn",), "choice": ("warn", "close"), "count": 1, "ban_days": None,
        "ban_until": None, "freeze_days": None, "past_days": None, "revision": number, **more.pop("action", {}),
    }  # fmt: skip
    made = Action(
        action_id=name, host_id="host", room_id="room", rule="black-screen", family="low-quality", at=at(120), **fields
    )
    return ActionInRoom(verdict_id=name, room_id="room", at=at(when), number=number, action=made, **more)


def reviewed(decision: Any, when: float, number: int = 2, **more: Any) -> ActionInRoom:
    """The action after a review."""
    status = {"status": "withdrawn" if decision == "overturned" else "active", "decided_at": at(when)}
    return action(number, when=when, action=status, decision=decision, decided_at=at(when), **more)


def done(step: Any, when: float, outcome: Any = "done") -> StepOutcome:
    return StepOutcome(revision=1, step=step, outcome=outcome, by="shop", at=at(when), detail=None)


def case(kind: Any, when: float, by: str = "mei", offset: int = 0, of: str | None = None, **more: Any) -> ReceivedCase:
    """A command, about the black screen that began at 0 unless `of` names another incident."""
    sent = Case(incident_id=of or id_of(), room_id="room", kind=kind, by=by, at=at(when), **more)
    return ReceivedCase(sent, 0, offset, b"room", b"as it came")


def id_of(kind: str = "rule", since: float = 0, **about: str) -> str:
    rule = about.get("rule", "black-screen" if kind == "rule" else None)
    return identity(kind, "room", rule, about.get("subject"), about.get("buyer_id"), at(since))


class Board(Struct):
    """What a reader of the topic `incident` knows."""

    lines: dict[str, IncidentStatus]
    outputs: list[Output]
    letters: list[DeadLetter]
    counts: dict[str, int]

    @property
    def line(self) -> IncidentStatus:
        """The only one."""
        (line,) = self.lines.values()
        return line


class Stage:
    """A room's incidents as a worker keeps them: each checkpoint publishes; a crash loads what was stored."""

    def __init__(
        self, rulebook: Rulebook = RULEBOOK, wait_ms: int | None = 2000, crashes: Iterable[bool] | None = None
    ) -> None:
        self.machine = IncidentMachine(rulebook, wait_ms)
        self.collector = OutputCollector()
        self.stored: dict[bytes, bytes] = {}
        self.state: RoomIncidents = self.machine.load("room", {})
        self.watermark = START
        self.published: list[Output] = []
        self._crashes = iter(crashes) if crashes is not None else None

    def play(self, *story: IncidentEvent) -> "Stage":
        """Apply events in the order given; the watermark is the largest event time so far."""
        for event in story:
            self.state.apply(event, self.watermark, self.collector)
            self._checkpoint()
            self._advance(max(self.watermark, event.at))
        return self

    def until(self, seconds: float) -> "Stage":
        """Advance the watermark until everything up to a time has been judged."""
        self._advance(at(seconds) + 1)
        return self

    def _advance(self, watermark: int) -> None:
        while (due := self.state.next_timer()) < watermark:
            self.watermark = max(self.watermark, due + 1)
            self.state.on_timer(due, self.collector)
            self._checkpoint()
            if self.state.expired():
                break
        self.watermark = watermark

    def _checkpoint(self, *, final: bool = False) -> None:
        outputs = list(self.state.pending_outputs(self.watermark, final))
        self.state.mark_published(outputs, final)
        self.published += [output for output in self.collector.outputs if output.topic == "incident"] + outputs
        self.collector.outputs = [output for output in self.collector.outputs if output.topic != "incident"]
        for key, chunk in self.state.dump_changes().items():
            if chunk is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = chunk
        if self._crashes is not None and next(self._crashes, False) and not self.state.expired():
            self.state = self.machine.load("room", self.stored)

    def end(self) -> "Stage":
        """The input ends at the watermark."""
        self.state.on_end_of_input(self.watermark, self.collector)
        self._checkpoint(final=True)
        return self

    @property
    def board(self) -> Board:
        last = {output.key: output.body for output in self.published}
        lines = {body.incident_id: body for body in last.values() if isinstance(body, IncidentStatus)}
        letters = [output.body for output in self.collector.outputs if isinstance(output.body, DeadLetter)]
        return Board(lines, self.published, letters, self.collector.counts)


def board(*story: IncidentEvent, until: float = 0, rulebook: Rulebook = RULEBOOK) -> Board:
    """What is published of a story that is played with a crash after every event, up to a time."""
    return Stage(rulebook, crashes=iter(lambda: True, None)).play(*story).until(until).board
