"""Chats of two persons: one is the host of a room, the other a buyer (chitchat-dataset).

The person who writes first is the host; the other enters with the first message. A text chat has no picture: its frames
show no face.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from tools.packages import member
from tools.reality.events import (
    DAY_MS,
    HOUR_MS,
    RULES_BEGIN_MS,
    RealComment,
    RealEvent,
    RealRoom,
    comment,
    entry,
    frame,
)

APART_MS: Final = 10_000
"""From the beginning of one chat to that of the next: all begin within 20 hours, so that few rooms are forgotten (24 h)
before the end of the input."""

FRAME_EVERY_MS: Final = 10_000
"""Less than the gap that ends a run of frames (15 s)."""

PAUSE_MS: Final = HOUR_MS
"""What is written after a longer pause is left out: somebody came back to a chat days later."""

BEFORE_MS: Final = 2_000
"""From a room's first frame to its first message: a room is judged from its first frame on."""


class ChatMessage(NamedTuple):
    """One message of a chat."""

    at: int
    author: str
    text: str


class RealChat(NamedTuple):
    """The messages of one chat in order of time, without those after a long pause."""

    name: str
    messages: list[ChatMessage]

    @property
    def host(self) -> str:
        """The person who wrote first."""
        return self.messages[0].author

    @property
    def entered(self) -> ChatMessage | None:
        """The first message of the other person."""
        return next((message for message in self.messages if message.author != self.host), None)


def chats(archive: Path, every: int) -> list[RealChat]:
    """Every nth chat of the package, in order of their beginning."""
    found: dict[str, Any] = json.loads(member(archive, "dataset.json"))
    read = [_chat(name, chat) for name, chat in found.items()]
    return sorted((chat for chat in read if chat.messages), key=lambda chat: (chat.messages[0].at, chat.name))[::every]


def _chat(name: str, chat: dict[str, Any]) -> RealChat:
    messages = [_message(one) for turn in chat["messages"] for one in turn]
    messages.sort(key=lambda message: message.at)
    for place, (one, other) in enumerate(pairwise(messages), start=1):
        if other.at - one.at > PAUSE_MS:
            return RealChat(name, messages[:place])
    return RealChat(name, messages)


def _message(message: dict[str, str]) -> ChatMessage:
    at = datetime.fromisoformat(message["timestamp"])
    return ChatMessage(round(at.timestamp() * 1000), message["sender"], message["text"])


def with_frames(archive: Path, every: int) -> Iterator[RealEvent]:
    """Each chat as a room with a frame every ten seconds, one room beginning after the other."""
    for room, chat, shift in _placed(archive, every):
        yield from _events(room, chat, shift)
        first, last = chat.messages[0].at + shift, chat.messages[-1].at + shift
        for at in range(first - BEFORE_MS, last + FRAME_EVERY_MS, FRAME_EVERY_MS):
            yield frame(room, at)


def with_one_frame(archive: Path, every: int) -> Iterator[RealEvent]:
    """The same rooms, each with a frame at its beginning only: what is said about entries needs no more."""
    for room, chat, shift in _placed(archive, every):
        yield from _events(room, chat, shift)
        yield frame(room, chat.messages[0].at + shift - BEFORE_MS)


def by_host(archive: Path, every: int) -> Iterator[RealEvent]:
    """All chats of one person on one day as one room, on the days on which they took place, shifted by whole weeks.

    So several buyers enter a room, and a host breaks rules on several days.
    """
    every_chat = chats(archive, 1)
    shift = ((RULES_BEGIN_MS - every_chat[0].messages[0].at) // (7 * DAY_MS) + 1) * 7 * DAY_MS
    wanted = set(sorted({chat.host for chat in every_chat})[::every])
    begun: set[RealRoom] = set()
    for number, chat in enumerate(every_chat):
        if chat.host in wanted:
            begin = chat.messages[0].at + shift
            room = RealRoom(f"{chat.host}-{begin // DAY_MS}", chat.host)
            yield from _events(room, chat, shift, f"{number}-")
            if room not in begun:
                begun.add(room)
                yield frame(room, begin - BEFORE_MS)


def _placed(archive: Path, every: int) -> Iterator[tuple[RealRoom, RealChat, int]]:
    """Each chat as a room, with the milliseconds by which its dates are shifted."""
    for number, chat in enumerate(chats(archive, every)):
        shift = RULES_BEGIN_MS + number * APART_MS - chat.messages[0].at
        yield RealRoom(f"chat-{number:05}", chat.host), chat, shift


def _events(room: RealRoom, chat: RealChat, shift: int, prefix: str = "") -> Iterator[RealEvent]:
    """The entry and the comments of one chat in a room; `prefix` keeps the ids of several chats apart."""
    if chat.entered is not None:
        yield entry(room, chat.entered.at + shift, chat.entered.author)
    for number, message in enumerate(chat.messages):
        role: Literal["host", "buyer"] = "host" if message.author == chat.host else "buyer"
        yield comment(room, message.at + shift, RealComment(f"{prefix}{number}", message.author, role, message.text))
