"""Detects that the event loop of the worker was held up, and stops a worker that was stopped for too long.

A process that is stopped past its session (SIGSTOP, a debugger, a machine that sleeps) and wakes up may find that the
group has assigned its shards to others. The fence in the changelog makes its writes ineffective; the watchdog keeps it
from writing at all.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

MAX_STALL: Final = 0.8
"""Share of the session timeout. A process that stalled for longer is taken to have lost its shards; at 1.0 another
worker could already own them."""

PROBE_S: Final = 0.02
"""How often the watchdog measures. It is the resolution of `vigil_loop_gap_seconds`."""


class EventLoopWatchdog:
    """Measures for how long the event loop runs no task. It raises where that endangers the membership."""

    def __init__(
        self, session_timeout_ms: int, observe: Callable[[float], None], endangered: Callable[[], bool]
    ) -> None:
        """`observe`: called with each gap in seconds. `endangered`: False where a stall costs nothing."""
        self._max_stall_s = MAX_STALL * session_timeout_ms / 1000
        self._observe = observe
        self._endangered = endangered

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Measure until `stopping` is true. Raise RuntimeError after a stall that is too long.

        Runs as a task of its own, so that it also sees what watermarks and checkpoints themselves hold up, and wakes up
        in the middle of a checkpoint.
        """
        while not stopping():
            asleep = time.monotonic()
            await asyncio.sleep(PROBE_S)
            gap = time.monotonic() - asleep - PROBE_S
            self._observe(max(gap, 0))
            self.check(gap)

    def check(self, gap: float) -> None:
        """Raise RuntimeError if a task slept `gap` seconds longer than it wanted to and that is too long.

        A checkpoint that waits for a broker that is away is no stall: heartbeats are sent meanwhile.
        """
        if gap > self._max_stall_s and self._endangered():
            raise RuntimeError(
                f"the worker stalled for {gap:.1f} s, and the group may have assigned its shards to another worker: "
                "it restarts, because it may not write for them any more"
            )
