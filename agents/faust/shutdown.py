"""Ends the process in time, whatever in it hangs.

What was acknowledged is with the broker, and what was not is read again: ending by force loses nothing, whereas a
process that hangs would never be restarted.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

import faust
import structlog

log: Final = structlog.get_logger("vigil.worker")

SIGTERM_GRACE_S: Final = 4.2
"""Time to end after SIGTERM or Ctrl-C. The documented limit is 5 s; the rest is for the interpreter to exit."""

CRASH_GRACE_S: Final = 5.0
"""Time to end after an error of ours."""


class ShutdownGuard:
    """Ends the process by force unless it has ended by itself."""

    def __init__(self, exit_code: Callable[[], int], end: Callable[[int], Any] = os._exit) -> None:
        """`exit_code`: asked for at the end."""
        self._exit_code = exit_code
        self._end = end
        self._timer: threading.Timer | None = None

    def within(self, seconds: float) -> None:
        """End the process after this time; only the first call counts."""
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._force)
            self._timer.daemon = True
            self._timer.start()

    def _force(self) -> None:
        code = self._exit_code()
        log.warning("ended by force", code=code, hint="the shutdown took too long; what was written is with the broker")
        self._end(code)


class WorkerProcess(faust.Worker):
    """Faust's process, which keeps to the time that it has to stop."""

    def __init__(self, app: Any, guard: ShutdownGuard, **options: Any) -> None:
        super().__init__(app, **options)
        self._shutdown_guard = guard

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        self._shutdown_guard.within(SIGTERM_GRACE_S)
        super()._schedule_shutdown(signal)
