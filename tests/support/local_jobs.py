"""Jobs of a replay within the process of the test: what they are sent and what they reply passes as bytes."""

import pickle
from collections import deque
from typing import Any

from vigil.app.runtime.jobs import messages
from vigil.app.runtime.jobs.job import Job
from vigil.app.runtime.jobs.pool import Jobs, Process


class LocalJob(Process):
    """A job without a process of its own."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._lines = {}
        self._waiting: deque[bytes] = deque()
        self._job = Job(lambda content: self._waiting.append(pickle.dumps(content)))

    def flush(self) -> None:
        pass

    def reply(self) -> Any:
        return pickle.loads(self._waiting.popleft())

    def end(self) -> None:
        pass

    def _write(self, command: messages.Command) -> None:
        self._job.handle(messages.decode(messages.encode(command)))


def local_jobs(number: int) -> Jobs:
    """Jobs as `Jobs(number)`, but for their processes."""
    return Jobs(number, LocalJob)
