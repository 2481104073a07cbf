"""What is stored of a supplier's events: one entry a quote, an RFQ that it quoted on, and a payment.

Entries are stored by position: new fields go to the end, with a default. `bucket` is the entry's place in storage.
"""

from msgspec import Struct


class QuoteEntry(Struct, array_like=True, gc=False):
    """One quote: the time of each kind of event, by the first to arrive. Later ones are duplicates."""

    quote_id: str
    submitted: int | None = None
    replied: int | None = None
    rejected: int | None = None
    pinned: int | None = None
    bucket: int = 0
    rfq_id: str = ""
    """By its submission; empty before that."""

    def latest(self) -> int:
        return max(self.submitted or 0, self.replied or 0, self.rejected or 0, self.pinned or 0)


class RfqEntry(Struct, array_like=True, gc=False):
    """One RFQ that the supplier quoted on."""

    rfq_id: str
    first_at: int
    """The time of the supplier's first quote to it."""
    rfq_at: int
    """When the buyer submitted the RFQ, by that quote."""
    last_at: int
    """The time of the supplier's last quote to it."""
    months: tuple[int, ...]
    """The calendar months in which the supplier quoted on it."""
    bucket: int = 0
    replied_at: int | None = None
    """The time of the supplier's last quote to it that the buyer replied to; None: there is none."""

    def latest(self) -> int:
        return self.last_at


class PaymentEntry(Struct, array_like=True, gc=False):
    """One payment: the time of each kind of event, and the cents that count (0 where no RFQ is linked)."""

    payment_id: str
    paid: int | None = None
    settled: int | None = None
    refunded: int | None = None
    paid_cents: int = 0
    settled_cents: int = 0
    refunded_cents: int = 0
    bucket: int = 0

    def latest(self) -> int:
        return max(self.paid or 0, self.settled or 0, self.refunded or 0)
