"""What covers the canvas: bars, and the camera's window."""

import numpy as np
import pytest

from tests.probe.scenes import noisy, scene
from tests.probe.test_presence import GivenFaces, face
from vigil.app.probe.detector import Detectors, RoomDetector
from vigil.app.probe.observation import Observation
from vigil.app.probe.pictures import Picture


@pytest.fixture
def finder() -> GivenFaces:
    """There is a face around the middle of the picture."""
    return GivenFaces([face()])


@pytest.fixture
def room(finder: GivenFaces) -> RoomDetector:
    return Detectors(finder, speech=False).room()


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


def windowed(rows: slice, columns: slice) -> list[Picture]:
    """A window that moves in a canvas that does not."""
    pictures = []
    for n in range(20):
        picture = scene(2)
        picture[rows, columns] = noisy(np.roll(scene(1), 3 * n, axis=1), n)[rows, columns]
        pictures.append(picture)
    return pictures


WINDOW = slice(80, 200), slice(160, 280)
IN_WINDOW = (200.0, 110.0, 240.0, 160.0)


def test_the_camera_s_window_is_where_the_canvas_varies(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = [face(box=IN_WINDOW)]
    assert last(room, windowed(*WINDOW)).camera_share == pytest.approx(120 * 120 / (240 * 320), abs=0.02)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(40, 124), slice(180, 264)), (slice(200, 240), slice(0, 320))],
    ids=["a television in a room", "a banner that scrolls"],
)
def test_what_varies_without_a_face_is_no_camera(
    room: RoomDetector, finder: GivenFaces, rows: slice, columns: slice
) -> None:
    pictures = windowed(rows, columns)
    finder.faces = []
    assert {room.see(picture, n * 1000).camera_share for n, picture in enumerate(pictures)} == {None}


def test_a_window_that_the_host_is_not_in_is_no_camera(room: RoomDetector, finder: GivenFaces) -> None:
    """The codec has removed all of the noise around the host, whose face moves little."""
    finder.faces = [face(box=(40.0, 100.0, 80.0, 150.0))]
    pictures = windowed(slice(40, 124), slice(180, 264))
    for n, picture in enumerate(pictures):
        picture[120:130, 55:65] = 40 + 20 * (n % 2)
    seen = last(room, pictures)
    assert (seen.face, seen.camera_share) == (True, None)


def test_a_window_with_a_picture_of_a_face_is_no_camera(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = [face(box=IN_WINDOW)]
    pictures = windowed(*WINDOW)
    for picture in pictures:
        picture[114:156, 203:237] = scene(3)[114:156, 203:237]
    seen = last(room, pictures)
    assert (seen.face, seen.camera_share) == (False, None)


@pytest.mark.parametrize(
    ("x", "y", "known"), [(164, 140, True), (150, 140, False), (276, 140, True), (290, 140, False), (220, 84, True),
                          (220, 70, False), (220, 196, True), (220, 210, False)]
)  # fmt: skip
def test_the_centre_of_the_face_is_in_the_window(
    room: RoomDetector, finder: GivenFaces, x: int, y: int, known: bool
) -> None:
    finder.faces = [face(box=(x - 30.0, y - 30.0, x + 30.0, y + 30.0))]
    assert (last(room, windowed(*WINDOW)).camera_share is not None) is known


def test_of_several_faces_one_in_the_window_will_do(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = [face(box=(20.0, 20.0, 60.0, 60.0)), face(box=IN_WINDOW)]
    assert last(room, windowed(*WINDOW)).camera_share is not None


def test_a_face_is_sought_in_a_picture_that_is_not_shrunk_yet(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = [face(box=(400.0, 220.0, 480.0, 320.0))]
    large = [picture.repeat(2, axis=0).repeat(2, axis=1) for picture in windowed(*WINDOW)]
    assert last(room, large).camera_share is not None


def test_a_room_without_faces_knows_no_camera() -> None:
    room = Detectors(None, speech=False).room()
    assert {room.see(picture, n * 1000).camera_share for n, picture in enumerate(windowed(*WINDOW))} == {None}


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


def test_of_a_black_picture_nothing_is_known_of_the_layout(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = []
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
    picture = np.where(dots[..., None], 200, 2).astype(np.uint8).repeat(3, axis=2)
    assert last(room, [picture, picture]).uncovered_share == pytest.approx(uncovered, abs=0.005)


@pytest.mark.parametrize(("luma", "uncovered"), [(4, 0.15), (5, 0.0)])
def test_a_bar_is_as_black_as_video_can_be(room: RoomDetector, luma: int, uncovered: float) -> None:
    pictures = boxed(top=36)
    for picture in pictures:
        picture[:36] = luma
    assert last(room, pictures).uncovered_share == pytest.approx(uncovered, abs=0.01)


def test_a_dark_curtain_at_the_edge_is_no_bar(room: RoomDetector) -> None:
    """Even, and as dark as a bar may be; and noisier than one."""
    for luma, noise in ((7.0, 2.0), (7.0, 0.0), (2.0, 3.0)):
        pictures = boxed(left=13)
        for n, picture in enumerate(pictures):
            curtain = np.random.default_rng(n).normal(luma, noise, (240, 13, 1))
            picture[:, :13] = np.clip(curtain, 0, 255).round()
        assert last(room, pictures).uncovered_share == 0, (luma, noise)


def test_of_two_dark_edges_the_bar_counts_and_the_curtain_does_not(room: RoomDetector) -> None:
    pictures = boxed(left=32, right=288)
    for picture in pictures:
        picture[:, 288:] = 7
    assert last(room, pictures).uncovered_share == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("width", [1, 4, 5, 12])
def test_what_a_codec_blurs_into_a_bar_does_not_hide_it(room: RoomDetector, width: int) -> None:
    """The four lines beside the picture are as bright as a bar may be, but for the outermost line of a thin one."""
    pictures = boxed(top=width)
    for picture in pictures:
        picture[max(1, width - 4) : width] = 16
    assert last(room, pictures).uncovered_share == pytest.approx(width / 240, abs=0.001)


def test_a_dark_room_with_a_face_is_not_uncovered(room: RoomDetector) -> None:
    dark = [(picture // 20).astype(np.uint8) for picture in boxed()]  # 2 to 10: nowhere brighter than a bar
    seen = last(room, dark)
    assert (seen.black, seen.uncovered_share) == (False, 0)


def test_a_small_ball_that_moves_is_no_window(room: RoomDetector) -> None:
    rows, columns = np.mgrid[0:240, 0:320]
    ball = (rows - 120) ** 2 + (columns - 160) ** 2 < 26**2
    pictures = [np.where(ball[..., None], noisy(scene(1), n, 20), scene(2)).astype(np.uint8) for n in range(20)]
    assert last(room, pictures).camera_share is None
