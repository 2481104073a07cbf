"""Reads what an explanation needs: a replay's output and its recording, or the topics. All I/O of this package."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Struct

from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import deleted_before, records
from vigil.app.runtime.recording import RecordedLine, decode_line, read_again
from vigil.app.runtime.whatif.story import BEFORE_MS, Raw
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import UNKEYED, Reason
from vigil.topics.read_back import ForeignMessageError, ForeignMessages, most_bytes_of, read_back
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
    rejected: Mapping[Place, Reason]
    """The messages that were rejected, and why."""
    foreign: ForeignMessages
    """What others wrote into Vigil's topics."""


def published_in(folder: Path) -> Published:
    """Read what a replay wrote; raise UnreadableOutput."""
    return Published(
        list(bodies_in(folder / "verdict.jsonl", Verdict)),
        list(bodies_in(folder / "enforcement.jsonl", Action)),
        rejected_in(folder),
        ForeignMessages(),
    )


def rejected_in(folder: Path) -> dict[Place, Reason]:
    """The messages that a replay rejected, and why; raise UnreadableOutput."""
    return _rejected(bodies_in(folder / "dead-letter.jsonl", DeadLetter))


def _rejected(letters: Iterable[DeadLetter]) -> dict[Place, Reason]:
    """Those with a place, but malformed ones: no story can show them anyway."""
    return {
        (letter.topic, letter.partition, letter.offset): letter.reason
        for letter in letters
        if letter.reason != "malformed" and letter.topic is not None and letter.offset is not None
    }


def bodies_in(file: Path, kind: type[S]) -> Iterator[S]:
    """The messages in a file that a replay wrote; raise UnreadableOutput."""
    decoder = msgspec.json.Decoder(kind)
    most_bytes = most_bytes_of(file.stem)
    done = 0
    try:
        with file.open("rb") as lines:
            for line in lines:
                yield read_back(decoder, line, most_bytes)
                done += 1
    except OSError as error:
        raise UnreadableOutput(
            f"{file} cannot be read: {error.strerror}; name the folder that `vigil replay --out` wrote"
        ) from error
    except ForeignMessageError as error:
        raise UnreadableOutput(f"{file}, line {done + 1}: not what `vigil replay` writes: {error}") from error


def _line(raw: bytes) -> RecordedLine | None:
    try:
        return decode_line(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return read_again(raw)


def raws_of(
    lines: Iterable[bytes], id_: str, rejected: Mapping[Place, Reason], also: str | None = None
) -> Iterator[Raw]:
    """The messages of a recording that may name a room or a supplier; `also`: or another one.

    Lines that cannot be read are skipped, as in the replay.
    """
    named = [_plain_bytes(each) for each in (id_, also) if each is not None]
    for number, raw in enumerate(lines, start=1):
        if b"\\u" not in raw and not any(each in raw for each in named):
            continue  # a line that cannot name it is not decoded
        line = _line(raw)
        if line is None:
            continue
        key = _key_of(line)
        place = number if line.offset is None else line.offset
        yield Raw(line.topic, key, bytes(line.value), number, rejected.get((line.topic, line.partition, place)))


def _plain_bytes(id_: str) -> bytes:
    """The id as every line that names it has it, but for lines with `\\u`.

    Empty for an id that JSON may write in several ways: then no line is left out.
    """
    plain = id_.isascii() and id_.isprintable() and not set(id_) & set('"\\/')
    return id_.encode() if plain else b""


def _key_of(line: RecordedLine) -> bytes | None:
    """The message's key; UNKEYED where the recording has no keys."""
    if line.key is UNSET:
        return UNKEYED
    return line.key.encode() if isinstance(line.key, str) else None


async def published_on(settings: Settings) -> Published:
    """Read what the topics have; raise SettingsError where they cannot be read."""
    foreign = ForeignMessages()
    return Published(
        [each async for each in _bodies(settings, "verdict", Verdict, foreign)],
        [each async for each in _bodies(settings, "enforcement", Action, foreign)],
        {},
        foreign,
    )


async def _bodies(
    settings: Settings, topic: str, kind: type[S], foreign: ForeignMessages, since: int | None = None
) -> AsyncIterator[S]:
    """The messages of one of Vigil's topics; those that others wrote there are counted, and left out."""
    decoder = msgspec.json.Decoder(kind)
    most_bytes = most_bytes_of(topic)
    async for record in records(settings, topic, since=since):
        if record.value is None:
            continue
        try:
            yield read_back(decoder, record.value, most_bytes)
        except ForeignMessageError as error:
            foreign.add(topic, record.partition, record.offset, error)


class RoomEvents(NamedTuple):
    """A room's messages around a verdict."""

    raws: list[Raw]
    expired: dict[str, int]
    """The topics that do not go back far enough any more, with the time (ms) before which messages were deleted."""


async def raws_on(settings: Settings, verdict: Verdict, foreign: ForeignMessages) -> RoomEvents:
    """The room's messages around the verdict; raise SettingsError where the topics cannot be read.

    Messages in the topic of rejections that Vigil did not write are added to `foreign`.
    """
    first = min(verdict.since, *(each.at for each in verdict.evidence), verdict.at)
    since = max(0, first - BEFORE_MS - SKEW_MS)
    key = verdict.room_id.encode()
    rejected = await rejected_on(settings, foreign, since)
    found, expired = [], {}
    for topic in ROOM_TOPICS:
        deleted = await deleted_before(settings, topic)
        if deleted is not None and deleted > first - BEFORE_MS:
            expired[topic] = deleted
        async for record in records(settings, topic, since=since):
            if record.key == key:
                place = (topic, record.partition, record.offset)
                found.append(Raw(topic, record.key, record.value, record.offset, rejected.get(place)))
    return RoomEvents(found, expired)


async def rejected_on(settings: Settings, foreign: ForeignMessages, since: int | None = None) -> dict[Place, Reason]:
    """The messages that were rejected, from a time (ms) on, and why; raise SettingsError."""
    return _rejected([each async for each in _bodies(settings, "dead-letter", DeadLetter, foreign, since)])
