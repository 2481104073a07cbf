"""Whether a worker is alive and ready, for `/health`, the metrics and its own tasks."""

import time
from typing import Final

MAX_TICK_AGE_S: Final = 30.0
"""A worker whose last tick is older is not alive. The longest tick of a healthy one takes a fraction of a second, and a
checkpoint may wait 30 s for the broker."""

RECOVERING: Final = "recovering, or waiting for the group"
"""Why a worker that is about to judge is not ready."""


class WorkerHealth:
    """The state of one worker process."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        """Why the worker stops, if it stops for an error."""
        self.ready = False
        """Its shards are acquired."""
        self.held: str | None = None
        """Why it judges nothing although its shards are acquired."""
        self.finished = False
        """The last checkpoint before the end is written: nothing is left to do."""
        self.last_tick = time.monotonic()

    @property
    def exit_code(self) -> int:
        return 0 if self.finished and self.error is None else 1

    def not_live(self) -> str | None:
        """What is wrong with the process; None if it is alive."""
        if self.error is not None:
            return str(self.error) or repr(self.error)
        age = time.monotonic() - self.last_tick
        return f"the last tick was {age:.0f} s ago" if age > MAX_TICK_AGE_S else None

    def not_ready(self) -> str | None:
        """Why the worker does not judge; None if it does."""
        return self.not_live() or (self.held if self.ready else RECOVERING)
