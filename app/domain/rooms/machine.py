"""The state machine of rooms: how messages become events, and which room each belongs to."""

from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.room import RoomState
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import EventTime, Order, OriginOf, SourceRecord, StateChunks, StateMachineDefaults
from vigil.topics.labels import OnIgnored
from vigil.topics.rooms import ROOM_TOPICS, Comment, RoomEvent, decode_room_event


class RoomEventMachine(StateMachineDefaults[RoomEvent]):
    """Rooms by id, without their states: the three room topics together, judged in the order of event time."""

    topics: tuple[str, ...] = ROOM_TOPICS
    order: Order = EventTime(drop_late=True)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> RoomEvent:
        """The event of a record; raise InvalidEvent."""
        return decode_room_event(source_index, record.key, record.value, on_ignored)

    def key_of(self, event: RoomEvent) -> str:
        return event.room_id

    def dedup_key(self, event: RoomEvent) -> str | None:
        """Comments have one: their id within their room."""
        return f"{len(event.room_id)}:{event.room_id}{event.comment_id}" if type(event) is Comment else None


class RoomMachine(RoomEventMachine):
    """Rooms under one rulebook."""

    def __init__(self, rulebook: Rulebook, shadow: bool = False) -> None:
        """`shadow`: the rulebook is a candidate. Its verdicts go to `verdict-shadow`; nothing else is published."""
        self._limits = EffectiveLimits(rulebook)
        self._shadow = shadow

    def load(self, key: str, chunks: StateChunks) -> RoomState:
        return RoomState(key, self._limits, self._shadow, chunks)
