"""What was paid for one product in the last 90 days.

    log of its order lines   l  l  l │ l  l  l  l  l │ l
                                     └ first         └ last
                                       ◀─ 90 days ─▶ now

Another time moves both ends of the window and counts what comes in or leaves.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

from vigil.app.domain.ledger.order_shares import WINDOW
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME


class PaidFor(NamedTuple):
    """What was paid for a product in the last 90 days."""

    cents: int
    buyers: int


SoldLine = tuple[int, int, str]
"""One line of a paid order: when it was paid, its cents, and the buyer."""


class ProductSales:
    """The lines of paid orders of one product."""

    __slots__ = ("_buyers", "_cents", "_first", "_last", "_log", "_now")

    def __init__(self, lines: Iterable[SoldLine] = ()) -> None:
        self._log = sorted(lines)
        """In the order of time."""
        self._now = MIN_TIME
        """The time as of which is counted."""
        self._first = self._last = 0
        """How many lines had left the window by then, and how many had come."""
        self._cents = 0
        self._buyers: dict[str, int] = {}
        """By buyer: lines in the window."""

    def __bool__(self) -> bool:
        """True if a line is remembered."""
        return bool(self._log)

    def add(self, line: SoldLine) -> None:
        """Take the line of a paid order."""
        insort(self._log, line)
        self._note(line, 1)

    def remove(self, line: SoldLine) -> None:
        """Undo `add`: the order is forgotten."""
        del self._log[bisect_left(self._log, line)]
        self._note(line, -1)

    def as_of(self, now: int) -> PaidFor:
        """What was paid in the 90 days up to `now`."""
        if now != self._now:
            self._move(now)
        return PaidFor(self._cents, len(self._buyers))

    def next_change(self) -> int:
        """When the answer changes after that of the last `as_of`, if nothing arrives; MAX_TIME if it does not."""
        log = self._log
        comes = log[self._last][0] if self._last < len(log) else MAX_TIME
        leaves = log[self._first][0] + WINDOW if self._first < self._last else MAX_TIME
        return min(comes, leaves)

    def _note(self, line: SoldLine, by: int) -> None:
        at = line[0]
        left, come = at <= self._now - WINDOW, at <= self._now
        self._first += by * left
        self._last += by * come
        if come and not left:
            self._count(line, by)

    def _move(self, now: int) -> None:
        first, last = self._place_after(now - WINDOW), self._place_after(now)
        log = self._log
        for line in log[self._last : last]:
            self._count(line, 1)
        for line in log[first : self._first]:
            self._count(line, 1)
        for line in log[self._first : first]:
            self._count(line, -1)
        for line in log[last : self._last]:
            self._count(line, -1)
        self._now, self._first, self._last = now, first, last

    def _place_after(self, at: int) -> int:
        return bisect_left(self._log, (at + 1,))

    def _count(self, line: SoldLine, by: int) -> None:
        _, cents, buyer_id = line
        self._cents += by * cents
        lines = self._buyers.get(buyer_id, 0) + by
        if lines:
            self._buyers[buyer_id] = lines
        else:
            del self._buyers[buyer_id]
