"""The clock that moves shards: the wall clock at its start, which only monotonic time advances.

    wall clock ──at the start──▶ WorkerClock ──monotonic time──▶ now
    wall clock ──every tick────▶ more than 1 s from it: the worker stops, a restart takes the new time
    broker's time, with every checkpoint ──▶ more than 5 s from it: the worker judges nothing until they agree

A wall clock may be set at any moment, and wrong by any span. What it says must not reach stored state unseen: a clock
that has gone ahead makes everything late for as long.
"""

import time
from collections.abc import Callable
from typing import Final

from vigil.agents.wall_clock import wall_ms

MAX_STEP_MS: Final = 1000
"""A wall clock that leaves the monotonic one by more than this was set, or the machine was suspended."""

MAX_BROKER_DIFFERENCE_MS: Final = 5000
"""Clocks that are synchronised differ by far less; a checkpoint that takes a second does not matter either."""


class ClockChangedError(Exception):
    """The wall clock was set while the worker ran; the text says by how much."""


class WorkerClock:
    """The time of one worker, in ms."""

    __slots__ = ("_base", "_monotonic", "_wall", "ahead_of_broker")

    def __init__(self, wall: Callable[[], int] = wall_ms, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic_s
        self._base = wall() - round(monotonic_s() * 1000)
        self.ahead_of_broker: int | None = None
        """By how much this clock is ahead of the broker's at least, ms; below 0: behind. None: not known."""

    def now(self) -> int:
        """Return the time."""
        return self._base + round(self._monotonic() * 1000)

    def check(self) -> None:
        """Raise ClockChangedError if the wall clock has left this one."""
        step = self._wall() - self.now()
        if abs(step) > MAX_STEP_MS:
            where = "ahead" if step > 0 else "back"
            raise ClockChangedError(
                f"the wall clock was set {where} by {abs(step) / 1000:.1f} s while the worker ran, and nothing was "
                "judged by it; a restart takes the new time"
            )

    def compare(self, sent: int, appended: int, acknowledged: int) -> None:
        """Compare with the broker's clock, which said `appended` between two of this one's times (all in ms)."""
        self.ahead_of_broker = sent - appended if sent > appended else min(acknowledged - appended, 0)

    def differs(self) -> str | None:
        """Return in words that this clock and the broker's differ too much; None if they agree or nobody knows."""
        ahead = self.ahead_of_broker
        if ahead is None or abs(ahead) <= MAX_BROKER_DIFFERENCE_MS:
            return None
        where = "ahead of" if ahead > 0 else "behind"
        return (
            f"this machine's clock is {abs(ahead) / 1000:.1f} s {where} the broker's: nothing is judged until they "
            "agree; set the clock (NTP) of whichever is wrong"
        )
