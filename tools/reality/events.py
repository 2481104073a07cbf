"""Events as lines of a recording, in order of time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

RULES_BEGIN_MS: Final = 1_662_044_400_000
"""2022-09-01 08:00 in Los Angeles (15:00 UTC): all rules that are recounted are in force."""


class RealEvent(NamedTuple):
    """One event: its time in milliseconds, its topic, its value."""

    at: int
    topic: str
    value: dict[str, Any]


class RealRoom(NamedTuple):
    """A live room and its host."""

    room_id: str
    host_id: str


class RealComment(NamedTuple):
    """What somebody wrote; `number` is unique in its room."""

    number: str
    author: str
    role: Literal["host", "buyer"]
    text: str


def entry(room: RealRoom, at: int, buyer: str) -> RealEvent:
    """A buyer enters a room."""
    return RealEvent(at, "buyer-entry", {**room._asdict(), "at": at, "buyer_id": buyer})


def comment(room: RealRoom, at: int, said: RealComment) -> RealEvent:
    """Somebody writes a comment."""
    who = {"comment_id": said.number, "author_id": said.author, "author_role": said.role}
    return RealEvent(at, "comment", {**room._asdict(), "at": at, **who, "text": said.text})


def frame(room: RealRoom, at: int) -> RealEvent:
    """A frame of a live room that shows nobody: a text chat has no picture."""
    return RealEvent(at, "frame-status", {**room._asdict(), "at": at, "stream": "live", "face": False, "black": False})


class RealLine(NamedTuple):
    """An event as a line of a recording: a third of the memory."""

    at: int
    topic: str
    json: bytes


def by_time(events: Iterable[RealEvent]) -> list[RealLine]:
    """The events as lines in order of time; those of one time keep their order."""
    lines = (RealLine(event.at, event.topic, _json(event)) for event in events)
    return sorted(lines, key=lambda line: line.at)


def written(lines: Iterable[RealLine], file: Path) -> dict[str, int]:
    """Write lines as a recording, and return their number by topic."""
    numbers: dict[str, int] = {}
    with file.open("wb") as out:
        for line in lines:
            numbers[line.topic] = numbers.get(line.topic, 0) + 1
            out.write(line.json)
    return numbers


def _json(event: RealEvent) -> bytes:
    # A copy: orjson's own result keeps a larger buffer, ten times the memory of two million lines.
    return b"".join((orjson.dumps({"topic": event.topic, "value": event.value}), b"\n"))
