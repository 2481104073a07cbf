"""Input events of live rooms: `buyer-entry`, `comment` and `frame-status`, keyed by `room_id`."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from vigil.topics.decoder import FAILURES, EventDecoder, nobody
from vigil.topics.fields import MAX_MESSAGE_BYTES, At, Detector, Id, MediaUri, Tier, check_key
from vigil.topics.labels import OnIgnored, canonical_labels
from vigil.topics.topic import Decode, Example, Topic

Share = Annotated[float, Meta(ge=0, le=1)]
Luma = Annotated[float, Meta(ge=0, le=255)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=4096)]

Activity = Literal["hosting", "signed-off", "sleeping", "equipment", "eating", "chatting", "driving", "none"]
Intent = Literal["greet", "ask", "greet-ask", "introduce", "answer", "chat"]
Stream = Literal["live", "disconnected", "ended"]


class BuyerEntry(Struct, frozen=True, kw_only=True, gc=False):
    """A buyer entered the room."""

    room_id: Id
    host_id: Id
    at: At
    buyer_id: Id
    buyer_tier: Tier | None = None


Via = Literal["text", "speech", "auto"]


class Comment(Struct, frozen=True, kw_only=True, gc=False):
    """The host or a buyer said something, typed or (host only) transcribed from speech; `at` is a segment's end."""

    room_id: Id
    host_id: Id
    at: At
    comment_id: Id
    """Identifies the comment within its room: a repeat has no effect."""
    author_id: Id
    """Who said it."""
    author_role: Literal["host", "buyer"]
    """The author's role in the room."""
    text: Text
    """What was said, at most 4,096 code points."""
    via: Via = "text"
    """Typed, transcribed from the host's speech in segments of at most 5 s, or a canned reply."""
    intent: Intent | None = None
    """The class that an upstream classifier gave it; null: not classified."""
    labels: tuple[str, ...] = ()
    """Upstream labels, such as `abuse`, `prohibited:medicine`, `rights:trademark`."""
    media_uri: MediaUri | None = None
    """Where a person can see or hear it, at most 2,048 code points; null: nowhere."""
    detector: Detector | None = None
    """What observed it, with its version, at most 128 code points; null: not said."""


class Layout(Struct, frozen=True, kw_only=True, gc=False):
    """What the broadcast canvas shows; shares are 0–1 of the canvas."""

    camera_share: Share | None
    """The camera picture's share of the canvas; null: not measured."""
    uncovered_share: Share | None
    """The share of the canvas that shows black because nothing covers it; null: not measured."""
    materials: Count | None
    """Number of overlays beside the camera picture; null: not measured."""
    camera_in_safe_area: bool | None = None
    """True if the camera picture is within the safe area; null: not known."""
    videos: Count = 0
    """Number of demonstration videos among the materials."""


class FrameStatus(Struct, frozen=True, kw_only=True, gc=False):
    """The state of the picture at one time; sent about once a second."""

    room_id: Id
    host_id: Id
    at: At
    stream: Stream
    """`live` while the stream is being pushed, `ended` once the host pressed End."""
    face: bool
    """A face with its key parts (eyes or mouth) is visible."""
    black: bool
    """The picture is black."""
    av_offset_ms: int | None = None
    """Sound minus picture in ms; positive: the sound is late. Null: not measured."""
    activity: Activity | None = None
    """What the host is doing; null: not known."""
    layout: Layout | None = None
    """What the canvas shows; null: not known."""
    labels: tuple[str, ...] = ()
    """Upstream labels: `theme-mismatch`, `minor`, `illegal-background`, `rights:…`, `prohibited:…`, `restricted:…`."""
    media_uri: MediaUri | None = None
    """Where a person can see or hear it, at most 2,048 code points; null: nowhere."""
    detector: Detector | None = None
    """What observed it, with its version, at most 128 code points; null: not said."""
    frozen: bool | None = None
    """The picture does not change; null: not measured. No rule reads this field nor those below."""
    silent: bool | None = None
    """Nothing can be heard; null: not measured."""
    luma_mean: Luma | None = None
    """The mean brightness of the picture, 0 (black) to 255 (white); null: not measured."""
    face_score: Share | None = None
    """How sure the detector is of the face, 0 to 1; null: not measured."""
    probe_version: Detector | None = None
    """The version of `vigil probe`, at most 128 code points; null: another producer."""


RoomEvent = BuyerEntry | Comment | FrameStatus

ROOM_TOPICS: Final = ("buyer-entry", "comment", "frame-status")
"""The room topics in the order of their source index: of events with one event time, entries are judged first."""

R = TypeVar("R", BuyerEntry, Comment, FrameStatus)
L = TypeVar("L", Comment, FrameStatus)

RoomDecoder = Callable[[bytes | None, bytes | None, OnIgnored], R]
"""Decodes key and value of a message; its labels are in canonical form.

Raises InvalidEvent if it is malformed or its key is not the `room_id`. The last argument receives each optional field
that cannot be read."""


def _decoder(kind: type[R]) -> RoomDecoder[R]:
    decoder = EventDecoder(kind)
    strictly = decoder.strictly
    labelled = "labels" in kind.__struct_fields__

    def decode(key: bytes | None, value: bytes | None, on_ignored: OnIgnored) -> R:
        """Shards call it for each record: nearly all go the first way, without a call that can be done without."""
        if value is None or len(value) > MAX_MESSAGE_BYTES:
            return decoder.decode(value, on_ignored)
        try:
            event: Any = strictly(value.decode())
        except FAILURES:
            event = decoder.decode(value, on_ignored)
        if key != event.room_id.encode():
            check_key(key, "room_id", event.room_id, event)
        if labelled and event.labels:
            event = _with_canonical_labels(event, on_ignored)
        return event  # type: ignore[no-any-return]

    return decode


def _with_canonical_labels(event: L, on_ignored: OnIgnored) -> L:
    """The event with its labels as rules see them."""
    labels = canonical_labels(event.labels, on_ignored)
    return event if labels == event.labels else msgspec.structs.replace(event, labels=labels)


def _complete_entry(entry: BuyerEntry, on_ignored: OnIgnored) -> BuyerEntry:
    return entry


def _complete_labelled(event: L, on_ignored: OnIgnored) -> L:
    return _with_canonical_labels(event, on_ignored) if event.labels else event


decode_entry: Final = _decoder(BuyerEntry)
decode_comment: Final = _decoder(Comment)
decode_frame: Final = _decoder(FrameStatus)

_DECODERS: Final[tuple[RoomDecoder[Any], ...]] = (decode_entry, decode_comment, decode_frame)


def decode_room_event(
    source_index: int, key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody
) -> RoomEvent:
    """Decode a message of ROOM_TOPICS[source_index], as the decoder of its kind does."""
    event: RoomEvent = _DECODERS[source_index](key, value, on_ignored)
    return event


def _decode(source_index: int) -> Decode:
    return lambda key, value, now, on_ignored: decode_room_event(source_index, key, value, on_ignored)


TOPICS: Final = (
    Topic(
        "buyer-entry",
        "in",
        "room_id",
        BuyerEntry,
        "a buyer entered a room",
        decode=_decode(0),
        complete=_complete_entry,
        examples=(
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048001000,
                    "buyer_id": "buyer-3",
                    "buyer_tier": "L1",
                },
            ),
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048003000,
                    "buyer_id": "buyer-4",
                    "buyer_tier": None,
                },
            ),
            Example(
                "room-1", {"room_id": "room-1", "host_id": "merchant-7", "at": 1662048005000, "buyer_id": "buyer-5"}
            ),
            Example(
                "room-1",
                {"room_id": "room-1", "host_id": "merchant-7", "at": 1662048014000, "buyer_id": "", "buyer_tier": "L2"},
            ),
        ),
    ),
    Topic(
        "comment",
        "in",
        "room_id",
        Comment,
        "the host or a buyer said something",
        decode=_decode(1),
        complete=_complete_labelled,
        examples=(
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048000500,
                    "comment_id": "comment-1",
                    "author_id": "buyer-2",
                    "author_role": "buyer",
                    "via": "text",
                    "text": "Is the lamp dimmable?",
                    "intent": "ask",
                    "labels": [],
                },
            ),
        ),
    ),
    Topic(
        "frame-status",
        "in",
        "room_id",
        FrameStatus,
        "the analysis of a video frame",
        decode=_decode(2),
        complete=_complete_labelled,
        examples=(
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048000000,
                    "stream": "live",
                    "face": True,
                    "black": False,
                    "av_offset_ms": 20,
                    "activity": "hosting",
                    "layout": {"camera_share": 0.75, "uncovered_share": 0, "materials": 1, "camera_in_safe_area": True},
                    "labels": [],
                },
            ),
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048009000,
                    "stream": "live",
                    "face": True,
                    "black": False,
                    "layout": {"camera_share": None, "uncovered_share": 0, "materials": None},
                    "frozen": False,
                    "silent": False,
                    "luma_mean": 118.4,
                    "face_score": 0.93,
                    "probe_version": "0.1.0",
                },
            ),
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048020000,
                    "stream": "live",
                    "face": True,
                    "black": True,
                },
            ),
        ),
    ),
)
