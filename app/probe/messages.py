"""What a probe sends: observations as `frame-status`, and speech as `comment`."""

from importlib.metadata import version
from typing import Final, Literal, NamedTuple, cast

import msgspec

from vigil.app.probe.observation import Observation
from vigil.app.probe.rooms_file import WatchedRoom
from vigil.topics.rooms import Activity, Comment, FrameStatus, Layout

VERSION: Final = version("vigil-live")
DETECTOR: Final = f"vigil probe {VERSION}"

SPEECH_TEXT: Final = "[speech]"
"""The text of a comment that stands for speech: what was said is not known."""

TOPICS: Final = ("frame-status", "comment")


class ProbeMessage(NamedTuple):
    """A message as it goes to Kafka or into a file."""

    topic: str
    key: bytes
    value: bytes
    at: int
    """Event time, ms."""


def frame_of(room: WatchedRoom, observation: Observation) -> ProbeMessage | None:
    """What was observed of a live picture; None where the contract asks for more than could be measured.

    Face and black must be known: a made-up value would accuse a host, or excuse one.
    """
    if observation.face is None or observation.black is None:
        return None
    frame = FrameStatus(
        room_id=room.room_id,
        host_id=room.host_id,
        at=observation.at_ms,
        stream="live",
        face=observation.face,
        black=observation.black,
        activity=cast(Activity | None, observation.activity),
        layout=_layout(observation),
        detector=DETECTOR,
        frozen=observation.frozen,
        silent=observation.silent,
        luma_mean=_rounded(observation.luma_mean, 1),
        face_score=_rounded(observation.face_score, 3),
        probe_version=VERSION,
    )
    return _message("frame-status", room, frame)


def frame_without_picture(room: WatchedRoom, stream: Literal["disconnected", "ended"], at_ms: int) -> ProbeMessage:
    """There is no picture at `at_ms`: a stream that is disconnected is not black."""
    frame = FrameStatus(
        room_id=room.room_id,
        host_id=room.host_id,
        at=at_ms,
        stream=stream,
        face=False,
        black=False,
        detector=DETECTOR,
        probe_version=VERSION,
    )
    return _message("frame-status", room, frame)


def speech_of(room: WatchedRoom, at_ms: int) -> ProbeMessage:
    """A segment of the host's speech that ends at `at_ms`."""
    comment = Comment(
        room_id=room.room_id,
        host_id=room.host_id,
        at=at_ms,
        comment_id=f"speech-{at_ms}",
        author_id=room.host_id,
        author_role="host",
        via="speech",
        text=SPEECH_TEXT,
        detector=DETECTOR,
    )
    return _message("comment", room, comment)


def _layout(observation: Observation) -> Layout | None:
    """What was measured of the canvas, in thousandths: frames that look alike are judged at the least cost."""
    camera, uncovered = _rounded(observation.camera_share, 3), _rounded(observation.uncovered_share, 3)
    if camera is None and uncovered is None:
        return None
    return Layout(camera_share=camera, uncovered_share=uncovered, materials=None)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _message(topic: str, room: WatchedRoom, event: FrameStatus | Comment) -> ProbeMessage:
    return ProbeMessage(topic, room.room_id.encode(), msgspec.json.encode(event), event.at)
