"""Refused messages: found again, written to a file to be repaired, and sent once more where a decoder takes them.

dead-letter ──find──▶ Letter ──to_line──▶ a file ──(somebody's hand)──▶ check ──▶ send ──▶ the topic it was meant for
"""

import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import UNSET, Struct, UnsetType

from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records
from vigil.topics.contracts.decoding import decode
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import At, InvalidEvent, Reason
from vigil.topics.rooms import ROOM_TOPICS

TOPIC: Final = "dead-letter"

RESENT_HEADER: Final = "vigil-resent"
"""Kafka header of a message that was sent again: the place at which it was refused."""


class DeadLetterRecord(NamedTuple):
    """A refused message."""

    said: DeadLetter
    key: bytes | None
    value: bytes | None

    @property
    def place(self) -> str:
        """Where it stood, which is its identity: `topic/partition/offset`."""
        return f"{self.said.topic}/{self.said.partition}/{self.said.offset}"


class DeadLetterFilter(NamedTuple):
    """Which letters are meant; None: all."""

    topic: str | None = None
    reason: Reason | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None
    """Refused at or after `since`, and before `until`: ms since the epoch."""
    text: str | None = None
    """Part of the detail."""
    place: str | None = None

    def takes(self, letter: DeadLetterRecord) -> bool:
        said = letter.said
        return (
            (self.topic is None or said.topic == self.topic)
            and (self.reason is None or said.reason == self.reason)
            and (self.key is None or letter.key == self.key.encode())
            and (self.since is None or said.at >= self.since)
            and (self.until is None or said.at < self.until)
            and (self.text is None or self.text in said.detail)
            and (self.place is None or letter.place == self.place)
        )


_decode_letter: Final = msgspec.json.Decoder(DeadLetter).decode


def decode_dead_letter(value: bytes) -> DeadLetterRecord:
    """A message of `dead-letter`; raise ValueError where it is none of Vigil's."""
    said = _decode_letter(value)
    msgspec.convert(said.at, At)
    return DeadLetterRecord(said, _bytes(said.key), _bytes(said.value))


def _bytes(told: str | None) -> bytes | None:
    return None if told is None else base64.b64decode(told)


async def find(
    settings: Settings, wanted: DeadLetterFilter, stranger: Callable[[str, Exception], None] = lambda place, error: None
) -> AsyncIterator[DeadLetterRecord]:
    """The letters meant, each once, partition by partition in the order in which they were refused.

    One at a time: a flood is some gibibytes of them. `stranger` is told the place of what is no letter, and why.
    """
    known: defaultdict[tuple[str | None, int | None], set[int | None]] = defaultdict(set)
    async for record in records(settings, TOPIC):
        if record.value is None:
            continue
        try:
            letter = decode_dead_letter(record.value)
        except ValueError as error:
            stranger(f"{TOPIC}/{record.partition}/{record.offset}", error)
            continue
        said = letter.said
        places = known[said.topic, said.partition]
        if said.offset not in places and wanted.takes(letter):  # sent at least once
            places.add(said.offset)
            yield letter


# ---- to a file and back


def to_line(letter: DeadLetterRecord) -> bytes:
    """A letter as one line of JSON: `value` where it is JSON; else `text`, or `base64` where it is not even that."""
    told: dict[str, Any] = {"topic": letter.said.topic}
    try:
        told["key"] = None if letter.key is None else letter.key.decode()
    except UnicodeDecodeError:
        told["key_base64"] = letter.said.key
    told |= _value(letter)
    told |= {"place": letter.place, "reason": letter.said.reason, "detail": letter.said.detail, "at": letter.said.at}
    return msgspec.json.encode(told) + b"\n"


def _value(letter: DeadLetterRecord) -> dict[str, Any]:
    if letter.value is None:
        return {"value": None}
    try:
        text = letter.value.decode()
    except UnicodeDecodeError:
        return {"base64": letter.said.value}
    try:
        json.loads(text, parse_constant=_no_constant)
        # Numbers as they were written: 4.0 must not become 4 by itself.
        return {"value": msgspec.Raw(msgspec.json.format(letter.value, indent=-1))}
    except (ValueError, RecursionError):
        return {"text": text}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ExportedLine(Struct):
    """A line of the file; what is not here is for people."""

    topic: str
    key: str | UnsetType | None = UNSET
    value: msgspec.Raw | UnsetType = UNSET
    place: str | None = None


class RepairedMessage(NamedTuple):
    """A message that may be sent again."""

    topic: str
    key: bytes | None
    value: bytes | None
    place: str | None


class UnrepairedLine(NamedTuple):
    """A line that may not be sent."""

    number: int
    detail: str


_decode_line: Final = msgspec.json.Decoder(ExportedLine).decode


def check(
    lines: Iterable[bytes], now: int | None, lateness_ms: int | None
) -> Iterator[RepairedMessage | UnrepairedLine]:
    """Each line as the message to send, or what is still wrong with it; blank lines are skipped.

    `now`: the clock, in ms, of workers that run live. `lateness_ms`: room events that are further behind that clock
    are bad, since they would be late again; None takes them.
    """
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            yield _checked(raw, now, lateness_ms)
        except InvalidEvent as refused:
            yield UnrepairedLine(number, refused.detail)


def _checked(raw: bytes, now: int | None, lateness_ms: int | None) -> RepairedMessage:
    try:
        raw.decode()
        line = _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"not a line of an export: {error}") from error
    if line.value is UNSET:
        raise InvalidEvent(
            'not repaired: it has no "value"; write the JSON object that was meant in the place of the text'
        )
    if line.key is UNSET:
        raise InvalidEvent('not repaired: it has no "key"; write the identifier that the topic demands')
    key = None if line.key is None else line.key.encode()
    value = None if bytes(line.value) == b"null" else msgspec.json.format(bytes(line.value), indent=-1)
    event = decode(line.topic, key, value, now)
    if now is not None and lateness_ms is not None and line.topic in ROOM_TOPICS and event.at < now - lateness_ms:
        behind = (now - event.at) / 1000
        raise InvalidEvent(
            f"late by {behind:,.0f} s: a live worker would refuse it again (--late sends it all the same)"
        )
    return RepairedMessage(line.topic, key, value, line.place)


async def send(settings: Settings, messages: Iterable[RepairedMessage]) -> int:
    """Send the messages to their topics; return how many. Raise SettingsError where the broker does not take them."""
    producer = AIOKafkaProducer(
        client_id=f"{settings.app_id}-resend",
        acks="all",
        enable_idempotence=settings.idempotent_producer,
        **settings.kafka(),
    )
    number = 0
    try:
        await producer.start()
        for message in messages:
            headers = [(RESENT_HEADER, message.place.encode())] if message.place else []
            # One by one: who repairs by hand has few, and knows in the end exactly how far it came.
            await producer.send_and_wait(message.topic, message.value, key=message.key, headers=headers)
            number += 1
    except (KafkaError, OSError) as error:
        raise SettingsError(f"broker: took {number} messages, and then no more: {error}") from error
    finally:
        await producer.stop()
    return number
