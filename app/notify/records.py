"""Messages that `vigil notify` reads as alerts, and the dead letters that it writes."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.notify.alerts import Alert, letter_key_of
from vigil.app.notify.book import AlertBook
from vigil.app.notify.kept import AlertMessage, Undelivered
from vigil.app.notify.line_alerts import of_obligation, of_participation
from vigil.app.notify.shown import payload
from vigil.topics.fields import MAX_MESSAGE_BYTES, InvalidEvent
from vigil.topics.incidents import IncidentStatus
from vigil.topics.programmes import Participation
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.services import Obligation

INCIDENT: Final = "incident"
LINE_TOPICS: Final = ("obligation", "participation")
"""They are read only where a route asks for them."""
MAX_KEY_BYTES: Final = 4 * 3 * 128
"""A key is at most three identifiers of at most 128 characters."""

_DECODERS: Final[Mapping[str, tuple[msgspec.json.Decoder[Any], Callable[[Any], Alert]]]] = {
    INCIDENT: (msgspec.json.Decoder(IncidentStatus), lambda incident: incident),
    "obligation": (msgspec.json.Decoder(Obligation), of_obligation),
    "participation": (msgspec.json.Decoder(Participation), of_participation),
}


def apply_record(book: AlertBook, topic: str, record: ConsumerRecord, now: int) -> None:
    """Apply one record; raise InvalidEvent where Vigil cannot have written it.

    `topic`: the record's, by its name in the catalogue.
    """
    partition = TopicPartition(record.topic, record.partition)
    try:
        key = f"{topic}:{(record.key or b'').decode()}"
    except UnicodeDecodeError as error:
        raise InvalidEvent("the key is not UTF-8") from error
    if record.value is None:
        book.gone(key, partition, tombstone_time(record), now)
        return
    decoder, alert_of = _DECODERS[topic]
    try:
        alert = alert_of(read_back(decoder, record.value))
    except ForeignMessageError as error:
        raise InvalidEvent(str(error)) from error
    if isinstance(alert, IncidentStatus) and key != f"{INCIDENT}:{alert.incident_id}":
        raise InvalidEvent("the key is not the incident_id")
    book.publish(AlertMessage(key, alert, partition, record.offset, int(record.timestamp)), now)


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
    """Return the key and value of the dead letter for a step that was not delivered to a target."""
    fields = {
        "reason": "not-delivered",
        "detail": undelivered.detail,
        "at": now,
        "target": undelivered.target,
        "attempts": undelivered.attempts,
        "change": payload(undelivered.change),
    }
    return letter_key_of(undelivered.change.alert).encode(), orjson.dumps(fields)
