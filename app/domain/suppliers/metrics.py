"""One supplier's metrics as of now, and as of the ends of months, kept without recounting.

An event counts in a figure from its own time until it leaves the window:

    submitted ──┬─ quotes_month ───────── until the month's end          (once an RFQ and month)
                ├─ rfqs_quoted, in_time ─ until 30 days after            (the first quote to the RFQ)
                └─ quotes ─────────────── until 30 days after
    replied ────── quotes_replied ─────── until 30 days after the quote was submitted
    settled, refunded ── gmv_90d ± ────── until 90 days after
    paid, refunded ───── gmv_month ± ──── until the month's end

So a figure is a sum over what began by now and has not ended. `now` only moves on; each step over an *edge* (a
beginning or an end) adds or takes away one amount. What arrives late counts now like anything else, and in the
figures of the months that have ended (the *closings*). Order of arrival does not matter: sums do not know it.

Forgets: entries once they are older than they are remembered, closings once no assessment needs them.
"""

from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import UNSET

from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry, RfqEntry
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.internal import SupplierTotals
from vigil.topics.suppliers import Payment, Quote

QUOTES_MONTH, RFQS_QUOTED, RFQS_IN_TIME, QUOTES, QUOTES_REPLIED, GMV_90D, GMV_MONTH = range(7)
_ZERO: Final = (0, 0, 0, 0, 0, 0, 0)

MOST_CENTS: Final = 10**18
"""Sums are told up to ten quadrillion dollars (decided: JSON readers take 64 bits)."""


def _told(cents: int) -> int:
    return min(max(cents, 0), MOST_CENTS)


class SupplierMetrics:
    """The quotes and payments of one supplier, and the figures that follow from them."""

    def __init__(
        self, rules: SupplierRules, now: int, parts: StateChunks, closings: dict[int, list[int]], kept_from: int
    ) -> None:
        """As of `now`, with the closings by month from the month `kept_from` on."""
        self.now = now
        self.closings = closings
        self._rules = rules
        self._kept_from = kept_from
        self._quotes: Buckets[QuoteEntry] = Buckets(b"q", QuoteEntry, parts)
        self._rfqs: Buckets[RfqEntry] = Buckets(b"r", RfqEntry, parts)
        self._payments: Buckets[PaymentEntry] = Buckets(b"p", PaymentEntry, parts)
        self._quote = {entry.quote_id: entry for entry in self._quotes}
        self._rfq = {entry.rfq_id: entry for entry in self._rfqs}
        self._payment = {entry.payment_id: entry for entry in self._payments}
        self._current = list(_ZERO)
        self._edges: list[tuple[int, int, int]] = []
        self._month = rules.calendar.month_of(now)
        self._closed = MIN_TIME  # while entries are counted again, closings have them already
        self._month_start = rules.calendar.start(self._month)
        self._month_until = rules.calendar.start(self._month + 1)
        if parts:
            self._recount()
        self._closed = self._month_start - 1

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: Quote | Payment, watermark: int) -> bool:
        """Is there an event of the same kind and id, remembered at `clock`?"""
        entry: QuoteEntry | PaymentEntry | None
        if isinstance(event, Quote):
            entry, memory = self._quote.get(event.quote_id), self._rules.quote_memory
        else:
            entry, memory = self._payment.get(event.payment_id), self._rules.payment_memory
        if entry is None:
            return False
        at: int | None = getattr(entry, event.kind)
        return at is not None and at > max(watermark, event.at) - memory

    def quote(self, event: Quote) -> None:
        """Count a quote's event that is not known."""
        at = event.at
        if at > self.now:
            self.advance(at)
        entry = self._quote.get(event.quote_id)
        if entry is None:
            entry = self._quote[event.quote_id] = QuoteEntry(event.quote_id)
            setattr(entry, event.kind, at)
            self._quotes.add(entry)
        else:
            setattr(entry, event.kind, at)
            self._quotes.touch(entry)
        if event.kind == "submitted":
            self._quoted(event)
            self._count_quote(QUOTES, at, at)
            if entry.replied is not None and entry.replied <= at - self._rules.quote_memory:
                entry.replied = None  # to a forgotten quote of the same id
            elif entry.replied is not None:
                self._count_quote(QUOTES_REPLIED, at, max(at, entry.replied))
        elif event.kind == "replied" and entry.submitted is not None:
            self._count_quote(QUOTES_REPLIED, entry.submitted, max(at, entry.submitted))

    def payment(self, event: Payment) -> None:
        """Count a payment's event that is not known."""
        at = event.at
        if at > self.now:
            self.advance(at)
        cents = event.cents if event.rfq_id is not None else 0
        entry = self._payment.get(event.payment_id)
        known = entry is not None
        if entry is None:
            entry = self._payment[event.payment_id] = PaymentEntry(event.payment_id)
        setattr(entry, event.kind, at)
        setattr(entry, f"{event.kind}_cents", cents)
        if known:
            self._payments.touch(entry)
        else:
            self._payments.add(entry)
        if cents:
            self._count_payment(event.kind, at, cents)

    # ---- time -------------------------------------------------------------------------------------------------

    def edge(self) -> int:
        """When a figure changes next if nothing arrives; at the latest when the month ends."""
        edges = self._edges
        return min(edges[0][0], self._month_until) if edges else self._month_until

    def advance(self, now: int) -> None:
        """Move now on: what leaves a window by then does not count any more, and months that end are closed."""
        while now >= self._month_until:
            self._pass(self._month_until - 1)
            if self._month >= self._kept_from and any(self._current):
                self.closings[self._month] = list(self._current)
            self._current[QUOTES_MONTH] = self._current[GMV_MONTH] = 0
            calendar = self._rules.calendar
            # When nothing is left to leave a window, months can be skipped.
            self._month = self._month + 1 if self._edges else calendar.month_of(now)
            self._month_start = calendar.start(self._month)
            self._month_until = calendar.start(self._month + 1)
            self._closed = self._month_start - 1
        self._pass(now)

    def keep_closings(self, first: int) -> None:
        """Months before `first` are needed no more."""
        self._kept_from = first
        for month in [month for month in self.closings if month < first]:
            del self.closings[month]

    def sweep(self, watermark: int) -> None:
        """Delete what is not remembered any more at `clock`."""
        quotes, payments = watermark - self._rules.quote_memory, watermark - self._rules.payment_memory
        self._quotes.sweep(quotes, lambda entry: self._quote.pop(entry.quote_id))
        self._rfqs.sweep(quotes, lambda entry: self._rfq.pop(entry.rfq_id))
        self._payments.sweep(payments, lambda entry: self._payment.pop(entry.payment_id))

    # ---- figures ----------------------------------------------------------------------------------------------

    def figures(self) -> SupplierTotals:
        """As of now."""
        return self._told(self._current, self._month)

    def figures_of(self, month: int) -> SupplierTotals:
        """As of the end of a month that has ended."""
        return self._told(self.closings.get(month, _ZERO), month)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the records that changed into `into`."""
        self._quotes.dump(into)
        self._rfqs.dump(into)
        self._payments.dump(into)

    # ---- counting ---------------------------------------------------------------------------------------------

    def _told(self, figures: "list[int] | tuple[int, ...]", month: int) -> SupplierTotals:
        return SupplierTotals(
            quotes_month=figures[QUOTES_MONTH],
            rfqs_quoted=figures[RFQS_QUOTED],
            rfqs_in_time=figures[RFQS_IN_TIME],
            quotes=figures[QUOTES],
            quotes_replied=figures[QUOTES_REPLIED],
            gmv_90d=_told(figures[GMV_90D]),
            gmv_month=_told(figures[GMV_MONTH]),
            prior_gmv_90d=_told(self.closings.get(month - 1, _ZERO)[GMV_90D]),
        )

    def _quoted(self, event: Quote) -> None:
        """The supplier quoted on an RFQ, for the first time or again."""
        rfq_id, at, rfq_at = event.rfq_id, event.at, event.rfq_at
        if rfq_at is UNSET:
            raise ValueError(f"quote {event.quote_id!r} was submitted without rfq_at: decoding refuses that")
        month = self._month if self._month_start <= at else self._rules.calendar.month_of(at)
        rfq = self._rfq.get(rfq_id)
        if rfq is None:
            rfq = self._rfq[rfq_id] = RfqEntry(rfq_id, at, rfq_at, at, (month,))
            self._rfqs.add(rfq)
            self._count_rfq(rfq, 1)
            self._count_month(QUOTES_MONTH, at, month, 1)
            return
        self._rfqs.touch(rfq)
        memory = self._rules.quote_memory
        if rfq.last_at <= at - memory:
            # Its windows are long over: it begins anew, as if it were deleted already.
            rfq.first_at, rfq.rfq_at, rfq.last_at, rfq.months = at, rfq_at, at, ()
            self._count_rfq(rfq, 1)
        elif (at, rfq_at) < (rfq.first_at, rfq.rfq_at) and at > rfq.first_at - memory:
            self._count_rfq(rfq, -1)
            rfq.first_at, rfq.rfq_at = at, rfq_at
            self._count_rfq(rfq, 1)
        rfq.last_at = max(rfq.last_at, at)
        if month not in rfq.months:
            rfq.months = (*rfq.months, month)
            self._count_month(QUOTES_MONTH, at, month, 1)

    def _count_rfq(self, rfq: RfqEntry, by: int) -> None:
        first = rfq.first_at
        took = first - rfq.rfq_at
        for rules in self._rules.windows_from(first):
            start, until = max(first, rules.start), min(first + rules.response, rules.until)
            if start < until:
                self._span(RFQS_QUOTED, by, start, until)
                if took <= rules.response_within:
                    self._span(RFQS_IN_TIME, by, start, until)

    def _count_quote(self, figure: int, submitted: int, since: int) -> None:
        for rules in self._rules.windows_from(since):
            start, until = max(since, rules.start), min(submitted + rules.reply, rules.until)
            if start < until:
                self._span(figure, 1, start, until)

    def _count_payment(self, kind: str, at: int, cents: int) -> None:
        if kind != "settled":
            month = self._month if self._month_start <= at else self._rules.calendar.month_of(at)
            self._count_month(GMV_MONTH, at, month, cents if kind == "paid" else -cents)
        if kind != "paid":
            amount = cents if kind == "settled" else -cents
            for rules in self._rules.windows_from(at):
                start, until = max(at, rules.start), min(at + rules.gmv, rules.until)
                if start < until:
                    self._span(GMV_90D, amount, start, until)

    def _count_month(self, figure: int, at: int, month: int, by: int) -> None:
        """Count in the calendar month of `at`."""
        if at >= self._month_start:
            self._current[figure] += by
        elif self._closed != MIN_TIME and month >= self._kept_from:
            self._closing(month)[figure] += by

    def _span(self, figure: int, by: int, start: int, until: int) -> None:
        """Count `by` from `start` until before `until`, now and in the months that have ended."""
        if until > self.now:
            if start <= self.now:
                self._current[figure] += by
            else:
                heappush(self._edges, (start, figure, by))
            heappush(self._edges, (until, figure, -by))
        if start <= self._closed:
            calendar = self._rules.calendar
            month = max(calendar.month_of(start), self._kept_from)
            while month < self._month and (end := calendar.end(month)) < until:
                if start <= end:
                    self._closing(month)[figure] += by
                month += 1

    def _closing(self, month: int) -> list[int]:
        closing = self.closings.get(month)
        if closing is None:
            closing = self.closings[month] = list(_ZERO)
        return closing

    def _pass(self, now: int) -> None:
        edges, current = self._edges, self._current
        while edges and edges[0][0] <= now:
            _, figure, by = heappop(edges)
            current[figure] += by
        if now > self.now:
            self.now = now

    def _recount(self) -> None:
        """The figures as of now from the stored entries."""
        for rfq in self._rfqs:
            self._count_rfq(rfq, 1)
            if self._month in rfq.months:
                self._current[QUOTES_MONTH] += 1
        for quote in self._quotes:
            submitted, replied = quote.submitted, quote.replied
            if submitted is not None:
                self._count_quote(QUOTES, submitted, submitted)
                if replied is not None:
                    self._count_quote(QUOTES_REPLIED, submitted, max(submitted, replied))
        for payment in self._payments:
            for kind in ("paid", "settled", "refunded"):
                at = getattr(payment, kind)
                if at is not None:
                    self._count_payment(kind, at, getattr(payment, f"{kind}_cents"))
        heapify(self._edges)
