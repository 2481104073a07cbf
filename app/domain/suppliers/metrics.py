"""The totals of one supplier as of now and as of the ends of months, kept up to date without counting again.

An amount counts in a total from one time (inclusive) to another (exclusive); metric_table.py says which. A total is the
sum of the amounts whose interval contains now:

    amount 1      ├──────────────────┤
    amount 2             ├──────────────────┤          boundaries: the ends of intervals, and the beginnings of those
    ──────────────────────────▲─────────────────▶      that begin after now (a reply before its quote), in a heap
                             now

`now` only advances. Each boundary that it passes adds or subtracts one amount. An event that arrives late counts like
any other: at once if its interval contains now, and in the totals of the month ends that its interval contains. Sums do
not depend on the order of their parts, so totals do not depend on the order of arrival.

The limits may change while an amount counts, so an interval is cut at the starts of versions of [suppliers], and each
part has the length of its own version's window.

Expiry: entries once they are older than their memory, month-end totals once no assessment needs them.
"""

from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import UNSET

from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry, RfqEntry
from vigil.app.domain.suppliers.metric_table import (
    AMOUNTS,
    GMV_90D,
    IN_ORDER_OF_FIELDS,
    MONTHLY,
    MONTHLY_RFQS,
    PAYMENT_EFFECTS,
    QUOTE_TOTALS,
    REACTIONS,
    RFQ_WINDOWS,
    ZERO,
)
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.internal import SupplierTotals
from vigil.topics.suppliers import Payment, Quote

MAX_CENTS: Final = 10**18
"""Published amounts are at most ten quadrillion dollars (decided: readers of JSON hold integers of 64 bits)."""


class SupplierMetrics:
    """The quotes and payments of one supplier, and its totals."""

    def __init__(
        self,
        rules: SupplierRules,
        now: int,
        chunks: StateChunks,
        month_end_totals: dict[int, list[int]],
        kept_from: int,
    ) -> None:
        """As of `now`. `month_end_totals` are kept by month, from the month `kept_from` on."""
        self.now = now
        self.month_end_totals = month_end_totals
        self._rules = rules
        self._kept_from = kept_from
        self._quotes: Buckets[QuoteEntry] = Buckets(b"q", QuoteEntry, chunks)
        self._rfqs: Buckets[RfqEntry] = Buckets(b"r", RfqEntry, chunks)
        self._payments: Buckets[PaymentEntry] = Buckets(b"p", PaymentEntry, chunks)
        self._quote = {entry.quote_id: entry for entry in self._quotes}
        self._rfq = {entry.rfq_id: entry for entry in self._rfqs}
        self._payment = {entry.payment_id: entry for entry in self._payments}
        self._current = list(ZERO)
        self._boundaries: list[tuple[int, int, int]] = []
        """A heap of time, total, and the amount to be added."""
        self._month = rules.calendar.month_of(now)
        self._month_start = rules.calendar.start(self._month)
        self._month_until = rules.calendar.start(self._month + 1)
        self._last_month_end = MIN_TIME  # while stored entries are counted: the month-end totals contain them already
        if chunks:
            self._count_entries()
        self._last_month_end = self._month_start - 1

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: Quote | Payment, watermark: int) -> bool:
        """True if an event of the same kind and id is remembered at the watermark."""
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
        """Count the event of a quote that is not a duplicate."""
        at = event.at
        if at > self.now:
            self.advance_to(at)
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
            self._submitted(entry, at)
        elif entry.submitted is not None:
            for total, window in QUOTE_TOTALS[event.kind]:
                self._add_window(total, window, 1, entry.submitted, max(at, entry.submitted))

    def payment(self, event: Payment) -> None:
        """Count the event of a payment that is not a duplicate."""
        at = event.at
        if at > self.now:
            self.advance_to(at)
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

    def next_change(self) -> int:
        """When a total changes next if no event arrives; at the latest at the end of the month."""
        boundaries = self._boundaries
        return min(boundaries[0][0], self._month_until) if boundaries else self._month_until

    def advance_to(self, now: int) -> None:
        """Advance now: amounts leave their windows, and the totals of months that end are kept."""
        while now >= self._month_until:
            self._pass_boundaries(self._month_until - 1)
            if self._month >= self._kept_from and any(self._current):
                self.month_end_totals[self._month] = list(self._current)
            for total in MONTHLY:
                self._current[total] = 0
            calendar = self._rules.calendar
            # Without boundaries nothing changes any more, so months can be skipped.
            self._month = self._month + 1 if self._boundaries else calendar.month_of(now)
            self._month_start = calendar.start(self._month)
            self._month_until = calendar.start(self._month + 1)
            self._last_month_end = self._month_start - 1
        self._pass_boundaries(now)

    def drop_month_ends_before(self, first: int) -> None:
        """Drop the month-end totals of months before `first`."""
        self._kept_from = first
        for month in [month for month in self.month_end_totals if month < first]:
            del self.month_end_totals[month]

    def expire_entries(self, watermark: int) -> None:
        """Delete the entries that are older than their memory at the watermark."""
        quotes, payments = watermark - self._rules.quote_memory, watermark - self._rules.payment_memory
        self._quotes.expire(quotes, lambda entry: self._quote.pop(entry.quote_id))
        self._rfqs.expire(quotes, lambda entry: self._rfq.pop(entry.rfq_id))
        self._payments.expire(payments, lambda entry: self._payment.pop(entry.payment_id))

    # ---- totals -----------------------------------------------------------------------------------------------

    def totals(self) -> SupplierTotals:
        """The totals as of now."""
        return self._totals(self._current, self._month)

    def totals_at_end_of(self, month: int) -> SupplierTotals:
        """The totals as of the end of a month that has ended."""
        return self._totals(self.month_end_totals.get(month, ZERO), month)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the state chunks that changed since the last call into `into`."""
        self._quotes.dump(into)
        self._rfqs.dump(into)
        self._payments.dump(into)

    def _totals(self, sums: "list[int] | tuple[int, ...]", month: int) -> SupplierTotals:
        values = [*sums, self.month_end_totals.get(month - 1, ZERO)[GMV_90D]]
        for number in AMOUNTS:
            if not 0 <= values[number] <= MAX_CENTS:
                values[number] = min(max(values[number], 0), MAX_CENTS)
        return SupplierTotals(*IN_ORDER_OF_FIELDS(values))

    # ---- counting ---------------------------------------------------------------------------------------------

    def _submitted(self, entry: QuoteEntry, at: int) -> None:
        """Count a quote from its submission on, and the events of it that came before that."""
        for total, window in QUOTE_TOTALS["submitted"]:
            self._add_window(total, window, 1, at, at)
        for kind in REACTIONS:
            reacted: int | None = getattr(entry, kind)
            if reacted is None:
                continue
            if reacted <= at - self._rules.quote_memory:
                setattr(entry, kind, None)  # it belongs to an expired quote of the same id
                continue
            for total, window in QUOTE_TOTALS[kind]:
                self._add_window(total, window, 1, at, max(at, reacted))

    def _quoted(self, event: Quote) -> None:
        """The supplier quoted on an RFQ, for the first time or again."""
        rfq_id, at, rfq_at = event.rfq_id, event.at, event.rfq_at
        if rfq_at is UNSET:
            raise ValueError(f"quote {event.quote_id!r} was submitted without rfq_at: decoding rejects that")
        month = self._month if self._month_start <= at else self._rules.calendar.month_of(at)
        rfq = self._rfq.get(rfq_id)
        if rfq is None:
            rfq = self._rfq[rfq_id] = RfqEntry(rfq_id, at, rfq_at, at, (month,))
            self._rfqs.add(rfq)
            self._count_rfq(rfq, 1)
            for total in MONTHLY_RFQS:
                self._add_to_month(total, at, month, 1)
            return
        self._rfqs.touch(rfq)
        memory = self._rules.quote_memory
        if rfq.last_at <= at - memory:
            # It should be deleted already, and its windows are long over: it begins again.
            rfq.first_at, rfq.rfq_at, rfq.last_at, rfq.months = at, rfq_at, at, ()
            self._count_rfq(rfq, 1)
        elif (at, rfq_at) < (rfq.first_at, rfq.rfq_at) and at > rfq.first_at - memory:
            self._count_rfq(rfq, -1)
            rfq.first_at, rfq.rfq_at = at, rfq_at
            self._count_rfq(rfq, 1)
        rfq.last_at = max(rfq.last_at, at)
        if month not in rfq.months:
            rfq.months = (*rfq.months, month)
            for total in MONTHLY_RFQS:
                self._add_to_month(total, at, month, 1)

    def _count_rfq(self, rfq: RfqEntry, by: int) -> None:
        """Count an RFQ in the rolling windows by its first quote, `by` 1, or −1 to undo that."""
        first = rfq.first_at
        took = first - rfq.rfq_at
        for rules in self._rules.counting_from(first):
            in_time = took <= rules.response_within
            for window, totals, totals_in_time in RFQ_WINDOWS:
                start, until = max(first, rules.start), min(first + rules.windows[window], rules.until)
                if start < until:
                    for total in totals_in_time if in_time else totals:
                        self._add_interval(total, by, start, until)

    def _count_payment(self, kind: str, at: int, cents: int) -> None:
        for total, window, sign in PAYMENT_EFFECTS[kind]:
            if window is None:
                month = self._month if self._month_start <= at else self._rules.calendar.month_of(at)
                self._add_to_month(total, at, month, sign * cents)
            else:
                self._add_window(total, window, sign * cents, at, at)

    def _add_window(self, total: int, window: int, amount: int, at: int, since: int) -> None:
        """Add an amount from `since` until the rolling window has passed `at`."""
        for rules in self._rules.counting_from(since):
            start, until = max(since, rules.start), min(at + rules.windows[window], rules.until)
            if start < until:
                self._add_interval(total, amount, start, until)

    def _add_to_month(self, total: int, at: int, month: int, amount: int) -> None:
        """Add an amount to a total of the calendar month `month`, in which `at` lies."""
        if at >= self._month_start:
            self._current[total] += amount
        elif self._last_month_end != MIN_TIME and month >= self._kept_from:
            self._month_end(month)[total] += amount

    def _add_interval(self, total: int, amount: int, start: int, until: int) -> None:
        """Add an amount for start ≤ t < until, to the total as of now and to those of the month ends in between."""
        if until > self.now:
            if start <= self.now:
                self._current[total] += amount
            else:
                heappush(self._boundaries, (start, total, amount))
            heappush(self._boundaries, (until, total, -amount))
        if start <= self._last_month_end:
            calendar = self._rules.calendar
            month = max(calendar.month_of(start), self._kept_from)
            while month < self._month and (end := calendar.end(month)) < until:
                if start <= end:
                    self._month_end(month)[total] += amount
                month += 1

    def _month_end(self, month: int) -> list[int]:
        totals = self.month_end_totals.get(month)
        if totals is None:
            totals = self.month_end_totals[month] = list(ZERO)
        return totals

    def _pass_boundaries(self, now: int) -> None:
        boundaries, current = self._boundaries, self._current
        while boundaries and boundaries[0][0] <= now:
            _, total, amount = heappop(boundaries)
            current[total] += amount
        if now > self.now:
            self.now = now

    def _count_entries(self) -> None:
        """Count the stored entries into the totals as of now."""
        for rfq in self._rfqs:
            self._count_rfq(rfq, 1)
            if self._month in rfq.months:
                for total in MONTHLY_RFQS:
                    self._current[total] += 1
        for quote in self._quotes:
            submitted = quote.submitted
            if submitted is not None:
                for kind, at in quote.times(QUOTE_TOTALS):
                    for total, window in QUOTE_TOTALS[kind]:
                        self._add_window(total, window, 1, submitted, max(submitted, at))
        for payment in self._payments:
            for kind, at in payment.times(PAYMENT_EFFECTS):
                self._count_payment(kind, at, getattr(payment, f"{kind}_cents"))
        heapify(self._boundaries)
