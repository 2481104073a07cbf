"""The events of one supplier that its lines follow from: products, orders, certificates, requests and activities.

    event ──▶ record ──▶ store.py ◀── facts.py reads as of a moment

Results depend on the set of events: of each natural id the first to arrive counts, of states with one `at` the last.

Memory: a record goes once nothing that is still published follows from it; `docs/contracts.md` says when.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from copy import copy
from operator import attrgetter
from typing import Final

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
    RequestRecord,
)
from vigil.app.domain.ledger.store import LedgerStore
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import cents_of

_AT: Final = attrgetter("at")


class Ledger(LedgerStore):
    """The records of one supplier, and what events make of them. To read, except by `Ledger` itself and `forget`."""

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


EMPTY: Final = Ledger({})
"""Of a supplier of which nothing is remembered: to read only."""


def _field(kind: str) -> str:
    return kind.replace("-", "_")


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
