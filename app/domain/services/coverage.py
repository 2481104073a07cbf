"""Whether a service request is covered by the service that was sold with its product.

The tests stand in the order in which the first that fails names the reason: the order is known, it was dispatched, the
service offers the need, and the request came in time. Source: announcement of July 2022, after-sales service.
"""

from typing import Final, NamedTuple

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.memory import ORDER_MEMORY
from vigil.app.domain.ledger.records import OrderRecord, RequestRecord
from vigil.app.domain.rulebook.services import ServiceCover

COVERED: Final = ""
_RANK: Final = {"none": 0, "remote": 1, "local": 2}


class Cover(NamedTuple):
    """How a request is covered."""

    reason: str
    """Why it is not; empty if it is."""
    cents: int
    """The amount of the order's lines of the product."""


def cover_of(request: RequestRecord, requested: int, facts: Facts) -> Cover:
    """How a request is covered; as it was when its order was forgotten, if that happened."""
    if request.cover is not None:
        return Cover(request.cover, request.cents)
    order = facts.ledger.orders.get(request.order_id)
    # As of the request: what was known of its order then stays with it, whenever the order is forgotten.
    if order is None or order.paid is None or requested >= order.latest() + ORDER_MEMORY:
        return Cover("unknown-order", 0)
    lines = [line for line in order.lines if line.product_id == request.product_id]
    if not lines:
        return Cover("unknown-order", 0)
    service = max((line.service for line in lines), key=_RANK.__getitem__)
    return Cover(_reason(request, requested, order, service, facts), sum(line.cents for line in lines))


def _reason(request: RequestRecord, requested: int, order: OrderRecord, service: str, facts: Facts) -> str:
    if order.dispatched is None or order.dispatched > requested:
        return "not-dispatched"
    limits = facts.rules.cover.limits_at(requested)
    if limits is None or request.need not in _offered(limits, service):
        return "no-service"
    until = facts.rules.days.end_after_months(order.dispatched, limits.months)
    return "expired" if requested > until else COVERED


def _offered(limits: ServiceCover, service: str) -> tuple[str, ...]:
    if service == "local":
        return limits.local
    return limits.remote if service == "remote" else ()
