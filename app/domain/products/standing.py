"""The line of a product: `product-standing`."""

from typing import Final

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.records import ProductState
from vigil.app.domain.products.conditions import holds_by_state
from vigil.app.domain.products.epr import epr_of
from vigil.app.domain.products.selection import selection_of
from vigil.app.domain.products.stars import starred
from vigil.app.domain.suppliers.metric_table import CENTS
from vigil.topics.products import ProductStanding

TOPIC: Final = "product-standing"


def standing_of(supplier_id: str, product_id: str, facts: Facts) -> ProductStanding | None:
    """The line of a product as of now; None if it is deleted, or not known yet."""
    state = facts.product_state(product_id)
    if state is None or state.deleted:
        return None
    record = facts.ledger.products[product_id]
    stars = starred(product_id, state, facts)
    paid = facts.paid_for(product_id)
    return ProductStanding(
        supplier_id=supplier_id,
        product_id=product_id,
        at=facts.now,
        industry=state.industry,
        stars=stars.stars,
        audience=stars.audience,
        next=stars.next,
        selection=selection_of(record, state, facts),
        epr=epr_of(state, facts),
        warranty_mark=has_warranty_mark(state, facts),
        paid_usd_90d=f"{paid.cents // CENTS}.{paid.cents % CENTS:02}",
        buyers_90d=paid.buyers,
        rulebook=stars.rulebook,
    )


def has_warranty_mark(state: ProductState, facts: Facts) -> bool:
    """True if the product is offered with a service for which the supplier holds the permit."""
    return holds_by_state("remote", state) and facts.holds_permit("remote-service")
