"""Conditions of products by the names that the rulebook uses.

    clean, info, freight, guaranteed, price, on-time, customisable, samples, refunds     what one star asks
    real-sale, paid-5000                                                                 what was sold
    dispatch-7d, delivery-15d, …                                                         days promised, with any number
    remote, local                                                                        service, and the permit for it
    rts, custom                                                                          the model
    anything else                                                                        an ability that experts found

So a table of another industry needs no code, and neither has one with other days.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from vigil.app.domain.ledger.facts import UNKNOWN, Facts
from vigil.app.domain.ledger.records import ProductState
from vigil.app.domain.rulebook.products import StarConditions

CLEAN: Final = "clean"
REAL_SALE: Final = "real-sale"
PAID: Final = "paid-5000"

_DAYS: Final = re.compile(r"(dispatch|delivery)-([0-9]{1,6})d")
_SERVICES: Final = {"remote": ("remote", "local"), "local": ("local",)}
"""By condition: the services of a product that offer it."""

PERMITS: Final = {name: f"{name}-service" for name in _SERVICES}
"""By condition: the permit that the supplier must hold."""


class Conditions:
    """The conditions of one state of a product as of a moment."""

    def __init__(self, state: ProductState, facts: Facts, limits: StarConditions) -> None:
        """`limits`: the numbers behind the names."""
        self._state = state
        self._facts = facts
        self._limits = limits

    def holds(self, name: str) -> bool:
        """True if a condition holds."""
        named = _NAMED.get(name)
        if named is not None:
            return named(self)
        if name in _SERVICES:
            return self._offers(name) and self._facts.holds_permit(PERMITS[name])
        return holds_by_state(name, self._state)

    def failing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of several conditions that do not hold, in their order."""
        return tuple(name for name in names if not self.holds(name))

    def _offers(self, name: str) -> bool:
        return self._state.service in _SERVICES[name]

    def _clean(self) -> bool:
        return is_clean(self._state, self._limits)

    def _info(self) -> bool:
        return self._state.info_score >= self._limits.info_at_least

    def _freight(self) -> bool:
        return set(self._state.freight_to).issuperset(self._limits.core_countries)

    def _guaranteed(self) -> bool:
        return set(self._state.guaranteed_to).issuperset(self._limits.core_countries)

    def _price(self) -> bool:
        return self._state.price in self._limits.prices

    def _on_time(self) -> bool:
        return self._facts.on_time_is(self._limits.on_time_at_least_share) != -1

    def _refunds(self) -> bool:
        return self._facts.refunds_are(self._limits.refunds_below_share) in (-1, UNKNOWN)


_NAMED: Final[Mapping[str, Callable[[Conditions], bool]]] = {
    CLEAN: Conditions._clean,
    "info": Conditions._info,
    "freight": Conditions._freight,
    "guaranteed": Conditions._guaranteed,
    "price": Conditions._price,
    "on-time": Conditions._on_time,
    "customisable": lambda one: one._state.customisable,
    "samples": lambda one: one._state.samples,
    "refunds": Conditions._refunds,
}


def is_clean(state: ProductState, limits: StarConditions) -> bool:
    """True if a product has none of the flags."""
    return not set(state.flags).intersection(limits.flags)


def holds_by_state(name: str, state: ProductState) -> bool:
    """True if a condition holds by the product's state alone: a service counts whatever permit is held."""
    if name in _SERVICES:
        return state.service in _SERVICES[name]
    if name in ("rts", "custom"):
        return state.model == name
    days = _DAYS.fullmatch(name)
    if days is not None:
        promised = state.dispatch_days if days[1] == "dispatch" else state.delivery_days
        return promised is not None and promised <= int(days[2])
    return name in state.abilities
