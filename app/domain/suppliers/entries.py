"""What a supplier's events leave behind, an entry each: a quote, an RFQ it quoted on, a payment."""

from msgspec import Struct


class QuoteEntry(Struct, array_like=True, gc=False):
    """One quote: when each kind of event came, first to arrive; also how duplicates are known."""

    quote_id: str
    submitted: int | None = None
    replied: int | None = None
    rejected: int | None = None
    pinned: int | None = None
    bucket: int = 0

    def latest(self) -> int:
        times = (self.submitted, self.replied, self.rejected, self.pinned)
        return max(at for at in times if at is not None)


class RfqEntry(Struct, array_like=True, gc=False):
    """One RFQ that the supplier quoted on."""

    rfq_id: str
    first_at: int
    """The supplier's first quote to it."""
    rfq_at: int
    """When the buyer submitted the RFQ, by that quote."""
    last_at: int
    """The supplier's last quote to it."""
    months: tuple[int, ...]
    """The calendar months in which the supplier quoted on it."""
    bucket: int = 0

    def latest(self) -> int:
        return self.last_at


class PaymentEntry(Struct, array_like=True, gc=False):
    """One payment: when each kind of event came, and the cents that count (0 where no RFQ is linked)."""

    payment_id: str
    paid: int | None = None
    settled: int | None = None
    refunded: int | None = None
    paid_cents: int = 0
    settled_cents: int = 0
    refunded_cents: int = 0
    bucket: int = 0

    def latest(self) -> int:
        return max(at for at in (self.paid, self.settled, self.refunded) if at is not None)
