"""Events of live rooms, in: `buyer-entry`, `comment` and `frame-status`, keyed by `room_id`."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vigil.topics.fields import At, Id, Tier, check_key, decode_json

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=4096)]

Activity = Literal["hosting", "signed-off", "sleeping", "equipment", "eating", "chatting", "driving", "none"]
Intent = Literal["greet", "ask", "introduce", "answer", "chat"]
Stream = Literal["live", "disconnected", "ended"]


class BuyerEntry(Struct, frozen=True, kw_only=True):
    """A buyer entered the room."""

    room_id: Id
    host_id: Id
    at: At
    buyer_id: Id
    buyer_tier: Tier | None = None


class Comment(Struct, frozen=True, kw_only=True):
    """The host or a buyer said something, typed or (host only) transcribed from speech; `at` is a segment's end."""

    room_id: Id
    host_id: Id
    at: At
    comment_id: Id
    author_id: Id
    author_role: Literal["host", "buyer"]
    text: Text
    via: Literal["text", "speech"] = "text"
    intent: Intent | None = None
    labels: tuple[str, ...] = ()


class Layout(Struct, frozen=True, kw_only=True):
    """How the broadcast canvas is shared out; shares are 0–1 of the canvas."""

    camera_share: Share
    uncovered_share: Share
    materials: Count
    camera_in_safe_area: bool | None = None
    videos: Count = 0


class FrameStatus(Struct, frozen=True, kw_only=True):
    """What one look at the picture said, about once a second."""

    room_id: Id
    host_id: Id
    at: At
    stream: Stream
    face: bool
    black: bool
    av_offset_ms: int | None = None
    activity: Activity | None = None
    layout: Layout | None = None
    labels: tuple[str, ...] = ()


RoomEvent = BuyerEntry | Comment | FrameStatus

ROOM_TOPICS: Final = ("buyer-entry", "comment", "frame-status")
"""The three room topics in the order of their rank: of events at one time, entries are judged first."""

_TYPES: Final = (BuyerEntry, Comment, FrameStatus)
_DECODERS: Final[tuple[Any, ...]] = tuple(msgspec.json.Decoder(kind) for kind in _TYPES)


def decode_room_event(rank: int, key: bytes | None, value: bytes | None) -> RoomEvent:
    """Decode a message of ROOM_TOPICS[rank]; raise Refused when it is malformed or its key is not the `room_id`."""
    event: RoomEvent = decode_json(_DECODERS[rank], value)
    if key != event.room_id.encode():
        check_key(key, "room_id", event.room_id)
    return event
