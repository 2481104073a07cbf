"""Obligations as the console holds them, those that are still to be met in the order in which they are due.

    open ──▶ at-risk ──▶ breached                still to be met: listed across all suppliers
      └─────────┴───────────┴──▶ settled         met (in time or late), void or not covered: on the supplier's page

Each is held as its JSON, with what lists are sorted and filtered by beside it.
"""

import bisect
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from vigil.app.console.ingest.line_store import LineStore
from vigil.topics.services import Obligation

PENDING: Final = ("at-risk", "breached", "open")
"""The statuses of what is still to be met, in the order in which pages show them."""
SETTLED: Final = "settled"


class ObligationRow(NamedTuple):
    """One obligation. Rows of a status are in the order of its list."""

    position: int
    """The deadline, ms; of breached and settled ones, the latest of which come first, minus the deadline or minus the
    time at which it was settled."""
    key: str
    duty: str
    supplier_id: str
    value: bytes
    """Its JSON: decoded for pages only."""

    def decoded(self) -> Obligation:
        return msgspec.json.decode(self.value, type=Obligation)


class ObligationList:
    """The obligations of one status, bounded."""

    def __init__(self, most: int) -> None:
        self.store: LineStore[ObligationRow] = LineStore(most, self._forget)
        self._rows: list[ObligationRow] | None = None
        """All in order; None until they are asked for first."""

    def put(self, row: ObligationRow) -> None:
        self.store.put(row.key, row.supplier_id, row)
        if self._rows is not None:
            bisect.insort(self._rows, row)

    def drop(self, key: str) -> str | None:
        """Remove an obligation; return its supplier, None where it is not here."""
        row = self.store.get(key)
        if row is not None:
            self._forget(row)
        return self.store.drop(key)

    def rows(self) -> list[ObligationRow]:
        """All in order. It costs nothing but for the first time: each change is put in its place."""
        if self._rows is None:
            self._rows = sorted(row for _, row in self.store.items())
        return self._rows

    def _forget(self, row: ObligationRow) -> None:
        if self._rows is not None:
            del self._rows[bisect.bisect_left(self._rows, row)]


class Obligations:
    """The obligations of all suppliers: at most `most` of each unsettled status, and of all settled ones."""

    def __init__(self, most: int) -> None:
        self._lists = {status: ObligationList(most) for status in (*PENDING, SETTLED)}

    def put(self, key: str, obligation: Obligation, value: bytes) -> None:
        """Store an obligation with the status that it has now."""
        self.drop(key)
        is_pending = obligation.status in PENDING and obligation.done_at is None
        status = obligation.status if is_pending else SETTLED
        row = ObligationRow(_position(status, obligation), key, obligation.duty, obligation.supplier_id, value)
        self._lists[status].put(row)

    def drop(self, key: str) -> str | None:
        """Remove an obligation; return its supplier, None where it is not held."""
        dropped = (held.drop(key) for held in self._lists.values())
        return next((supplier_id for supplier_id in dropped if supplier_id is not None), None)

    def get(self, key: str) -> ObligationRow | None:
        found = (held.store.get(key) for held in self._lists.values())
        return next((row for row in found if row is not None), None)

    def ordered(self, status: str) -> list[ObligationRow]:
        """Those with a status, what is due next first; of breached and settled ones the latest first."""
        return self._lists[status].rows()

    def of(self, supplier_id: str, status: str) -> list[ObligationRow]:
        """Those of a supplier with a status, in the same order."""
        return sorted(row for _, row in self._lists[status].store.of(supplier_id))

    def is_known(self, supplier_id: str) -> bool:
        """True if the supplier has an unsettled obligation."""
        return any(self._lists[status].store.has(supplier_id) for status in PENDING)

    def count(self, status: str) -> int:
        return len(self._lists[status].store)

    @property
    def evicted(self) -> int:
        """How many unsettled ones were evicted."""
        return sum(self._lists[status].store.evicted for status in PENDING)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(held.store for held in self._lists.values())


def _position(status: str, obligation: Obligation) -> int:
    if status == SETTLED:
        return -(obligation.at if obligation.done_at is None else obligation.done_at)
    due = obligation.due if obligation.due is not None else obligation.at
    return -due if status == "breached" else due
