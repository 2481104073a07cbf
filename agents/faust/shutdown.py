"""The last resort: a process that is to end does so in time, whatever in it hangs.

What was acknowledged is with the broker, and what was not is read again: ending hard loses nothing, and a process that
hangs would never be started again.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

import faust
import structlog

log: Final = structlog.get_logger("vigil.worker")

ASKED_S: Final = 4.2
"""After SIGTERM or Ctrl-C."""

CRASHED_S: Final = 5.0
"""After an error of ours."""


class ShutdownGuard:
    """Ends the process by force unless it has ended of itself."""

    def __init__(self, code: Callable[[], int], end: Callable[[int], Any] = os._exit) -> None:
        """`code`: the exit status, asked for at the end."""
        self._code = code
        self._end = end
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """From now on the process has so long; the first call counts."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._force)
            self._timer.daemon = True
            self._timer.start()

    def _force(self) -> None:
        code = self._code()
        log.warning("ended by force", code=code, hint="something did not let go; what it did is with the broker")
        self._end(code)


class WorkerProcess(faust.Worker):
    """Faust's process, which keeps to the time that it has to stop."""

    def __init__(self, app: Any, parting: ShutdownGuard, **options: Any) -> None:
        super().__init__(app, **options)
        self._parting = parting

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        self._parting.within(ASKED_S)
        super()._schedule_shutdown(signal)
