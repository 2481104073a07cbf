"""Which pictures of a stream are looked at, and when: about one in an interval, at the least cost. Pure.

Decoding only key pictures costs a fraction of decoding all. It is enough where they come often enough; elsewhere every
picture is decoded, because those between two key pictures build on each other.
"""

from typing import Final

MAX_KEY_GAP_MS: Final = 2_500
"""Key pictures further apart are too rare: what happens between them would be found late."""

KEY_GAPS_SEEN: Final = 3
"""Gaps that must have been short before only key pictures are decoded. Encoders put them where scenes change, too."""

EARLY: Final = 0.75
"""A key picture is due from this share of the interval on: those of about a second apart are all taken."""

JUMP_MS: Final = 10_000
"""Time stamps that go ahead by more, or back, begin again: a publisher has started again."""


class DecodePlan:
    """Decides whether every picture of a connection is decoded, or only key pictures."""

    def __init__(self) -> None:
        self.keys_only = False
        self._last_key_ms: int | None = None
        self._short_gaps = 0
        self._rare = False
        """A gap was too long: from then on all pictures of this connection are decoded."""

    def on_key_picture(self, media_ms: int) -> None:
        """A key picture arrived, with its time in the stream."""
        last, self._last_key_ms = self._last_key_ms, media_ms
        if last is None or media_ms < last:
            return
        if media_ms - last > MAX_KEY_GAP_MS:
            self._rare, self.keys_only = True, False
            return
        self._short_gaps += 1
        self.keys_only = not self._rare and self._short_gaps >= KEY_GAPS_SEEN


class Sampler:
    """Chooses about one picture in an interval."""

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._last_ms: int | None = None

    def is_due(self, media_ms: int, *, key: bool) -> bool:
        """True if a picture of this time is wanted; `key`: the next one comes with the next key picture only."""
        last = self._last_ms
        least_ms = self._interval_ms * EARLY if key else self._interval_ms
        return last is None or media_ms - last >= least_ms or media_ms < last

    def take(self, media_ms: int) -> None:
        """The picture of this time was taken."""
        self._last_ms = media_ms


class Playout:
    """When a player shows the pictures of a stream: each as long after the first one as their time stamps say.

    Segments arrive several seconds at once. Their pictures are observed one after the other, so that each has the time
    at which it can be seen, and none is late for the worker.
    """

    MAX_BEHIND_S: Final = 2.0
    """A picture that comes later than that is shown at once, and those after it as long after that one."""

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def wait_s(self, media_ms: int, now_s: float) -> float:
        """Seconds until a picture is shown; `now_s`: a monotonic clock."""
        media_s = media_ms / 1000
        due_s = None if self._offset_s is None else self._offset_s + media_s
        if due_s is None or not -self.MAX_BEHIND_S <= due_s - now_s <= JUMP_MS / 1000:
            self._offset_s = now_s - media_s
            return 0.0
        return max(0.0, due_s - now_s)


class BackOff:
    """Seconds to wait before the next attempt to connect: twice as long each time, up to a limit."""

    FIRST_S: Final = 1.0
    LONGEST_S: Final = 30.0

    def __init__(self) -> None:
        self._next_s = self.FIRST_S

    def failed(self) -> float:
        """An attempt failed: return the seconds to wait."""
        wait, self._next_s = self._next_s, min(self._next_s * 2, self.LONGEST_S)
        return wait

    def succeeded(self) -> None:
        """A picture arrived."""
        self._next_s = self.FIRST_S
