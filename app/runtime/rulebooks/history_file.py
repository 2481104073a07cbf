"""The topic `rulebook` as lines of JSON: `vigil rules history --export` writes a file of them, `vigil record` writes
them at the beginning of a recording, and replays read both.

Limits are looked up by event time, and a publication changes only what begins after it. So the newest rulebook that
counts judges every event of the past as the rulebook did that was in force at the time, and a replay needs no other.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
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


class _AnyLine(Struct):
    topic: str


_LINE: Final = msgspec.json.Decoder(HistoryLine)
_ANY_LINE: Final = msgspec.json.Decoder(_AnyLine)


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
            raise RulebookError(f"{name}:{number}: no publication of a rulebook: {error}") from error
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


def take_publications(lines: Iterator[bytes], name: str) -> tuple[Rulebook | None, Iterator[bytes]]:
    """Take the publications at the beginning of a recording: the newest rulebook that counts, and the other lines.

    Blank lines stand for what was taken, so that lines keep their numbers. None: none was published. Raise
    RulebookError.
    """
    head = []
    for line in lines:
        if not _is_publication(line):
            lines = chain((line,), lines)
            break
        head.append(line)
    newest = read_lines(head, name).newest
    return None if newest is None else read_published(newest), chain(repeat(b"\n", len(head)), lines)


def _is_publication(line: bytes) -> bool:
    try:
        return _ANY_LINE.decode(line).topic == RULEBOOK
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
