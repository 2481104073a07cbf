"""What a room has lost to other partitions: its records that were rejected as misrouted there.

    comment, elsewhere ──misrouted──▶ UnobservedSecond ──misrouted-by-room──▶ the room ──▶ takes back, judges less

What was not observed is not judged. The shard that rejects a record publishes to the room's own shard the second in
which it lies, at most once for each room, topic and second: a producer with another partitioner places all of its
records so. The room takes the whole second as not observed.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from vigil.app.domain.rooms.room import shows_reception
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.decoder import decode_own
from vigil.topics.fields import check_key
from vigil.topics.internal import MISROUTED_BY_ROOM, SECOND_MS, UnobservedSecond, UnobservedTopic
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent

_TOPICS: Final[Mapping[type[RoomEvent], UnobservedTopic]] = {
    BuyerEntry: "buyer-entry",
    Comment: "comment",
    FrameStatus: "frame-status",
}

_decoder: Final = msgspec.json.Decoder(UnobservedSecond)


def decode_unobserved(key: bytes | None, value: bytes | None) -> UnobservedSecond:
    """The second that a message of `misrouted-by-room` names; raise InvalidEvent."""
    second = decode_own(_decoder, value)
    check_key(key, "room_id", second.room_id)
    return second


def emit_unobserved(event: RoomEvent, collector: OutputCollector) -> None:
    """Publish to the room's own shard that it does not see an event; nothing where that changes no judgement."""
    if isinstance(event, Comment) and (event.author_role != "host" or not shows_reception(event)):
        return
    topic = _TOPICS[type(event)]
    at = event.at - event.at % SECOND_MS
    second = UnobservedSecond(room_id=event.room_id, topic=topic, at=at)
    collector.emit_once(MISROUTED_BY_ROOM, event.room_id, f"{event.room_id}/{topic}/{at}", at, second)
