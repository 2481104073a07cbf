"""How the interpreter runs a process that keeps many objects for long, with few reference cycles among them.

What Vigil keeps is freed once nothing refers to it: its states have no reference cycles. The garbage collector is for
the cycles of libraries. It looks at every object that was made since, whether in a cycle or not, some 0.2 µs each.

    a worker's work ──after 20 ms of it──▶ young pass: what was made since
                                               └─ 5 ms of young passes ──▶ middle pass: what they have left
    partitions assigned, nothing is judged ──▶ full pass: everything
"""

import gc
import time
from collections.abc import Callable
from typing import Final

WORK_S: Final = 0.02
"""CPU time between two young passes. What can be made in it bounds a pass: the interpreter itself counts what was made
less what was freed, and where states are loaded and evicted by turns it would begin a pass over all of them."""

YOUNG_S: Final = 0.005
"""CPU time of young passes after which a middle one takes about as long."""


def tune_collector() -> None:
    """Let the garbage collector look at states rarely: it would scan them again and again without effect."""
    gc.freeze()  # what is imported stays
    gc.set_threshold(100_000, 50, 100)


def stop_automatic_passes() -> None:
    """Let no pass of the garbage collector begin by itself: a PacedCollector makes them."""
    tune_collector()
    gc.disable()


class PacedCollector:
    """Runs the garbage collector of a worker between its work, in passes that are short because they are frequent.

    What has survived a middle pass is looked at in a full one only, which would take longer than a verdict may wait.
    """

    def __init__(self, cpu: Callable[[], float] = time.process_time) -> None:
        """`cpu`: the CPU time of the process, in seconds."""
        self._cpu = cpu
        self._passed_at = cpu()
        """When the last pass ended."""
        self._young_s = 0.0
        """What young passes have taken since the last middle one."""

    def look(self) -> None:
        """Make the pass that is due. Call it every few milliseconds, between two pieces of work."""
        began = self._cpu()
        if began - self._passed_at < WORK_S:
            return
        middle = self._young_s >= YOUNG_S
        gc.collect(1 if middle else 0)
        self._passed_at = ended = self._cpu()
        self._young_s = 0.0 if middle else self._young_s + ended - began

    def full(self) -> None:
        """Look at everything. Call it where nothing waits."""
        gc.collect()
        self._passed_at, self._young_s = self._cpu(), 0.0
