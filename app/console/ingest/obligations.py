"""Obligations as the console holds them, those that are still to be met in the order in which they are due.

    open ──▶ at-risk ──▶ breached                still to be met: listed across all suppliers
      └─────────┴───────────┴──▶ settled         met (in time or late), void or not covered: on the supplier's page

Each is held as its JSON, with what lists are sorted and filtered by beside it.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from vigil.app.console.ingest.line_store import LineStore
from vigil.topics.services import Obligation

PENDING: Final = ("at-risk", "breached", "open")
"""The statuses of what is still to be met, in the order in which pages show them."""
SETTLED: Final = "settled"


class ObligationRow(NamedTuple):
    """One obligation."""

    duty: str
    supplier_id: str
    position: int
    """The deadline, ms; of what is settled, the time at which it was."""
    value: bytes
    """Its JSON: decoded for pages only."""

    def decoded(self) -> Obligation:
        return msgspec.json.decode(self.value, type=Obligation)


class Obligations:
    """The obligations of all suppliers; at most `most` of each status that is to be met, and of the settled ones."""

    def __init__(self, most: int) -> None:
        self._stores: dict[str, LineStore[ObligationRow]] = {status: LineStore(most) for status in (*PENDING, SETTLED)}
        self._ordered: dict[str, list[str]] = {}
        """By status: the keys in order; missing after a change, until it is asked for."""

    def put(self, key: str, obligation: Obligation, value: bytes) -> None:
        """Store an obligation with the status that it has now."""
        self.drop(key)
        is_pending = obligation.status in PENDING and obligation.done_at is None
        status = obligation.status if is_pending else SETTLED
        settled_at = obligation.at if obligation.done_at is None else obligation.done_at
        position = obligation.due if is_pending and obligation.due is not None else settled_at
        row = ObligationRow(obligation.duty, obligation.supplier_id, position, value)
        self._stores[status].put(key, row.supplier_id, row)
        self._ordered.pop(status, None)

    def drop(self, key: str) -> str | None:
        """Remove an obligation; return its supplier, None where it is not held."""
        for status, store in self._stores.items():
            if (supplier_id := store.drop(key)) is not None:
                self._ordered.pop(status, None)
                return supplier_id
        return None

    def get(self, key: str) -> ObligationRow | None:
        return next((row for store in self._stores.values() if (row := store.get(key)) is not None), None)

    def ordered(self, status: str) -> list[str]:
        """The keys of those with a status, what is due next first; of breached and settled ones the latest first."""
        keys = self._ordered.get(status)
        if keys is None:
            keys = self._ordered[status] = _in_order(status, self._stores[status].items())
        return keys

    def of(self, supplier_id: str, status: str) -> list[ObligationRow]:
        """Those of a supplier with a status, in the same order."""
        store = self._stores[status]
        rows = dict(store.of(supplier_id))
        return [rows[key] for key in _in_order(status, rows.items())]

    def is_known(self, supplier_id: str) -> bool:
        """True if the supplier has an obligation that is to be met."""
        return any(self._stores[status].has(supplier_id) for status in PENDING)

    def count(self, status: str) -> int:
        return len(self._stores[status])

    @property
    def evicted(self) -> int:
        """How many of those that are to be met were evicted."""
        return sum(self._stores[status].evicted for status in PENDING)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._stores.values())


def _in_order(status: str, rows: Iterable[tuple[str, ObligationRow]]) -> list[str]:
    sign = 1 if status in ("at-risk", "open") else -1
    return [key for _, key in sorted((sign * row.position, key) for key, row in rows)]
