"""What covers the canvas: how much of it is left black, and how much of it is the camera's picture.

A camera never gives the same picture twice; what software draws around it does not change. So the camera is where the
picture varies, if that is one rectangle with straight borders and a living face is in it. A head that moves before a
still wall has no such borders, and a television in the room or a banner that scrolls no face: then nothing is known.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vigil.app.probe.pictures import Picture
from vigil.app.probe.presence import Place

Cells = npt.NDArray[np.bool_]

Rectangle = tuple[int, int, int, int]
"""Top, bottom, left and right in cells; bottom and right are outside of it."""

BAR_LUMA: Final = 16
"""What covers nothing is black up to this brightness; a dark picture has pixels above it."""

BAR_NOISE: Final = 0.01
"""Share of a line's pixels that may be brighter: what the codec blurs into it."""

EDGE: Final = 0.4
EDGE_LINES: Final = 4
"""Beside a bar the picture begins: of one of the next EDGE_LINES lines at least the share EDGE is brighter."""

FLAT_LUMA: Final = 4.0
FLAT_NOISE: Final = 1.5
"""A bar is drawn: of its pixels the mean is at most FLAT_LUMA and the standard deviation at most FLAT_NOISE.

A dark curtain before a camera is brighter or noisier.
"""

FLAT_MARGIN: Final = 4
"""Lines of a bar, beside the picture, into which a codec blurs it: where it is wider, they are not asked to be flat."""

BAR_PICTURES: Final = 2
"""A bar has been black in this many pictures: a dark scene changes."""

CELL: Final = 4
"""Side of the cells, in pixels of the shrunk picture, for each of which it is known whether it varies."""

MEMORY: Final = 10
"""Number of pictures over which variation is collected: with one a second, those of ten seconds."""

LEAST_MEMORY: Final = 8
"""Fewer pictures than this say nothing about what does not change."""

VARIES: Final = 0.3
"""A cell varies if the median of its differences between two pictures reaches this, in levels of 255.

The median, since an encoder touches now and then what does not change, and a camera's noise is always there.
"""

FILLED: Final = 0.82
"""The least share of a window's cells that vary. A disc fills 0.79 of its box, head and shoulders less."""

BORDER: Final = 0.7
"""The least share of the cells of a line that vary for it to belong to the window."""

BLUR: Final = 3
"""Cells around a window over which a codec may blur its border."""

OUTSIDE: Final = 0.1
"""The largest share of the cells a little way outside the window that vary."""

ANOTHER_CANVAS: Final = 0.05
"""If the bars' share changes by more than this, the canvas is another one: what varied before says nothing of it."""

SECOND: Final = 0.02
"""If a second part of the canvas of at least this share varies, it is not known which is the camera."""


class LayoutWatch:
    """Collects over time what one room's canvas shows."""

    def __init__(self) -> None:
        self._pictures: deque[Picture] = deque(maxlen=BAR_PICTURES)
        self._changes: deque[npt.NDArray[np.float32]] = deque(maxlen=MEMORY)
        self._uncovered: float | None = None

    def see(self, luma: Picture) -> None:
        """Take in a shrunk picture; one of another size begins from nothing."""
        if self._pictures and self._pictures[-1].shape != luma.shape:
            self.forget()
        if self._pictures:
            size = (luma.shape[1] // CELL, luma.shape[0] // CELL)
            change = cv2.absdiff(self._pictures[-1], luma).astype(np.float32)
            self._changes.append(np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_AREA), dtype=np.float32))
        self._pictures.append(luma)
        before, self._uncovered = self._uncovered, self._measured_bars()
        if before is not None and self._uncovered is not None and abs(before - self._uncovered) > ANOTHER_CANVAS:
            self._changes.clear()

    def forget(self) -> None:
        """Forget what was seen: the stream was interrupted."""
        self._pictures.clear()
        self._changes.clear()
        self._uncovered = None

    def uncovered_share(self) -> float | None:
        """Return the share of the canvas that bars along its edges cover, 0 to 1; None before BAR_PICTURES pictures."""
        return self._uncovered

    def _measured_bars(self) -> float | None:
        if len(self._pictures) < BAR_PICTURES:
            return None
        brightest = np.max(np.stack(self._pictures), axis=0)
        return round(1 - _covered(brightest) * _covered(brightest.T), 3)

    def camera_share(self, faces: Iterable[Place]) -> float | None:
        """Return the camera's share of the canvas, 0 to 1, to about 0.03.

        `faces`: the centres of the living faces. None if the camera's border cannot be made out, or no face is in it.
        """
        if len(self._changes) < LEAST_MEMORY:
            return None
        varies = _without_specks(np.median(np.stack(self._changes), axis=0) >= VARIES)
        box = _largest(varies)
        window = _window(varies, box) if box else None
        if window is None or not any(_within(window, face, varies) for face in faces):
            return None
        top, bottom, left, right = window
        return round((bottom - top) * (right - left) / float(varies.size), 3)


def _without_specks(varies: Cells) -> Cells:
    """Return the cells without what is smaller than three by three: codecs leave specks near what moves."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    return np.asarray(cv2.morphologyEx(varies.astype(np.uint8), cv2.MORPH_OPEN, kernel), dtype=np.bool_)


def _covered(lines: Picture) -> float:
    """Return the share of a picture's lines that is left between the bars at their beginning and end."""
    lit = (lines > BAR_LUMA).mean(axis=1)
    if not (lit > BAR_NOISE).any():
        return 0.0 if _flat(lines) else 1.0
    return 1 - (_bar(lines, lit) + _bar(lines[::-1], lit[::-1])) / len(lines)


def _bar(lines: Picture, lit: npt.NDArray[np.float64]) -> int:
    """Return how many lines of a picture, from its first one on, are a bar.

    `lit`: the share of each line that is brighter than a bar. Where a dark picture fades into its edge is no bar.
    """
    first = int(np.argmax(lit > BAR_NOISE))
    begins = lit[first : first + EDGE_LINES].max() >= EDGE
    return first if begins and first and _flat(lines[: max(1, first - FLAT_MARGIN)]) else 0


def _flat(lines: Picture) -> bool:
    """Return whether lines are as black and as even as only what is drawn."""
    return float(lines.mean()) <= FLAT_LUMA and float(lines.std()) <= FLAT_NOISE


def _largest(varies: Cells) -> Rectangle | None:
    """Return top, bottom, left and right of the largest connected part; None if there is none, or a second one."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(varies.astype(np.uint8), connectivity=8)
    parts = sorted((tuple(int(n) for n in row) for row in stats[1:]), key=lambda part: -part[cv2.CC_STAT_AREA])
    if not parts or (len(parts) > 1 and parts[1][cv2.CC_STAT_AREA] >= SECOND * varies.size):
        return None
    left, top, width, height, _ = parts[0]
    return top, top + height, left, left + width


def _window(varies: Cells, box: Rectangle) -> Rectangle | None:
    """Return a part's box without what a codec blurs around a window's borders; None if the part is no window.

    A window fills its box, as no head does; nothing varies a little way outside of it.
    """
    top, bottom, left, right = box
    part = varies[top:bottom, left:right]
    if float(part.mean()) < FILLED:
        return None
    (rows,), (columns,) = (np.nonzero(part.mean(axis=axis) >= BORDER) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    inner = top + int(rows[0]), top + int(rows[-1]) + 1, left + int(columns[0]), left + int(columns[-1]) + 1
    if max(abs(one - other) for one, other in zip(inner, box, strict=True)) > BLUR:
        return None
    return inner if _still_around(varies, inner) else None


def _within(window: Rectangle, place: Place, varies: Cells) -> bool:
    """Return whether a place of the canvas lies in a window."""
    top, bottom, left, right = window
    x, y = place[0] * varies.shape[1], place[1] * varies.shape[0]
    return bool(left <= x < right and top <= y < bottom)


def _still_around(varies: Cells, box: Rectangle) -> bool:
    """Return whether nothing varies in the lines a little way outside a box."""
    top, bottom, left, right = box
    rows, columns = varies.shape
    lines = [varies[line, left:right] for line in (top - BLUR - 1, bottom + BLUR) if 0 <= line < rows]
    lines += [varies[top:bottom, line] for line in (left - BLUR - 1, right + BLUR) if 0 <= line < columns]
    return all(float(line.mean()) <= OUTSIDE for line in lines)
