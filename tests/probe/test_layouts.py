"""What covers the canvas: bars, and the camera's window."""

import numpy as np
import pytest

from tests.probe.scenes import noisy, scene
from vigil.app.probe.detector import Detectors, RoomDetector
from vigil.app.probe.observation import Observation
from vigil.app.probe.pictures import Picture


@pytest.fixture
def room() -> RoomDetector:
    return Detectors(None, speech=False).room()


def last(room: RoomDetector, pictures: list[Picture]) -> Observation:
    return [room.see(picture, n * 1000) for n, picture in enumerate(pictures)][-1]


def boxed(top: int = 0, bottom: int = 240, left: int = 0, right: int = 320) -> list[Picture]:
    """A scene that moves within a black canvas."""
    pictures = []
    for n in range(20):
        picture = np.zeros((240, 320, 3), dtype=np.uint8)
        picture[top:bottom, left:right] = np.roll(scene(1), 3 * n, axis=1)[top:bottom, left:right]
        pictures.append(picture)
    return pictures


def test_a_picture_without_bars_covers_all(room: RoomDetector) -> None:
    assert last(room, boxed()).uncovered_share == 0


def test_bars_above_and_below_are_uncovered(room: RoomDetector) -> None:
    assert last(room, boxed(top=36, bottom=204)).uncovered_share == pytest.approx(0.3, abs=0.01)


def test_bars_all_around_are_uncovered(room: RoomDetector) -> None:
    assert last(room, boxed(24, 216, 32, 288)).uncovered_share == pytest.approx(1 - 0.8 * 0.8, abs=0.01)


def test_a_bar_is_known_from_the_second_picture_on(room: RoomDetector) -> None:
    seen = [room.see(picture, n * 1000).uncovered_share for n, picture in enumerate(boxed(top=36)[:2])]
    assert seen == [None, pytest.approx(0.15, abs=0.01)]


def test_a_dark_edge_that_changes_is_no_bar(room: RoomDetector) -> None:
    pictures = boxed(top=36)
    pictures[-2] = boxed()[-2]
    assert last(room, pictures).uncovered_share == 0


def test_a_dark_edge_with_detail_is_no_bar(room: RoomDetector) -> None:
    dim = [(picture // 4).astype(np.uint8) for picture in boxed()]  # 10 to 55: as dark as a bar, in places
    assert last(room, dim).uncovered_share == 0


def test_the_camera_s_window_is_where_the_canvas_varies(room: RoomDetector) -> None:
    pictures = []
    for n in range(20):
        picture = scene(2)
        picture[80:200, 160:280] = noisy(np.roll(scene(1), 3 * n, axis=1), n)[80:200, 160:280]
        pictures.append(picture)
    assert last(room, pictures).camera_share == pytest.approx(120 * 120 / (240 * 320), abs=0.02)


def test_a_camera_that_fills_the_canvas_has_all_of_it(room: RoomDetector) -> None:
    assert last(room, [noisy(np.roll(scene(1), 3 * n, axis=1), n) for n in range(20)]).camera_share == 1


def test_where_bars_come_and_go_the_camera_is_not_where_it_was_before(room: RoomDetector) -> None:
    """Eight seconds of the camera in the middle third, before and after them on all of the canvas."""
    camera = [noisy(np.roll(scene(1), 3 * n, axis=1), n) for n in range(40)]
    narrow = [np.zeros_like(picture) for picture in camera[10:18]]
    for bars, picture in zip(narrow, camera[10:18], strict=True):
        bars[:, 108:212] = picture[:, 108:212]
    pictures = [*camera[:10], *narrow, *camera[18:]]
    seen = [room.see(picture, n * 1000) for n, picture in enumerate(pictures)]
    assert {one.camera_share for one in seen[8:10]} == {1.0}
    assert [one.camera_share for one in seen if one.uncovered_share] == [None] * 7, "all of a canvas with bars?"
    assert {one.camera_share for one in seen[18:]} == {None, 1.0}


def test_a_head_that_moves_before_a_still_wall_is_no_window(room: RoomDetector) -> None:
    rows, columns = np.mgrid[0:240, 0:320]
    pictures = []
    for n in range(20):
        head = (rows - 120) ** 2 + (columns - 160 - 3 * (n % 3)) ** 2 < 60**2
        pictures.append(np.where(head[..., None], np.roll(scene(1), 3 * n, axis=1), scene(2)).astype(np.uint8))
    assert last(room, pictures).camera_share is None


def test_two_parts_that_vary_do_not_show_which_is_the_camera(room: RoomDetector) -> None:
    pictures = []
    for n in range(20):
        picture = scene(2)
        for left in (20, 180):
            picture[60:180, left : left + 100] = np.roll(scene(1), 3 * n, axis=1)[60:180, left : left + 100]
        pictures.append(picture)
    assert last(room, pictures).camera_share is None


def test_a_canvas_that_does_not_vary_shows_no_camera(room: RoomDetector) -> None:
    assert last(room, [scene(1)] * 20).camera_share is None


def test_of_a_black_picture_nothing_is_known_of_the_layout(room: RoomDetector) -> None:
    seen = last(room, [np.zeros((240, 320, 3), dtype=np.uint8)] * 20)
    assert (seen.black, seen.uncovered_share, seen.camera_share) == (True, None, None)


def test_another_size_begins_from_nothing(room: RoomDetector) -> None:
    last(room, boxed(top=36))
    assert room.see(scene(1, height=480), 20_000).uncovered_share is None


@pytest.mark.parametrize(("lit", "uncovered"), [(0.3, 0.0), (0.6, 0.1)])
def test_a_bar_ends_where_the_picture_begins_and_not_where_a_dark_one_fades(
    room: RoomDetector, lit: float, uncovered: float
) -> None:
    dots = np.random.default_rng(1).random((240, 320)) < lit
    dots[:, :32] = False
    picture = np.where(dots[..., None], 200, 5).astype(np.uint8).repeat(3, axis=2)
    assert last(room, [picture, picture]).uncovered_share == pytest.approx(uncovered, abs=0.005)


@pytest.mark.parametrize(("luma", "uncovered"), [(16, 0.15), (17, 0.0)])
def test_a_bar_is_as_black_as_video_can_be(room: RoomDetector, luma: int, uncovered: float) -> None:
    pictures = boxed(top=36)
    for picture in pictures:
        picture[:36] = luma
    assert last(room, pictures).uncovered_share == pytest.approx(uncovered, abs=0.01)


def test_a_small_ball_that_moves_is_no_window(room: RoomDetector) -> None:
    rows, columns = np.mgrid[0:240, 0:320]
    ball = (rows - 120) ** 2 + (columns - 160) ** 2 < 26**2
    pictures = [np.where(ball[..., None], noisy(scene(1), n, 20), scene(2)).astype(np.uint8) for n in range(20)]
    assert last(room, pictures).camera_share is None
