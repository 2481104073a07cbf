"""Sums over rolling windows: each amount counts until the window has passed its time, and then not any more.

    log of a window    a  a  a  a │ a  a  a  a  a  a  a
                        left      └ oldest           now
                                  ◀──── length ────▶

The log is in the order of time, so the amounts leave it one after the other, and a pointer to the oldest that counts
says when the next one does. An amount costs an entry of the log. Most of them come in about the order of their time,
and an entry is then an append.
"""

from bisect import bisect_left, insort
from typing import Final, TypeAlias

from vigil.app.engine.watermark import MAX_TIME

Amounts: TypeAlias = tuple[tuple[int, int], ...]
"""Which totals change together: the number of each, and what is added to it."""

KEPT: Final = 64
"""Entries that have left and may stay in a log, so that not each of them moves all others."""


class _Window:
    """One window and its log."""

    __slots__ = ("length", "log", "oldest")

    def __init__(self, length: int) -> None:
        self.length = length
        """In ms."""
        self.log: list[tuple[int, Amounts]] = []
        """Times and amounts, in the order of time."""
        self.oldest = 0
        """The place in the log of the oldest that counts."""


class RollingSums:
    """The sums as of the last call of `advance_to`. Times are ms of event time."""

    __slots__ = ("_as_of", "_windows", "changes_at", "sums")

    def __init__(self, now: int, lengths: tuple[int, ...], sums: list[int]) -> None:
        """Begin without amounts, with windows of these lengths. What changes is added to `sums`, by total."""
        self.sums = sums
        self.changes_at = MAX_TIME
        """When an amount leaves its window next, MAX_TIME if there is none."""
        self._as_of = now
        self._windows = [_Window(length) for length in lengths]

    def add(self, window: int, at: int, amounts: Amounts) -> None:
        """Count amounts of the time `at`, unless the window has passed it."""
        counted = self._windows[window]
        leaves_at = at + counted.length
        if leaves_at <= self._as_of:
            return
        sums, log = self.sums, counted.log
        for total, amount in amounts:
            sums[total] += amount
        if log and at < log[-1][0]:
            insort(log, (at, amounts))
        else:
            log.append((at, amounts))
        if leaves_at < self.changes_at:
            self.changes_at = leaves_at

    def take_back(self, window: int, at: int, amounts: Amounts) -> None:
        """Undo `add` with the same arguments."""
        counted = self._windows[window]
        if at + counted.length <= self._as_of:
            return
        for total, amount in amounts:
            self.sums[total] -= amount
        log = counted.log
        del log[log.index((at, amounts), bisect_left(log, (at,)))]
        self._set_next_change()

    def advance_to(self, now: int) -> None:
        """Take away the amounts that have left by `now`, which never goes back."""
        self._as_of = now
        if now < self.changes_at:
            return
        sums = self.sums
        for window in self._windows:
            log, oldest, passed = window.log, window.oldest, now - window.length
            while oldest < len(log) and log[oldest][0] <= passed:
                for total, amount in log[oldest][1]:
                    sums[total] -= amount
                oldest += 1
            if oldest > KEPT and oldest * 2 > len(log):
                del log[:oldest]
                oldest = 0
            window.oldest = oldest
        self._set_next_change()

    def _set_next_change(self) -> None:
        self.changes_at = MAX_TIME
        for window in self._windows:
            if window.oldest < len(window.log):
                self.changes_at = min(self.changes_at, window.log[window.oldest][0] + window.length)
