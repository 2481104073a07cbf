"""Pages of suppliers' lines: a product, an obligation, the list of obligations; their part of a supplier's page."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest.line_views import NO_STARS, ProductRow
from vigil.app.console.ingest.obligations import PENDING, SETTLED
from vigil.app.console.views.due import ListQuery, listing, page_of
from vigil.app.console.views.products import abilities, known_certificates, registrations, rules_of, ways
from vigil.app.console.views.reader import Reader
from vigil.app.console.views.rights import permits, refusals
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.rulebook import Rulebook
from vigil.topics.products import Certificate

View = dict[str, Any]

MAX_DUE: Final = 30
MAX_SETTLED: Final = 10
MAX_PARTICIPATIONS: Final = 40
MAX_CERTIFICATES: Final = 40
MAX_REFUSALS: Final = 20
PRODUCTS: Final = 50
"""How many rows of each list a supplier's page shows."""


class LinePages:
    """Views of products, obligations, programmes and rights for the templates."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state
        self._lines = state.model.lines
        self._rules = LineRules(state.rulebook)
        state.with_rulebook(self._use)

    def _use(self, rulebook: Rulebook) -> None:
        self._rules = LineRules(rulebook)

    def product(self, key: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """The page of a product; None where nothing was read about it."""
        row = self._lines.products.get(key)
        if row is None:
            return None
        standing, now = row.decoded(), self._state.now
        certificates = self._certificates(standing.supplier_id)
        return {
            "standing": standing,
            "ways": ways(standing, self._rules),
            "conditions": self._rules.star_conditions.limits_at(standing.at),
            "abilities": abilities(standing, self._rules),
            "countries": registrations(standing, certificates, now),
            "rules": rules_of(standing, self._rules),
            "pending": self._pending_of_product(standing.supplier_id, standing.product_id),
        }

    def _pending_of_product(self, supplier_id: str, product_id: str) -> list[Any]:
        """The unsettled obligations of a product's service requests."""
        rows = [row for status in PENDING for row in self._lines.obligations.of(supplier_id, status)]
        found = (row.decoded() for row in rows)
        return [one for one in found if one.product_id == product_id][:MAX_DUE]

    def _certificates(self, supplier_id: str) -> list[Certificate]:
        return known_certificates(self._lines.certificates_of(supplier_id), self._rules)

    def obligation(self, key: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """The page of an obligation; None where nothing was read about it."""
        row = self._lines.obligations.get(key)
        if row is None:
            return None
        obligation = row.decoded()
        version = self._state.rulebook.version_of(f"due.{obligation.duty}", obligation.rulebook)
        return {"obligation": obligation, "version": version}

    def obligations(self, name: str, reader: Reader, query: Mapping[str, str]) -> View | None:
        """The list of obligations across all suppliers; it has no id."""
        if name:
            return None
        wanted, held = ListQuery.of(query), self._lines.obligations
        found = listing(held, wanted)
        return {
            "query": wanted,
            "listing": found,
            "obligations": [row.decoded() for row in found.rows],
            "counts": {status: held.count(status) for status in PENDING},
            "duties": list(self._rules.dues),
            "evicted": held.evicted,
        }

    def of_supplier(self, supplier_id: str, reader: Reader, query: Mapping[str, str]) -> View:
        """What a supplier's page shows of lines."""
        held = self._lines.obligations
        rights = self._lines.rights_of(supplier_id)
        due = {status: held.of(supplier_id, status) for status in PENDING}
        settled = held.of(supplier_id, SETTLED)
        pending = [row for rows in due.values() for row in rows]
        products = self._lines.products_of(supplier_id)
        pages = max(-(-len(products) // PRODUCTS), 1)
        page = min(page_of(query.get("page")), pages)
        return {
            "due": [row.decoded() for row in pending[:MAX_DUE]],
            "due_counts": {status: len(rows) for status, rows in due.items()},
            "settled": [row.decoded() for row in settled[:MAX_SETTLED]],
            "settled_count": len(settled),
            "programme_names": frozenset(self._rules.programmes),
            "participations": self._lines.participations_of(supplier_id)[:MAX_PARTICIPATIONS],
            "rights": rights,
            "offers": self._offers(rights.at) if rights is not None else {},
            "permits": permits(rights, self._rules, reader.words) if rights is not None else [],
            "refusals": refusals(self._state.model, supplier_id, MAX_REFUSALS),
            "certificates": self._certificates(supplier_id)[:MAX_CERTIFICATES],
            "products": [row.decoded() for row in products[(page - 1) * PRODUCTS : page * PRODUCTS]],
            "product_counts": _counts(products),
            "page": page,
            "pages": pages,
        }

    def _offers(self, at: int) -> dict[str, str]:
        """What the buyer gets by each activity in force."""
        sections = self._rules.activities.items()
        return {name: limits.offer for name, section in sections if (limits := section.limits_at(at)) is not None}


def _counts(products: list[ProductRow]) -> View:
    """How many products there are, by stars, and how many may be blocked or miss a registration."""
    stars, epr = Counter(row.stars for row in products), Counter(row.epr for row in products)
    return {
        "all": len(products),
        "stars": {number: stars[number] for number in (3, 2, 1, 0) if stars[number]},
        "unrated": stars[NO_STARS],
        "blocked": epr[0],
        "missing": epr[1],
    }
