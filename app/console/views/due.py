"""Obligations as pages list them: what is due next, in words and exactly, and which of them a reader asks for."""

from collections.abc import Mapping
from itertools import chain
from typing import Final, Generic, NamedTuple, TypeVar

from vigil.app.console.ingest.obligations import PENDING, ObligationRow, Obligations
from vigil.app.console.views.text import Words

R = TypeVar("R")

LINES: Final = 100
"""How many lines one page of a list shows."""
AT_RISK: Final = ("at-risk", "breached")
"""The statuses that the list shows unless it is asked for others."""
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS


def span_in_words(words: Words, span_ms: int) -> str:
    """A span of time by its two largest units: `3 d 4 h`, `5 h 10 min`, `12 min`; whole minutes, so that it seldom
    changes."""
    span_ms = abs(span_ms)
    days, hours, minutes = span_ms // _DAY_MS, span_ms // _HOUR_MS % 24, span_ms // _MINUTE_MS % 60
    if days:
        parts = [("day", days), ("hour", hours)]
    elif hours:
        parts = [("hour", hours), ("minute", minutes)]
    else:
        parts = [("minute", minutes)]
    shown = [words(f"unit.{unit}", n=number) for unit, number in parts if number]
    return " ".join(shown) if shown else words("unit.less")


def when_in_words(words: Words, at: int, now: int) -> str:
    """When a time is, seen from now: `in 3 d 4 h`, `12 min ago`."""
    return words("when.in" if at > now else "when.ago", span=span_in_words(words, at - now))


class ListQuery(NamedTuple):
    """Which obligations a reader asks for."""

    statuses: tuple[str, ...] = AT_RISK
    status: str = ""
    """The one status that was asked for; empty: those at risk."""
    duty: str = ""
    supplier: str = ""
    """A supplier's id or a part of one, as it was typed."""
    supplier_part: str = ""
    """The same without difference of upper and lower case."""
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "ListQuery":
        """The query of an address; what is no choice is left out."""
        status = query.get("status", "")
        status = status if status in PENDING else ""
        supplier = query.get("supplier", "")[:128].strip()
        return cls(
            statuses=(status,) if status else AT_RISK,
            status=status,
            duty=query.get("duty", "")[:64],
            supplier=supplier,
            supplier_part=supplier.casefold(),
            page=page_of(query.get("page")),
        )

    def fits(self, row: ObligationRow) -> bool:
        """True if an obligation is one of those; suppliers are compared by a part of their id."""
        is_of_duty = self.duty in ("", row.duty)
        return is_of_duty and (not self.supplier_part or self.supplier_part in row.supplier_id.casefold())


def page_of(value: str | None) -> int:
    """The number of a page of a list: `value` where it is one, else the first."""
    digits = value or ""
    return max(int(digits), 1) if digits.isascii() and digits.isdigit() and len(digits) <= 6 else 1


class Listing(NamedTuple, Generic[R]):
    """One page of a list."""

    rows: list[R]
    found: int
    """How many lines the list has on all pages."""
    page: int
    pages: int


def listing(obligations: Obligations, query: ListQuery) -> Listing[ObligationRow]:
    """The obligations that are asked for, those at risk first, in the order in which they are due."""
    if query.supplier and obligations.is_known(query.supplier):
        own = chain.from_iterable(obligations.of(query.supplier, status) for status in query.statuses)
        return cut([row for row in own if query.duty in ("", row.duty)], query.page)
    rows = list(chain.from_iterable(map(obligations.ordered, query.statuses)))
    return cut([row for row in rows if query.fits(row)] if query.duty or query.supplier else rows, query.page)


def cut(rows: list[R], wanted: int, lines: int = LINES) -> Listing[R]:
    """One page of a list, or the last one where there is no such page. `lines`: how many a page has."""
    pages = max(-(-len(rows) // lines), 1)
    page = min(wanted, pages)
    return Listing(rows[(page - 1) * lines : page * lines], len(rows), page, pages)
