"""What was observed is sent as the contract says; what was not measured is null, and never made up."""

from typing import Any

import pytest

from tests.probe.stages import BrightnessDetector, decoded, observation, room
from vigil.app.probe.messages import VERSION, frame_of, frame_without_picture, speech_of
from vigil.app.probe.room_probe import RoomProbe
from vigil.topics.catalog import BY_NAME
from vigil.topics.rooms import Comment, FrameStatus, decode_comment, decode_frame

AT = 1_662_048_000_000


def ignored(field: str, number: int) -> None:
    raise AssertionError(f"{field} cannot be read")


def frame(**measured: Any) -> FrameStatus | None:
    message = frame_of(room(), observation(AT, **measured))
    return None if message is None else decode_frame(message.key, message.value, ignored)


def test_a_worker_reads_what_was_measured() -> None:
    measured = frame(
        face=True,
        black=False,
        camera_share=0.25004,
        uncovered_share=0.5,
        activity="sleeping",
        frozen=True,
        silent=False,
        luma_mean=127.26,
        face_score=0.87654,
    )
    assert measured is not None and measured.layout is not None
    assert (measured.stream, measured.face, measured.black, measured.activity) == ("live", True, False, "sleeping")
    assert (measured.layout.camera_share, measured.layout.uncovered_share) == (0.25, 0.5)
    assert measured.layout.materials is None
    assert (measured.frozen, measured.silent, measured.luma_mean, measured.face_score) == (True, False, 127.3, 0.877)
    assert (measured.detector, measured.probe_version) == (f"vigil probe {VERSION}", VERSION)


def test_what_was_not_measured_is_null() -> None:
    message = frame_of(room(), observation(AT, face=False, black=True))
    assert message is not None
    content = decoded(message)
    unknown = ("av_offset_ms", "activity", "layout", "media_uri", "frozen", "silent", "luma_mean", "face_score")
    assert {name: content[name] for name in unknown} == dict.fromkeys(unknown)


@pytest.mark.parametrize("measured", [{"face": None, "black": False}, {"face": True, "black": None}])
def test_a_picture_without_a_measured_face_or_black_gives_no_frame(measured: dict[str, Any]) -> None:
    assert frame(**measured) is None


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_a_stream_without_pictures_is_not_black(stream: Any) -> None:
    message = frame_without_picture(room(), stream, AT)
    read = decode_frame(message.key, message.value, ignored)
    assert (read.stream, read.black, read.face, read.activity, read.layout) == (stream, False, False, None, None)


def test_speech_shows_reception_without_words() -> None:
    message = speech_of(room(), AT)
    read = decode_comment(message.key, message.value, ignored)
    assert isinstance(read, Comment)
    assert (message.topic, message.key, message.at) == ("comment", b"room", AT)
    assert (read.author_role, read.author_id, read.via, read.intent) == ("host", "host", "speech", None)
    assert (read.text, read.comment_id) == ("[speech]", f"speech-{AT}")


def test_a_room_sends_its_speech_only_where_that_is_asked_for() -> None:
    import numpy as np

    from vigil.app.probe.media import MediaSample

    loud = MediaSample(0, np.full((8, 8, 3), 90, np.uint8), np.full(16_000, 0.2, np.float32))
    talking = RoomProbe(room(), BrightnessDetector(), speech=True)
    assert [message.topic for message in talking.see(loud, AT)] == ["comment", "frame-status"]
    assert [message.topic for message in RoomProbe(room(), BrightnessDetector()).see(loud, AT)] == ["frame-status"]
    assert [message.topic for message in talking.disconnected(AT + 1000)] == ["frame-status"]
    (quiet,) = talking.see(loud._replace(sound=None), AT + 2000)
    assert decoded(quiet)["silent"] is None, "the detector has forgotten what it heard before"


def test_the_topics_have_the_fields_that_a_probe_fills() -> None:
    fields = BY_NAME["frame-status"].carries.__struct_fields__
    assert {"frozen", "silent", "luma_mean", "face_score", "probe_version"} <= set(fields)
