"""Stars of a product: the highest level whose conditions hold, and what is missing for the next one.

    one star    all conditions of the product's model
    two, three  any cell of the industry's row, or a real sale, or enough paid
    every level a clean product

Levels do not need each other. Source: announcement of July 2022, new star model of products.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.records import ProductState
from vigil.app.domain.products.conditions import CLEAN, PAID, REAL_SALE, Conditions
from vigil.app.domain.rulebook.products import StarConditions, StarPlan, StarTable, conditions_of
from vigil.app.domain.suppliers.metric_table import CENTS
from vigil.topics.products import NextStars

HIGHEST: Final = 3

Way = tuple[str, ...]
"""The conditions of one way to a level that do not hold."""


class Starred(NamedTuple):
    """What is said about the stars of a product."""

    stars: int | None = None
    audience: Literal["some", "all"] | None = None
    next: NextStars | None = None
    rulebook: str | None = None


NO_STARS: Final = Starred()


class WayTo(NamedTuple):
    """One way to a level of stars, a clean product aside."""

    stars: int
    needs: Way
    """Its conditions."""
    fails: Way
    """Those that do not hold."""


def starred(product_id: str, state: ProductState, facts: Facts) -> Starred:
    """The stars of a product by the rules in force; none before the roll-out, and in an industry that is not open."""
    rules, moment = facts.rules, facts.moment
    plan, conditions = moment.in_force(rules.star_plan), moment.in_force(rules.star_conditions)
    if plan is None or conditions is None:
        return NO_STARS
    section = rules.stars.get(state.industry)
    table = None if section is None else moment.in_force(section)
    dates = [plan.effective_date, conditions.effective_date, *([] if table is None else [table.effective_date])]
    if not is_open(plan.limits, state.industry):
        return Starred(rulebook=max(dates))
    levels = _Levels(product_id, state, facts, conditions.limits, None if table is None else table.limits)
    stars = levels.stars(plan.limits.legacy_stars)
    return Starred(stars, plan.limits.audience, levels.next(stars), max(dates))


def ways_to(product_id: str, state: ProductState, facts: Facts) -> list[WayTo]:
    """Every way to every level as of now; none where the product has no stars yet."""
    rules, moment = facts.rules, facts.moment
    plan, limits = moment.limits(rules.star_plan), moment.limits(rules.star_conditions)
    if plan is None or limits is None or not is_open(plan, state.industry):
        return []
    section = rules.stars.get(state.industry)
    levels = _Levels(product_id, state, facts, limits, None if section is None else moment.limits(section))
    return [WayTo(level, *way) for level in range(1, HIGHEST + 1) for way in levels.ways(level)]


def is_open(plan: StarPlan, industry: str) -> bool:
    """True if products of an industry have stars."""
    return plan.industries == "every" or industry in plan.industries


class _Levels:
    """The ways to each level of one product."""

    def __init__(
        self, product_id: str, state: ProductState, facts: Facts, limits: StarConditions, table: StarTable | None
    ) -> None:
        self._state = state
        self._limits = limits
        self._table = table
        self._conditions = Conditions(state, facts, limits)
        self._paid = facts.paid_for(product_id)
        self._clean = self._conditions.holds(CLEAN)

    def stars(self, legacy_stars: int) -> int:
        """The highest level that one of its ways gives; a clean legacy product has some by itself."""
        if not self._clean:
            return 0
        reached = next((level for level in range(HIGHEST, 0, -1) if () in self._ways(level)), 0)
        return max(reached, legacy_stars) if self._state.legacy else reached

    def next(self, stars: int) -> NextStars | None:
        """What is missing for one star more; None if there is no further level."""
        ways = self._ways(stars + 1) if stars < HIGHEST else ()
        if not ways:
            return None
        first = () if self._clean else (CLEAN,)
        return NextStars(stars=stars + 1, ways=tuple((*first, *way) for way in ways))

    def _ways(self, level: int) -> tuple[Way, ...]:
        """What does not hold of each way to a level, a clean product aside."""
        return tuple(fails for _, fails in self.ways(level))

    def ways(self, level: int) -> Iterator[tuple[Way, Way]]:
        """The ways to a level, a clean product aside: what each needs, and what of that does not hold."""
        failing = self._conditions.failing
        if level == 1:
            needs = self._limits.rts if self._state.model == "rts" else self._limits.custom
            yield needs, failing(needs)
        elif self._table is not None:
            two = level == 2
            for cell in self._table.two if two else self._table.three:
                yield conditions_of(cell), failing(conditions_of(cell))
            sale = (REAL_SALE if two else PAID,)
            yield sale, () if self._is_sold(two) else sale

    def _is_sold(self, two: bool) -> bool:
        if two:
            return self._paid.buyers > self._limits.buyers_over
        return self._paid.cents >= self._limits.paid_at_least_usd * CENTS
