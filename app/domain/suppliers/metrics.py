"""The totals of one supplier as of now and as of the ends of months, kept up to date without counting again.

An amount counts in a total from one time (inclusive) to another (exclusive); metric_table.py says which. A total is the
sum of the amounts whose interval contains now:

    amount 1      ├──────────────────┤
    amount 2             ├──────────────────┤
    ──────────────────────────▲─────────────────▶
                             now

`now` only advances, and no event is later than it. rolling_sums.py takes away what leaves a rolling window. At two
*edges* more happens: at the end of a month its totals are kept, and what counts by month begins again; where other
limits take effect, everything is counted again by them.

An event that arrives late counts like any other: at once if its interval contains now, and in the totals of the month
ends that its interval contains, by the limits of each. Sums do not depend on the order of their parts, so totals do not
depend on the order of arrival.

Expiry: entries once they are older than their memory, month-end totals once no assessment needs them.
"""

from typing import Final

from msgspec import UNSET

from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry, RfqEntry
from vigil.app.domain.suppliers.metric_table import (
    AMOUNTS,
    COUNTED_KINDS,
    GMV_90D,
    IN_ORDER_OF_FIELDS,
    MONTHLY,
    MONTHLY_QUOTES,
    MONTHLY_RFQS,
    PAYMENT_EFFECTS,
    QUOTE_AMOUNTS,
    REACTIONS,
    RFQ_IN_TIME,
    RFQ_LATE,
    RFQ_LATEST,
    RFQ_REPLIED,
    ZERO,
    PaymentKind,
    QuoteKind,
    WindowAmounts,
)
from vigil.app.domain.suppliers.month_ends import MonthEnds
from vigil.app.domain.suppliers.rolling_sums import Amounts, RollingSums
from vigil.app.domain.suppliers.rules import CountingRules, SupplierRules
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.internal import SupplierTotals
from vigil.topics.suppliers import Payment, Quote

MAX_CENTS: Final = 10**18
"""Published amounts are at most ten quadrillion dollars (decided: readers of JSON hold integers of 64 bits)."""


class SupplierMetrics:
    """The quotes and payments of one supplier, and its totals."""

    __slots__ = (
        "_counting",
        "_late_before",
        "_month",
        "_month_start",
        "_month_until",
        "_payments",
        "_quotes",
        "_quotes_of",
        "_rfq",
        "_rfqs",
        "_rules",
        "edge",
        "month_ends",
        "payments",
        "quotes",
        "rolling",
    )

    def __init__(
        self,
        rules: SupplierRules,
        now: int,
        chunks: StateChunks,
        month_end_totals: dict[int, list[int]],
        kept_from: int,
    ) -> None:
        """As of `now`. `month_end_totals` are kept by month, from the month `kept_from` on."""
        self.month_ends = MonthEnds(rules, month_end_totals, kept_from)
        self._rules = rules
        self._quotes: Buckets[QuoteEntry] = Buckets(b"q", QuoteEntry, chunks)
        self._rfqs: Buckets[RfqEntry] = Buckets(b"r", RfqEntry, chunks)
        self._payments: Buckets[PaymentEntry] = Buckets(b"p", PaymentEntry, chunks)
        self.quotes = {entry.quote_id: entry for entry in self._quotes}
        """By id, to read only; so are payments."""
        self._rfq = {entry.rfq_id: entry for entry in self._rfqs}
        self.payments = {entry.payment_id: entry for entry in self._payments}
        self._quotes_of: dict[str, list[QuoteEntry]] | None = None
        """The quotes to each RFQ, from the first event on that counts in a month that has ended."""
        self._counting = rules.counting_at(now)
        self._begin_month(rules.calendar.month_of(now))
        self.edge = min(self._month_until, self._counting.until)
        """The time before which `pass_edges` need not be called."""
        self._count_again(now)

    # ---- events -----------------------------------------------------------------------------------------------

    def quote(self, event: Quote) -> None:
        """Count the event of a quote that is not a duplicate, and not later than now."""
        at, kind = event.at, event.kind
        entry = self.quotes.get(event.quote_id)
        known = entry is not None
        if entry is None:
            entry = self.quotes[event.quote_id] = QuoteEntry(event.quote_id)
            self._quotes.add(entry)
        else:
            self._quotes.touch(entry)
        setattr(entry, kind, at)
        if kind == "submitted":
            entry.rfq_id = event.rfq_id
            if self._quotes_of is not None:
                self._quotes_of.setdefault(event.rfq_id, []).append(entry)
            self._quoted(event, entry)
            self._count_quote("submitted", at, at)
            if known:
                self._count_reactions(entry, at)
        elif kind in REACTIONS and entry.submitted is not None:
            self._reacted(kind, entry, entry.submitted, at)

    def payment(self, event: Payment) -> None:
        """Count the event of a payment that is not a duplicate, and not later than now."""
        entry = self.payments.get(event.payment_id)
        if entry is None:
            entry = self.payments[event.payment_id] = PaymentEntry(event.payment_id)
            self._payments.add(entry)
        else:
            self._payments.touch(entry)
        cents = event.cents if event.rfq_id is not None else 0
        setattr(entry, event.kind, event.at)
        setattr(entry, f"{event.kind}_cents", cents)
        if cents:
            self._count_payment(event.kind, event.at, cents)

    # ---- time -------------------------------------------------------------------------------------------------

    def next_change(self, now: int) -> int:
        """When a total changes next after `now` if no event arrives; at the latest at the next edge."""
        rolling = self.rolling
        if now >= rolling.changes_at:
            rolling.advance_to(now)
        return min(rolling.changes_at, self.edge)

    def pass_edges(self, now: int) -> None:
        """Advance to `now` where that is at the next edge or later: months end, or other limits take effect."""
        while now >= (edge := self.edge):
            self.rolling.advance_to(edge - 1)
            if edge == self._month_until:
                self._end_month(now)
            if edge == self._counting.until:
                self._counting = self._rules.counting_at(edge)
                self._count_again(edge)
            self.edge = min(self._month_until, self._counting.until)

    def expire_entries(self, watermark: int) -> None:
        """Delete the entries that are older than their memory at the watermark."""
        quotes, payments = watermark - self._rules.quote_memory, watermark - self._rules.payment_memory
        self._quotes_of = None
        self._quotes.expire(quotes, lambda entry: self.quotes.pop(entry.quote_id))
        self._rfqs.expire(quotes, lambda entry: self._rfq.pop(entry.rfq_id))
        self._payments.expire(payments, lambda entry: self.payments.pop(entry.payment_id))

    def _end_month(self, now: int) -> None:
        """Keep the totals of the month, and begin the next one, or that of `now` where nothing changes until then."""
        rolling, month = self.rolling, self._month
        self.month_ends.keep(month, rolling.sums)
        for total in MONTHLY:
            rolling.sums[total] = 0
        skips = rolling.changes_at == MAX_TIME and now < self._counting.until
        self._begin_month(self._rules.calendar.month_of(now) if skips else month + 1)

    def _begin_month(self, month: int) -> None:
        calendar = self._rules.calendar
        self._quotes_of = None
        self._month = month
        self._month_start = self._late_before = calendar.start(month)
        self._month_until = calendar.start(month + 1)

    # ---- totals -----------------------------------------------------------------------------------------------

    def totals(self, now: int) -> SupplierTotals:
        """The totals as of `now`, which is before the next edge."""
        self.rolling.advance_to(now)
        return self._totals(self.rolling.sums, self._month)

    def totals_at_end_of(self, month: int) -> SupplierTotals:
        """The totals as of the end of a month that has ended."""
        return self._totals(self.month_ends.at_end_of(month), month)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the state chunks that changed since the last call into `into`."""
        self._quotes.dump(into)
        self._rfqs.dump(into)
        self._payments.dump(into)

    def _totals(self, sums: "list[int] | tuple[int, ...]", month: int) -> SupplierTotals:
        values = [*sums, self.month_ends.at_end_of(month - 1)[GMV_90D], 0]
        for number in AMOUNTS:
            if not 0 <= values[number] <= MAX_CENTS:
                values[number] = min(max(values[number], 0), MAX_CENTS)
        return SupplierTotals(*IN_ORDER_OF_FIELDS(values))

    # ---- counting ---------------------------------------------------------------------------------------------

    def _count_reactions(self, entry: QuoteEntry, submitted: int) -> None:
        """Count the events of a quote that came before its submission."""
        for kind in REACTIONS:
            reacted: int | None = getattr(entry, kind)
            if reacted is None:
                continue
            if reacted <= submitted - self._rules.quote_memory:
                setattr(entry, kind, None)  # it belongs to an expired quote of the same id
            else:
                self._reacted(kind, entry, submitted, reacted)

    def _reacted(self, kind: QuoteKind, entry: QuoteEntry, submitted: int, at: int) -> None:
        """Count an event of a quote that was submitted; it counts from the submission on, if it came before that."""
        since = max(at, submitted)
        if kind in COUNTED_KINDS:
            self._count_quote(kind, submitted, since)
        if kind != "replied":
            return
        # Its RFQ counts until the window has passed the submission.
        rfq = self._rfq.get(entry.rfq_id)
        if rfq is None:
            return  # it is older than its memory
        if rfq.replied_at is None or rfq.replied_at < submitted:
            self._move(RFQ_REPLIED, rfq.replied_at, submitted)
            rfq.replied_at = submitted
            self._rfqs.touch(rfq)
        if since < self._late_before:
            self._add_latest_to_month_ends(RFQ_REPLIED, entry, submitted, since, "replied")

    def _move(self, amounts_of: tuple[WindowAmounts, ...], before: int | None, at: int) -> None:
        """Count an RFQ by a later quote than before."""
        for window, amounts in amounts_of:
            if before is not None:
                self.rolling.take_back(window, before, amounts)
            self.rolling.add(window, at, amounts)

    def _add_latest_to_month_ends(
        self, amounts_of: tuple[WindowAmounts, ...], entry: QuoteEntry, submitted: int, since: int, kind: QuoteKind
    ) -> None:
        """Count the RFQ of a quote at those month ends at which no other quote to it counts already."""
        if self._quotes_of is None:
            self._quotes_of = {}
            for quote in self.quotes.values():
                self._quotes_of.setdefault(quote.rfq_id, []).append(quote)
        others = [quote for quote in self._quotes_of[entry.rfq_id] if quote is not entry]
        for month, end, rules in self.month_ends.between(since, self._month):
            for window, amounts in amounts_of:
                begins = end - rules.windows[window]
                if begins < submitted and not any(_counts_at(quote, kind, begins, end) for quote in others):
                    self.month_ends.add(month, amounts)

    def _quoted(self, event: Quote, entry: QuoteEntry) -> None:
        """The supplier quoted on an RFQ, for the first time or again."""
        rfq_id, at, rfq_at = event.rfq_id, event.at, event.rfq_at
        if rfq_at is UNSET:
            raise ValueError(f"quote {event.quote_id!r} was submitted without rfq_at: decoding rejects that")
        month = self._month if self._month_start <= at else self._rules.calendar.month_of(at)
        rfq = self._rfq.get(rfq_id)
        if rfq is None:
            rfq = self._rfq[rfq_id] = RfqEntry(rfq_id, at, rfq_at, at, ())
            self._rfqs.add(rfq)
            self._count_rfq(rfq)
            for window, amounts in RFQ_LATEST:
                self.rolling.add(window, at, amounts)
        else:
            self._rfqs.touch(rfq)
            self._quoted_again(rfq, at, rfq_at)
        if month not in rfq.months:
            rfq.months = (*rfq.months, month)
            for total in MONTHLY_RFQS:
                self._add_to_month(total, at, 1)
        if at < self._late_before:
            self._add_latest_to_month_ends(RFQ_LATEST, entry, at, at, "submitted")

    def _quoted_again(self, rfq: RfqEntry, at: int, rfq_at: int) -> None:
        memory = self._rules.quote_memory
        if rfq.last_at <= at - memory:
            # It should be deleted already, and its windows are long over: it begins again.
            rfq.first_at, rfq.rfq_at, rfq.last_at, rfq.months, rfq.replied_at = at, rfq_at, at, (), None
            self._count_rfq(rfq)
            self._move(RFQ_LATEST, None, at)
            return
        if (at, rfq_at) < (rfq.first_at, rfq.rfq_at) and at > rfq.first_at - memory:
            self._take_back_rfq(rfq)
            rfq.first_at, rfq.rfq_at = at, rfq_at
            self._count_rfq(rfq)
        if at > rfq.last_at:
            self._move(RFQ_LATEST, rfq.last_at, at)
            rfq.last_at = at

    def _count_rfq(self, rfq: RfqEntry) -> None:
        """Count an RFQ in the rolling windows by its first quote."""
        first = rfq.first_at
        for window, amounts in RFQ_IN_TIME if first - rfq.rfq_at <= self._counting.response_within else RFQ_LATE:
            self.rolling.add(window, first, amounts)
        if first < self._late_before:
            self._add_rfq_to_month_ends(rfq, 1)

    def _take_back_rfq(self, rfq: RfqEntry) -> None:
        for window, amounts in _rfq_amounts(rfq, self._counting):
            self.rolling.take_back(window, rfq.first_at, amounts)
        if rfq.first_at < self._late_before:
            self._add_rfq_to_month_ends(rfq, -1)

    def _add_rfq_to_month_ends(self, rfq: RfqEntry, sign: int) -> None:
        first = rfq.first_at
        for month, end, rules in self.month_ends.between(first, self._month):
            for window, amounts in _rfq_amounts(rfq, rules):
                if end < first + rules.windows[window]:
                    self.month_ends.add(month, amounts, sign)

    def _count_quote(self, kind: QuoteKind, submitted: int, since: int) -> None:
        """Count an event of a quote from `since` until the window has passed the submission."""
        for window, amounts in QUOTE_AMOUNTS[kind]:
            self.rolling.add(window, submitted, amounts)
            if since < self._late_before:
                self._add_to_month_ends(window, amounts, submitted, since)
        for total in MONTHLY_QUOTES[kind]:
            if submitted >= self._month_start:
                self.rolling.sums[total] += 1
            else:
                self._add_to_month(total, submitted, 1)

    def _count_payment(self, kind: PaymentKind, at: int, cents: int) -> None:
        for total, window, sign in PAYMENT_EFFECTS[kind]:
            if window is None:
                self._add_to_month(total, at, sign * cents)
            else:
                amounts = ((total, sign * cents),)
                self.rolling.add(window, at, amounts)
                if at < self._late_before:
                    self._add_to_month_ends(window, amounts, at, at)

    def _add_to_month_ends(self, window: int, amounts: Amounts, at: int, since: int) -> None:
        """Add amounts that count from `since` until the rolling window has passed `at`."""
        for month, end, rules in self.month_ends.between(since, self._month):
            if end < at + rules.windows[window]:
                self.month_ends.add(month, amounts)

    def _add_to_month(self, total: int, at: int, amount: int) -> None:
        """Add an amount to a total of the calendar month in which `at` lies."""
        if at >= self._month_start:
            self.rolling.sums[total] += amount
        elif at < self._late_before:
            self.month_ends.add(self._rules.calendar.month_of(at), ((total, amount),))

    def _count_again(self, now: int) -> None:
        """Count all entries as of `now`, by the rules of then. The month ends contain them already."""
        self._late_before = MIN_TIME
        self.rolling = RollingSums(now, self._counting.windows, list(ZERO))
        for rfq in self._rfq.values():
            self._count_rfq(rfq)
            self._move(RFQ_LATEST, None, rfq.last_at)
            if rfq.replied_at is not None:
                self._move(RFQ_REPLIED, None, rfq.replied_at)
            for total in MONTHLY_RFQS:
                self.rolling.sums[total] += int(self._month in rfq.months)
        for quote in self.quotes.values():
            self._count_quote_again(quote)
        for payment in self.payments.values():
            for effect in PAYMENT_EFFECTS:
                if cents := getattr(payment, f"{effect}_cents"):
                    self._count_payment(effect, getattr(payment, effect), cents)
        self._late_before = self._month_start

    def _count_quote_again(self, quote: QuoteEntry) -> None:
        submitted = quote.submitted
        if submitted is not None:
            for kind in COUNTED_KINDS:
                if getattr(quote, kind) is not None:
                    self._count_quote(kind, submitted, submitted)


def _rfq_amounts(rfq: RfqEntry, rules: CountingRules) -> tuple[WindowAmounts, ...]:
    """What an RFQ adds, by its first quote and the rules of the time for which is counted."""
    return RFQ_IN_TIME if rfq.first_at - rfq.rfq_at <= rules.response_within else RFQ_LATE


def _counts_at(quote: QuoteEntry, kind: QuoteKind, begins: int, end: int) -> bool:
    """True if a quote was submitted in a window and had an event of a kind by its end."""
    at: int | None = getattr(quote, kind)
    return at is not None and at <= end and quote.submitted is not None and begins < quote.submitted <= end
