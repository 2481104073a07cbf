"""The state machine of rooms: how messages become events, and which room each belongs to."""

from typing import Final

from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.restricted import decode_referred
from vigil.app.domain.rooms.room import RoomState
from vigil.app.domain.rooms.unobserved import decode_unobserved, emit_unobserved
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import (
    EventTime,
    Order,
    OriginOf,
    ReadEvent,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.topics.internal import MISROUTED_BY_ROOM, RESTRICTED_BY_ROOM, RoomInput, UnobservedSecond
from vigil.topics.labels import OnIgnored
from vigil.topics.rooms import ROOM_TOPICS, Comment, decode_comment, decode_entry, decode_frame
from vigil.topics.verdicts import Verdict

ROOM_SOURCES: Final = (*ROOM_TOPICS, MISROUTED_BY_ROOM, RESTRICTED_BY_ROOM)
"""What a room's shard reads, by source index."""

RoomRead = tuple[RoomInput, str, str | None]
"""An event with its room and its dedup key."""


def _read_entry(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RoomRead:
    event = decode_entry(record.key, record.value, on_ignored)
    return event, event.room_id, None


def _read_comment(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RoomRead:
    event = decode_comment(record.key, record.value, on_ignored)
    return event, event.room_id, _identity(event)


def _read_frame(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RoomRead:
    event = decode_frame(record.key, record.value, on_ignored)
    return event, event.room_id, None


def _read_unobserved(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RoomRead:
    event = decode_unobserved(record.key, record.value)
    return event, event.room_id, None


def _identity(comment: Comment) -> str:
    """The identity of a comment within all rooms."""
    return f"{len(comment.room_id)}:{comment.room_id}{comment.comment_id}"


def _read_referred(record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored) -> RoomRead:
    verdict = decode_referred(record.key, record.value, "room_id")
    return verdict, verdict.room_id, None


_READERS: Final[tuple[ReadEvent[RoomInput], ...]] = (
    _read_entry,
    _read_comment,
    _read_frame,
    _read_unobserved,
    _read_referred,
)
"""By source index: one function for each kind, because it is called for each record."""


class RoomEventMachine(StateMachineDefaults[RoomInput]):
    """Rooms by id, without their states: the three room topics together, judged in the order of event time."""

    topics: tuple[str, ...] = ROOM_SOURCES
    order: Order = EventTime(drop_late=True, unawaited=frozenset({MISROUTED_BY_ROOM, RESTRICTED_BY_ROOM}))

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> RoomInput:
        """The event of a record; raise InvalidEvent."""
        return _READERS[source_index](record, watermark, origin_of, on_ignored)[0]

    def reader(self, source_index: int) -> ReadEvent[RoomInput]:
        return _READERS[source_index]

    def key_of(self, event: RoomInput) -> str:
        return event.room_id

    def dedup_key(self, event: RoomInput) -> str | None:
        """Comments have one: their id within their room."""
        return _identity(event) if type(event) is Comment else None

    def on_misrouted(self, event: RoomInput, collector: OutputCollector) -> None:
        """Publish to the room's own shard that it does not see this event."""
        if not isinstance(event, UnobservedSecond | Verdict):
            emit_unobserved(event, collector)

    def kind_of(self, event: RoomInput) -> str:
        """Comments are of the kind that they came by: transcribed speech is slower than text."""
        return event.via if type(event) is Comment else ""


class RoomMachine(RoomEventMachine):
    """Rooms under one rulebook."""

    def __init__(self, rulebook: Rulebook, shadow: bool = False) -> None:
        """`shadow`: the rulebook is a candidate. Its verdicts go to `verdict-shadow`; nothing else is published."""
        self._limits = EffectiveLimits(rulebook)
        self._shadow = shadow

    def load(self, key: str, chunks: StateChunks) -> RoomState:
        return RoomState(key, self._limits, self._shadow, chunks)
