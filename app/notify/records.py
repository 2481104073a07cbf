"""Vigil's topics as the incident machine is told them."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import Incidents
from vigil.app.notify.outbox import Letter
from vigil.topics.fields import MAX_MESSAGE_BYTES, InvalidEvent
from vigil.topics.verdicts import Action, Notice, Verdict

READ: Final = ("notice", "verdict", "enforcement", "room-status")
"""In the order in which a room is told of: warnings, violations, what follows, the end."""
LARGEST: Final = 16 * MAX_MESSAGE_BYTES


class StatusView(Struct):
    """What is asked of a room's figures: the rest of them is skipped."""

    room_id: str
    at: int
    stream: Literal["live", "disconnected", "ended"] | None


_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "verdict": msgspec.json.Decoder(Verdict),
    "notice": msgspec.json.Decoder(Notice),
    "enforcement": msgspec.json.Decoder(Action),
    "room-status": msgspec.json.Decoder(StatusView),
}


def take(incidents: Incidents, record: Any, now: int) -> list[IncidentChange]:
    """Tell the machine one Kafka record; raise Refused where it is none of Vigil's."""
    topic, value = record.topic, record.value
    if value is None:
        if topic != "room-status":
            raise InvalidEvent("the message has no value")
        return incidents.room(_text(record.key), _told_at(record), True, now)
    if len(value) > LARGEST:
        raise InvalidEvent(f"the message has {len(value)} bytes, more than {LARGEST}")
    try:
        said = _DECODERS[topic].decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(str(error)) from error
    if topic == "verdict":
        return incidents.verdict(said, now)
    if topic == "notice":
        return incidents.notice(said, now)
    if topic == "enforcement":
        return incidents.action(said, now)
    return incidents.room(said.room_id, said.at, said.stream == "ended", now)


def _text(key: bytes | None) -> str:
    try:
        return (key or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent("the key is not UTF-8") from error


def _told_at(record: Any) -> int:
    """The event time of a tombstone: its `ce_time`; the broker's time where it has none."""
    for name, value in record.headers or ():
        if name == "ce_time":
            try:
                return round(datetime.fromisoformat(value.decode()).timestamp() * 1000)
            except (ValueError, UnicodeDecodeError):
                break
    return int(record.timestamp)


def refusal(record: Any, detail: str, now: int) -> tuple[bytes | None, bytes]:
    """A message that could not be read, as a letter."""
    said = {
        "reason": "malformed",
        "detail": detail,
        "at": now,
        "target": None,
        "change": None,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "value": None if record.value is None else base64.b64encode(record.value[:MAX_MESSAGE_BYTES]).decode(),
    }
    return record.key, orjson.dumps(said)


def letter(given_up: Letter, now: int) -> tuple[bytes | None, bytes]:
    """A change that was given up, as a letter."""
    said = {
        "reason": "not-delivered",
        "detail": given_up.detail,
        "at": now,
        "target": given_up.target,
        "attempts": given_up.attempts,
        "change": msgspec.to_builtins(given_up.change),
    }
    return given_up.change.incident.room_id.encode(), orjson.dumps(said)
