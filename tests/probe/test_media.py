"""Files are read as detectors want them: small pictures about a second apart, and the sound between them."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.camera import HEIGHT, WIDTH, write_clip
from vigil.app.probe.addresses import Address
from vigil.app.probe.media import Media, MediaSample, ShownBefore, SourceLostError
from vigil.app.probe.sound import RATE_HZ


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
