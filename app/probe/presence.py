"""Whether a living face is there, and whether its eyes have stayed closed.

A face on a poster does not move; in a living one the part of the picture between brows and chin changes from second to
second. The measure is taken of coarse cells, where noise cancels out, less their common change, so that neither a
camera's noise nor a light that flickers brings a poster to life, and relative to the face's contrast, so that it means
the same in a dim room. A small change counts only if it is coarser than noise.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from vigil.app.probe.faces import Face
from vigil.app.probe.pictures import Picture

SCORE: Final = 0.6
"""The least score of a face."""

SCORE_AGAIN: Final = 0.5
"""The least score where a face was seen just before, so that it does not flicker."""

SAME_FACE: Final = 0.3
"""The least overlap (intersection over union) of one face in two pictures."""

MIDDLE: Final = 0.7
"""The share of a box's width and height, around its centre, that is face for sure and no background."""

CELLS: Final = 8
"""The face is compared in CELLS × CELLS cells."""

MOVED: Final = 0.012
"""The least mean change of the cells of a face that moves, as a share of the face's contrast (standard deviation).

In five minutes of talking heads the least change from second to second was 0.016.
"""

MUCH: Final = 0.04
"""A change from which on it does not matter whether it looks like noise, which never is that much."""

COARSE: Final = 3.0
"""Standard deviation in pixels of the blur that separates coarse from fine changes."""

MOVEMENT: Final = 0.29
"""The least ratio of coarse to fine changes in a face that moves.

Noise is fine: in photographs before a camera with noise the ratio was 0.25 at most, in talking heads 0.31 at least.
"""

STILL_AFTER_MS: Final = 800
"""Time without movement after which a face is a picture of one: with a picture a second, from the second one on."""

GONE_AFTER_MS: Final = 900
"""Time that a face must have been missed for before it is gone: with a picture a second, two pictures."""

EYES_CLOSED: Final = 0.15
"""Openness below which eyes are closed.

Closed eyes measured 0.12 to 0.17, open ones seldom less than 0.2. In doubt they are open: a host with narrow eyes, or
who looks down at the goods, does not sleep.
"""

CERTAIN_MESH: Final = 0.5
"""The least likelihood that the mesh lies on a face, for its eyes to count."""

SLEEP_MS: Final = 60_000
SLEEP_SHARE: Final = 0.8
"""A host sleeps if in this share of the pictures of the last SLEEP_MS the eyes are closed: nobody blinks that long."""

SLEEP_PICTURES: Final = 30
"""Fewer pictures with measurable eyes than this in SLEEP_MS say nothing."""

AWAKE: Final = 2
"""Pictures in a row with open eyes after which a host is awake."""

EYES_WITHIN_MS: Final = 5000
"""Age in ms up to which the last look at the eyes still says something about now."""

BREATH_MS: Final = 30_000
"""A sleeper moves at least once in this time; a picture of closed eyes does not."""


Place = tuple[float, float]
"""Where something is in a picture, as shares of its width and height from the left and the top."""


class FaceFinder(Protocol):
    """Finds faces; FaceModels does."""

    def find(self, image: Picture) -> list[Face]:
        """Return the faces of a BGR picture, the likeliest first."""
        ...

    def eyes_open(self, image: Picture, face: Face) -> tuple[float, float]:
        """Return the likelihood that this is a face, and how far its eyes are open."""
        ...


@dataclass(slots=True)
class _Track:
    """One face over several pictures."""

    face: Face
    moved_at: int


class PresenceWatch:
    """Watches the faces of one room."""

    def __init__(self, finder: FaceFinder) -> None:
        self._finder = finder
        self._before: Picture | None = None
        self._tracks: list[_Track] = []
        self._missed_since: int | None = None
        self._eyes: deque[tuple[int, bool]] = deque()
        self.living: list[Place] = []
        """The centres of the living faces that are visible; none after GONE_AFTER_MS without a face."""
        self.score = 0.0

    def see(self, image: Picture, luma: Picture, at_ms: int) -> bool:
        """Return whether a living face is visible.

        `image`: BGR. `luma`: the same, shrunk. A face is seen at once and is gone after GONE_AFTER_MS.
        """
        faces = self._finder.find(image)
        self.score = round(faces[0].score, 3) if faces else 0.0
        self._tracks = [track for track in (self._track(face, image, luma, at_ms) for face in faces) if track]
        self._before = luma
        self._look_at_eyes(image, at_ms)
        if self._tracks:
            self._missed_since = None
            alive = [track.face for track in self._tracks if at_ms - track.moved_at < STILL_AFTER_MS]
            self.living = [_centre(face, image) for face in alive]
        elif self._missed_since is None:
            self._missed_since = at_ms
        elif at_ms - self._missed_since >= GONE_AFTER_MS:
            self.living = []
        return bool(self.living)

    def sleeping(self, at_ms: int) -> bool:
        """Return whether the eyes have been closed for so long that the host sleeps."""
        while self._eyes and self._eyes[0][0] <= at_ms - SLEEP_MS:
            self._eyes.popleft()
        if len(self._eyes) < SLEEP_PICTURES or at_ms - self._eyes[0][0] < SLEEP_MS - EYES_WITHIN_MS:
            return False
        if at_ms - self._eyes[-1][0] > EYES_WITHIN_MS or not any(closed for _, closed in list(self._eyes)[-AWAKE:]):
            return False
        return sum(closed for _, closed in self._eyes) >= SLEEP_SHARE * len(self._eyes)

    def forget(self) -> None:
        """Forget what was seen: the stream was interrupted."""
        self._before = None
        self._tracks.clear()
        self._eyes.clear()
        self.living, self._missed_since, self.score = [], None, 0.0

    def _track(self, face: Face, image: Picture, luma: Picture, at_ms: int) -> _Track | None:
        """Return the face with the time it last moved; None if it is too unlikely one."""
        known = max(self._tracks, key=lambda track: track.face.overlap(face), default=None)
        if known is None or known.face.overlap(face) < SAME_FACE:
            return _Track(face, at_ms) if face.score >= SCORE else None
        if face.score < SCORE_AGAIN:
            return None
        return _Track(face, at_ms if self._moved(face, image, luma) else known.moved_at)

    def _moved(self, face: Face, image: Picture, luma: Picture) -> bool:
        """Return whether the middle of a face has changed since the picture before, other than by noise or light."""
        if self._before is None or self._before.shape != luma.shape:
            return True
        rows, columns = _middle(face, luma.shape[1] / image.shape[1])
        now, then = luma[rows, columns].astype(np.float32), self._before[rows, columns].astype(np.float32)
        if now.size == 0:
            return False
        cells = cv2.resize(now - then, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
        change = float(np.abs(cells - cells.mean()).mean()) / max(1.0, float(now.std()))
        if change < MOVED or change >= MUCH:
            return change >= MUCH
        coarse = cv2.GaussianBlur(now - then, (0, 0), COARSE)
        fine = float(np.abs(now - then - coarse).mean())
        return float(np.abs(coarse - coarse.mean()).mean()) >= MOVEMENT * fine

    def _look_at_eyes(self, image: Picture, at_ms: int) -> None:
        """Note whether the eyes of the largest face that breathes are closed."""
        alive = [track.face for track in self._tracks if at_ms - track.moved_at < BREATH_MS]
        if not alive:
            return
        certain, openness = self._finder.eyes_open(image, max(alive, key=lambda face: face.area))
        if certain >= CERTAIN_MESH:
            self._eyes.append((at_ms, openness < EYES_CLOSED))


def _centre(face: Face, image: Picture) -> Place:
    """Return where in a picture the centre of a face is."""
    left, top, right, bottom = face.box
    return (left + right) / 2 / image.shape[1], (top + bottom) / 2 / image.shape[0]


def _middle(face: Face, scale: float) -> tuple[slice, slice]:
    """Return the rows and columns of a face's middle in a picture that is `scale` times as large."""
    left, top, right, bottom = (place * scale for place in face.box)
    margin_x, margin_y = (right - left) * (1 - MIDDLE) / 2, (bottom - top) * (1 - MIDDLE) / 2
    rows = slice(max(0, round(top + margin_y)), max(0, round(bottom - margin_y)))
    return rows, slice(max(0, round(left + margin_x)), max(0, round(right - margin_x)))
