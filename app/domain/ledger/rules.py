"""The rulebook's sections on products, services, programmes and buyers, looked up once for all suppliers."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from msgspec import Struct

from vigil.app.domain.ledger.days import Days
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.buyers import BUYER_SECTIONS, BuyerActivity, BuyerLabels, Permit
from vigil.app.domain.rulebook.products import (
    PRODUCT_SECTIONS,
    EprBlocking,
    EprDuty,
    SelectionListing,
    SelectionTable,
    StarConditions,
    StarPlan,
    StarTable,
)
from vigil.app.domain.rulebook.programmes import PROGRAMME_SECTIONS, GrowthLimits, Programme
from vigil.app.domain.rulebook.services import SERVICE_SECTIONS, DutyLimits, ServiceCover, WorkingDays
from vigil.app.domain.subject import sections_of

EPR: str = "epr"
"""The kind of certificate that has a country and a category."""

LOGIN_DAYS: Final = "login-days-30d"
"""The measure for which the service score gives points."""


OF_LINES: Final[Mapping[str, type[Struct]]] = {
    **PRODUCT_SECTIONS,
    **SERVICE_SECTIONS,
    **PROGRAMME_SECTIONS,
    **BUYER_SECTIONS,
}
"""The sections by which lines are computed, by name or pattern."""


class LineRules:
    """All sections by which lines are computed; those that the rulebook leaves out have no version."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.digest = rulebook.digest_of_sections(sections_of(rulebook, OF_LINES))[:16]
        """Of these sections. A rulebook that changes others changes no line."""
        self.days = Days(rulebook.zone)
        self.star_plan = rulebook.optional_section("star-plan", StarPlan)
        self.star_conditions = rulebook.optional_section("star-conditions", StarConditions)
        self.stars = rulebook.family("stars", StarTable)
        self.selection = rulebook.family("selection", SelectionTable)
        self.listing = rulebook.optional_section("selection-listing", SelectionListing)
        self.epr = rulebook.family("epr", EprDuty)
        """By `COUNTRY.CATEGORY`."""
        self.epr_blocking = rulebook.optional_section("epr-blocking", EprBlocking)
        self.dues = rulebook.family("due", DutyLimits)
        self.working_days = rulebook.optional_section("working-days", WorkingDays)
        self.cover = rulebook.optional_section("service-cover", ServiceCover)
        self.growth = rulebook.optional_section("growth", GrowthLimits)
        self.programmes = rulebook.family("programme", Programme)
        self.labels = rulebook.optional_section("buyer-labels", BuyerLabels)
        self.activities = rulebook.family("activity", BuyerActivity)
        self.permits = rulebook.family("permit", Permit)

    @cached_property
    def judges_products(self) -> bool:
        """True if the rulebook has a section on products: the lines of products are kept."""
        return bool(self.star_plan.versions or self.selection or self.epr)

    @cached_property
    def judges_rights(self) -> bool:
        """True if the rulebook has a section on what suppliers see and may do: their lines are kept."""
        return bool(self.labels.versions or self.permits or self.activities or self.growth.versions)

    def listing_rules(self, industry: str, now: int) -> tuple[SelectionTable | None, StarConditions | None]:
        """By what states of an industry are selected, as of now; states before the first version count by it."""
        section, conditions = self.selection.get(industry), self.star_conditions
        table = None if section is None else section.at_or_first(now).limits
        return table, conditions.at_or_first(now).limits if conditions.versions else None

    @cached_property
    def countries(self) -> tuple[str, ...]:
        """The countries that have a category of EPR, in the order of the rulebook."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.epr))

    def has_places(self, programme: str) -> bool:
        """True if any version of a programme gives its places in the order of the claims."""
        return any(version.limits.places_by == "claim" for version in self.programmes[programme].versions)

    @cached_property
    def measures(self) -> frozenset[str]:
        """The measures that any version of the rulebook names."""
        return frozenset(self._measures())

    def _measures(self) -> Iterator[str]:
        yield LOGIN_DAYS
        for growth in self.growth.versions:
            yield from (task.measure for task in growth.limits.tasks)
            yield from (one.measure for one in growth.limits.milestones if one.measure is not None)
        yield from self._measures_of_programmes()
        for category in self.epr.values():
            yield from (one.limits.measure for one in category.versions if one.limits.measure is not None)

    def _measures_of_programmes(self) -> Iterator[str]:
        for programme in self.programmes.values():
            for version in programme.versions:
                yield from (task.measure for task in version.limits.tasks if task.measure is not None)

    @cached_property
    def certificate_kinds(self) -> frozenset[str]:
        """The kinds of certificates that any version of the rulebook names."""
        kinds = {EPR} if self.epr else set()
        for permit in self.permits.values():
            for version in permit.versions:
                kinds.update(version.limits.certificates)
        return frozenset(kinds)
