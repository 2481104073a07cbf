"""The topic `rulebook` as a file of JSON lines: `vigil rules history --export` writes it, replays read it.

Limits are looked up by event time, and a publication changes only what begins after it. So the newest rulebook that
counts judges every event of the past as the rulebook did that was in force at the time, and a replay needs no other.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord, read_published
from vigil.topics.rulebooks import RULEBOOK, RulebookPublication

HISTORY_SUFFIX: Final = ".jsonl"


class HistoryLine(Struct, frozen=True, kw_only=True):
    """One record of the topic."""

    topic: str = RULEBOOK
    offset: int
    published_at: int
    value: RulebookPublication


_LINE: Final = msgspec.json.Decoder(HistoryLine)


def lines_of(history: RulebookHistory) -> list[bytes]:
    """The lines of a history, those that do not count included."""
    refused = (each.published for each in history.refusals if each.published is not None)
    return [
        msgspec.json.encode(HistoryLine(offset=each.offset, published_at=each.published_at, value=each.body)) + b"\n"
        for each in sorted([*history.entries, *refused], key=lambda each: each.offset)
    ]


def read_lines(lines: Iterable[bytes], name: str) -> RulebookHistory:
    """The history of these lines; raise RulebookError, in which `name` is what the file is called."""
    history = RulebookHistory()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            each = _LINE.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RulebookError(f"{name}:{number}: no line of `vigil rules history --export`: {error}") from error
        history.add(RulebookRecord(each.offset, each.published_at, each.value))
    return history


def newest_in_file(path: Path) -> Rulebook:
    """The newest rulebook of a history that counts; raise RulebookError."""
    try:
        with path.open("rb") as lines:
            newest = read_lines(lines, str(path)).newest
    except OSError as error:
        raise RulebookError(f"{path}: cannot be read: {error.strerror}") from error
    if newest is None:
        raise RulebookError(f"{path}: no publication in it counts; was all of the topic exported?")
    return read_published(newest)
