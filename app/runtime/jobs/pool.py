"""The processes of jobs, and what is sent to each.

    line ──its key──▶ job ─┐
    line ──its key──▶ job ─┴──▶ what all of them publish, in the order of one process (group.py)

A replay sends lines while it reads on, and waits for its jobs where it delivers what was published. What waits in pipes
is bounded by what is read between two deliveries.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import IO, Any, Final, Self, cast
from zlib import crc32

from vigil.app.runtime.jobs import messages
from vigil.topics.catalog import SubjectName

CHUNK: Final = 100
"""Lines that are sent together."""

PIPE_BYTES: Final = 1024 * 1024
"""What a pipe holds, where the system allows it: the lines between two deliveries, so that no job keeps others waiting.
"""


class JobEndedError(Exception):
    """A job has ended before its replay."""


def _start(pipe_bytes: int) -> subprocess.Popen[bytes]:
    """Start a job; -1: pipes of the usual size."""
    return subprocess.Popen(
        [sys.executable, "-m", "vigil.app.runtime.jobs.job"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C ends the replay, which ends its jobs
        pipesize=pipe_bytes,
    )


class Process:
    """One job."""

    def __init__(self, number: int) -> None:
        self._number = number
        try:
            self._process = _start(PIPE_BYTES)
        except PermissionError:  # the system's limit for pipes
            self._process = _start(-1)
        self._commands = cast(IO[bytes], self._process.stdin)
        self._replies = cast(IO[bytes], self._process.stdout)
        self._lines: dict[int, messages.Lines] = {}
        """By shard. They are cleared once they are sent: whoever adds lines keeps the same object."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines_of(self, shard: int) -> messages.Lines:
        """The lines of a shard that wait to be sent: before the next command, or when `send_lines` is called."""
        return self._lines.setdefault(shard, messages.Lines(shard))

    def send_lines(self) -> None:
        """Send the lines that wait; raise JobEndedError."""
        for lines in self._lines.values():
            if lines.texts:
                self._write(lines)
                lines.offsets.clear()
                lines.watermarks.clear()
                lines.texts.clear()

    def send(self, command: messages.Command) -> None:
        """Send a command after the lines before it; raise JobEndedError."""
        self.send_lines()
        self._write(command)

    def flush(self) -> None:
        """Send what waits; raise JobEndedError."""
        try:
            self._commands.flush()
        except OSError:
            raise self._ended() from None

    def reply(self) -> Any:
        """What it replies; raise JobEndedError."""
        frame = messages.read_frame(self._replies)
        if frame is None:
            raise self._ended()
        return pickle.loads(frame)  # noqa: S301 - of a job

    def end(self) -> None:
        """End it at once: it has nothing to keep."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._commands, self._replies):
            try:
                pipe.close()
            except OSError:
                continue  # what waited to be sent has no reader

    def _write(self, command: messages.Command) -> None:
        try:
            messages.write_frame(self._commands, messages.encode(command))
        except OSError:
            raise self._ended() from None

    def _ended(self) -> JobEndedError:
        status = self._process.wait()
        how = f"was ended by signal {-status}" if status < 0 else f"has ended with status {status}"
        return JobEndedError(f"job {self._number} (process {self.pid}) {how}")


class Jobs:
    """The jobs of one command. They end with the block that they are used in."""

    def __init__(self, number: int, start: Callable[[int], Process] = Process) -> None:
        """`start`: starts the job of a number, from 1."""
        self.processes: list[Process] = []
        self._number = number
        self._start = start
        self._groups = 0
        self._shards = 0
        self._waiting = 0
        """Lines that wait to be sent."""
        self.next_number: Final = count(1).__next__
        """A number larger than all before."""

    def __enter__(self) -> Self:
        try:
            self.processes += map(self._start, range(1, self._number + 1))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def open(self, setup: bytes) -> int:
        """Begin the shards of one replay; return the number of their group."""
        self._groups += 1
        self.send_all(messages.Open(self._groups, setup))
        return self._groups

    def new_shard(self, group: int, subject: SubjectName) -> int:
        """Begin a shard in every job."""
        self._shards += 1
        self.send_all(messages.NewShard(group, self._shards, subject))
        return self._shards

    def added(self, number: int) -> bool:
        """Note that so many lines wait in addition; if they are many, send all and return True."""
        self._waiting += number
        if self._waiting < CHUNK * len(self.processes):
            return False
        self._waiting = 0
        for process in self.processes:
            process.send_lines()
            process.flush()
        return True

    def of_key(self, key: bytes) -> Process:
        """The job that judges a key."""
        return self.processes[crc32(key) % len(self.processes)]

    def send_all(self, command: messages.Command) -> None:
        """Send a command to every job."""
        for process in self.processes:
            process.send(command)

    def ask(self, command: messages.Command) -> list[Any]:
        """Send a command to every job and return their replies."""
        self.send_all(command)
        for process in self.processes:
            process.flush()
        return [process.reply() for process in self.processes]

    def _end(self) -> None:
        for process in self.processes:
            process.end()
