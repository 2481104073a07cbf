"""Finds dead letters, exports them to a file for repair, and sends repaired messages again if a decoder accepts them.

dead-letter ──find──▶ DeadLetterRecord ──to_line──▶ a file ──(repaired by hand)──▶ check ──▶ send ──▶ the original topic
"""

import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.errors import KafkaError
from msgspec import UNSET, Struct, UnsetType

from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records
from vigil.topics.contracts.decoding import decode
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import InvalidEvent, Reason
from vigil.topics.read_back import ForeignMessageError, most_bytes_of, read_back
from vigil.topics.rooms import ROOM_TOPICS

TOPIC: Final = "dead-letter"

RESENT_HEADER: Final = "vigil-resent"
"""Kafka header of a message that is sent again: the place at which the original was rejected."""


class DeadLetterRecord(NamedTuple):
    """A rejected message, decoded from the topic `dead-letter`."""

    envelope: DeadLetter
    key: bytes | None
    value: bytes | None

    @property
    def place(self) -> str:
        """The identity of the rejected message: `topic/partition/offset`."""
        envelope = self.envelope
        return f"{envelope.topic}/{envelope.partition}/{envelope.offset}"


class DeadLetterFilter(NamedTuple):
    """Selects dead letters; a field that is None matches all."""

    topic: str | None = None
    reason: Reason | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None
    """Rejected at or after `since` and before `until`, ms since the epoch."""
    text: str | None = None
    """Contained in the detail."""
    place: str | None = None

    def matches(self, letter: DeadLetterRecord) -> bool:
        """Whether the dead letter fulfils every condition."""
        return self._selects_message(letter) and self._selects_rejection(letter.envelope)

    def _selects_message(self, letter: DeadLetterRecord) -> bool:
        """Whether the message that was rejected is one of those wanted."""
        return (
            (self.topic is None or letter.envelope.topic == self.topic)
            and (self.key is None or letter.key == self.key.encode())
            and (self.place is None or letter.place == self.place)
        )

    def _selects_rejection(self, envelope: DeadLetter) -> bool:
        """Whether it was rejected for the wanted reason and at a wanted time."""
        return (
            (self.reason is None or envelope.reason == self.reason)
            and (self.since is None or envelope.at >= self.since)
            and (self.until is None or envelope.at < self.until)
            and (self.text is None or self.text in envelope.detail)
        )


_DECODER: Final = msgspec.json.Decoder(DeadLetter)


def decode_dead_letter(value: bytes) -> DeadLetterRecord:
    """Decode a message of the topic `dead-letter`; raise ForeignMessageError if Vigil did not write it."""
    envelope = read_back(_DECODER, value, most_bytes_of(TOPIC))
    try:
        return DeadLetterRecord(envelope, _bytes(envelope.key), _bytes(envelope.value))
    except ValueError as error:
        raise ForeignMessageError(str(error)) from error


def _bytes(encoded: str | None) -> bytes | None:
    return None if encoded is None else base64.b64decode(encoded)


async def find(
    settings: Settings,
    wanted: DeadLetterFilter,
    on_foreign: Callable[[str, Exception], None] = lambda place, error: None,
) -> AsyncIterator[DeadLetterRecord]:
    """Yield the dead letters that match, each once, and those of one partition in the order of their rejection.

    They are yielded one at a time because a flood can be gibibytes of them. `on_foreign` is called with the place of
    each message that is not a dead letter, and with the error. Raises SettingsError if the topic cannot be read.
    """
    known: defaultdict[tuple[str | None, int | None], set[int | None]] = defaultdict(set)
    async for record in records(settings, TOPIC):
        if record.value is None:
            continue
        try:
            letter = decode_dead_letter(record.value)
        except ForeignMessageError as error:
            on_foreign(f"{TOPIC}/{record.partition}/{record.offset}", error)
            continue
        envelope = letter.envelope
        offsets = known[envelope.topic, envelope.partition]
        # A dead letter is published at least once: a repeat is left out.
        if envelope.offset not in offsets and wanted.matches(letter):
            offsets.add(envelope.offset)
            yield letter


# ---- export and repair


def to_line(letter: DeadLetterRecord) -> bytes:
    """Return a dead letter as one line of JSON.

    Its value is in `value` if it is JSON, in `text` if it is only UTF-8, and in `base64` if it is neither.
    """
    envelope = letter.envelope
    fields: dict[str, Any] = {"topic": envelope.topic}
    try:
        fields["key"] = None if letter.key is None else letter.key.decode()
    except UnicodeDecodeError:
        fields["key_base64"] = envelope.key
    fields |= _value(letter)
    fields |= {"place": letter.place, "reason": envelope.reason, "detail": envelope.detail, "at": envelope.at}
    return msgspec.json.encode(fields) + b"\n"


def _value(letter: DeadLetterRecord) -> dict[str, Any]:
    if letter.value is None:
        return {"value": None}
    try:
        text = letter.value.decode()
    except UnicodeDecodeError:
        return {"base64": letter.envelope.value}
    try:
        json.loads(text, parse_constant=_no_constant)
        # `Raw` keeps numbers as they were written: 4.0 must not become 4.
        return {"value": msgspec.Raw(msgspec.json.format(letter.value, indent=-1))}
    except (ValueError, RecursionError):
        return {"text": text}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ExportedLine(Struct):
    """The fields of an exported line that count when it is sent again; the others are for people."""

    topic: str
    key: str | UnsetType | None = UNSET
    value: msgspec.Raw | UnsetType = UNSET
    place: str | None = None


class RepairedMessage(NamedTuple):
    """A line of an export that is valid now and may be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    place: str | None


class UnrepairedLine(NamedTuple):
    """A line of an export that is still invalid."""

    number: int
    detail: str


_decode_line: Final = msgspec.json.Decoder(ExportedLine).decode


def check(
    lines: Iterable[bytes], now: int | None, settings: Settings, late: bool = False
) -> Iterator[RepairedMessage | UnrepairedLine]:
    """Yield each line as the message to send, or with what is still wrong with it; skip blank lines.

    `now` is the wall clock (ms) of workers that run live, None for a recorded clock. Room events that are further
    behind it than their allowed lateness are invalid, since they would be late again; with `late` they are accepted.
    """
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            yield _checked(raw, now, settings, late)
        except InvalidEvent as error:
            yield UnrepairedLine(number, error.detail)


def _checked(raw: bytes, now: int | None, settings: Settings, late: bool) -> RepairedMessage:
    try:
        raw.decode()
        line = _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"not a line of an export: {error}") from error
    if line.value is UNSET:
        raise InvalidEvent(
            'not repaired: it has no "value"; replace "text" or "base64" by the JSON object that was intended'
        )
    if line.key is UNSET:
        raise InvalidEvent('not repaired: it has no "key"; add the key that the topic requires')
    key = None if line.key is None else line.key.encode()
    value = None if bytes(line.value) == b"null" else msgspec.json.format(bytes(line.value), indent=-1)
    event = decode(line.topic, key, value, now, settings.max_ahead_ms)
    if late or now is None or line.topic not in ROOM_TOPICS:
        return RepairedMessage(line.topic, key, value, line.place)
    if event.at < now - settings.lateness_ms(line.topic):
        behind = (now - event.at) / 1000
        raise InvalidEvent(f"late by {behind:,.0f} s: a live worker would reject it again (--late sends it anyway)")
    return RepairedMessage(line.topic, key, value, line.place)


async def send(settings: Settings, messages: Iterable[RepairedMessage]) -> int:
    """Send the messages to their topics and return their number; raise SettingsError if the broker fails."""
    producer = new_producer(settings, "resend", enable_idempotence=settings.idempotent_producer)
    on_cluster = TopicNames.of(settings).on_cluster
    number = 0
    try:
        await producer.start()
        for message in messages:
            headers = [(RESENT_HEADER, message.place.encode())] if message.place else []
            # One by one: repairs are few, and an error can then report exactly how many were sent.
            await producer.send_and_wait(on_cluster(message.topic), message.value, key=message.key, headers=headers)
            number += 1
    except (KafkaError, OSError) as error:
        raise SettingsError(f"broker: accepted {number} messages, then failed: {error}") from error
    finally:
        await producer.stop()
    return number
