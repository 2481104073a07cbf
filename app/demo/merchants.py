"""What the live view knows of products, duties and programmes: how many of each, what is due next, what was lost."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

TOPICS: Final = ("product-standing", "obligation", "participation")

PENDING: Final = ("open", "at-risk")
OPEN_CLAIMS: Final = ("claimed",)


class PendingDuty(NamedTuple):
    """A duty that is not done yet, by when it is due."""

    due: int
    supplier_id: str
    duty: str
    ref: str
    owed_by: str
    status: str
    since: int


class MerchantsView:
    """The latest line of each product, duty and participation, as far as the view shows it."""

    def __init__(self, since: int) -> None:
        """`since`: what happened before is counted, and not shown as a line."""
        self._since = since
        self._stars: dict[bytes, int | None] = {}
        self._blocked: set[bytes] = set()
        self._duties: dict[bytes, str] = {}
        self._pending: dict[bytes, PendingDuty] = {}
        self._claims: dict[bytes, str] = {}
        self._lost: int | None = None
        """How many stars the product of the latest line had before it lost some."""
        self._changed = False
        """True if the status of the latest line is another one than before."""

    def add(self, topic: str, key: bytes, value: dict[str, Any] | None) -> None:
        """Add a line; a value of None is a tombstone."""
        if topic == "product-standing":
            self._add_product(key, value)
        elif topic == "obligation":
            self._add_duty(key, value)
        else:
            self._note_status(self._claims, key, value)

    def _add_product(self, key: bytes, value: dict[str, Any] | None) -> None:
        before = self._stars.pop(key, None)
        self._blocked.discard(key)
        self._lost = None
        if value is None:
            return
        stars = self._stars[key] = value["stars"]
        if stars is not None and before is not None and stars < before:
            self._lost = before
        if any(country["blocked"] for country in value["epr"].values()):
            self._blocked.add(key)

    def _add_duty(self, key: bytes, value: dict[str, Any] | None) -> None:
        self._note_status(self._duties, key, value)
        self._pending.pop(key, None)
        if value is not None and value["status"] in PENDING:
            fields = ("due", "supplier_id", "duty", "ref", "owed_by", "status", "since")
            self._pending[key] = PendingDuty(*(value[name] for name in fields))

    def _note_status(self, statuses: dict[bytes, str], key: bytes, value: dict[str, Any] | None) -> None:
        before = statuses.pop(key, None)
        if value is not None:
            statuses[key] = value["status"]
        self._changed = before != statuses.get(key)

    def due_next(self, now: int, most: int) -> list[PendingDuty]:
        """The duties that are due next, the first first."""
        return sorted(due for due in self._pending.values() if due.due > now)[:most]

    def summary(self) -> str:
        """One line on all of them; empty before the first."""
        if not (self._stars or self._duties or self._claims):
            return ""
        blocked = f", {len(self._blocked)} blocked" if self._blocked else ""
        stars = (f"with {level or 'no'} star{'' if level == 1 else 's'}" for level in self._stars.values())
        products = f"products: {_counted(stars)}{blocked}"
        return f"{products} · duties: {_counted(self._duties.values())} · claims: {_counted(self._claims.values())}"

    def line(self, topic: str, value: dict[str, Any]) -> tuple[str, str, str, str] | None:
        """What to print of the line that was added last: a word, what, whose, and how; None for nothing."""
        if value["at"] < self._since:
            return None
        if topic == "product-standing":
            how = f"{value['product_id']} had {self._lost} stars, has {value['stars']}"
            return None if self._lost is None else ("product", "star-lost", value["supplier_id"], how)
        if not self._changed:
            return None
        if topic == "obligation" and value["status"] == "breached":
            return (
                "duty",
                value["duty"],
                value["supplier_id"],
                f"{value['ref']} breached, owed by the {value['owed_by']}",
            )
        if topic == "participation" and value["status"] not in OPEN_CLAIMS:
            reason = f": {value['reason']}" if value["reason"] else ""
            return "claim", value["programme"], value["supplier_id"], f"{value['edition']} {value['status']}{reason}"
        return None


def _counted(words: Iterable[str]) -> str:
    """How many there are of each, most first."""
    return ", ".join(f"{number} {word}" for word, number in Counter(words).most_common()) or "none"
