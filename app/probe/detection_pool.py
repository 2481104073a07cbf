"""Runs the detectors of all rooms in a few threads. Of each room one picture is looked at, and at most one waits.

A picture that waits is replaced by a newer one: where detectors are too slow for all, rooms are observed less often,
and memory and delay do not grow.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")
T = TypeVar("T")


class DetectionPool(Generic[R, T]):
    """Threads that take turns with the rooms. Tasks of one room are run one after the other, in order."""

    def __init__(
        self,
        threads: int,
        run: Callable[[R, T], None],
        merge: Callable[[T, T], T],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """`run` is called with a room and its task; `merge(old, new)` makes one of two that wait; `on_failure` is
        called with an error of `run`, after which the thread ends."""
        self._run = run
        self._merge = merge
        self._on_failure = on_failure
        self._changed = threading.Condition()
        self._waiting: dict[R, T] = {}
        self._busy: set[R] = set()
        self._turns: deque[R] = deque()
        """Rooms with a task that waits, of which no thread is busy with another."""
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"detects-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, room: R, task: T) -> bool:
        """Give a room a task; return True if it replaced one that waited."""
        with self._changed:
            replaced = room in self._waiting
            self._waiting[room] = self._merge(self._waiting[room], task) if replaced else task
            if not replaced and room not in self._busy:
                self._turns.append(room)
                self._changed.notify()
            return replaced

    def close(self, within_s: float) -> None:
        """Run what waits, and end the threads; give up after `within_s` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until_s = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _work(self) -> None:
        try:
            while (turn := self._next()) is not None:
                try:
                    self._run(*turn)
                finally:  # after an error, too: `close` ends the other threads once nobody is busy
                    self._done(turn[0])
        except BaseException as error:
            self._on_failure(error)

    def _next(self) -> tuple[R, T] | None:
        """The next room and its task; None at the end."""
        with self._changed:
            while not self._turns:
                if self._closed and not self._busy:
                    return None
                self._changed.wait()
            room = self._turns.popleft()
            self._busy.add(room)
            return room, self._waiting.pop(room)

    def _done(self, room: R) -> None:
        with self._changed:
            self._busy.discard(room)
            if room in self._waiting:
                self._turns.append(room)
            self._changed.notify_all()
