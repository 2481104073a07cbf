"""Records of Vigil's topics as input of the incident machine, and the dead letters of `vigil notify`."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
import orjson
from aiokafka.structs import ConsumerRecord
from msgspec import Struct

from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import Undelivered
from vigil.topics.fields import MAX_MESSAGE_BYTES, Id, Instant, InvalidEvent
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.verdicts import Action, Notice, Verdict

SOURCE_TOPICS: Final = ("notice", "verdict", "enforcement", "room-status")
"""In the order in which records that were fetched together are applied: warnings, violations, actions, the end."""
MAX_KEY_BYTES: Final = 4 * 128
"""A key is an identifier of at most 128 characters."""


class StatusView(Struct):
    """The fields of a room's status that matter here; the others are skipped while decoding."""

    room_id: Id
    at: Instant
    stream: Literal["live", "disconnected", "ended"] | None


_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "verdict": msgspec.json.Decoder(Verdict),
    "notice": msgspec.json.Decoder(Notice),
    "enforcement": msgspec.json.Decoder(Action),
    "room-status": msgspec.json.Decoder(StatusView),
}


def apply_record(incidents: Incidents, topic: str, record: ConsumerRecord, now: int) -> list[IncidentChange]:
    """Apply one record to the incidents and return the changes; raise InvalidEvent where Vigil cannot have written it.

    `topic`: the record's, by its name in the catalogue.
    """
    value = record.value
    if value is None:
        if topic != "room-status":
            raise InvalidEvent("the message has no value")
        return incidents.room(_room_of(record.key), tombstone_time(record), True, now)
    try:
        message = read_back(_DECODERS[topic], value)
    except ForeignMessageError as error:
        raise InvalidEvent(str(error)) from error
    if topic == "verdict":
        return incidents.verdict(message, now)
    if topic == "notice":
        return incidents.notice(message, now)
    if topic == "enforcement":
        return incidents.action(message, now)
    return incidents.room(message.room_id, message.at, message.stream == "ended", now)


def _room_of(key: bytes | None) -> str:
    try:
        return msgspec.convert((key or b"").decode(), Id)
    except UnicodeDecodeError as error:
        raise InvalidEvent("the key is not UTF-8") from error
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"the key is no room_id: {error}") from error


def tombstone_time(record: ConsumerRecord) -> int:
    """Return the event time of a tombstone in ms: its header `ce_time`, or the broker's time where it has none."""
    for name, value in record.headers or ():
        if name == "ce_time":
            try:
                at = datetime.fromisoformat(value.decode())
                at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
                return max(0, round(at.timestamp() * 1000))
            except (ValueError, OverflowError):
                break
    return max(0, int(record.timestamp))


def malformed_letter(topic: str, record: ConsumerRecord, detail: str, now: int) -> tuple[bytes | None, bytes]:
    """Return the key and value of the dead letter for a record that could not be read; `topic` as in the catalogue."""
    fields = {
        "reason": "malformed",
        "detail": detail,
        "at": now,
        "target": None,
        "change": None,
        "topic": topic,
        "partition": record.partition,
        "offset": record.offset,
        "value": None if record.value is None else base64.b64encode(record.value[:MAX_MESSAGE_BYTES]).decode(),
    }
    return record.key and record.key[:MAX_KEY_BYTES], orjson.dumps(fields)


def undelivered_letter(undelivered: Undelivered, now: int) -> tuple[bytes | None, bytes]:
    """Return the key and value of the dead letter for a change that was not delivered to a target."""
    fields = {
        "reason": "not-delivered",
        "detail": undelivered.detail,
        "at": now,
        "target": undelivered.target,
        "attempts": undelivered.attempts,
        "change": msgspec.to_builtins(undelivered.change),
    }
    return undelivered.change.letter_key.encode(), orjson.dumps(fields)
