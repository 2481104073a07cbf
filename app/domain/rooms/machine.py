"""The state machine of rooms: how messages become events, and which room each belongs to."""

from typing import Final

from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.room import RoomState
from vigil.app.domain.rooms.unobserved import decode_unobserved, emit_unobserved
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import EventTime, Order, OriginOf, SourceRecord, StateChunks, StateMachineDefaults
from vigil.topics.internal import MISROUTED_BY_ROOM, RoomInput, UnobservedSecond
from vigil.topics.labels import OnIgnored
from vigil.topics.rooms import ROOM_TOPICS, Comment, decode_room_event

ROOM_SOURCES: Final = (*ROOM_TOPICS, MISROUTED_BY_ROOM)
"""What a room's shard reads, by source index."""

_UNOBSERVED: Final = ROOM_SOURCES.index(MISROUTED_BY_ROOM)


class RoomEventMachine(StateMachineDefaults[RoomInput]):
    """Rooms by id, without their states: the three room topics together, judged in the order of event time."""

    topics: tuple[str, ...] = ROOM_SOURCES
    order: Order = EventTime(drop_late=True, unawaited=frozenset({MISROUTED_BY_ROOM}))

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> RoomInput:
        """The event of a record; raise InvalidEvent."""
        if source_index == _UNOBSERVED:
            return decode_unobserved(record.key, record.value)
        return decode_room_event(source_index, record.key, record.value, on_ignored)

    def key_of(self, event: RoomInput) -> str:
        return event.room_id

    def dedup_key(self, event: RoomInput) -> str | None:
        """Comments have one: their id within their room."""
        return f"{len(event.room_id)}:{event.room_id}{event.comment_id}" if type(event) is Comment else None

    def on_misrouted(self, event: RoomInput, collector: OutputCollector) -> None:
        """Publish to the room's own shard that it does not see this event."""
        if not isinstance(event, UnobservedSecond):
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
