"""The steps from the moment at which something may be judged to its publication, to measure each of them.

    deadline + allowed lateness ─watermark─▶ the shard's clock has passed it ─judge─▶ collected
      ─wait─▶ snapshot ─checkpoint─▶ state and outbox acknowledged ─send─▶ outputs acknowledged
    record written ─fetch─▶ its batch is with the shard

Each is observed once a batch, checkpoint or published verdict, never once an event.
"""

from collections.abc import Callable
from typing import Final, Literal

Step = Literal["fetch", "watermark", "judge", "wait", "checkpoint", "send"]

STEPS: Final[tuple[Step, ...]] = ("fetch", "watermark", "judge", "wait", "checkpoint", "send")

StepTimer = Callable[[Step, float], None]
"""Takes a step, and how long it took in seconds."""


def not_measured(_step: Step, _seconds: float) -> None:
    """Measure nothing."""
