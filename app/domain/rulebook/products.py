"""The products part of the rulebook as types: stars, industry selection, EPR. All of its sections may be left out."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.suppliers import Days, Dollars, PointCount, Share

Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""A name of a condition, an ability, an industry, a measure: as the file writes it."""

Names = tuple[Name, ...]
Cell = Annotated[str, Meta(min_length=1, max_length=512)]
"""Conditions that must hold together, joined by `+`: `new + dispatch-7d`."""

Level = Annotated[int, Meta(ge=0, le=3)]


def conditions_of(cell: str) -> tuple[str, ...]:
    """The names of a cell's conditions, in its order."""
    return tuple(part.strip() for part in cell.split("+"))


def _check_cells(cells: tuple[str, ...], what: str) -> None:
    if any("" in conditions_of(cell) for cell in cells):
        raise ValueError(f"a cell of {what} joins names of conditions by +, such as new + dispatch-7d")


class StarPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose products have stars, and who sees them: one dated table for each phase of the roll-out."""

    audience: Literal["some", "all"]
    """Which buyers see the stars."""
    industries: Names | Literal["every"]
    """The industries whose products have stars."""
    legacy_stars: Level = 0
    """What a clean product that was rated by the former model has at least."""
    counts_published: bool = False
    """The supplier's numbers of starred products are published."""


class StarConditions(Struct, frozen=True, forbid_unknown_fields=True):
    """What one star asks of each model of product, and the numbers behind the names of conditions."""

    rts: Names
    """The conditions of one star of a product that is ready to ship."""
    custom: Names
    """The conditions of one star of a product that is made to order."""
    flags: Names
    """Flags that a clean product has none of."""
    info_at_least: Annotated[float, Meta(ge=0, le=5)]
    core_countries: Names
    """Countries to which freight is computable, or delivery guaranteed."""
    prices: Names
    """How the price of a product that is made to order may be given."""
    on_time_at_least_share: Share
    refunds_below_share: Share
    buyers_over: PointCount
    """`real-sale`: more buyers than these paid in the window."""
    paid_at_least_usd: Dollars
    """`paid-5000`: at least this amount was paid in the window."""


class StarTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The cells of one industry, any of which gives the level."""

    two: tuple[Cell, ...]
    three: tuple[Cell, ...]

    def __post_init__(self) -> None:
        _check_cells(self.two, "two")
        _check_cells(self.three, "three")


class Theme(Struct, frozen=True, forbid_unknown_fields=True):
    """Abilities that make a product a top one, if it has all of them."""

    name: Name
    needs: Annotated[Names, Meta(min_length=1)]


class SelectionTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The abilities of one industry, one of which makes a product competitive, and its themes."""

    abilities: Annotated[Names, Meta(min_length=1)]
    themes: tuple[Theme, ...] = ()


class SelectionListing(Struct, frozen=True, forbid_unknown_fields=True):
    """When a selected product is listed."""

    after_days: Days


class EprDuty(Struct, frozen=True, forbid_unknown_fields=True):
    """A category for which products of a country need a registration number."""

    trait: Name
    """The trait of a product that needs it."""
    declared: Literal["month", "half-year", "year"]
    """For which periods sales are declared."""
    weeks: tuple[Annotated[int, Meta(ge=0, le=520)], Annotated[int, Meta(ge=0, le=520)]]
    """How long it takes to get the number, from and to."""
    measure: Name | None = None
    below: Annotated[float, Meta(gt=0)] | None = None
    """Not needed where the supplier's measure is known and below this."""

    def __post_init__(self) -> None:
        if self.weeks[0] > self.weeks[1]:
            raise ValueError("weeks begin with the smaller number")
        if (self.measure is None) != (self.below is None):
            raise ValueError("measure and below stand together, or neither")


class EprBlocking(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether products without a needed number are blocked."""

    blocked: bool


PRODUCT_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "star-plan": StarPlan,
    "star-conditions": StarConditions,
    "stars.*": StarTable,
    "selection-listing": SelectionListing,
    "selection.*": SelectionTable,
    "epr-blocking": EprBlocking,
    "epr.*.*": EprDuty,
}
"""`stars.INDUSTRY`, `selection.INDUSTRY`, `epr.COUNTRY.CATEGORY`."""
