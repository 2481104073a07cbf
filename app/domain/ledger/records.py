"""What is stored of a supplier's products, orders, certificates, requests and activities.

Records are stored by position: new fields go to the end, with a default. `bucket` is the record's place in storage.
"""

from msgspec import Struct

AnyTime = int | None
"""An event time in ms; None: the event did not come."""


class OrderLineRecord(Struct, array_like=True, frozen=True, gc=False):
    """One line of an order."""

    product_id: str
    cents: int
    service: str


class OrderRecord(Struct, array_like=True):
    """One order: of each kind of event the first to arrive."""

    order_id: str
    paid: AnyTime = None
    dispatched: AnyTime = None
    refund_requested: AnyTime = None
    disputed: AnyTime = None
    buyer_id: str = ""
    dispatch_by: int = 0
    lines: tuple[OrderLineRecord, ...] = ()
    bucket: int = 0

    def latest(self) -> int:
        """Return the time from which the memory of the order counts."""
        if self.paid is None:
            return max(at for at in (self.dispatched, self.refund_requested, self.disputed) if at is not None)
        return max(self.paid, self.dispatched or self.paid)


class RequestRecord(Struct, array_like=True):
    """One service request: of each kind of event the first to arrive."""

    request_id: str
    requested: AnyTime = None
    answered: AnyTime = None
    parts_sent: AnyTime = None
    visited: AnyTime = None
    completed: AnyTime = None
    cancelled: AnyTime = None
    order_id: str = ""
    product_id: str = ""
    buyer_id: str = ""
    need: str = ""
    cover: str | None = None
    """How it was covered when its order was forgotten: empty if it was, else the reason; None: the order is known."""
    cents: int = 0
    """The amount of its line then."""
    bucket: int = 0

    def latest(self) -> int:
        """Return the largest event time in it."""
        times = (self.requested, self.answered, self.parts_sent, self.visited, self.completed, self.cancelled)
        return max(at for at in times if at is not None)


class CertificateRecord(Struct, array_like=True, gc=False):
    """One event of a certificate."""

    certificate_id: str
    at: int
    kind: str
    accepted: bool
    """Accepted, and proved where the number is an upstream one."""
    valid_from: int | None
    valid_until: int | None
    place: str
    """`COUNTRY/CATEGORY` of an EPR certificate; else empty."""
    bucket: int = 0

    def latest(self) -> int:
        """Return its time."""
        return self.at


class MeasureRecord(Struct, array_like=True, gc=False):
    """How much there was of something as of a time."""

    name: str
    at: int
    value: float
    bucket: int = 0

    def latest(self) -> int:
        """Return its time."""
        return self.at


class DutyRecord(Struct, array_like=True, gc=False):
    """That a duty was asked for or done, each by its earliest event."""

    duty: str
    ref: str
    asked: AnyTime = None
    done: AnyTime = None
    bucket: int = 0

    def latest(self) -> int:
        """Return the largest event time in it."""
        return max(at for at in (self.asked, self.done) if at is not None)


class ClaimRecord(Struct, array_like=True):
    """The claims of one edition of a programme."""

    programme: str
    edition: str
    times: list[int]
    """In order of time, each once."""
    place: int | None = None
    """Of a programme with few places: the place, 0 for none, None: no answer yet."""
    sent: bool = False
    """Of a programme with few places: a place is asked for."""
    bucket: int = 0
    asked_at: int = 0
    """The time of the claim or completion for which a place was asked for last."""
    asks: int = 0
    """How often a place was asked for, or the request taken back."""

    def latest(self) -> int:
        """Return the largest event time in it."""
        return self.times[-1]


class GoldRecord(Struct, array_like=True, gc=False):
    """The first gold quote to an RFQ within a month."""

    rfq_id: str
    month: int
    at: int
    bucket: int = 0

    def latest(self) -> int:
        """Return its time."""
        return self.at


class LineRecord(Struct, array_like=True, gc=False):
    """A line as it was published last."""

    topic: str
    key: str
    unit: str
    """The product or request, or the supplier, with which it is computed."""
    digest: int
    """64 bits that stand for its content."""
    until: int
    """When its unit changes if nothing arrives."""
    stars: int = 0
    """Of a product."""
    bucket: int = 0

    def latest(self) -> int:
        """Return no time: lines are deleted one by one."""
        return 0


class ProductState(Struct, array_like=True, frozen=True, gc=False):
    """The whole state of a product as of `at`, as far as rules ask for it."""

    at: int
    industry: str
    model: str
    info_score: float
    abilities: tuple[str, ...]
    dispatch_days: int | None
    delivery_days: int | None
    freight_to: tuple[str, ...]
    guaranteed_to: tuple[str, ...]
    markets: tuple[str, ...]
    price: str | None
    customisable: bool
    samples: bool
    legacy: bool
    deleted: bool
    flags: tuple[str, ...]
    service: str
    traits: tuple[str, ...]


class ProductRecord(Struct, array_like=True):
    """One product: its states in order of `at`, and what is left of those that are forgotten."""

    states: list[ProductState]
    selected_since: AnyTime = None
    """The first of the forgotten states from which on all of them were selected in `selected_in`."""
    selected_in: str = ""


class ReachedRecord(Struct, array_like=True):
    """What growth reached, by name, with its time: it stays."""

    times: dict[str, int] = {}
