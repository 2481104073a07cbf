"""The list of suppliers, in the order that a reader chooses: by score, response rate, risk, or what is due next."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.obligations import Obligations
from vigil.topics.scores import SupplierScore

MAX_SUPPLIERS: Final = 200
"""How many suppliers the list shows."""


class SupplierRow(NamedTuple):
    """One supplier of the list."""

    supplier_id: str
    score: SupplierScore | None
    at_risk: int
    """How many of its obligations are at risk: those that it owes, and those that it is owed."""
    next_due: int | None
    """When the next of those that are open or at risk is due, ms."""


class SupplierList(NamedTuple):
    """The list as a page shows it."""

    by: str
    orders: tuple[str, ...]
    rows: list[SupplierRow]


def _by_score(model: ConsoleModel) -> Iterable[str]:
    """The highest predicted score first."""
    known = ((-supplier.trail[-1][1], name) for name, supplier in model.suppliers.items() if supplier.trail)
    return (name for _, name in heapq.nsmallest(MAX_SUPPLIERS, known))


def _by_response(model: ConsoleModel) -> Iterable[str]:
    """The lowest response rate first: who answers least."""
    known = ((one.response_rate, name) for name, one in model.suppliers.items() if one.response_rate is not None)
    return (name for _, name in heapq.nsmallest(MAX_SUPPLIERS, known))


def _by_risk(model: ConsoleModel) -> Iterable[str]:
    """The most obligations at risk first; of equal numbers the one that is due first."""
    counted = Counter(row.supplier_id for row in model.lines.obligations.ordered("at-risk"))
    return (name for name, _ in counted.most_common(MAX_SUPPLIERS))


def _by_next_due(model: ConsoleModel) -> Iterable[str]:
    """The next deadline of an obligation that is open or at risk first."""
    held = model.lines.obligations
    pending = heapq.merge(held.ordered("at-risk"), held.ordered("open"))
    return islice(_distinct(row.supplier_id for row in pending), MAX_SUPPLIERS)


def _distinct(names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


ORDERS: Final[Mapping[str, Callable[[ConsoleModel], Iterable[str]]]] = {
    "score": _by_score,
    "response": _by_response,
    "at-risk": _by_risk,
    "next-due": _by_next_due,
}
"""By the name of an order: the suppliers in it."""


def supplier_list(model: ConsoleModel, wanted: str) -> SupplierList:
    """The suppliers in an order; by score where there is no such order."""
    by = wanted if wanted in ORDERS else "score"
    held = model.lines.obligations
    return SupplierList(by, tuple(ORDERS), [_row(name, model, held) for name in ORDERS[by](model)])


def _row(name: str, model: ConsoleModel, held: Obligations) -> SupplierRow:
    at_risk, open_ = held.of(name, "at-risk"), held.of(name, "open")
    next_due = min((rows[0].position for rows in (at_risk, open_) if rows), default=None)
    return SupplierRow(name, model.score(name), len(at_risk), next_due)
