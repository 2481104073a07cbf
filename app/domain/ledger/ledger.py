"""The events of one supplier that its lines follow from: products, orders, certificates, requests and activities.

    event ──▶ record ──▶ index by id, by product, by name ◀── facts.py reads as of a moment
                └─▶ bucket ──▶ chunk of the stored state

Results depend on the set of events: of each natural id the first to arrive counts, of states with one `at` the last.

Memory: a record goes once nothing that is still published follows from it; `docs/contracts.md` says when.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from copy import copy
from operator import attrgetter
from typing import Any, Final

import msgspec

from vigil.app.domain.ledger.order_shares import OrderShares
from vigil.app.domain.ledger.product_sales import ProductSales, SoldLine
from vigil.app.domain.ledger.records import (
    CertificateRecord,
    ClaimRecord,
    DutyRecord,
    GoldRecord,
    MeasureRecord,
    OrderLineRecord,
    OrderRecord,
    ProductRecord,
    ProductState,
    ReachedRecord,
    RequestRecord,
)
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.storage.steps import batches, finish
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import cents_of

PRODUCT_CHUNK: Final = b"P"
"""The first letter of the names of products' chunks; the product's id follows."""

_REACHED_CHUNK: Final = b"N"
_AT: Final = attrgetter("at")
_encode: Final = msgspec.msgpack.Encoder().encode
_product: Final = msgspec.msgpack.Decoder(ProductRecord).decode
_reached: Final = msgspec.msgpack.Decoder(ReachedRecord).decode


class Ledger:
    """The records of one supplier. To read, except by `Ledger` itself and `forget`."""

    def __init__(self, chunks: StateChunks) -> None:
        self.order_buckets: Buckets[OrderRecord] = Buckets(b"O", OrderRecord, {})
        self.request_buckets: Buckets[RequestRecord] = Buckets(b"R", RequestRecord, {})
        self.certificate_buckets: Buckets[CertificateRecord] = Buckets(b"C", CertificateRecord, {})
        self.measure_buckets: Buckets[MeasureRecord] = Buckets(b"M", MeasureRecord, {})
        self.duty_buckets: Buckets[DutyRecord] = Buckets(b"D", DutyRecord, {})
        self.claim_buckets: Buckets[ClaimRecord] = Buckets(b"K", ClaimRecord, {})
        self.gold_buckets: Buckets[GoldRecord] = Buckets(b"G", GoldRecord, {})
        self.orders: dict[str, OrderRecord] = {}
        self.requests: dict[str, RequestRecord] = {}
        self.duties: dict[tuple[str, str], DutyRecord] = {}
        self.claims: dict[tuple[str, str], ClaimRecord] = {}
        self.gold: dict[tuple[int, str], GoldRecord] = {}
        self.certificates: dict[str, list[CertificateRecord]] = {}
        """By id, in order of `at`."""
        self.measures: dict[str, list[MeasureRecord]] = {}
        """By name, in order of `at`."""
        self.products: dict[str, ProductRecord] = {}
        self.shares = OrderShares()
        self.sales: dict[str, ProductSales] = {}
        """By product: what was paid for it."""
        self.requests_of: dict[str, dict[str, None]] = {}
        """By order: the requests that refer to it."""
        self.reached: dict[str, int] = {}
        """What growth reached, by name, where what showed it is forgotten."""
        self._changed_products: set[str] = set()
        self._reached_changed = False
        if chunks:
            finish(self.load(chunks))

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load what is stored, some of it in each step; call it once, in the place of giving `chunks` to the
        constructor."""
        for buckets in self._all_buckets():
            yield from buckets.load(chunks)
        yield from self._load_orders()
        yield from self._load_products(chunks)
        yield from self._load_requests()
        self._load_others()
        if _REACHED_CHUNK in chunks:
            self.reached = _reached(chunks[_REACHED_CHUNK]).times

    def _load_requests(self) -> Iterator[None]:
        for requests in batches(self.request_buckets):
            self.requests.update({request.request_id: request for request in requests})
            for request in requests:
                self._index_request(request)
            yield

    def _load_others(self) -> None:
        """What is bounded, or little: in one step."""
        self.duties = {(duty.duty, duty.ref): duty for duty in self.duty_buckets}
        self.claims = {(claim.programme, claim.edition): claim for claim in self.claim_buckets}
        self.gold = {(gold.month, gold.rfq_id): gold for gold in self.gold_buckets}
        for certificate in sorted(self.certificate_buckets, key=_AT):
            self.certificates.setdefault(certificate.certificate_id, []).append(certificate)
        for measure in sorted(self.measure_buckets, key=_AT):
            self.measures.setdefault(measure.name, []).append(measure)

    def _load_orders(self) -> Iterator[None]:
        sold: dict[str, list[SoldLine]] = {}
        for orders in batches(self.order_buckets):
            self.orders.update({order.order_id: order for order in orders})
            for order in orders:
                for product_id, line in _sold_by(order):
                    sold.setdefault(product_id, []).append(line)
            yield
        yield from self.shares.load(batches(self.order_buckets))
        for product_ids in batches(sold):
            self.sales.update({product_id: ProductSales(sold[product_id]) for product_id in product_ids})
            yield

    def _load_products(self, chunks: StateChunks) -> Iterator[None]:
        for names in batches(name for name in chunks if name[:1] == PRODUCT_CHUNK):
            self.products.update({name[1:].decode(): _product(chunks[name]) for name in names})
            yield

    def _all_buckets(self) -> "tuple[Buckets[Any], ...]":
        return (
            self.order_buckets,
            self.request_buckets,
            self.certificate_buckets,
            self.measure_buckets,
            self.duty_buckets,
            self.claim_buckets,
            self.gold_buckets,
        )

    def __bool__(self) -> bool:
        """True if anything is remembered."""
        return bool(
            self.products
            or self.orders
            or self.certificates
            or self.requests
            or self.measures
            or self.duties
            or self.claims
            or self.reached
        )

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: Order | ServiceRequest) -> bool:
        """True if an event of the same id and kind came before."""
        record: OrderRecord | RequestRecord | None
        record = self.orders.get(event.order_id) if isinstance(event, Order) else self.requests.get(event.request_id)
        return record is not None and getattr(record, _field(event.kind)) is not None

    def product(self, event: Product) -> int:
        """Take the state of a product; return how many there are of it."""
        record = self.products.get(event.product_id)
        if record is None:
            record = self.products[event.product_id] = ProductRecord([])
        state = _state_of(event)
        place = bisect_right(record.states, state.at, key=_AT)
        if place and record.states[place - 1].at == state.at:
            record.states[place - 1] = state
        else:
            record.states.insert(place, state)
        self._changed_products.add(event.product_id)
        return len(record.states)

    def order_with(self, event: Order) -> OrderRecord:
        """What an order would be with a step that is not a duplicate, as far as times go."""
        order = copy(self.orders.get(event.order_id)) or OrderRecord(event.order_id)
        setattr(order, _field(event.kind), event.at)
        return order

    def order(self, event: Order) -> OrderRecord:
        """Take a step of an order that is not a duplicate."""
        order = self.orders.get(event.order_id)
        if order is None:
            order = self.orders[event.order_id] = OrderRecord(event.order_id)
            self.order_buckets.add(order)
        else:
            self.order_buckets.touch(order)
            self.shares.remove(order)
        setattr(order, _field(event.kind), event.at)
        if event.kind == "paid":
            order.buyer_id, order.dispatch_by = event.buyer_id or "", event.dispatch_by or 0
            order.lines = tuple(
                OrderLineRecord(line.product_id, cents_of(line.amount_usd), line.service) for line in event.lines
            )
            self._index_order(order)
        self.shares.add(order)
        return order

    def request(self, event: ServiceRequest) -> RequestRecord:
        """Take a step of a service request that is not a duplicate."""
        request = self.requests.get(event.request_id)
        if request is None:
            request = self.requests[event.request_id] = RequestRecord(event.request_id)
            self.request_buckets.add(request)
        else:
            self.request_buckets.touch(request)
        setattr(request, _field(event.kind), event.at)
        if event.kind == "requested":
            request.order_id, request.product_id = event.order_id or "", event.product_id or ""
            request.buyer_id, request.need = event.buyer_id or "", event.need or ""
            self._index_request(request)
        return request

    def certificate(self, event: Certificate) -> None:
        """Take an event of a certificate."""
        proved = event.holder != "upstream" or bool(event.invoice)
        record = CertificateRecord(
            event.certificate_id,
            event.at,
            event.kind,
            event.status == "accepted" and proved,
            event.valid_from,
            event.valid_until,
            f"{event.country}/{event.category}" if event.kind == "epr" else "",
        )
        known = self.certificates.setdefault(event.certificate_id, [])
        place = bisect_right(known, event.at, key=_AT)
        if place and known[place - 1].at == event.at:
            _replace(known[place - 1], record)
            self.certificate_buckets.touch(known[place - 1])
        else:
            known.insert(place, record)
            self.certificate_buckets.add(record)

    def measure(self, event: Activity) -> None:
        """Take a measure."""
        name, value = event.measure or "", event.value or 0.0
        known = self.measures.setdefault(name, [])
        place = bisect_right(known, event.at, key=_AT)
        if place and known[place - 1].at == event.at:
            known[place - 1].value = value
            self.measure_buckets.touch(known[place - 1])
        else:
            record = MeasureRecord(name, event.at, value)
            known.insert(place, record)
            self.measure_buckets.add(record)

    def duty(self, event: Activity) -> None:
        """Take an `ask` or `done`: of each the earliest counts."""
        key = (event.duty or "", event.ref or "")
        record = self.duties.get(key)
        if record is None:
            record = self.duties[key] = DutyRecord(*key)
            self._set_time(record, event)
            self.duty_buckets.add(record)
        else:
            self._set_time(record, event)
            self.duty_buckets.touch(record)

    def _set_time(self, record: DutyRecord, event: Activity) -> None:
        if event.kind == "ask":
            record.asked = event.at if record.asked is None else min(record.asked, event.at)
        else:
            record.done = event.at if record.done is None else min(record.done, event.at)

    def claim(self, programme: str, edition: str, at: int) -> ClaimRecord:
        """Take the claim of an edition of a programme."""
        record = self.claims.get((programme, edition))
        if record is None:
            record = self.claims[programme, edition] = ClaimRecord(programme, edition, [at])
            self.claim_buckets.add(record)
        elif at not in record.times:
            insort(record.times, at)
            self.claim_buckets.touch(record)
        return record

    def gold_quote(self, rfq_id: str, month: int, at: int) -> None:
        """Take a quote to a gold RFQ: of each month the first counts."""
        record = self.gold.get((month, rfq_id))
        if record is None:
            record = self.gold[month, rfq_id] = GoldRecord(rfq_id, month, at)
            self.gold_buckets.add(record)
        elif at < record.at:
            record.at = at
            self.gold_buckets.touch(record)

    # ---- what is stored ---------------------------------------------------------------------------------------

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        for buckets in self._all_buckets():
            buckets.dump(into)
        for product_id in self._changed_products:
            record = self.products.get(product_id)
            into[PRODUCT_CHUNK + product_id.encode()] = None if record is None else _encode(record)
        self._changed_products.clear()
        if self._reached_changed:
            self._reached_changed = False
            into[_REACHED_CHUNK] = _encode(ReachedRecord(self.reached))

    def touch_product(self, product_id: str) -> None:
        """Note that the record of a product has changed."""
        self._changed_products.add(product_id)

    def forget_product(self, product_id: str) -> None:
        """Forget a product."""
        del self.products[product_id]
        self._changed_products.add(product_id)

    def set_reached(self, times: dict[str, int]) -> None:
        """Keep what growth reached, whatever is forgotten."""
        for name, at in times.items():
            if at < self.reached.get(name, at + 1):
                self.reached[name] = at
                self._reached_changed = True

    # ---- indices ----------------------------------------------------------------------------------------------

    def _index_order(self, order: OrderRecord) -> None:
        for product_id, sold in _sold_by(order):
            sales = self.sales.get(product_id)
            if sales is None:
                sales = self.sales[product_id] = ProductSales()
            sales.add(sold)

    def _index_request(self, request: RequestRecord) -> None:
        if request.requested is not None:
            self.requests_of.setdefault(request.order_id, {})[request.request_id] = None

    def unindex_order(self, order: OrderRecord) -> None:
        """Drop an order that is forgotten."""
        del self.orders[order.order_id]
        self.shares.remove(order)
        for product_id, sold in _sold_by(order):
            sales = self.sales[product_id]
            sales.remove(sold)
            if not sales:
                del self.sales[product_id]

    def unindex_request(self, request: RequestRecord) -> None:
        """Drop a request that is forgotten."""
        del self.requests[request.request_id]
        of_order = self.requests_of.get(request.order_id)
        if of_order is not None:
            of_order.pop(request.request_id, None)
            if not of_order:
                del self.requests_of[request.order_id]


EMPTY: Final = Ledger({})
"""Of a supplier of which nothing is remembered: to read only."""


def _field(kind: str) -> str:
    return kind.replace("-", "_")


def _sold_by(order: OrderRecord) -> Iterator[tuple[str, SoldLine]]:
    """The lines of a paid order, each with its product."""
    if order.paid is not None:
        for line in order.lines:
            yield line.product_id, (order.paid, line.cents, order.buyer_id)


def _replace(record: CertificateRecord, by: CertificateRecord) -> None:
    record.kind, record.accepted, record.place = by.kind, by.accepted, by.place
    record.valid_from, record.valid_until = by.valid_from, by.valid_until


def _state_of(event: Product) -> ProductState:
    return ProductState(
        event.at,
        event.industry,
        event.model,
        event.info_score,
        event.abilities,
        event.dispatch_days,
        event.delivery_days,
        event.freight_to,
        event.guaranteed_to,
        event.markets,
        event.price,
        event.customisable,
        event.samples,
        event.legacy,
        event.deleted,
        event.flags,
        event.service,
        event.traits,
    )


def holding(records: "Iterable[CertificateRecord]", at: int) -> "CertificateRecord | None":
    """The record, of several in order of time, that holds at `at`; None before the first."""
    found = None
    for record in records:
        if record.at > at:
            break
        found = record
    return found
