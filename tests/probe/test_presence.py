"""Whether a living face is there: faces are given, the pictures under them decide."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.probe.scenes import grey, noisy, scene
from vigil.app.probe.detector import Detectors, RoomDetector
from vigil.app.probe.faces import Face
from vigil.app.probe.pictures import Picture
from vigil.app.probe.sounds import RATE

BOX = (100.0, 60.0, 200.0, 180.0)
SECOND = 1000


@dataclass
class GivenFaces:
    """A finder that finds what it is given."""

    faces: list[Face] = field(default_factory=list)
    openness: float = 0.3
    certain: float = 1.0

    def find(self, image: Picture) -> list[Face]:
        return self.faces

    def eyes_open(self, image: Picture, face: Face) -> tuple[float, float]:
        return self.certain, self.openness


def face(score: float = 0.9, box: tuple[float, float, float, float] = BOX) -> Face:
    return Face(score, box, ((130.0, 100.0), (170.0, 100.0)))


def living(number: int) -> Picture:
    """A scene whose middle moves with the number."""
    return np.roll(scene(1), 5 * number, axis=1)


@pytest.fixture
def finder() -> GivenFaces:
    return GivenFaces([face()])


@pytest.fixture
def room(finder: GivenFaces) -> RoomDetector:
    return Detectors(finder, speech=False).room()


def test_a_face_is_seen_at_once_and_stays_while_it_moves(room: RoomDetector) -> None:
    assert [room.see(living(n), n * SECOND).face for n in range(5)] == [True] * 5


def test_a_face_that_does_not_change_is_a_photograph_even_before_a_noisy_camera(room: RoomDetector) -> None:
    seen = [room.see(noisy(scene(1), n), n * SECOND).face for n in range(4)]
    assert seen == [True, False, False, False]


def test_a_photograph_under_a_light_that_flickers_does_not_live(room: RoomDetector) -> None:
    seen = [room.see((scene(1) // 2 + 10 * (n % 2)).astype(np.uint8), n * SECOND).face for n in range(4)]
    assert seen == [True, False, False, False]


def test_a_photograph_before_a_scene_that_moves_does_not_live(room: RoomDetector) -> None:
    def picture(number: int) -> Picture:
        image = living(number)
        image[60:180, 100:200] = scene(2)[60:180, 100:200]
        return image

    assert [room.see(picture(n), n * SECOND).face for n in range(3)] == [True, False, False]


def test_a_face_that_moves_again_is_seen_again(room: RoomDetector) -> None:
    pictures = [scene(1), scene(1), living(1)]
    assert [room.see(image, n * SECOND).face for n, image in enumerate(pictures)] == [True, False, True]


def test_a_face_missed_in_one_picture_is_still_there_and_in_two_it_is_gone(
    room: RoomDetector, finder: GivenFaces
) -> None:
    room.see(living(0), 0)
    finder.faces = []
    assert [room.see(living(n), n * SECOND).face for n in (1, 2, 3)] == [True, False, False]


def test_a_candidate_below_the_score_is_no_face(room: RoomDetector, finder: GivenFaces) -> None:
    finder.faces = [face(0.59)]
    first = room.see(living(0), 0)
    assert (first.face, first.face_score) == (False, 0.59)


def test_a_known_face_may_score_lower(room: RoomDetector, finder: GivenFaces) -> None:
    room.see(living(0), 0)
    finder.faces = [face(0.5)]
    assert [room.see(living(n), n * SECOND).face for n in (1, 2, 3)] == [True, True, True]


def test_a_dark_picture_with_a_face_is_not_black(room: RoomDetector, finder: GivenFaces) -> None:
    assert room.see(grey(10), 0).black is False
    finder.faces = []
    room.see(grey(10), SECOND)
    assert room.see(grey(10), 2 * SECOND).black is True


def test_a_host_whose_eyes_are_closed_for_a_minute_sleeps(room: RoomDetector, finder: GivenFaces) -> None:
    finder.openness = 0.1
    seen = [room.see(living(n), n * SECOND).activity for n in range(60)]
    assert (seen[:55], seen[55:]) == ([None] * 55, ["sleeping"] * 5)


@pytest.mark.parametrize(("talks_until", "sleeps_from"), [(0, 55), (20, 80), (90, 150)])
def test_who_has_talked_within_a_minute_does_not_sleep(finder: GivenFaces, talks_until: int, sleeps_from: int) -> None:
    """A host who looks down at the goods talks; a sleeper does not."""
    finder.openness = 0.1
    room = RoomDetector(finder, lambda chunk: float(np.abs(chunk).max()))
    seen = []
    for n in range(160):
        room.hear(np.full(RATE, 0.9 if n < talks_until else 0.0, dtype=np.float32), n * SECOND)
        seen.append(room.see(living(n), n * SECOND).activity)
    assert seen == [None] * sleeps_from + ["sleeping"] * (160 - sleeps_from)


def test_where_speech_is_not_looked_for_closed_eyes_alone_are_sleep(finder: GivenFaces) -> None:
    finder.openness = 0.1
    room = RoomDetector(finder, None)
    seen = []
    for n in range(60):
        room.hear(np.full(RATE, 0.9, dtype=np.float32), n * SECOND)
        seen.append(room.see(living(n), n * SECOND).activity)
    assert seen[-1] == "sleeping"


def test_a_host_who_blinks_does_not_sleep(room: RoomDetector, finder: GivenFaces) -> None:
    for n in range(120):
        finder.openness = 0.1 if n % 4 else 0.3  # closed in three of four pictures
        assert room.see(living(n), n * SECOND).activity is None


def test_a_photograph_of_closed_eyes_does_not_sleep(room: RoomDetector, finder: GivenFaces) -> None:
    finder.openness = 0.1
    assert {room.see(noisy(scene(1), n), n * SECOND).activity for n in range(120)} == {None}


def test_eyes_that_the_mesh_is_not_sure_of_do_not_count(room: RoomDetector, finder: GivenFaces) -> None:
    finder.openness, finder.certain = 0.1, 0.4
    assert {room.see(living(n), n * SECOND).activity for n in range(120)} == {None}


def test_a_room_without_a_finder_measures_no_face() -> None:
    seen = Detectors(None, speech=False).room().see(scene(1), 0)
    assert (seen.face, seen.face_score, seen.activity) == (None, None, None)


@pytest.mark.parametrize(("openness", "activity"), [(0.149, "sleeping"), (0.15, None)])
def test_eyes_are_closed_below_the_limit(
    room: RoomDetector, finder: GivenFaces, openness: float, activity: str | None
) -> None:
    finder.openness, finder.certain = openness, 0.5
    assert [room.see(living(n), n * SECOND).activity for n in range(60)][-1] == activity


def test_a_host_is_awake_after_two_pictures_with_open_eyes(room: RoomDetector, finder: GivenFaces) -> None:
    finder.openness = 0.1
    for n in range(60):
        room.see(living(n), n * SECOND)
    finder.openness = 0.3
    assert [room.see(living(n), n * SECOND).activity for n in (60, 61)] == ["sleeping", None]


def test_a_sleeper_moves_twice_a_minute(room: RoomDetector, finder: GivenFaces) -> None:
    finder.openness = 0.1
    assert [room.see(noisy(living(n // 29), n), n * SECOND).activity for n in range(60)][-1] == "sleeping"


def test_a_face_below_the_lower_score_is_missed(room: RoomDetector, finder: GivenFaces) -> None:
    room.see(living(0), 0)
    finder.faces = [face(0.49)]
    assert [room.see(living(n), n * SECOND).face for n in (1, 2)] == [True, False]


def test_half_a_second_says_nothing_about_a_face(room: RoomDetector, finder: GivenFaces) -> None:
    room.see(scene(1), 0)
    assert [room.see(scene(1), at).face for at in (700, 1000)] == [True, False]
    room.see(living(1), 2000)
    finder.faces = []
    assert [room.see(living(1), at).face for at in (3000, 3700, 4000)] == [True, True, False]


@pytest.mark.parametrize(("levels", "alive"), [(2, False), (3, True)])
def test_a_movement_is_more_than_a_hundredth_of_the_contrast(room: RoomDetector, levels: int, alive: bool) -> None:
    board = np.where(np.indices((240, 320)).sum(axis=0) // 16 % 2, 230, 20).astype(np.uint8)  # deviation 105
    moved = board.copy()
    moved[:, 150:] += np.uint8(levels)  # half of the face: 1.0 % or 1.4 % of its contrast
    room.see(np.stack([board] * 3, axis=-1), 0)
    assert room.see(np.stack([moved] * 3, axis=-1), SECOND).face is alive


def test_strong_noise_is_too_fine_for_a_movement(room: RoomDetector) -> None:
    seen = [room.see(noisy(scene(1), n, 12.0), n * SECOND).face for n in range(6)]
    assert seen == [True] + [False] * 5
