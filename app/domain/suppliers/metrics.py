"""The quotes, RFQs and payments of one supplier, and what each event adds to its totals.

    quote, payment ──▶ entry: the time of each kind of event ──amounts──▶ running totals

A quote counts from its submission on: its other events are noted when they come, and count once it is submitted. The
first event of each kind stays; later ones are duplicates, and do not come here. An RFQ counts once however many quotes
the supplier sent to it: by the first one, the latest one, or the latest with a reply, as metric_table.py says.

Entries are stored. The totals as of now follow from them: they are counted again after a restart, and where other
limits take effect. running_totals.py keeps the sums, and takes away what leaves its window.

Expiry: entries once they are older than their memory, month-end totals once no assessment needs them.
"""

from msgspec import UNSET

from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry, RfqEntry
from vigil.app.domain.suppliers.metric_table import (
    COUNTED_KINDS,
    MONTHLY_RFQS,
    PAYMENT_EFFECTS,
    REACTIONS,
    RFQ_LATEST,
    RFQ_REPLIED,
    QuoteKind,
    WindowAmounts,
)
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.running_totals import RunningTotals
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.subject import StateChunks
from vigil.topics.suppliers import Payment, Quote


class SupplierMetrics:
    """The quotes and payments of one supplier, and its totals."""

    __slots__ = (
        "_payments",
        "_quotes",
        "_quotes_of",
        "_rfq",
        "_rfqs",
        "_rules",
        "payments",
        "quotes",
        "totals",
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
        self.totals = RunningTotals(rules, now, month_end_totals, kept_from)
        self._count_again()

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
            self.totals.add_quote("submitted", at, at)
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
            self.totals.add_payment(event.kind, event.at, cents)

    # ---- time and storage -------------------------------------------------------------------------------------

    def pass_edges(self, now: int) -> None:
        """Advance to `now` where that is at the next edge or later: months end, or other limits take effect."""
        self._quotes_of = None
        while now >= self.totals.edge:
            if self.totals.pass_edge(now):
                self._count_again()

    def expire_entries(self, watermark: int) -> None:
        """Delete the entries that are older than their memory at the watermark."""
        quotes, payments = watermark - self._rules.quote_memory, watermark - self._rules.payment_memory
        self._quotes_of = None
        self._quotes.expire(quotes, lambda entry: self.quotes.pop(entry.quote_id))
        self._rfqs.expire(quotes, lambda entry: self._rfq.pop(entry.rfq_id))
        self._payments.expire(payments, lambda entry: self.payments.pop(entry.payment_id))

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the state chunks that changed since the last call into `into`."""
        self._quotes.dump(into)
        self._rfqs.dump(into)
        self._payments.dump(into)

    # ---- counting ---------------------------------------------------------------------------------------------

    def _quoted(self, event: Quote, entry: QuoteEntry) -> None:
        """The supplier quoted on an RFQ, for the first time or again."""
        rfq_id, at, rfq_at = event.rfq_id, event.at, event.rfq_at
        if rfq_at is UNSET:
            raise ValueError(f"quote {event.quote_id!r} was submitted without rfq_at: decoding rejects that")
        totals = self.totals
        month = totals.month if totals.month_start <= at else self._rules.calendar.month_of(at)
        rfq = self._rfq.get(rfq_id)
        if rfq is None:
            rfq = self._rfq[rfq_id] = RfqEntry(rfq_id, at, rfq_at, at, ())
            self._rfqs.add(rfq)
            totals.add_rfq(rfq)
            for window, amounts in RFQ_LATEST:
                totals.rolling.add(window, at, amounts)
        else:
            self._rfqs.touch(rfq)
            self._quoted_again(rfq, at, rfq_at)
        if month not in rfq.months:
            rfq.months = (*rfq.months, month)
            for total in MONTHLY_RFQS:
                totals.add_to_month(total, at, 1)
        if at < totals.late_before:
            self._add_latest_to_month_ends(RFQ_LATEST, entry, at, at, "submitted")

    def _quoted_again(self, rfq: RfqEntry, at: int, rfq_at: int) -> None:
        totals, memory = self.totals, self._rules.quote_memory
        if rfq.last_at <= at - memory:
            # It should be deleted already, and its windows are long over: it begins again.
            rfq.first_at, rfq.rfq_at, rfq.last_at, rfq.months, rfq.replied_at = at, rfq_at, at, (), None
            totals.add_rfq(rfq)
            totals.move(RFQ_LATEST, None, at)
            return
        if (at, rfq_at) < (rfq.first_at, rfq.rfq_at) and at > rfq.first_at - memory:
            totals.take_back_rfq(rfq)
            rfq.first_at, rfq.rfq_at = at, rfq_at
            totals.add_rfq(rfq)
        if at > rfq.last_at:
            totals.move(RFQ_LATEST, rfq.last_at, at)
            rfq.last_at = at

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
            self.totals.add_quote(kind, submitted, since)
        if kind != "replied":
            return
        # Its RFQ counts until the window has passed the submission.
        rfq = self._rfq.get(entry.rfq_id)
        if rfq is None:
            return  # it is older than its memory
        if rfq.replied_at is None or rfq.replied_at < submitted:
            self.totals.move(RFQ_REPLIED, rfq.replied_at, submitted)
            rfq.replied_at = submitted
            self._rfqs.touch(rfq)
        if since < self.totals.late_before:
            self._add_latest_to_month_ends(RFQ_REPLIED, entry, submitted, since, "replied")

    def _add_latest_to_month_ends(
        self, amounts_of: tuple[WindowAmounts, ...], entry: QuoteEntry, submitted: int, since: int, kind: QuoteKind
    ) -> None:
        """Count the RFQ of a quote at those month ends at which no other quote to it counts already."""
        if self._quotes_of is None:
            self._quotes_of = {}
            for quote in self.quotes.values():
                self._quotes_of.setdefault(quote.rfq_id, []).append(quote)
        others = [quote for quote in self._quotes_of[entry.rfq_id] if quote is not entry]
        month_ends = self.totals.month_ends
        for month, end, rules in month_ends.between(since, self.totals.month):
            for window, amounts in amounts_of:
                begins = end - rules.windows[window]
                if begins < submitted and not any(_counts_at(quote, kind, begins, end) for quote in others):
                    month_ends.add(month, amounts)

    def _count_again(self) -> None:
        """Count all entries. The month ends contain them already."""
        totals = self.totals
        for rfq in self._rfq.values():
            totals.add_rfq(rfq)
            totals.move(RFQ_LATEST, None, rfq.last_at)
            if rfq.replied_at is not None:
                totals.move(RFQ_REPLIED, None, rfq.replied_at)
            for total in MONTHLY_RFQS:
                totals.rolling.sums[total] += int(totals.month in rfq.months)
        for quote in self.quotes.values():
            self._count_quote_again(quote)
        for payment in self.payments.values():
            for effect in PAYMENT_EFFECTS:
                if cents := getattr(payment, f"{effect}_cents"):
                    totals.add_payment(effect, getattr(payment, effect), cents)
        totals.end_recount()

    def _count_quote_again(self, quote: QuoteEntry) -> None:
        submitted = quote.submitted
        if submitted is not None:
            for kind in COUNTED_KINDS:
                if getattr(quote, kind) is not None:
                    self.totals.add_quote(kind, submitted, submitted)


def _counts_at(quote: QuoteEntry, kind: QuoteKind, begins: int, end: int) -> bool:
    """True if a quote was submitted in a window and had an event of a kind by its end."""
    at: int | None = getattr(quote, kind)
    return at is not None and at <= end and quote.submitted is not None and begins < quote.submitted <= end
