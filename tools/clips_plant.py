"""Plants faults into clips, and says when: the truth that `tools/clips.py measure` compares the probe with.

A scenario is a clip, repeated, at RATE pictures a second with one fault after the other and the untouched clip between
them. It is encoded (H.264, AAC) with one key picture a second, as streaming platforms ask for, so that the probe sees
what a codec leaves of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, cycle
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt

from vigil.app.probe.faces import Face

Picture = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture's width and height."""

RATE: Final = 10
"""Pictures a second."""

SOUND_RATE: Final = 16_000

LEAD_S: Final = 8.7
"""Seconds of the untouched clip before each fault and after the last; faults begin at any time between key pictures."""

NOISE: Final = 2.0
"""Standard deviation of a planted camera's noise, in levels of 255."""


@dataclass(frozen=True)
class PlantedFault:
    """What was planted, and when, in seconds of the scenario."""

    kind: str
    since_s: float
    until_s: float


Planter = Callable[[Picture, int], Picture]
"""Returns the picture with the fault; it is given the number of the picture within the fault."""


def noisy(picture: Picture, number: int) -> Picture:
    """Return a picture as a camera would send it: with noise, which depends on the number only."""
    noise = np.random.default_rng(number).normal(0, NOISE, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def black(picture: Picture, number: int) -> Picture:
    """A black picture."""
    return np.zeros_like(picture)


class Freeze:
    """The first picture of the fault, again and again."""

    def __init__(self) -> None:
        self._first: Picture | None = None

    def __call__(self, picture: Picture, number: int) -> Picture:
        if number == 0 or self._first is None:
            self._first = picture.copy()
        return self._first


class Photograph(Freeze):
    """A camera films a photograph: the first picture of the fault, with noise."""

    def __call__(self, picture: Picture, number: int) -> Picture:
        return noisy(super().__call__(picture, number), number)


def pixels(box: Box, picture: Picture) -> tuple[slice, slice]:
    """Return the rows and columns of a box."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box
    return slice(int(top * height), int(bottom * height)), slice(int(left * width), int(right * width))


BOARD: Final = (120, 150, 160)
"""The colour of what covers a face."""


@dataclass(frozen=True)
class FaceBoard:
    """A board before the whole head."""

    box: Box

    def __call__(self, picture: Picture, number: int) -> Picture:
        covered = picture.copy()
        rows, columns = pixels(self.box, picture)
        covered[rows, columns] = BOARD
        return covered


FindFaces = Callable[[Picture], list[Face]]

Part = Callable[[Face], tuple[float, float, float, float]]
"""Returns left, top, right and bottom of a part of a face, in pixels."""


def whole_face(face: Face) -> tuple[float, float, float, float]:
    """From the brows to the chin."""
    return face.box


def mouth(face: Face) -> tuple[float, float, float, float]:
    """What a surgical mask covers."""
    left, top, right, bottom = face.box
    height = bottom - top
    return left, top + 0.58 * height, right, bottom + 0.1 * height


def eyes(face: Face) -> tuple[float, float, float, float]:
    """What large sunglasses cover."""
    left, top, right, bottom = face.box
    margin, middle = 0.13 * (bottom - top), (face.eyes[0][1] + face.eyes[1][1]) / 2
    return left - 5, middle - margin, right + 5, middle + margin


class FacePart:
    """Something of one colour that covers a part of the face and moves with it."""

    def __init__(self, find: FindFaces, part: Part) -> None:
        """`find`: finds the face in the picture that is not covered yet."""
        self._find, self._part = find, part
        self._face: Face | None = None

    def __call__(self, picture: Picture, number: int) -> Picture:
        self._face = next(iter(self._find(picture)), self._face)
        covered = picture.copy()
        if self._face is not None:
            left, top, right, bottom = (max(0, int(place)) for place in self._part(self._face))
            covered[top:bottom, left:right] = BOARD
        return covered


class Poster:
    """A still face on a moving scene that shows no face."""

    def __init__(self, box: Box, scene: Iterator[Picture]) -> None:
        """`box`: the face in the clip. `scene`: pictures without faces."""
        self._box, self._scene = box, scene
        self._face: Picture | None = None

    def __call__(self, picture: Picture, number: int) -> Picture:
        rows, columns = pixels(self._box, picture)
        if number == 0 or self._face is None:
            self._face = picture[rows, columns].copy()
        height, width = picture.shape[:2]
        scene = cv2.resize(next(self._scene), (width, height), interpolation=cv2.INTER_AREA)
        top, left = (height - self._face.shape[0]) // 2, (width - self._face.shape[1]) // 2
        scene[top : top + self._face.shape[0], left : left + self._face.shape[1]] = self._face
        return noisy(np.asarray(scene, dtype=np.uint8), number)


def placed(picture: Picture, canvas: Picture, box: Box) -> Picture:
    """Return the canvas with the picture within a box."""
    whole = canvas.copy()
    rows, columns = pixels(box, canvas)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    whole[rows, columns] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return whole


LETTERBOX: Final[Box] = (0.0, 0.15, 1.0, 0.85)
"""Where the picture is while it is letterboxed."""

WINDOW: Final[Box] = (0.55, 0.3, 0.95, 0.8)
"""Where the camera is while it is only a window of the canvas: a fifth of it."""


def letterbox(picture: Picture, number: int) -> Picture:
    """The picture between two black bars."""
    return placed(picture, np.zeros_like(picture), LETTERBOX)


def window(picture: Picture, number: int) -> Picture:
    """The camera in a window of a drawn canvas."""
    height, width = picture.shape[:2]
    across = np.linspace(60, 200, width, dtype=np.uint8)
    canvas = np.stack((np.tile(across, (height, 1)), np.full((height, width), 140, np.uint8),
                       np.tile(across[::-1], (height, 1))), axis=-1)  # fmt: skip
    cv2.putText(
        canvas, "SALE 50%", (width // 20, height // 5), cv2.FONT_HERSHEY_SIMPLEX, height / 200, (255, 255, 255), 2
    )
    return placed(noisy(picture, number), np.asarray(canvas, dtype=np.uint8), WINDOW)


def plant(
    pictures: list[Picture], planters: list[tuple[str, int, Planter]]
) -> tuple[Iterator[Picture | None], list[PlantedFault]]:
    """Return the pictures of a scenario and what is planted in it.

    `planters`: kind, seconds and planter of each fault in their order. A picture of the kind `disconnected` is None:
    nothing is sent.
    """
    faults: list[PlantedFault] = []
    begins = 0.0
    for kind, lasts_s, _ in planters:
        begins = round(begins + LEAD_S, 1)
        faults.append(PlantedFault(kind, begins, begins + lasts_s))
        begins += lasts_s

    def run() -> Iterator[Picture | None]:
        source = cycle(pictures)
        for kind, lasts_s, planter in planters:
            for _ in range(round(LEAD_S * RATE)):
                yield next(source)
            for number in range(lasts_s * RATE):
                picture = planter(next(source), number)
                yield None if kind == "disconnected" else picture
        for _ in range(round(LEAD_S * RATE)):
            yield next(source)

    return run(), faults


def encode(file: Path, pictures: Iterator[Picture | None], sound: Samples | None = None) -> None:
    """Write pictures (RATE a second; None leaves a gap) and sound (mono, SOUND_RATE) to a file."""
    first = next(pictures)
    if first is None:
        raise ValueError("a scenario begins with a picture")
    temporary = file.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as output:
        stream = output.add_stream("libx264", rate=RATE)
        stream.height, stream.width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "24", "g": str(RATE), "sc_threshold": "0", "bf": "0"}
        heard = output.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound is not None else None
        for number, picture in enumerate(chain((first,), pictures)):
            if picture is None:
                continue
            frame = av.VideoFrame.from_ndarray(picture[: stream.height, : stream.width], format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if heard is not None and sound is not None:
            for begins in range(0, len(sound), 1024):
                part = np.ascontiguousarray(sound[None, begins : begins + 1024])
                samples = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = SOUND_RATE, begins, Fraction(1, SOUND_RATE)
                output.mux(heard.encode(samples))
            output.mux(heard.encode(None))
    temporary.replace(file)
