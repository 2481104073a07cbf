"""EPR: the registration numbers that a product needs in each country in which it is sold, and which are missing."""

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.ledger.records import ProductState
from vigil.app.domain.rulebook.products import EprDuty
from vigil.topics.products import EprStanding, Missing


def epr_of(state: ProductState, facts: Facts) -> dict[str, EprStanding]:
    """What a product needs by country; countries in which it is not sold are left out."""
    return {country: _standing(country, state, facts) for country in facts.rules.countries if country in state.markets}


def _standing(country: str, state: ProductState, facts: Facts) -> EprStanding:
    needed = {
        name.partition(".")[2]: limits
        for name, section in facts.rules.epr.items()
        if name.startswith(f"{country}.")
        and (limits := facts.moment.limits(section)) is not None
        and _is_needed(limits, state, facts)
    }
    missing = tuple(
        Missing(category=category, weeks=limits.weeks)
        for category, limits in needed.items()
        if not facts.is_registered(f"{country}/{category}")
    )
    blocking = facts.moment.limits(facts.rules.epr_blocking)
    return EprStanding(
        needs=tuple(needed), missing=missing, blocked=bool(missing) and blocking is not None and blocking.blocked
    )


def _is_needed(limits: EprDuty, state: ProductState, facts: Facts) -> bool:
    if limits.trait not in state.traits:
        return False
    if limits.measure is None or limits.below is None:
        return True
    return facts.measure_is(limits.measure, limits.below) != -1
