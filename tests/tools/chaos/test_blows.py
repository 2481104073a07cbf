"""A fault hits a running broker, however long it took to return from the previous one."""

import asyncio
import time
from pathlib import Path
from typing import Any

from tools.chaos_plan import ChaosAction, plan
from tools.chaos_run import Run


class Slow:
    """A broker that takes longer to return than the time between two faults of the plan."""

    def __init__(self) -> None:
        self.runs = True
        self.blows: list[str] = []

    def kill(self) -> None:
        assert self.runs, "killed while it did not run"
        self.blows.append("kill")
        self.runs = False

    def start(self, within_s: float) -> None:
        time.sleep(0.05)
        self.runs = True

    def pause(self) -> None:
        assert self.runs, "paused while it did not run"
        self.blows.append("pause")

    def resume(self) -> None:
        assert self.runs


async def test_a_fault_of_the_broker_waits_until_the_broker_has_returned(tmp_path: Path) -> None:
    broker: Any = Slow()
    run = Run(plan(1), broker, tmp_path)
    kinds = ("broker-kill", "broker-kill", "broker-pause")
    await asyncio.gather(*(run._hit_broker(ChaosAction(0.0, kind, None, 0.0)) for kind in kinds))
    assert broker.blows == ["kill", "kill", "pause"]
    assert broker.runs
    assert not run.broker_away
