"""The job: three of Vigil's rules for one room, for programs that have no Vigil. Pure, and without libraries.

    greeting-miss   three entries in a row without a host's comment within 10 s: at the third one's deadline
    absence         5 minutes of frames without a face and without a comment of the host: at their end
    black-screen    2 minutes of black frames: at their end

Events come up to a second out of order and are judged in order: an event waits until the clock of its input, which is
the largest event time less 2 s, has passed it.
"""

from bisect import insort
from collections import deque
from typing import Final, NamedTuple

LATENESS_MS: Final = 2000
GREETING_MS: Final = 10_000
ABSENCE_MS: Final = 300_000
BLACK_MS: Final = 120_000
ENTRY, HOST_COMMENT, FRAME = range(3)
TOPICS: Final = ("buyer-entry", "comment", "frame-status")


class RoomEvent(NamedTuple):
    """What the rules need of an event. Ordered by time, then kind."""

    at: int
    kind: int
    face: bool = True
    black: bool = False


class RoomVerdict(NamedTuple):
    """A violation."""

    rule: str
    at: int


def event_of(topic: str, value: dict[str, object]) -> RoomEvent | None:
    """Return the event of a decoded message, whatever the topic's prefix; None for a buyer's comment."""
    at: int = value["at"]  # type: ignore[assignment]
    if topic.endswith("frame-status"):
        return RoomEvent(at, FRAME, value["face"] is True, value["black"] is True)
    if topic.endswith("buyer-entry"):
        return RoomEvent(at, ENTRY)
    return RoomEvent(at, HOST_COMMENT) if value["author_id"] == value["host_id"] else None


class Since:
    """A condition that must last."""

    __slots__ = ("begin", "found", "lasts_ms", "rule")

    def __init__(self, rule: str, lasts_ms: int) -> None:
        self.rule, self.lasts_ms = rule, lasts_ms
        self.begin: int | None = None
        self.found = False

    def restart(self, at: int | None) -> None:
        """Begin at this time; None: the condition does not hold."""
        self.begin, self.found = at, False

    def frame(self, holds: bool, at: int) -> RoomVerdict | None:
        """Note a frame; return the violation that it completes."""
        if not holds:
            self.begin, self.found = None, False
        elif self.begin is None:
            self.begin = at
        elif not self.found and at - self.begin >= self.lasts_ms:
            self.found = True
            return RoomVerdict(self.rule, self.begin + self.lasts_ms)
        return None


class Room:
    """The state of one room."""

    __slots__ = ("absence", "black", "entries", "misses", "waiting")

    def __init__(self) -> None:
        self.waiting: list[RoomEvent] = []
        """Events above the clock, in order."""
        self.entries: deque[int] = deque()
        """Of entries without an answer."""
        self.misses = 0
        self.absence = Since("absence", ABSENCE_MS)
        self.black = Since("black-screen", BLACK_MS)

    def add(self, event: RoomEvent) -> None:
        """Keep an event until its time comes."""
        insort(self.waiting, event)

    def advance(self, clock: int) -> list[RoomVerdict]:
        """Judge everything below the clock (ms); an event comes before a deadline of the same time."""
        found: list[RoomVerdict] = []
        judged = 0
        for event in self.waiting:
            if event.at >= clock:
                break
            judged += 1
            self._expire(event.at, found)
            self._apply(event, found)
        del self.waiting[:judged]
        self._expire(clock, found)
        return found

    def _expire(self, before: int, found: list[RoomVerdict]) -> None:
        entries = self.entries
        while entries and entries[0] + GREETING_MS < before:
            deadline = entries.popleft() + GREETING_MS
            self.misses += 1
            if self.misses == 3:
                self.misses = 0
                found.append(RoomVerdict("greeting-miss", deadline))

    def _apply(self, event: RoomEvent, found: list[RoomVerdict]) -> None:
        if event.kind == FRAME:
            for verdict in (
                self.absence.frame(not event.face, event.at),
                self.black.frame(event.black, event.at),
            ):
                if verdict is not None:
                    found.append(verdict)
        elif event.kind == ENTRY:
            self.entries.append(event.at)
        else:
            if self.entries:
                self.entries.clear()
                self.misses = 0
            if self.absence.begin is not None:
                self.absence.restart(event.at)

    def dump(self) -> list[object]:
        """Return the state as JSON can carry it."""
        runs = [[run.begin, run.found] for run in (self.absence, self.black)]
        return [[list(event) for event in self.waiting], list(self.entries), self.misses, runs]

    @classmethod
    def load(cls, state: list[object]) -> "Room":
        """Return the room of a state that `dump` returned."""
        room = cls()
        waiting, entries, room.misses, runs = state  # type: ignore[assignment,misc]
        room.waiting = [RoomEvent(*event) for event in waiting]  # type: ignore[has-type]
        room.entries.extend(entries)  # type: ignore[has-type]
        (room.absence.begin, room.absence.found), (room.black.begin, room.black.found) = runs  # type: ignore[has-type]
        return room
