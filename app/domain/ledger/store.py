"""The records of one supplier: loaded from chunks, found by index, and dumped where they changed.

record ──▶ index by id, by product, by name ◀── facts.py reads as of a moment
  └─▶ bucket ──▶ chunk of the stored state
"""

from collections.abc import Iterator
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
    OrderRecord,
    ProductRecord,
    ReachedRecord,
    RequestRecord,
)
from vigil.app.engine.storage.buckets import Buckets
from vigil.app.engine.storage.steps import batches, finish
from vigil.app.engine.subject import ChangedChunks, StateChunks

PRODUCT_CHUNK: Final = b"P"
"""The first letter of the names of products' chunks; the product's id follows."""

_REACHED_CHUNK: Final = b"N"
_AT: Final = attrgetter("at")
_encode: Final = msgspec.msgpack.Encoder().encode
_product: Final = msgspec.msgpack.Decoder(ProductRecord).decode
_reached: Final = msgspec.msgpack.Decoder(ReachedRecord).decode


class LedgerStore:
    """What is remembered of one supplier: records by id, by product and by name, and the buckets that store them."""

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


def _sold_by(order: OrderRecord) -> Iterator[tuple[str, SoldLine]]:
    """The lines of a paid order, each with its product."""
    if order.paid is not None:
        for line in order.lines:
            yield line.product_id, (order.paid, line.cents, order.buyer_id)
