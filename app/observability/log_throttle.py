"""Keeps what libraries repeat out of the log: one line of a kind a minute, with a count of what was left out.

A client that asks for a topic which is gone logs an error with each of its tries, dozens a second.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Final

WINDOW_S: Final = 60
"""One line of a kind is written in this time."""

MOST_KINDS: Final = 500
"""Kinds that are known at a time: lines of further ones count as one kind."""

KIND: Final = 200
"""Characters by which a line's kind is recognised; numbers in it are left out."""

_NUMBER: Final = re.compile(r"\d+")


class LibraryThrottle(logging.Filter):
    """A filter for a handler: limits the lines of some loggers and of their children, and nobody else's."""

    def __init__(self, loggers: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        super().__init__()
        self._loggers = tuple(loggers)
        self._prefixes = tuple(f"{name}." for name in loggers)
        self._clock = clock
        self._until: dict[str, float] = {}
        """By kind, until when its lines are left out; the first one ends first."""
        self._left_out: dict[str, int] = {}
        """By kind, how many were."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        now = self._clock()
        before = self._end_windows(now)
        if not self._limits(record):
            self._report(before)
            return True
        kind = self._kind(record)
        if kind in self._until:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            self._report(before)
            return False
        self._until[kind] = now + WINDOW_S
        if number := before.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} ({_more(number)} like it were left out)", None
        self._report(before)
        return True

    def _limits(self, record: logging.LogRecord) -> bool:
        theirs = record.name in self._loggers or record.name.startswith(self._prefixes)
        return theirs and record.levelno < logging.CRITICAL

    def _kind(self, record: logging.LogRecord) -> str:
        kind = f"{record.name}: {_NUMBER.sub('…', record.getMessage()[:KIND])}"
        return kind if kind in self._until or len(self._until) < MOST_KINDS else "others"

    def _end_windows(self, now: float) -> dict[str, int]:
        """Forget the kinds whose time is over; return how many lines of each were left out."""
        over = []
        for kind, until in self._until.items():
            if until > now:
                break
            over.append(kind)
        for kind in over:
            del self._until[kind]
        return {kind: number for kind in over if (number := self._left_out.pop(kind, 0))}

    def _report(self, left_out: dict[str, int]) -> None:
        for kind, number in left_out.items():
            logging.getLogger(__name__).warning("%s were left out: %s", _more(number), kind)


def _more(number: int) -> str:
    return f"{number:,} more line{'s' if number != 1 else ''}"
