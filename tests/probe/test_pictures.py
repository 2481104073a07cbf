"""What the probe makes of brightness, black and standstill."""

import pytest

from tests.probe.scenes import grey, scene
from vigil.app.probe.detector import Detectors, RoomDetector


@pytest.fixture
def room() -> RoomDetector:
    return Detectors(None, speech=False).room()


def test_brightness_is_the_mean_of_the_picture(room: RoomDetector) -> None:
    assert room.see(grey(100), 0).luma_mean == 100


def test_a_picture_of_which_two_hundredths_are_lit_is_black(room: RoomDetector) -> None:
    image = grey(5)
    image[:4] = 200  # 4 of 240 rows: 1.7 %
    assert room.see(image, 0).black is True


def test_a_picture_of_which_five_hundredths_are_lit_is_not_black(room: RoomDetector) -> None:
    image = grey(5)
    image[:13] = 200
    assert room.see(image, 0).black is False


def test_a_black_picture_stays_black_at_the_limit(room: RoomDetector) -> None:
    image = grey(5)
    room.see(image, 0)
    image[:8] = 200  # 3.3 %: would not begin a black screen, and does not end it
    assert room.see(image, 1000).black is True


def test_a_picture_is_frozen_from_its_first_repetition_after_a_second_on(room: RoomDetector) -> None:
    seen = [room.see(scene(seed), at).frozen for seed, at in ((1, 0), (2, 1000), (2, 2000), (2, 3000), (3, 4000))]
    assert seen == [None, False, True, True, False]


def test_one_small_thing_that_moves_is_no_frozen_picture(room: RoomDetector) -> None:
    room.see(scene(1), 0)
    moved = scene(1)
    moved[100:108, 100:108] = 255
    assert room.see(moved, 1000).frozen is False


def test_the_first_picture_of_another_size_is_compared_with_nothing(room: RoomDetector) -> None:
    room.see(scene(1), 0)
    assert room.see(scene(1, height=480), 1000).frozen is None


def test_a_stream_that_sends_nothing_is_disconnected_and_not_black(room: RoomDetector) -> None:
    room.see(grey(0), 0)
    gone = room.disconnected(1000)
    assert (gone.stream, gone.black, gone.frozen, gone.face) == ("disconnected", None, None, None)
    assert room.see(grey(0), 2000).frozen is None
