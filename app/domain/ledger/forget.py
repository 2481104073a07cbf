"""What of a ledger is forgotten, and when. What arrives older than that has no effect.

    orders                       520 days after payment and dispatch
    requests, activities, claims, certificates, measures, profiles
                                 400 days, and as long as a line may follow from them; of certificates and measures the
                                 latest stays
    superseded product states    30 days; since when the product is selected stays
    deleted products             stay, unless there are as many products as are remembered: then 30 days
    what growth reached          stays

Decided by Vigil: the announcement gives no numbers.
"""

from collections.abc import Sequence

from vigil.app.domain.ledger.bounds import MOST_PRODUCTS
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.ledger import Ledger
from vigil.app.domain.ledger.memory import MEMORY, ORDER_MEMORY, PRODUCT_MEMORY, REQUEST_RETENTION, RETENTION
from vigil.app.domain.ledger.records import (
    CertificateRecord,
    MeasureRecord,
    OrderRecord,
    ProductRecord,
    ProductState,
    RequestRecord,
)
from vigil.app.domain.products.selection import is_selected
from vigil.app.domain.programmes.growth import of_orders, reached_by
from vigil.app.domain.services.coverage import cover_of
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest


def is_too_old(event: Product | Order | Certificate | ServiceRequest | Activity, now: int, ledger: Ledger) -> bool:
    """True if an event is older than the memory of its kind, and something later is known where the latest stays."""
    if event.at > now - _memory_of(event):
        return False
    if isinstance(event, Order):
        return _is_over(ledger.order_with(event), now)
    latest = _latest_of(event, ledger)
    return latest is None or latest > event.at


def _memory_of(event: Product | Order | Certificate | ServiceRequest | Activity) -> int:
    if isinstance(event, Product):
        return PRODUCT_MEMORY
    if isinstance(event, Order):
        return ORDER_MEMORY
    return REQUEST_RETENTION if isinstance(event, ServiceRequest) else MEMORY


def _latest_of(event: Product | Certificate | ServiceRequest | Activity, ledger: Ledger) -> int | None:
    """The time of the latest event of the same product, certificate or measure, which does not expire.

    MIN_TIME if there is none; None for other kinds of events.
    """
    known: Sequence[ProductState | CertificateRecord | MeasureRecord]
    if isinstance(event, Product):
        record = ledger.products.get(event.product_id)
        known = () if record is None else record.states
    elif isinstance(event, Certificate):
        known = ledger.certificates.get(event.certificate_id, ())
    elif isinstance(event, Activity) and event.kind == "measure":
        known = ledger.measures.get(event.measure or "", ())
    else:
        return None
    return known[-1].at if known else MIN_TIME


def forget(ledger: Ledger, facts: Facts) -> None:
    """Delete what is older than its memory at the facts' now."""
    now = facts.now
    _keep_growth(ledger, facts)
    _forget_orders(ledger, facts)
    ledger.request_buckets.expire(now - REQUEST_RETENTION, ledger.unindex_request)
    ledger.duty_buckets.expire(now - RETENTION, lambda one: ledger.duties.pop((one.duty, one.ref)))
    ledger.claim_buckets.expire(now - RETENTION, lambda one: ledger.claims.pop((one.programme, one.edition)))
    ledger.gold_buckets.expire(now - RETENTION, lambda one: ledger.gold.pop((one.month, one.rfq_id)))
    _forget_superseded(ledger, now - RETENTION)
    for product_id, record in list(ledger.products.items()):
        if _forget_states(record, now - PRODUCT_MEMORY, facts):
            ledger.touch_product(product_id)
    if len(ledger.products) >= MOST_PRODUCTS:
        _forget_deleted(ledger, now - PRODUCT_MEMORY)


def _keep_growth(ledger: Ledger, facts: Facts) -> None:
    limits = facts.moment.limits(facts.rules.growth)
    if limits is not None:
        until = facts.now - MEMORY
        # An amount is reached by many orders: without the first of them it would be reached later, or not any more.
        stays = of_orders(limits) if any(_is_over(order, facts.now) for order in ledger.order_buckets) else frozenset()
        reached = reached_by(limits, facts).items()
        ledger.set_reached({name: at for name, at in reached if at <= until or name in stays})


def _forget_orders(ledger: Ledger, facts: Facts) -> None:
    """Requests keep how they were covered."""
    for order in list(ledger.order_buckets):
        if not _is_over(order, facts.now):
            continue
        for request_id in list(ledger.requests_of.get(order.order_id, ())):
            _keep_cover(ledger, ledger.requests[request_id], facts)
        ledger.unindex_order(order)
        ledger.order_buckets.remove(order)


def _is_over(order: OrderRecord, now: int) -> bool:
    """True if an order is older than its memory."""
    return order.latest() <= now - ORDER_MEMORY


def _keep_cover(ledger: Ledger, request: RequestRecord, facts: Facts) -> None:
    if request.requested is not None and request.cover is None:
        # As of the request's own time: the order is over its memory now.
        request.cover, request.cents = cover_of(request, request.requested, facts.at(request.requested))
        ledger.request_buckets.touch(request)


def _forget_superseded(ledger: Ledger, until: int) -> None:
    """Of certificates and measures the latest stays."""
    for certificates in ledger.certificates.values():
        while len(certificates) > 1 and certificates[0].at <= until and certificates[1].at <= until:
            ledger.certificate_buckets.remove(certificates.pop(0))
    for measures in ledger.measures.values():
        while len(measures) > 1 and measures[0].at <= until and measures[1].at <= until:
            ledger.measure_buckets.remove(measures.pop(0))


def _forget_states(record: ProductRecord, until: int, facts: Facts) -> bool:
    """Forget superseded states up to a time; return True if there were any."""
    forgotten = False
    while len(record.states) > 1 and record.states[0].at <= until:
        _keep_selected(record, facts)
        record.states.pop(0)
        forgotten = True
    return forgotten


def forget_oldest_state(ledger: Ledger, product_id: str, facts: Facts) -> None:
    """Forget the oldest state of a product that has too many."""
    record = ledger.products[product_id]
    _keep_selected(record, facts)
    record.states.pop(0)


def _forget_deleted(ledger: Ledger, until: int) -> None:
    """Of a supplier with as many products as are remembered, forget those that are deleted: others need the room."""
    for product_id, record in list(ledger.products.items()):
        if record.states[-1].deleted and record.states[-1].at <= until:
            ledger.forget_product(product_id)


def _keep_selected(record: ProductRecord, facts: Facts) -> None:
    """Keep since when the product is selected, before its first state is forgotten."""
    state = record.states[0]
    table, limits = facts.rules.listing_rules(state.industry, facts.now)
    if table is None or limits is None or not is_selected(state, state.industry, table, limits):
        record.selected_since, record.selected_in = None, ""
    elif record.selected_since is None or record.selected_in != state.industry:
        record.selected_since, record.selected_in = state.at, state.industry
