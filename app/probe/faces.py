"""Finds faces in a picture, and how far their eyes are open.

Two of Google's MediaPipe models (`models/README.md`): BlazeFace, full range, which finds faces up to about five metres
away and points at eyes, nose, mouth and ears; and Face Mesh, which lays 468 points over one face. OpenCV runs both, so
that the probe needs no TensorFlow.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vigil.app.probe.pictures import Picture

Floats = npt.NDArray[np.float32]

MODELS: Final = Path(__file__).parent / "models"
DETECTOR_FILE: Final = MODELS / "face_detection_full_range.tflite"
MESH_FILE: Final = MODELS / "face_landmark.tflite"

SIDE: Final = 192
"""Both models see a square of this side."""

STRIDE: Final = 4
"""The detector judges one candidate for each square of this side: the centre of that square is its anchor."""

CANDIDATE_SCORE: Final = 0.3
"""Candidates below this are not looked at."""

OVERLAP: Final = 0.3
"""Two candidates that overlap more than this (intersection over union) are one face, seen twice."""

MESH_MARGIN: Final = 1.5
"""The mesh expects the face's box, enlarged by this, turned so that the eyes are level."""

EYES: Final = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
"""Points of the mesh around each eye: corner, two of the upper lid, corner, two of the lower lid."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture; places are in pixels of that picture."""

    score: float
    """How sure the detector is, 0 to 1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom: from the brows to the chin."""
    eyes: tuple[tuple[float, float], tuple[float, float]]
    """Where the eyes are, or would be if they were not covered: that on the picture's left first."""

    def overlap(self, other: "Face") -> float:
        """Return the intersection over the union of two boxes, 0 to 1."""
        left, top = max(self.box[0], other.box[0]), max(self.box[1], other.box[1])
        right, bottom = min(self.box[2], other.box[2]), min(self.box[3], other.box[3])
        shared = max(0.0, right - left) * max(0.0, bottom - top)
        return shared / (self.area + other.area - shared)

    @property
    def area(self) -> float:
        """The box's area in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


def _sigmoid(values: Floats) -> Floats:
    """Return values between 0 and 1; those beyond ±80 would overflow and change nothing."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))), dtype=np.float32)


class FaceModels:
    """The two models. Threads may share it; they take turns."""

    def __init__(self) -> None:
        """Raise FileNotFoundError if a model's file is missing."""
        for file in (DETECTOR_FILE, MESH_FILE):
            if not file.exists():
                raise FileNotFoundError(f"{file} is missing: install Vigil again")
        self._turn = threading.Lock()
        self._detector = cv2.dnn.readNetFromTFLite(str(DETECTOR_FILE))
        self._mesh = cv2.dnn.readNetFromTFLite(str(MESH_FILE))
        steps = (np.arange(SIDE // STRIDE, dtype=np.float32) + 0.5) * STRIDE
        self._anchors = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)

    def find(self, image: Picture) -> list[Face]:
        """Return the faces of a BGR picture, the likeliest first."""
        height, width = image.shape[:2]
        scale = SIDE / max(height, width)
        small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        square = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        square[: small.shape[0], : small.shape[1]] = small
        places, scores = self._forward(self._detector, square, -1.0)
        if places.shape[-1] == 1:
            places, scores = scores, places
        certain = _sigmoid(scores.reshape(-1))
        found: list[Face] = []
        for index in np.argsort(-certain, kind="stable"):
            if certain[index] < CANDIDATE_SCORE:
                break
            face = self._face(float(certain[index]), places.reshape(-1, 16)[index], index, scale)
            if all(face.overlap(other) <= OVERLAP for other in found):
                found.append(face)
        return found

    def _face(self, score: float, place: Floats, index: int, scale: float) -> Face:
        """Return a candidate as a face: its numbers are offsets from its anchor, in pixels of the square."""
        x, y = self._anchors[index]
        centre_x, centre_y, width, height = (place[0] + x, place[1] + y, place[2], place[3])
        box = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)
        first, second = ((place[i] + x, place[i + 1] + y) for i in (4, 6))
        return Face(
            score,
            (float(box[0] / scale), float(box[1] / scale), float(box[2] / scale), float(box[3] / scale)),
            ((float(first[0] / scale), float(first[1] / scale)), (float(second[0] / scale), float(second[1] / scale))),
        )

    def eyes_open(self, image: Picture, face: Face) -> tuple[float, float]:
        """Return the likelihood that this is a face at all, and how far its eyes are open.

        Openness is the lids' distance divided by the eye's width, of the eye that is further open: about 0.3 for open
        eyes, below 0.15 for closed ones.
        """
        first, mesh = self._forward(self._mesh, _level(image, face), 0.0)
        if first.size > mesh.size:
            first, mesh = mesh, first
        points = mesh.reshape(-1, 3)[:, :2]
        return float(_sigmoid(first.reshape(-1))[0]), max(_openness(points[list(eye)]) for eye in EYES)

    def _forward(self, net: cv2.dnn.Net, square: Picture, lowest: float) -> tuple[Floats, Floats]:
        """Run a model that has two outputs on a BGR square; its input runs from `lowest` to 1."""
        blob = cv2.dnn.blobFromImage(
            square, (1.0 - lowest) / 255, (SIDE, SIDE), (-lowest * 127.5,) * 3 if lowest else (0, 0, 0), swapRB=True
        )
        with self._turn:
            net.setInput(blob)
            one, other = net.forward(net.getUnconnectedOutLayersNames())
        return np.array(one, dtype=np.float32), np.array(other, dtype=np.float32)


def _level(image: Picture, face: Face) -> Picture:
    """Return the square around a face with level eyes, as the mesh expects it."""
    (left_x, left_y), (right_x, right_y) = face.eyes
    angle = float(np.degrees(np.arctan2(right_y - left_y, right_x - left_x)))
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top, 1.0) * MESH_MARGIN
    turn = cv2.getRotationMatrix2D(((left + right) / 2, (top + bottom) / 2), angle, SIDE / side)
    turn[0, 2] += SIDE / 2 - (left + right) / 2
    turn[1, 2] += SIDE / 2 - (top + bottom) / 2
    return np.asarray(cv2.warpAffine(image, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def _openness(eye: Floats) -> float:
    """Return the mean distance of the lids divided by that of the corners; 0 for an eye without width."""
    corner, upper_1, upper_2, other_corner, lower_2, lower_1 = eye
    width = float(np.linalg.norm(corner - other_corner))
    if width == 0:
        return 0.0
    lids = float(np.linalg.norm(upper_1 - lower_1) + np.linalg.norm(upper_2 - lower_2))
    return lids / (2 * width)
