"""Builders for stories: events in short form, and a stage on which a key's state plays them in order of event time.

Times are milliseconds after START. A stage stands for a shard: it orders events, meets deadlines, knows duplicates,
deletes what is forgotten, and restarts the state from its stored records wherever a story wants a crash.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import BUILT_IN, RULES, load_rulebook, parse_rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import AnyStateMachine
from vigil.topics.envelope import Output
from vigil.topics.internal import RoomInput, UnobservedSecond, UnobservedTopic
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, FrameStatus, Layout, RoomEvent
from vigil.topics.verdicts import Notice, RoomStatus, Verdict

S = 1000
MIN = 60 * S
HOUR = 60 * MIN
DAY = 24 * HOUR
START = 1_660_000_000_000
"""2022-08-08, after every rule came into force."""

ROOM = "room-1"
HOST = "host-1"
RULEBOOK = load_rulebook()

MIDNIGHT = 28_400 * S
"""The first midnight of America/Los_Angeles after START: there 2022-08-09 begins."""
NEXT_DAY = "2022-08-09"
FIRST_DAY = 1_658_214_000_000 - START
"""2022-07-19 begins, and the room rules are in force."""

T = TypeVar("T", bound=Struct)


def entry(at: int, buyer: str | None = None, tier: str | None = None, room: str = ROOM) -> BuyerEntry:
    """A buyer enters; without a name, one of his own at every time."""
    buyer = buyer or f"buyer@{at}"
    return BuyerEntry(room_id=room, host_id=HOST, at=START + at, buyer_id=buyer, buyer_tier=tier)  # type: ignore[arg-type]


def comment(
    at: int, text: str = "hello and welcome", *, id_: str | None = None, room: str = ROOM, **rest: Any
) -> Comment:
    """The host says something (a reception, where `intent` is not "chat")."""
    fields: dict[str, Any] = {"author_id": HOST, "author_role": "host", **rest}
    return Comment(room_id=room, host_id=HOST, at=START + at, comment_id=id_ or f"comment@{at}", text=text, **fields)


def buyer_comment(at: int, buyer: str = "buyer-1", text: str = "how much?", **rest: Any) -> Comment:
    """A buyer says something."""
    return comment(at, text, author_id=buyer, author_role="buyer", **rest)


def frame(at: int, stream: str = "live", *, room: str = ROOM, **rest: Any) -> FrameStatus:
    """A look at the picture: a visible host, nothing wrong, unless given otherwise."""
    fields: dict[str, Any] = {"face": True, "black": False, "activity": "hosting", **rest}
    return FrameStatus(room_id=room, host_id=HOST, at=START + at, stream=stream, **fields)  # type: ignore[arg-type]


def frames(first: int, last: int, stream: str = "live", *, every: int = 1 * S, **rest: Any) -> list[FrameStatus]:
    """Frames from `first` to `last`, both included where the steps meet it."""
    return [frame(at, stream, **rest) for at in range(first, last + 1, every)]


def unobserved(topic: UnobservedTopic, second: int, room: str = ROOM) -> UnobservedSecond:
    """A record of the room within a second (number of it after START) that lies in another partition."""
    return UnobservedSecond(room_id=room, topic=topic, at=START + second * S)


def layout(**rest: Any) -> Layout:
    """A canvas as it should be, unless given otherwise."""
    return Layout(**{"camera_share": 0.8, "uncovered_share": 0.0, "materials": 1, **rest})


def rulebook_with(section: str, day: str = NEXT_DAY, **changes: Any) -> Rulebook:
    """The built-in rulebook with a section's numbers changed from a day on."""
    return rulebook_changed({section: changes}, day)


def judging_all() -> Rulebook:
    """The built-in rulebook with every room rule in force from the first day on, also one that came later."""
    text = BUILT_IN.read_text(encoding="utf-8")
    for rule in RULES:
        text = text.replace(f"[{rule}.from.{RULEBOOK.versions(rule)[0].effective_date}]", f"[{rule}.from.2022-07-19]")
    return parse_rulebook(text, "test.toml")


def rulebook_changed(changes: dict[str, dict[str, Any]], day: str = NEXT_DAY) -> Rulebook:
    """The built-in rulebook with the numbers of some sections changed from a day on."""
    text = BUILT_IN.read_text(encoding="utf-8")
    for section, changed in changes.items():
        numbers = {**msgspec.to_builtins(RULEBOOK.versions(section)[-1].limits), **changed}
        lines = [f"{name} = {json.dumps(value)}" for name, value in numbers.items()]
        text += f'\n[{section}.from.{day}]\nsource = "a test"\n' + "\n".join(lines) + "\n"
    return parse_rulebook(text, "test.toml")


class Stage:
    """One key's state under a logic, fed in order of event time."""

    def __init__(self, machine: AnyStateMachine, key: str = ROOM, crashes: Callable[[], bool] = lambda: False) -> None:
        """`crashes` is asked after every event and deadline: shall the state be stored and loaded again?"""
        self.machine = machine
        self.key = key
        self.crashes = crashes
        self.collector = OutputCollector()
        self.stored: dict[bytes, bytes] = {}
        self.state = machine.load(key, {})
        self.duplicates = 0

    def play(self, events: Iterable[Any]) -> "Stage":
        """Apply events that are in order already."""
        for event in events:
            while self.state.next_timer() < event.at:
                self._deadline()
            if self.state.is_duplicate(event):
                self.duplicates += 1
            else:
                self.collector.now = event.at
                self.state.apply(event, event.at, self.collector)
            self._after()
        return self

    def until(self, at: int) -> "Stage":
        """Let time come to `at`, its own deadlines included."""
        while self.state.next_timer() <= START + at:
            self._deadline()
        return self

    def bodies(self, kind: type[T], topic: str | None = None) -> list[T]:
        """What was published of a kind (and to a topic)."""
        outputs = [output for output in self.collector.outputs if topic is None or output.topic == topic]
        return [output.body for output in outputs if isinstance(output.body, kind)]

    @property
    def outputs(self) -> list[Output]:
        return self.collector.outputs

    @property
    def verdicts(self) -> list[Verdict]:
        return self.bodies(Verdict, "verdict")

    @property
    def notices(self) -> list[Notice]:
        return self.bodies(Notice)

    def status(self, at: int) -> RoomStatus:
        """The figures at the end of the input."""
        (output,) = self.state.pending_outputs(START + at, final=True)
        assert isinstance(output.body, RoomStatus)
        return output.body

    def store(self) -> int:
        """Store what changed, and go on; how many bytes that took."""
        written = 0
        for name, record in self.state.dump_changes().items():
            if record is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = record
                written += len(record)
        return written

    def crash(self) -> None:
        """Store what changed, and start again from what is stored."""
        self.store()
        self.state = self.machine.load(self.key, dict(self.stored))

    def _deadline(self) -> None:
        self.collector.now = self.state.next_timer()
        self.state.on_timer(self.state.next_timer(), self.collector)
        self._after()

    def _after(self) -> None:
        if self.state.expired():
            self.stored.clear()
            self.state = self.machine.load(self.key, {})
        elif self.crashes():
            self.crash()


ROOMS = RoomMachine(RULEBOOK)


def in_order(*story: RoomInput | Iterable[RoomInput]) -> list[Any]:
    """The events of a story in the order in which a shard judges them: by time, rank of the topic, place."""
    events: list[RoomInput] = []
    for part in story:
        events += [part] if isinstance(part, Struct) else part
    ranks = {BuyerEntry: 0, Comment: 1, FrameStatus: 2, UnobservedSecond: 3}
    return sorted(events, key=lambda event: (event.at, ranks[type(event)]))


def played(
    *story: RoomInput | Iterable[RoomInput], machine: AnyStateMachine = ROOMS, until: int | None = None
) -> Stage:
    """A room's story from beginning to end, with a crash after every event; then time goes on `until`."""
    stage = Stage(machine, crashes=lambda: True).play(in_order(*story))
    return stage if until is None else stage.until(until)


def as_message(event: RoomEvent, **extra: Any) -> dict[str, Any]:
    """An event as a line of a recording."""
    topic = ROOM_TOPICS[(BuyerEntry, Comment, FrameStatus).index(type(event))]
    return {"topic": topic, "value": msgspec.to_builtins(event), **extra}


def violations(stage: Stage) -> list[tuple[str, int, int]]:
    """Rule, `since` and `at` of every verdict, in the order in which they were published."""
    return [(verdict.rule, verdict.since - START, verdict.at - START) for verdict in stage.verdicts]


def notices(stage: Stage, *kinds: str) -> list[tuple[str, str | None, int, int, int | None]]:
    """Kind, rule, `since`, `at` and `due` of every notice (of some kinds)."""
    return [
        (
            notice.kind,
            notice.rule,
            notice.since - START,
            notice.at - START,
            None if notice.due is None else notice.due - START,
        )
        for notice in stage.notices
        if not kinds or notice.kind in kinds
    ]
