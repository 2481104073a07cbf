"""Turns the pictures and the sound of one room into observations.

Detectors holds what rooms share, the models; RoomDetector holds what one room's stream has shown so far. Both are
deterministic: the same pictures and sounds at the same times give the same observations. Time enters by argument and
does not go back within a room.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vigil.app.probe.observation import DISCONNECTED, LIVE, Observation
from vigil.app.probe.pictures import (
    BLACK_SHARE,
    NOT_BLACK_SHARE,
    SAME_BLOCK,
    Picture,
    black_share,
    block_change,
    shrink,
)

FROZEN_AFTER_MS: Final = 800
"""Time without a change after which a picture is frozen: with a picture a second, from the second one on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """What is looked for; what is not looked for is None in every observation and costs nothing."""

    faces: bool = True
    speech: bool = True


class RoomDetector:
    """What one room's stream shows. Not for use by two threads at once."""

    def __init__(self) -> None:
        self._luma: Picture | None = None
        self._changed_at = 0
        self._black = False

    def see(self, image: Picture, at_ms: int) -> Observation:
        """Return what is known at the time of a picture.

        `image`: BGR, of any size. `at_ms`: its event time in ms, not before that of the picture before.
        """
        luma = shrink(image)
        frozen = self._compare(luma, at_ms)
        self._black = black_share(luma) >= (NOT_BLACK_SHARE if self._black else BLACK_SHARE)
        return Observation(
            at_ms=at_ms,
            stream=LIVE,
            black=self._black,
            frozen=frozen,
            luma_mean=round(float(luma.mean()), 1),
        )

    def hear(self, samples: npt.NDArray[np.float32], at_ms: int) -> None:
        """Take in the sound since the last call.

        `samples`: mono at 16 kHz, -1 to 1. `at_ms`: the event time of its end in ms.
        """

    def disconnected(self, at_ms: int) -> Observation:
        """Return the observation of a stream that sends nothing, and forget what it showed before."""
        self._luma = None
        self._black = False
        return Observation(at_ms=at_ms, stream=DISCONNECTED)

    def _compare(self, luma: Picture, at_ms: int) -> bool | None:
        """Return whether the picture has stopped changing; None for the first picture of its size."""
        before, self._luma = self._luma, luma
        if before is None or before.shape != luma.shape:
            self._changed_at = at_ms
            return None
        if float(block_change(before, luma).max()) >= SAME_BLOCK:
            self._changed_at = at_ms
        return at_ms - self._changed_at >= FROZEN_AFTER_MS


class Detectors:
    """The models, loaded once for all rooms of a process."""

    @classmethod
    def load(cls, options: DetectorOptions | None = None) -> "Detectors":
        """Load the models that the options ask for."""
        return cls()

    def room(self) -> RoomDetector:
        """Return the detector of one more room."""
        return RoomDetector()
