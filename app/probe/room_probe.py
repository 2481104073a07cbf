"""One room from its pictures to its messages: the same steps live and from a file."""

from collections.abc import Callable, Iterator

from vigil.app.probe.detector import RoomDetector
from vigil.app.probe.media import MediaSample
from vigil.app.probe.messages import ProbeMessage, frame_of, frame_without_picture, speech_of
from vigil.app.probe.rooms_file import WatchedRoom
from vigil.app.probe.speech import SpeechSegments


class RoomProbe:
    """Turns what is seen and heard of a room into messages. Not for several threads at once."""

    def __init__(
        self,
        room: WatchedRoom,
        detector: RoomDetector,
        *,
        speech: bool = False,
        on_unmeasured: Callable[[], object] = lambda: None,
    ) -> None:
        """`speech`: send the host's speech as comments; `on_unmeasured`: called for a picture that gives no frame."""
        self.room = room
        self._detector = detector
        self._segments = SpeechSegments() if speech else None
        self._on_unmeasured = on_unmeasured

    def see(self, sample: MediaSample, at_ms: int) -> Iterator[ProbeMessage]:
        """Yield the messages of a picture, and of the sound before it, that are seen and heard at `at_ms`."""
        if sample.sound is not None:
            self._detector.hear(sample.sound, at_ms)
        observation = self._detector.see(sample.image, at_ms)
        yield from self._speech(observation.speech, at_ms)
        frame = frame_of(self.room, observation)
        if frame is None:
            self._on_unmeasured()
        else:
            yield frame

    def disconnected(self, at_ms: int) -> Iterator[ProbeMessage]:
        """Yield the messages of a moment without a stream."""
        self._detector.disconnected(at_ms)
        yield from self._speech(None, at_ms)
        yield frame_without_picture(self.room, "disconnected", at_ms)

    def ended(self, at_ms: int) -> Iterator[ProbeMessage]:
        """Yield the messages of the end of the broadcast."""
        yield from self._speech(None, at_ms)
        yield frame_without_picture(self.room, "ended", at_ms)

    def _speech(self, heard: bool | None, at_ms: int) -> Iterator[ProbeMessage]:
        if self._segments is None:
            return
        end = self._segments.observe(heard, at_ms)
        if end is not None:
            yield speech_of(self.room, end)
