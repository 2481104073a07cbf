"""Reads what an explanation needs: a replay's output and its recording, or the topics. All I/O of this package."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Struct

from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.runtime.recording import RecordedLine
from vigil.app.runtime.whatif.story import BEFORE_MS, Raw
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import UNKEYED
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.verdicts import Action, Verdict

SKEW_MS: Final = 600_000
"""Producers write an event within this time of its `at`, or later."""

Place = tuple[str, int | None, int]
"""Of a message: topic, partition, and offset or line; the partition is None where a recording has none."""

S = TypeVar("S", bound=Struct)


class UnreadableOutput(Exception):
    """A replay's output cannot be read; the text names the file and what is wrong."""


class Published(NamedTuple):
    """What was published, as far as an explanation needs it."""

    verdicts: list[Verdict]
    actions: list[Action]
    late: frozenset[Place]
    """The messages that were rejected as late."""


def published_in(folder: Path) -> Published:
    """Read what a replay wrote; raise UnreadableOutput."""
    letters = _read(folder / "dead-letter.jsonl", DeadLetter)
    return Published(
        list(_read(folder / "verdict.jsonl", Verdict)),
        list(_read(folder / "enforcement.jsonl", Action)),
        _late(letters),
    )


def _late(letters: Iterable[DeadLetter]) -> frozenset[Place]:
    return frozenset(
        (letter.topic, letter.partition, letter.offset)
        for letter in letters
        if letter.reason == "late" and letter.topic is not None and letter.offset is not None
    )


def _read(file: Path, kind: type[S]) -> Iterator[S]:
    decode = msgspec.json.Decoder(kind).decode
    done = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield decode(line)
                done += 1
    except OSError as error:
        raise UnreadableOutput(
            f"{file} cannot be read: {error.strerror}; name the folder that `vigil replay --out` wrote"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableOutput(f"{file}, line {done + 1}: not what `vigil replay` writes: {error}") from error


_line: Final = msgspec.json.Decoder(RecordedLine).decode


def raws_of(lines: Iterable[bytes], room_id: str, late: frozenset[Place]) -> Iterator[Raw]:
    """The room's messages of a recording; lines that cannot be read are skipped, as in the replay."""
    may_name = _plain_bytes(room_id)
    for number, raw in enumerate(lines, start=1):
        if may_name not in raw and b"\\u" not in raw:
            continue  # a line that cannot name the room is not decoded
        try:
            line = _line(raw)
            key = _key_of(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            continue
        place = number if line.offset is None else line.offset
        yield Raw(line.topic, key, bytes(line.value), number, (line.topic, line.partition, place) in late)


def _plain_bytes(room_id: str) -> bytes:
    """The room's id as every line that names it has it, but for lines with `\\u`.

    Empty for an id that JSON may write in several ways: then no line is left out.
    """
    plain = room_id.isascii() and room_id.isprintable() and not set(room_id) & set('"\\/')
    return room_id.encode() if plain else b""


def _key_of(line: RecordedLine) -> bytes | None:
    """The message's key; UNKEYED where the recording has no keys."""
    if line.key is UNSET:
        return UNKEYED
    return line.key.encode() if isinstance(line.key, str) else None


async def published_on(settings: Settings) -> Published:
    """Read what the topics have; raise SettingsError where they cannot be read."""
    return Published(
        [each async for each in _bodies(settings, "verdict", Verdict)],
        [each async for each in _bodies(settings, "enforcement", Action)],
        frozenset(),
    )


async def _bodies(settings: Settings, topic: str, kind: type[S]) -> Any:
    decode = msgspec.json.Decoder(kind).decode
    async for record in records(settings, topic):
        if record.value is not None:
            yield decode(record.value)


async def raws_on(settings: Settings, verdict: Verdict) -> list[Raw]:
    """The room's messages around the verdict; raise SettingsError where the topics cannot be read."""
    first = min(verdict.since, *(each.at for each in verdict.evidence), verdict.at)
    key = verdict.room_id.encode()
    late = {
        (letter.topic, letter.partition, letter.offset)
        async for letter in _bodies(settings, "dead-letter", DeadLetter)
        if letter.reason == "late"
    }
    found = []
    for topic in ROOM_TOPICS:
        async for record in records(settings, topic, since=max(0, first - BEFORE_MS - SKEW_MS)):
            if record.key == key:
                place = (topic, record.partition, record.offset)
                found.append(Raw(topic, record.key, record.value, record.offset, place in late))
    return found
