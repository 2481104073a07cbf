"""What covers the canvas: how much of it is left black, and how much of it is the camera's picture.

A camera never gives the same picture twice; what software draws around it does not change. So the camera is where the
picture varies, if that is one rectangle with straight borders. A head that moves before a still wall has none: then
nothing is known.
"""

from collections import deque
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vigil.app.probe.pictures import Picture

Cells = npt.NDArray[np.bool_]

BAR_LUMA: Final = 16
"""What covers nothing is black up to this brightness; a dark picture has pixels above it."""

BAR_NOISE: Final = 0.01
"""Share of a line's pixels that may be brighter: what the codec blurs into it."""

BAR_PICTURES: Final = 2
"""A bar has been black in this many pictures: a dark scene changes."""

CELL: Final = 4
"""Side of the cells, in pixels of the shrunk picture, for each of which it is known whether it varies."""

MEMORY: Final = 15
"""Number of pictures over which variation is collected: with one a second, those of a quarter of a minute."""

LEAST_MEMORY: Final = 8
"""Fewer pictures than this say nothing about what does not change."""

VARIES: Final = 1.0
"""A cell varies if its mean difference between two pictures has reached this, in levels of 255."""

INSIDE: Final = 0.7
"""The least share of the cells along the camera's border, and within it, that vary."""

OUTSIDE: Final = 0.1
"""The largest share of the cells just outside the camera's border that vary."""

SECOND: Final = 0.02
"""If a second part of the canvas of at least this share varies, it is not known which is the camera."""


class LayoutWatch:
    """Collects over time what one room's canvas shows."""

    def __init__(self) -> None:
        self._pictures: deque[Picture] = deque(maxlen=BAR_PICTURES)
        self._changes: deque[npt.NDArray[np.float32]] = deque(maxlen=MEMORY)

    def see(self, luma: Picture) -> None:
        """Take in a shrunk picture; one of another size begins from nothing."""
        if self._pictures and self._pictures[-1].shape != luma.shape:
            self.forget()
        if self._pictures:
            size = (luma.shape[1] // CELL, luma.shape[0] // CELL)
            change = cv2.absdiff(self._pictures[-1], luma).astype(np.float32)
            self._changes.append(np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_AREA), dtype=np.float32))
        self._pictures.append(luma)

    def forget(self) -> None:
        """Forget what was seen: the stream was interrupted."""
        self._pictures.clear()
        self._changes.clear()

    def uncovered_share(self) -> float | None:
        """Return the share of the canvas that bars along its edges cover, 0 to 1; None before BAR_PICTURES pictures."""
        if len(self._pictures) < BAR_PICTURES:
            return None
        bright = np.max(np.stack(self._pictures), axis=0) > BAR_LUMA
        rows, columns = (_covered(bright.mean(axis=axis) > BAR_NOISE) for axis in (1, 0))
        return round(1 - rows * columns, 3)

    def camera_share(self) -> float | None:
        """Return the camera's share of the canvas, 0 to 1, to about 0.03; None if its border cannot be made out."""
        if len(self._changes) < LEAST_MEMORY:
            return None
        varies = np.max(np.stack(self._changes), axis=0) >= VARIES
        box = _largest(varies)
        if box is None or not _is_window(varies, box):
            return None
        top, bottom, left, right = box
        return round((bottom - top) * (right - left) / float(varies.size), 3)


def _covered(lit: Cells) -> float:
    """Return the share of the lines from the first to the last that is lit."""
    (where,) = np.nonzero(lit)
    return float(where[-1] - where[0] + 1) / len(lit) if len(where) else 0.0


def _largest(varies: Cells) -> tuple[int, int, int, int] | None:
    """Return top, bottom, left and right of the largest connected part; None if there is none, or a second one."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(varies.astype(np.uint8), connectivity=8)
    parts = sorted((tuple(int(n) for n in row) for row in stats[1:]), key=lambda part: -part[cv2.CC_STAT_AREA])
    if not parts or (len(parts) > 1 and parts[1][cv2.CC_STAT_AREA] >= SECOND * varies.size):
        return None
    left, top, width, height, _ = parts[0]
    return top, top + height, left, left + width


def _is_window(varies: Cells, box: tuple[int, int, int, int]) -> bool:
    """Return whether a box is a window: it varies throughout, up to straight borders outside of which nothing does."""
    top, bottom, left, right = box
    rows, columns = varies.shape
    if float(varies[top:bottom, left:right].mean()) < INSIDE:
        return False
    inner = (varies[top + 1, left:right], varies[bottom - 2, left:right], varies[top:bottom, left + 1],
             varies[top:bottom, right - 2]) if bottom - top > 2 and right - left > 2 else ()  # fmt: skip
    if not inner or min(float(line.mean()) for line in inner) < INSIDE:
        return False
    outer = [varies[line, left:right] for line in (top - 2, bottom + 1) if 0 <= line < rows]
    outer += [varies[top:bottom, line] for line in (left - 2, right + 1) if 0 <= line < columns]
    return all(float(line.mean()) <= OUTSIDE for line in outer)
