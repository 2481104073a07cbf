"""What follows from suppliers' events beside their scores: products, obligations, participations, rights, certificates.

Outputs are held as their JSON and decoded for pages only; of certificates, which are inputs, the latest event of each.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from vigil.app.console.ingest.line_store import LineStore
from vigil.app.console.ingest.obligations import Obligations
from vigil.app.console.settings import ConsoleBounds
from vigil.topics.products import Certificate, ProductStanding
from vigil.topics.programmes import Participation, SupplierRights
from vigil.topics.services import Obligation
from vigil.topics.topic import composed_key

SUPPLIER_LINES: Final = ("product-standing", "obligation", "participation", "supplier-rights")
"""The outputs that are held here."""

PageId = tuple[str, str]
"""A page by its kind and id."""

OBLIGATIONS_PAGE: Final[PageId] = ("obligations", "")

NO_STARS: Final = 9
"""Stands for the stars of a product whose industry has none yet: they are the least urgent."""


class ProductRow(NamedTuple):
    """One product: sorted by its first fields, those that need work come first."""

    epr: int
    """0: it may be blocked; 1: a registration is missing; 2: none is."""
    stars: int
    """0 to 3, or NO_STARS."""
    product_id: str
    value: bytes
    """Its JSON: decoded for pages only."""

    def decoded(self) -> ProductStanding:
        return msgspec.json.decode(self.value, type=ProductStanding)


def row_of(standing: ProductStanding, value: bytes) -> ProductRow:
    """The row of a product's line."""
    epr = min(0 if one.blocked else 1 if one.missing else 2 for one in standing.epr.values()) if standing.epr else 2
    return ProductRow(epr, NO_STARS if standing.stars is None else standing.stars, standing.product_id, value)


class LineViews:
    """The lines of all suppliers, bounded; pages are named that may look different after a message."""

    def __init__(self, bounds: ConsoleBounds) -> None:
        self.products: LineStore[ProductRow] = LineStore(bounds.products)
        self.obligations = Obligations(bounds.obligations)
        self.participations: LineStore[bytes] = LineStore(bounds.participations)
        self.rights: LineStore[bytes] = LineStore(bounds.suppliers)
        self.certificates: LineStore[Certificate] = LineStore(bounds.certificates)
        self._put: Mapping[str, Callable[[str, Any, bytes], PageId]] = {
            "product-standing": self._product,
            "obligation": self._obligation,
            "participation": self._participation,
            "supplier-rights": self._right,
        }
        self._drop: Mapping[str, Callable[[str], str | None]] = {
            "product-standing": self.products.drop,
            "obligation": self.obligations.drop,
            "participation": self.participations.drop,
            "supplier-rights": self.rights.drop,
        }

    def put(self, topic: str, key: str, line: Any, value: bytes) -> set[PageId]:
        """Store a line; return the pages that may look different now."""
        return {self._put[topic](key, line, value), ("supplier", line.supplier_id)} | _listed(topic)

    def drop(self, topic: str, key: str) -> set[PageId]:
        """Remove a line; return the pages that may look different now."""
        supplier_id = self._drop[topic](key)
        if supplier_id is None:
            return set()
        own = {(_KINDS[topic], key)} if topic in _KINDS else set()
        return {*own, ("supplier", supplier_id)} | _listed(topic)

    def certify(self, certificate: Certificate) -> PageId:
        """Store the event of a certificate if none with a larger `at` is known; return the page that shows it."""
        key = composed_key(certificate.supplier_id, certificate.certificate_id)
        known = self.certificates.get(key)
        if known is None or certificate.at >= known.at:
            self.certificates.put(key, certificate.supplier_id, certificate)
        return "supplier", certificate.supplier_id

    def _product(self, key: str, line: ProductStanding, value: bytes) -> PageId:
        self.products.put(key, line.supplier_id, row_of(line, value))
        return "product", key

    def _obligation(self, key: str, line: Obligation, value: bytes) -> PageId:
        self.obligations.put(key, line, value)
        return "obligation", key

    def _participation(self, key: str, line: Participation, value: bytes) -> PageId:
        self.participations.put(key, line.supplier_id, value)
        return "supplier", line.supplier_id

    def _right(self, key: str, line: SupplierRights, value: bytes) -> PageId:
        self.rights.put(key, line.supplier_id, value)
        return "supplier", line.supplier_id

    # ---- what pages ask for -----------------------------------------------------------------------------------

    def products_of(self, supplier_id: str) -> list[ProductRow]:
        """The products of a supplier, those that need work first."""
        return sorted(row for _, row in self.products.of(supplier_id))

    def participations_of(self, supplier_id: str) -> list[Participation]:
        """The participations of a supplier, the latest first."""
        values = (value for _, value in self.participations.of(supplier_id))
        found = [msgspec.json.decode(value, type=Participation) for value in values]
        return sorted(found, key=lambda one: (-one.closes, -one.at, one.programme))

    def rights_of(self, supplier_id: str) -> SupplierRights | None:
        """The rights of a supplier."""
        for _, value in self.rights.of(supplier_id):
            return msgspec.json.decode(value, type=SupplierRights)
        return None

    def certificates_of(self, supplier_id: str) -> list[Certificate]:
        """The certificates of a supplier, those that end next first."""
        held = [one for _, one in self.certificates.of(supplier_id)]
        return sorted(held, key=lambda one: (one.valid_until is None, one.valid_until or 0, one.certificate_id))


_KINDS: Final = {"product-standing": "product", "obligation": "obligation"}
"""The kind of page of a topic's keys, where it has one."""


def _listed(topic: str) -> set[PageId]:
    return {OBLIGATIONS_PAGE} if topic == "obligation" else set()
