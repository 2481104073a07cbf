"""Keeps a live worker from judging by a clock that cannot be right: its own, or one that was stored."""

from collections.abc import Iterable
from typing import Final

import structlog

from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardRunner
from vigil.agents.worker_clock import WorkerClock
from vigil.app.engine.stored_clock import stored_clock
from vigil.app.runtime.worker_health import WorkerHealth

log: Final = structlog.get_logger("vigil.worker")


class StoredClockError(Exception):
    """The stored clock of a shard is ahead of the worker's; the text names a remedy."""


class ClockGuard:
    """Holds the shards of a worker while its clock and the broker's differ, and looks at what they have stored."""

    def __init__(self, clock: WorkerClock, manager: ShardManager, health: WorkerHealth, max_ahead_ms: int) -> None:
        """`max_ahead_ms`: by how much a stored clock may be ahead of the worker's."""
        self._clock = clock
        self._manager = manager
        self._health = health
        self._max_ahead_ms = max_ahead_ms
        self._look_at_stored = False

    def look(self) -> None:
        """Hold the shards or let them go on. Raise ClockChangedError and StoredClockError."""
        self._clock.check()
        why = self._clock.differs()
        if (why is None) != (self._health.held is None):
            if why is None:
                log.warning("clocks agree", what="this machine's clock and the broker's agree: judging goes on")
            else:
                log.error("clocks differ", what=why)
        self._health.held = why
        self._manager.held = why is not None
        if why is None and self._look_at_stored:
            self._look_at_stored = False
            self._check_stored(self._manager.shards.values())

    def assigned(self) -> None:
        """Shards were assigned and acquired: look at their stored clocks once the time is known."""
        self._look_at_stored = True
        self.look()

    def _check_stored(self, shards: Iterable[ShardRunner]) -> None:
        now = self._clock.now()
        for runner in shards:
            ahead = stored_clock(runner.shard) - now
            if ahead > self._max_ahead_ms:
                raise StoredClockError(
                    f"the stored clock of {runner.subject}, partition {runner.partition}, is {ahead / 3_600_000:.2f} h "
                    "ahead of this machine's: the clock of a worker or a producer was wrong. If this machine's is "
                    "right now, stop all workers and run `vigil repair clock`, which sets stored clocks back"
                )
