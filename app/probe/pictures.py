"""What a single picture shows: brightness and black; and whether it differs from the one before."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""Height × width × 3 (BGR) or height × width (brightness)."""

WIDTH: Final = 320
"""Greatest width in pixels at which pictures are compared. Details below it are lost, and so is the codec's noise."""

BLOCK: Final = 8
"""Side of a block in pixels, at WIDTH."""

BLACK_LUMA: Final = 32
"""A pixel up to this brightness is black: decoders map video's black to 0, and encoders blur around it."""

BLACK_SHARE: Final = 0.98
"""A picture is black if at least this share of it is; a logo or a clock in a corner does not make it a picture."""

NOT_BLACK_SHARE: Final = 0.95
"""A black picture stays black until less than this share of it is, so that it does not flicker at the limit."""

STILL_SAME_BLOCK: Final = 4.0
"""A picture that was frozen still is up to this: encoders refine what does not change."""

SAME_BLOCK: Final = 0.5
"""Two pictures are the same if no block's mean difference reaches this, in levels of 255: a camera's noise does."""


def shrink(image: Picture) -> Picture:
    """Return the brightness of a BGR picture, at most WIDTH pixels wide, and a whole number of blocks wide and high."""
    height, width = image.shape[:2]
    columns = max(1, min(WIDTH, width) // BLOCK) * BLOCK
    rows = max(1, round(height * columns / (width * BLOCK))) * BLOCK
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def blocks(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of each block."""
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float32)


def block_change(before: Picture, after: Picture) -> npt.NDArray[np.float32]:
    """Return each block's mean difference between two pictures of one size, in levels of 255."""
    return blocks(cv2.absdiff(before, after).astype(np.float32))


def black_share(luma: Picture) -> float:
    """Return the share of the picture that is black, 0 to 1."""
    return float(np.count_nonzero(luma <= BLACK_LUMA)) / luma.size
