"""The kind of shard that carries rooms: how messages become events, and events reach their room."""

from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.room import RoomState
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import EventTime, Order, StateChunks
from vigil.topics.rooms import ROOM_TOPICS, Comment, RoomEvent, decode_room_event


class RoomMachine:
    """The shards of rooms: the three room topics together, judged in order of event time."""

    topics: tuple[str, ...] = ROOM_TOPICS
    order: Order = EventTime(drop_late=True)

    def __init__(self, rulebook: Rulebook, shadow: bool = False) -> None:
        """`shadow`: a candidate rulebook, whose verdicts go to `verdict-shadow` and that says nothing else. Raise
        RulebookError when a rule has no numbers or numbers have no judge."""
        self._in_force = EffectiveLimits(rulebook)
        self._shadow = shadow

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> RoomEvent:
        """The event of a message; raise Refused."""
        return decode_room_event(source_index, key, value)

    def key_of(self, event: RoomEvent) -> str:
        return event.room_id

    def dedup_key(self, event: RoomEvent) -> str | None:
        """Of comments: their id within their room."""
        return f"{len(event.room_id)}:{event.room_id}{event.comment_id}" if type(event) is Comment else None

    def load(self, key: str, parts: StateChunks) -> RoomState:
        return RoomState(key, self._in_force, self._shadow, parts)

    def is_duplicate(self, state: RoomState, event: RoomEvent) -> bool:
        return state.is_duplicate(event)
