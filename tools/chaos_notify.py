"""`vigil notify` in a chaos run: it is killed while it sends, and no violation may be without an alert at the end.

incident ─▶ vigil notify, killed and started again ─▶ webhook: every step that it accepted
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.support.harness import WorkerProcess
from tests.support.webhook_receiver import Receiver

KILLS: Final = 3
EVERY_S: Final = (2.0, 7.0)
"""Least and most seconds between two kills."""
DELIVERED_S: Final = 60
"""The longest time until everything is delivered once all is published."""

ROUTES: Final = """
[targets.hook]
kind = "webhook"
url = "{url}"
secret = "hook"
per_minute = 60000

[[routes]]
to = ["hook"]
kinds = ["violation"]
"""


class NotifyUnderFire:
    """One `vigil notify` that is killed at random times, and its receiver."""

    def __init__(self, broker: str, folder: Path, seed: int, **settings: object) -> None:
        """`settings`: those of the workers that say which topics are read and by which rulebook."""
        self._broker = broker
        self._folder = folder
        self._rng = Random(f"chaos notify {seed}")
        self._settings = settings
        self.receiver = Receiver()
        self._process: WorkerProcess | None = None
        self.starts = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the receiver and the process, and begin to kill it."""
        await self.receiver.__aenter__()
        routes, secrets = self._folder / "routes.toml", self._folder / "secrets.toml"
        routes.write_text(ROUTES.format(url=self.receiver.url))
        secrets.write_text('hook = "a secret of the test, long enough"\n')
        secrets.chmod(0o600)
        self._command = [sys.executable, "-m", "vigil", "notify", "--from-beginning"]
        self._command += ["--routes", str(routes), "--secrets", str(secrets)]
        self._tasks = [asyncio.create_task(self._tend()), asyncio.create_task(self._kill())]

    async def stop(self) -> None:
        """Stop both."""
        for task in self._tasks:
            task.cancel()
        if self._process is not None:
            self._process.kill()
        if self._tasks:
            await self.receiver.__aexit__()

    async def missing(self, incidents: Iterable[Mapping[str, Any] | None], within_s: float = DELIVERED_S) -> list[str]:
        """Violations of which nothing was accepted after some time, and steps that were accepted too often."""
        due = list(due_alerts(incidents))
        for _ in range(1 + round(within_s * 5)):
            left = [verdict_id for verdict_id in due if not self._sent(verdict_id)]
            if not left:
                break
            await asyncio.sleep(0.2)
        wrong = [f"notify: nothing was sent of the verdict {verdict_id}" for verdict_id in left]
        # Only what is in flight when it is killed may be sent again.
        accepted = Counter(message["id"] for message in self.receiver.taken)
        often = {id_: number for id_, number in accepted.items() if number > self.starts}
        return wrong + [f"notify: {id_} was sent {number} times" for id_, number in often.items()]

    @property
    def alerts(self) -> int:
        """How many steps were accepted, each once."""
        return len({message["id"] for message in self.receiver.taken})

    def _sent(self, verdict_id: str) -> bool:
        return any(verdict_id.encode() in body for body in self.receiver.bodies)

    async def _tend(self) -> None:
        """Start it, and start it again when it has ended, as a supervisor would."""
        while True:
            if self._process is None or self._process.process.poll() is not None:
                self.starts += 1
                log = self._folder / "notify.log"
                self._process = WorkerProcess(self._broker, log, command=self._command, **self._settings)
            await asyncio.sleep(0.3)

    async def _kill(self) -> None:
        for _ in range(KILLS):
            await asyncio.sleep(self._rng.uniform(*EVERY_S))
            if self._process is not None:
                self._process.signal(signal.SIGKILL)


def due_alerts(incidents: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
    """The verdicts of which an alert is due whatever was read when: violations that go on and nobody has snoozed."""
    for one in incidents:
        if one is not None and one["stage"] == "violation" and one["snoozed_until"] is None:
            yield str(one["verdict_id"])
