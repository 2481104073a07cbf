"""How many orders count towards the shares of the last 90 days, as of any time.

    orders ──▶ for each count, the times at which one begins and ceases to count, each in order
    a count as of T = begins up to T − ends up to T

So an answer costs two searches, whatever the number of orders, and an order that changes costs the entries of its own.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from vigil.app.domain.ledger.memory import DAY_MS, ORDER_MEMORY
from vigil.app.domain.ledger.records import OrderRecord
from vigil.app.engine.watermark import MAX_TIME

WINDOW: Final = 90 * DAY_MS
"""Of everything that is called `…_90d`."""

PAID: Final = 0
REFUNDED: Final = 1
DISPUTED: Final = 2
DUE: Final = 3
"""To be dispatched; without those whose refund was requested in time and that were not dispatched."""
ON_TIME: Final = 4

COUNTS: Final = 5

Span = tuple[int, int]
"""When an order begins to count, and when it ceases to (exclusive). Times are ms."""


class OrderShares:
    """The counts of the orders of one supplier."""

    __slots__ = ("_begins", "_ends")

    def __init__(self) -> None:
        self._begins, self._ends = ([array("q") for _ in range(COUNTS)] for _ in range(2))
        """By count, in order."""

    def load(self, orders: Iterable[Sequence[OrderRecord]]) -> Iterator[None]:
        """Count many orders, some in each step; no others were added before."""
        for some in orders:
            for which, spans in enumerate(_spans(some)):
                self._begins[which].extend(begin for begin, _ in spans)
                self._ends[which].extend(end for _, end in spans)
            yield
        for times in (self._begins, self._ends):
            for which, unsorted in enumerate(times):
                times[which] = array("q", sorted(unsorted))
                yield

    def add(self, order: OrderRecord) -> None:
        """Count an order as it is."""
        for which, spans in enumerate(_spans((order,))):
            for begin, end in spans:
                insort(self._begins[which], begin)
                insort(self._ends[which], end)

    def remove(self, order: OrderRecord) -> None:
        """Undo `add`: the order is about to change, or is forgotten."""
        for which, spans in enumerate(_spans((order,))):
            begins, ends = self._begins[which], self._ends[which]
            for begin, end in spans:
                del begins[bisect_left(begins, begin)]
                del ends[bisect_left(ends, end)]

    def count(self, which: int, now: int) -> int:
        """How many orders count as of a time."""
        return bisect_right(self._begins[which], now) - bisect_right(self._ends[which], now)

    def next_change(self, which: int, now: int) -> int:
        """The first time after `now` at which a count may change if nothing arrives; MAX_TIME if there is none."""
        return min(_first_after(now, self._begins[which]), _first_after(now, self._ends[which]))


def _first_after(now: int, times: "array[int]") -> int:
    place = bisect_right(times, now)
    return times[place] if place < len(times) else MAX_TIME


def _spans(orders: Iterable[OrderRecord]) -> tuple[list[Span], ...]:
    """By count, when each of the orders counts. A supplier has many orders: few calls for each of them."""
    paid = [(at, at + WINDOW, one) for one in orders if (at := one.paid) is not None]
    due = [_due(at, one) for at, _, one in paid]
    counts = (
        [(begin, end) for begin, end, _ in paid],
        [(max(at, step), end) for at, end, one in paid if (step := one.refund_requested) is not None],
        [(max(at, step), end) for at, end, one in paid if (step := one.disputed) is not None],
        due,
        [span for span, (_, _, one) in zip(due, paid, strict=True) if _was_in_time(one)],
    )
    return tuple(list(filter(_counts, spans)) for spans in counts)


def _due(paid: int, order: OrderRecord) -> Span:
    by, refund = order.dispatch_by, order.refund_requested
    begin, end = max(by, paid), min(by + WINDOW, order.latest() + ORDER_MEMORY)
    if refund is None or refund > by:
        return begin, end
    return (end if order.dispatched is None else max(begin, order.dispatched)), end


def _was_in_time(order: OrderRecord) -> bool:
    return order.dispatched is not None and order.dispatched <= order.dispatch_by


def _counts(span: Span) -> bool:
    """True if an order that counts from then until then counts at all."""
    return span[0] < span[1]
