"""How long after their event times the events of a source usually arrive.

Silence says that nothing happened only as far as events would have arrived by now: a source whose events always come
three seconds late is silent about the last three seconds.
"""

from collections import deque
from typing import Final

WINDOW_MS: Final = 60_000
"""The largest delay of the last minute in which there were any counts."""

MAX_DELAY_MS: Final = 60_000
"""No source is waited for any longer."""


class UsualDelay:
    """The largest delay of the events that moved a source's clock, over the last minute in which there were any."""

    __slots__ = ("_largest", "ms")

    def __init__(self, default: int) -> None:
        """`default`: of a source that had no event since the worker took it over, ms."""
        self._largest: deque[tuple[int, int]] = deque()
        """(arrival, delay) in order of arrival; each delay is larger than all that came after it."""
        self.ms: int = default

    def add(self, arrived: int, at: int) -> None:
        """Note an event of time `at` that moved the source's clock when it arrived (ms)."""
        delay = min(max(arrived - at, 0), MAX_DELAY_MS)
        largest = self._largest
        while largest and largest[-1][1] <= delay:
            largest.pop()
        largest.append((arrived, delay))
        while largest[0][0] < arrived - WINDOW_MS:
            largest.popleft()
        self.ms = largest[0][1]
