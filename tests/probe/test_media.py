"""Files are read as detectors want them: small pictures about a second apart, and the sound between them."""

import random
import struct
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from tests.probe.stages import decoder_fails
from tests.support.camera import HEIGHT, WIDTH, write_clip
from vigil.app.probe.addresses import Address
from vigil.app.probe.media import Media, MediaSample, ShownBefore, _small
from vigil.app.probe.sound import RATE_HZ
from vigil.app.probe.source_lost import SourceLostError, source_lost


def samples(
    path: Path, interval_ms: int = 1000, shown_before: ShownBefore | None = None
) -> tuple[list[MediaSample], Media]:
    with Media(Address.of(str(path)), interval_ms, shown_before=shown_before) as media:
        return list(media.samples()), media


def test_a_picture_a_second_with_the_sound_since_the_one_before(clip: Path) -> None:
    found, media = samples(clip)
    assert media.plan.keys_only, "key pictures come every second"
    assert [sample.media_ms for sample in found] == list(range(0, 9000, 1000))
    assert {sample.image.shape for sample in found} == {(HEIGHT, WIDTH, 3)}
    dark = [float(sample.image.mean()) < 8 for sample in found]
    assert dark == [False] * 3 + [True] * 3 + [False] * 3
    lengths = [0 if sample.sound is None else len(sample.sound) for sample in found]
    assert sum(lengths) == pytest.approx(8 * RATE_HZ, rel=0.1)
    loud = [bool(np.abs(sample.sound).mean() > 0.01) for sample in found[1:] if sample.sound is not None]
    assert loud == [True] * 3 + [False] * 3 + [True] * 2


def test_key_pictures_only_are_those_of_the_whole_decoding(tmp_path: Path, clip: Path) -> None:
    """Where key pictures are rare, all are decoded, and the same is seen at the same times."""
    rare = write_clip(tmp_path / "rare.mp4", [("moving", 3), ("black", 3), ("moving", 3)], key_every_s=9)
    found, media = samples(rare, 950)
    assert not media.plan.keys_only
    of_keys, _ = samples(clip, 950)
    assert len(found) >= 9
    for sample in of_keys:
        nearest = min(found, key=lambda other: abs(other.media_ms - sample.media_ms))
        assert abs(nearest.media_ms - sample.media_ms) <= 400
    dark = {sample.media_ms: float(sample.image.mean()) < 8 for sample in found}
    assert all(is_dark == (3000 <= at < 6000) for at, is_dark in dark.items())


def test_a_stream_without_sound_says_so(tmp_path: Path) -> None:
    found, _ = samples(write_clip(tmp_path / "quiet.mp4", [("moving", 2)], loud=False))
    assert [sample.sound for sample in found] == [None, None]


def test_large_pictures_are_made_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigil.app.probe.media.LONGEST_SIDE", 100)
    found, _ = samples(write_clip(tmp_path / "clip.mp4", [("still", 1)]))
    assert found[0].image.shape == (56, 100, 3)


def test_what_an_earlier_connection_has_shown_is_skipped(tmp_path: Path, clip: Path) -> None:
    shown = ShownBefore()
    first, _ = samples(clip, shown_before=shown)
    again, _ = samples(clip, shown_before=shown)
    assert (len(first), again) == (9, [])
    longer = write_clip(tmp_path / "longer.mp4", [("moving", 3), ("black", 3), ("moving", 3), ("still", 2)])
    rest, _ = samples(longer, shown_before=shown)
    assert [sample.media_ms for sample in rest] == [9000, 10_000]


def test_a_picture_that_comes_twice_in_a_connection_is_not_skipped(clip: Path) -> None:
    shown = ShownBefore()
    shown.connect()
    with av.open(str(clip)) as source:
        key = next(packet for packet in source.demux(video=0) if packet.is_keyframe)
        assert [shown.skips(key) for _ in range(3)] == [False] * 3
        shown.connect()
        assert shown.skips(key), "and in the next connection it is"


def test_a_file_that_is_no_video_is_lost_without_showing_its_address(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(SourceLostError) as error:
        samples(tmp_path / "secret.mp4")
    assert "Invalid data" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_damaged_packet_is_counted_and_the_rest_is_seen(tmp_path: Path, clip: Path) -> None:
    damaged = tmp_path / "damaged.ts"
    write_clip(damaged, [("moving", 6)])
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    damaged.write_bytes(content)
    found, _ = samples(damaged)
    assert len(found) >= 4


@pytest.mark.parametrize("of_sound", [False, True], ids=["picture", "sound"])
@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ValueError("unknown form"), "ValueError: unknown form"),
        (NotImplementedError("10 bits"), "NotImplementedError: 10 bits"),
        (av.error.InvalidDataError(1094995529, "Invalid data found"), None),
    ],
    ids=["value", "form", "packet"],
)
def test_what_a_decoder_raises_is_a_lost_source_or_a_damaged_packet(
    clip: Path, error: Exception, lost: str | None, of_sound: bool
) -> None:
    """PyAV raises errors of its own for what it cannot represent; FFmpeg's are of one packet."""
    damaged: list[int] = []

    with Media(Address.of(str(clip)), 1000, on_damaged=lambda: damaged.append(1)) as media:
        decoder_fails(media, error, of_sound=of_sound)
        if lost is None:
            assert len(list(media.samples())) == (9 if of_sound else 0)
            assert len(damaged) > 9
        else:
            with pytest.raises(SourceLostError, match=lost):
                list(media.samples())


def test_sound_that_pyav_cannot_convert_and_pictures_that_it_cannot_are_a_lost_source(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("not a format")

    with monkeypatch.context() as patched:
        patched.setattr("vigil.app.probe.sound.AudioResampler", lambda **_: SimpleNamespace(resample=fails))
        with pytest.raises(SourceLostError, match="not a format"):
            samples(clip)
    frame = SimpleNamespace(width=WIDTH, height=HEIGHT, reformat=fails, rotation=0)
    with pytest.raises(SourceLostError, match="not a format"):
        _small(cast("Any", frame))


def test_a_mistake_of_ours_is_no_lost_source() -> None:
    with pytest.raises(TypeError), source_lost():
        raise TypeError


def test_a_picture_without_a_decoder_is_a_lost_source_and_sound_without_one_is_not_heard(
    tmp_path: Path, clip: Path
) -> None:
    """Matroska names its codecs: another name is one that FFmpeg does not know."""
    whole = tmp_path / "whole.mkv"
    with av.open(str(clip)) as source, av.open(str(whole), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    content = whole.read_bytes()
    (tmp_path / "picture.mkv").write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XXX"))
    (tmp_path / "sound.mkv").write_bytes(content.replace(b"A_AAC", b"A_XXX"))
    with pytest.raises(SourceLostError, match="cannot decode"):
        samples(tmp_path / "picture.mkv")
    found, _ = samples(tmp_path / "sound.mkv")
    assert len(found) == 9 and found[1].sound is None


def test_a_title_that_is_no_utf_8_does_not_matter(tmp_path: Path, clip: Path) -> None:
    """Encoders write what the operating system's language is written in."""
    titled = tmp_path / "titled.flv"
    with av.open(str(clip)) as source, av.open(str(titled), "w") as out:
        out.metadata["title"] = "a title"
        video = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    content = titled.read_bytes()
    assert b"a title" in content
    titled.write_bytes(content.replace(b"a title", "直播间x".encode("gbk")))
    assert len(samples(titled)[0]) == 9


@pytest.mark.parametrize("form", ["flv", "mkv"])
def test_whatever_is_damaged_the_source_is_read_or_lost(form: str, tmp_path: Path, clip: Path) -> None:
    whole, damaged, chance = tmp_path / f"whole.{form}", tmp_path / f"damaged.{form}", random.Random(form)
    with av.open(str(clip)) as source, av.open(str(whole), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.dts * packet.time_base < 2:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    became: Counter[str] = Counter()
    for _ in range(60):
        content = bytearray(whole.read_bytes())
        for _ in range(chance.choice((1, 20, 200))):
            content[chance.randrange(chance.choice((400, 4000, len(content))))] = chance.randrange(256)
        damaged.write_bytes(content)
        try:
            samples(damaged)
            became["read"] += 1
        except SourceLostError:
            became["lost"] += 1
    assert became["read"] and became["lost"], became


UPRIGHT = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
"""How an MP4 file says that pictures are shown as they are."""


@pytest.mark.parametrize(
    ("turned", "bright"),
    [
        ((0, 65536, -65536, 0), (0, -1)),
        ((0, -65536, 65536, 0), (-1, 0)),
        ((-65536, 0, 0, -65536), (-1, -1)),
        ((65536, 0, 0, 65536), (0, 0)),
    ],
    ids=["clockwise", "counterclockwise", "half", "upright"],
)
def test_a_picture_that_was_filmed_on_its_side_is_upright(
    tmp_path: Path, turned: tuple[int, int, int, int], bright: tuple[int, int]
) -> None:
    """`bright`: where the corner is that is bright at the upper left of what the camera wrote."""
    file = tmp_path / "turned.mp4"
    picture = np.zeros((48, 80, 3), np.uint8)
    picture[:24, :40] = 255
    with av.open(str(file), "w") as out:
        video = out.add_stream("libx264", rate=1)
        video.width, video.height, video.pix_fmt = 80, 48, "yuv420p"
        out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
    content = file.read_bytes()
    begins = content.index(UPRIGHT, content.index(b"tkhd"))
    a, b, c, d = turned
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(content[:begins] + matrix + content[begins + len(matrix) :])
    (sample,) = samples(file)[0]
    assert sample.image.shape[:2] == ((48, 80) if a else (80, 48))
    corners = {(y, x): float(sample.image[y, x].mean()) for y in (0, -1) for x in (0, -1)}
    assert max(corners, key=lambda corner: corners[corner]) == bright


def test_of_several_streams_only_those_that_are_looked_at_are_read(tmp_path: Path, clip: Path) -> None:
    """Of an HLS playlist with several qualities the others are not loaded."""
    several = tmp_path / "several.mkv"
    with av.open(str(clip)) as source, av.open(str(several), "w") as out:
        videos = [out.add_stream_from_template(source.streams.video[0]) for _ in range(2)]
        sound = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                packet.stream = sound
                out.mux(packet)
                continue
            for video in videos:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, video
                out.mux(copy)
    with Media(Address.of(str(several)), 1000) as media:
        assert [stream.discard.name for stream in media._container.streams] == ["default", "all", "default"]
        found = list(media.samples())
    assert len(found) == 9 and found[1].sound is not None
