"""Turns the pictures and the sound of one room into observations.

Detectors holds what rooms share, the models; RoomDetector holds what one room's stream has shown so far. Both are
deterministic: the same pictures and sounds at the same times give the same observations. Time enters by argument and
does not go back within a room.
"""

from dataclasses import dataclass
from typing import Final

from vigil.app.probe.faces import FaceModels
from vigil.app.probe.layouts import LayoutWatch
from vigil.app.probe.observation import DISCONNECTED, LIVE, SLEEPING, Observation
from vigil.app.probe.pictures import (
    BLACK_SHARE,
    NOT_BLACK_SHARE,
    SAME_BLOCK,
    STILL_SAME_BLOCK,
    Picture,
    black_share,
    block_change,
    shrink,
)
from vigil.app.probe.presence import FaceFinder, PresenceWatch
from vigil.app.probe.sounds import Samples, SoundWatch, VoiceModel, voice_model

FROZEN_AFTER_MS: Final = 800
"""Time without a change after which a picture is frozen: with a picture a second, from the second one on."""

TALKED_WITHIN_MS: Final = 60_000
"""Time in ms after speech in which nobody sleeps: closed eyes for a minute, in which nobody has said anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """What is looked for; what is not looked for is None in every observation and costs nothing."""

    faces: bool = True
    speech: bool = True


class RoomDetector:
    """What one room's stream shows. Not for use by two threads at once."""

    def __init__(self, finder: FaceFinder | None, voice: VoiceModel | None) -> None:
        """`finder`, `voice`: None if faces, or speech, are not looked for."""
        self._presence = PresenceWatch(finder) if finder else None
        self._sound = SoundWatch(voice)
        self._layout = LayoutWatch()
        self._luma: Picture | None = None
        self._changed_at = 0
        self._talked_at: int | None = None
        self._frozen = False
        self._black = False

    def see(self, image: Picture, at_ms: int) -> Observation:
        """Return what is known at the time of a picture.

        `image`: BGR, of any size. `at_ms`: its event time in ms, not before that of the picture before.
        """
        luma = shrink(image)
        frozen = self._compare(luma, at_ms)
        face = self._presence.see(image, luma, at_ms) if self._presence else None
        self._black = not face and black_share(luma) >= (NOT_BLACK_SHARE if self._black else BLACK_SHARE)
        self._layout.see(luma)
        speech = self._sound.speech(at_ms)
        self._talked_at = at_ms if speech else self._talked_at
        return Observation(
            at_ms=at_ms,
            stream=LIVE,
            face=face,
            black=self._black,
            camera_share=None if self._black or frozen else self._camera_share(),
            uncovered_share=None if self._black else self._layout.uncovered_share(),
            activity=self._activity(at_ms, frozen),
            frozen=frozen,
            silent=self._sound.silent(at_ms),
            speech=speech,
            luma_mean=round(float(luma.mean()), 1),
            face_score=self._presence.score if self._presence else None,
        )

    def hear(self, samples: Samples, at_ms: int) -> None:
        """Take in the sound since the last call.

        `samples`: mono at 16 kHz, -1 to 1. `at_ms`: the event time of its end in ms.
        """
        self._sound.hear(samples, at_ms)

    def disconnected(self, at_ms: int) -> Observation:
        """Return the observation of a stream that sends nothing, and forget what it showed before."""
        if self._presence:
            self._presence.forget()
        self._sound.forget()
        self._layout.forget()
        self._luma = None
        self._black = False
        return Observation(at_ms=at_ms, stream=DISCONNECTED)

    def _camera_share(self) -> float | None:
        """Return the share of the window that the host is in; without faces nobody knows which one it is."""
        return self._layout.camera_share(self._presence.living) if self._presence else None

    def _activity(self, at_ms: int, frozen: bool | None) -> str | None:
        """Return what the host is doing, as far as it can be measured; a frozen picture shows nothing of it.

        Who has just talked reads or shows the goods with lowered eyes, and does not sleep.
        """
        talked = self._talked_at is not None and at_ms - self._talked_at < TALKED_WITHIN_MS
        sleeping = self._presence and not frozen and not talked and self._presence.sleeping(at_ms)
        return SLEEPING if sleeping else None

    def _compare(self, luma: Picture, at_ms: int) -> bool | None:
        """Return whether the picture has stopped changing; None for the first picture of its size."""
        before, self._luma = self._luma, luma
        if before is None or before.shape != luma.shape:
            self._changed_at, self._frozen = at_ms, False
            return None
        if float(block_change(before, luma).max()) >= (STILL_SAME_BLOCK if self._frozen else SAME_BLOCK):
            self._changed_at = at_ms
        self._frozen = at_ms - self._changed_at >= FROZEN_AFTER_MS
        return self._frozen


class Detectors:
    """The models, loaded once for all rooms of a process."""

    def __init__(self, finder: FaceFinder | None, speech: bool) -> None:
        """`finder`: None if faces are not looked for. `speech`: whether speech is."""
        self._finder = finder
        self._speech = speech

    @classmethod
    def load(cls, options: DetectorOptions | None = None) -> "Detectors":
        """Load the models that the options ask for; all of them without options.

        Raise FileNotFoundError if a model's file is missing.
        """
        asked = options or DetectorOptions()
        return cls(FaceModels() if asked.faces else None, asked.speech)

    def room(self) -> RoomDetector:
        """Return the detector of one more room, with a voice model of its own: it remembers what it heard."""
        return RoomDetector(self._finder, voice_model() if self._speech else None)
