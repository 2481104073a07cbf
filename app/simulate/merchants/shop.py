"""A merchant's own account of its products: stars, selection and blocks, and when one is lost.

    product, order, certificate ──▶ shop ──after everything of one instant──▶ compared with before ──▶ faults

It follows the announcement, not the rulebook and not the code that judges: it is a second opinion.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from vigil.app.simulate.merchants import tables
from vigil.app.simulate.merchants.desk import Desk
from vigil.app.simulate.merchants.tables import WINDOW_MS

GRADES: Final = (None, "competitive", "top")


class HeldPapers(NamedTuple):
    """The certificates that are in force, as products ask for them."""

    remote: bool
    """True if the permit for service from a distance is held."""
    local: bool
    """True if that for service on site is held."""
    registered: frozenset[str]
    """Country and category of the numbers that are in force."""


class ShopStanding(NamedTuple):
    """What the products of a merchant have in common."""

    on_time: bool
    refunds: bool
    papers: HeldPapers
    phase: int
    """Of the roll-out: 0 before it, 1 for some industries, 2 for all."""


@dataclass
class ListedProduct:
    """A product that is offered, and what was said of it last."""

    state: dict[str, Any]
    """The fields of its latest message."""
    paid_cents: int = 0
    """In the window."""
    buyers: Counter[str] = field(default_factory=Counter)
    """In the window, with the number of their orders."""
    stars: int | None = None
    starred_at: int = 0
    grade: str | None = None
    graded_at: int = 0
    blocked: frozenset[str] = frozenset()
    """Countries."""


class Validity(NamedTuple):
    """The latest event of a certificate."""

    what: str
    """The kind, or country and category of an EPR certificate."""
    accepted: bool
    until: int | None


class Shop:
    """Products, sales and certificates of one merchant."""

    def __init__(self, desk: Desk, verified: bool) -> None:
        self._desk = desk
        self._verified = verified
        self.products: dict[str, ListedProduct] = {}
        self._certificates: dict[str, Validity] = {}
        self._papers: HeldPapers | None = None
        """What is in force; None: to be found again."""
        self._due = self._on_time = self._paid = self._refunded = 0
        """Orders in the window: due, of them on time; paid, of them refunded."""
        self._touched: set[str] = set()
        self._standing: ShopStanding | None = None
        for at in (tables.OPEN_FROM, tables.OPEN_TO_ALL):
            if at > desk.frame.since:
                desk.at(at, _nothing)

    # ---- what happens -----------------------------------------------------------------------------------------

    def listed(self, product_id: str, state: dict[str, Any]) -> None:
        """A product has this state from now on."""
        self.products.setdefault(product_id, ListedProduct(state)).state = state
        self._touched.add(product_id)

    def deleted(self, product_id: str) -> None:
        """A product is not offered any more."""
        del self.products[product_id]

    def paid(self, at: int, buyer: str, lines: list[tuple[str, int]]) -> None:
        """An order was paid; `lines`: product and cents of each."""
        self._paid += 1
        for product_id, cents in lines:
            self._count_sale(at, product_id, buyer, cents)
            self._desk.at(at + WINDOW_MS, self._count_sale, product_id, buyer, -cents)
        self._desk.at(at + WINDOW_MS, self._forget_paid)

    def _count_sale(self, at: int, product_id: str, buyer: str, cents: int) -> None:
        product = self.products.get(product_id)
        if product is None:
            return
        product.paid_cents += cents
        product.buyers[buyer] += 1 if cents > 0 else -1
        product.buyers += Counter()  # only those that are left
        self._touched.add(product_id)

    def _forget_paid(self, at: int) -> None:
        self._paid -= 1

    def due(self, at: int, on_time: bool) -> None:
        """An order was to be dispatched by now, and was or was not."""
        self._due += 1
        self._on_time += on_time
        self._desk.at(at + WINDOW_MS, self._forget_due, on_time)

    def _forget_due(self, at: int, on_time: bool) -> None:
        self._due -= 1
        self._on_time -= on_time

    def refunded(self, paid_at: int) -> None:
        """The buyer of an order asked for a refund."""
        self._refunded += 1
        self._desk.at(paid_at + WINDOW_MS, self._forget_refund)

    def _forget_refund(self, at: int) -> None:
        self._refunded -= 1

    def may_refund(self) -> bool:
        """True if one refund more does not come near the share from which on products lose stars."""
        return (self._refunded + 1) * 40 <= self._paid

    def certified(self, certificate_id: str, what: str, accepted: bool, until: int | None) -> None:
        """The latest of a certificate; `what`: its kind, or country and category."""
        self._certificates[certificate_id] = Validity(what, accepted, until)
        self._papers = None
        if accepted and until is not None:
            self._desk.at(until, self._lapse)

    def _lapse(self, at: int) -> None:
        self._papers = None

    # ---- what follows -----------------------------------------------------------------------------------------

    def in_force(self, what: str, at: int) -> bool:
        """True if a certificate is in force."""
        found = (one for one in self._certificates.values() if one.what == what and one.accepted)
        return any(one.until is None or at < one.until for one in found)

    def look(self, at: int) -> None:
        """Compare what follows now with what followed before, and report what was lost."""
        standing = self._standing_at(at)
        touched = self._touched if standing == self._standing else set(self.products)
        self._standing = standing
        for product_id in sorted(touched.intersection(self.products)):
            product = self.products[product_id]
            self._compare_stars(at, product_id, product, stars_of(product, standing))
            self._compare_grades(at, product_id, product, grade_of(product.state, standing))
            self._compare_blocks(at, product_id, product, standing)
        self._touched = set()

    def _standing_at(self, at: int) -> ShopStanding:
        part, whole = tables.ON_TIME
        refunded, of = tables.REFUNDS
        if self._papers is None:
            self._papers = self._papers_at(at)
        return ShopStanding(
            on_time=self._on_time * whole >= self._due * part,
            refunds=self._refunded * of < self._paid * refunded or not self._paid,
            papers=self._papers,
            phase=(at >= tables.OPEN_FROM) + (at >= tables.OPEN_TO_ALL),
        )

    def _papers_at(self, at: int) -> HeldPapers:
        remote = self.in_force("warranty-agreement", at)
        local = remote and self._verified and self.in_force("local-service", at)
        places = (category.place for category in tables.CATEGORIES)
        return HeldPapers(remote, local, frozenset(place for place in places if self.in_force(place, at)))

    def _compare_stars(self, at: int, product_id: str, product: ListedProduct, stars: int | None) -> None:
        before, since = product.stars, product.starred_at
        if stars == before:
            return
        product.stars, product.starred_at = stars, at
        if stars is not None and before is not None and stars < before:
            words = f"the product had {before} stars and has {stars}"
            self._desk.fault("star-lost", "stars", product_id, (since, at), words)

    def _compare_grades(self, at: int, product_id: str, product: ListedProduct, grade: str | None) -> None:
        before, since = product.grade, product.graded_at
        if grade == before:
            return
        product.grade, product.graded_at = grade, at
        if GRADES.index(grade) < GRADES.index(before):
            words = f"the product was {before} in its industry and is {grade or 'not selected'}"
            self._desk.fault("selection-lost", "selection", product_id, (since, at), words)

    def _compare_blocks(self, at: int, product_id: str, product: ListedProduct, standing: ShopStanding) -> None:
        blocked = frozenset(missing_of(product.state, standing)) if standing.phase else frozenset()
        for country in sorted(blocked - product.blocked):
            words = f"sold in {country} without the registration numbers that it needs there"
            self._desk.fault("epr-blocked", "epr", f"{country}/{product_id}", (at, at), words)
        product.blocked = blocked


def _nothing(at: int) -> None:
    """An instant at which something changes by itself."""


def stars_of(product: ListedProduct, standing: ShopStanding) -> int | None:
    """The stars of a product; None where its industry has none yet."""
    state = product.state
    industry = state["industry"]
    if not standing.phase or (standing.phase == 1 and industry not in tables.OPEN_FIRST):
        return None
    if not _is_clean(state):
        return 0
    if industry in tables.THREE_STARS:
        if product.paid_cents >= tables.PAID_CENTS or _any(tables.THREE_STARS[industry], state, standing):
            return 3
        if len(product.buyers) > 1 or _any(tables.TWO_STARS[industry], state, standing):
            return 2
    return int(_has_one_star(state, standing))


def _has_one_star(state: dict[str, Any], standing: ShopStanding) -> bool:
    core = set(tables.CORE)
    of_both = state["info_score"] >= tables.INFO and state["customisable"] and standing.on_time and standing.refunds
    if state["model"] == "rts":
        return bool(of_both) and core <= set(state["freight_to"]) and core <= set(state["guaranteed_to"])
    return bool(of_both) and state["samples"] and state["price"] in ("ladder", "sku")


def grade_of(state: dict[str, Any], standing: ShopStanding) -> str | None:
    """The grade of a product in its industry; None where it has none."""
    industry = state["industry"]
    if not standing.phase or industry not in tables.SELECTION or not _is_clean(state):
        return None
    theme = tables.THEME.get(industry)
    if theme is not None and _any((theme,), state, standing):
        return "top"
    return "competitive" if _any(tuple((name,) for name in tables.SELECTION[industry]), state, standing) else None


def missing_of(state: dict[str, Any], standing: ShopStanding) -> Iterator[str]:
    """The countries in which a product is sold without a number that it needs."""
    for category in tables.CATEGORIES:
        needed = category.country in state["markets"] and category.trait in state["traits"]
        if needed and category.place not in standing.papers.registered:
            yield category.country


def _is_clean(state: dict[str, Any]) -> bool:
    return not set(state["flags"]).intersection(tables.FLAGS)


def _any(cells: tables.Cells, state: dict[str, Any], standing: ShopStanding) -> bool:
    return any(all(_holds(name, state, standing) for name in cell) for cell in cells)


def _holds(name: str, state: dict[str, Any], standing: ShopStanding) -> bool:
    if name == "remote":
        return state["service"] in ("remote", "local") and standing.papers.remote
    if name == "local":
        return state["service"] == "local" and standing.papers.local
    if name == "rts":
        return bool(state["model"] == "rts")
    if name in ("7d", "30d"):
        return state["dispatch_days"] is not None and state["dispatch_days"] <= int(name[:-1])
    if name in ("15d→", "30d→"):
        return state["delivery_days"] is not None and state["delivery_days"] <= int(name[:-2])
    return name in state["abilities"]
