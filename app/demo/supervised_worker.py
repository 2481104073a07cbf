"""The demo's worker: a process that is started again when it is killed, as an orchestrator would."""

import asyncio
import http.client
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from vigil.app.kafka.embedded_broker import HOST, free_port, start_child, stop_child

COMMAND: Final = (sys.executable, "-m", "vigil", "worker")

RESTARTS: Final = 20
"""A worker that is killed more often than this, for example for want of memory, ends the demo."""


class DemoError(Exception):
    """The demo cannot continue; the text says why and where to look."""


class SupervisedWorker:
    """One worker in a process of its own. Its log goes to a file."""

    def __init__(self, log: Path, settings: Mapping[str, str], command: tuple[str, ...] = COMMAND) -> None:
        """`settings`: environment variables of the worker, on top of those of this process that are not Vigil's."""
        self.log = log
        self.web_port = free_port()
        """Where its metrics are."""
        self._command = list(command)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIL_")}
        self._environment = inherited | dict(settings) | {"VIGIL_WEB_PORT": str(self.web_port)}
        self._restarts = 0
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return start_child(self._command, output, self._environment)

    def restart_if_killed(self) -> str | None:
        """Start it again if a signal has ended it; return a line that says so, None if it runs.

        Raise DemoError if it has ended by itself, or was killed too often.
        """
        status = self.process.poll()
        if status is None:
            return None
        if status >= 0 or self._restarts == RESTARTS:
            raise DemoError(f"the worker ended with status {status}: see {self.log}")
        self._restarts += 1
        self.process = self._start()
        return (
            f"worker      was killed by signal {-status}; started again as process {self.process.pid}, from its last "
            "checkpoint"
        )

    async def ready(self, within_s: float = 60) -> bool:
        """Wait until it has its shards; return False if it has not after `within_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not await asyncio.to_thread(self._answers):
                    await asyncio.sleep(0.2)
                return True
        return False

    def stop(self) -> None:
        """Stop it; kill it if it has not ended after ten seconds."""
        stop_child(self.process, 10)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.web_port, timeout=2)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
