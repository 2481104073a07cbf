"""When the host's speech becomes a comment: segments without words, so that a talking host shows reception."""

from typing import Final

EVERY_MS: Final = 3_000
"""Length of a segment while somebody speaks: below the 5 s that a segment may have, and short enough that an entry
finds one within its time."""

LATE_MS: Final = 1_500
"""How far a segment's end may lie back when it is sent. Comments that come two seconds behind others are late."""


class SpeechSegments:
    """Cuts speech into segments, by whether the observations of a room hear some."""

    def __init__(self) -> None:
        self._sent_until: int | None = None
        """The end of the last segment of the speech that goes on; None while nobody speaks."""
        self._heard_until: int | None = None

    def observe(self, speech: bool | None, at_ms: int) -> int | None:
        """An observation; return the end of a segment that is complete (ms), or None."""
        if speech:
            first = self._heard_until is None
            self._heard_until = at_ms
            if first or self._sent_until is None or at_ms - self._sent_until >= EVERY_MS:
                self._sent_until = at_ms
                return at_ms
            return None
        return self._end(at_ms)

    def _end(self, at_ms: int) -> int | None:
        """Nobody speaks any more: what was not sent of the speech is a segment."""
        heard, sent = self._heard_until, self._sent_until
        self._heard_until = self._sent_until = None
        if heard is None or sent is None or heard <= sent:
            return None
        return max(heard, at_ms - LATE_MS)
