"""How much is remembered of one supplier at most, besides what arrives in the time that `memory` says.

    one more than the bound ──▶ `dead-letter`, with the reason `too-many`; what is known stays as it is
    one more state of a product ──▶ the oldest superseded one is forgotten

Decided by Vigil: the announcement gives no numbers. Without them one supplier, or one broken producer, could take all
memory of a worker, and each of its lines would take longer and longer. Beyond a bound results depend on the order of
arrival.
"""

from typing import Final

from vigil.app.domain.ledger.ledger import Ledger
from vigil.topics.fields import InvalidEvent
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest

MOST_PRODUCTS: Final = 20_000
"""Twice as many as the largest supplier that is measured: some 100 MiB once loaded. Of a supplier with so many, those
that were deleted a month ago are forgotten."""

MOST_STATES: Final = 200
"""Of one product, with those that are superseded: each change stores all of them again. That is one in four hours for a
month."""

MOST_CERTIFICATES: Final = 1_000
"""Events of certificates. Each question about certificates looks at all of them."""

MOST_MEASURES: Final = 5_000
"""Of each measure: one in three hours for as long as they are remembered."""

MOST_CLAIMS: Final = 100
"""Of one edition of a programme: each is judged again whenever the supplier changes."""

MOST_DUTIES: Final = 2_000
"""Duties that were asked for or done, each with a line of its own."""


def check_bounds(
    event: Product | Order | Certificate | ServiceRequest | Activity, edition: str, ledger: Ledger
) -> None:
    """Raise InvalidEvent (`too-many`) if one more cannot be remembered. `edition`: of the programme that is claimed."""
    if isinstance(event, Product):
        if event.product_id not in ledger.products:
            _check(len(ledger.products), MOST_PRODUCTS, "products")
    elif isinstance(event, Certificate):
        times = (known.at for known in ledger.certificates.get(event.certificate_id, ()))
        if event.at not in times:
            _check(len(ledger.certificate_buckets), MOST_CERTIFICATES, "events of certificates")
    elif isinstance(event, Activity):
        _check_activity(event, edition, ledger)


def _check_activity(event: Activity, edition: str, ledger: Ledger) -> None:
    if event.kind == "measure":
        _check_measure(event.measure or "", event.at, ledger)
    elif event.kind == "claim":
        claims = ledger.claims.get((event.programme or "", edition))
        if claims is not None and event.at not in claims.times:
            _check(len(claims.times), MOST_CLAIMS, f"claims of {event.programme!r}, {edition}")
    elif (event.duty or "", event.ref or "") not in ledger.duties:
        _check(len(ledger.duties), MOST_DUTIES, "duties that were asked for or done")


def _check_measure(name: str, at: int, ledger: Ledger) -> None:
    measures = ledger.measures.get(name, ())
    if len(measures) >= MOST_MEASURES and all(known.at != at for known in measures):
        _check(len(measures), MOST_MEASURES, f"values of the measure {name!r}")


def _check(number: int, most: int, what: str) -> None:
    if number >= most:
        raise InvalidEvent(f"the supplier has {number:,} {what}, and no more are remembered", "too-many")
