"""The sound of a stream, as detectors take it: mono, 16 kHz, 32-bit floats."""

from typing import Any, Final

import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from vigil.app.probe.source_lost import source_lost

Samples = NDArray[np.float32]

RATE_HZ: Final = 16_000
MOST_S: Final = 5
"""Seconds of sound that are kept while no picture is taken: older sound is dropped."""


class SoundBuffer:
    """Collects the sound between two pictures."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        """Of the sound that the resampler takes: format, channels, samples a second."""
        self._parts: list[Samples] = []
        self._length = 0

    def add(self, frame: AudioFrame) -> None:
        """Add a decoded piece of sound; raise SourceLostError where PyAV cannot convert it."""
        frame.pts = None  # a gap in the time stamps is no sound
        for converted in self._converted(frame):
            part = np.asarray(converted.reshape(-1), dtype=np.float32)
            self._parts.append(part)
            self._length += len(part)
        while self._length > MOST_S * RATE_HZ and len(self._parts) > 1:
            self._length -= len(self._parts.pop(0))

    def _converted(self, frame: AudioFrame) -> list[NDArray[Any]]:
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or form != self._form:
            # A resampler takes one form only, and sound changes its own: at an advertisement, with another encoder.
            self._resampler, self._form = AudioResampler(format="flt", layout="mono", rate=RATE_HZ), form
        with source_lost():
            return [resampled.to_ndarray() for resampled in self._resampler.resample(frame)]

    def take(self) -> Samples | None:
        """Return what was collected, and begin again; None if there was no sound."""
        if not self._parts:
            return None
        samples = np.concatenate(self._parts)
        self._parts, self._length = [], 0
        return samples


def joined(first: Samples | None, second: Samples | None) -> Samples | None:
    """Return two pieces of sound as one, of which the last MOST_S seconds are kept."""
    if first is None or second is None:
        return second if first is None else first
    return np.concatenate((first, second))[-MOST_S * RATE_HZ :]
