"""What a product's page says: what it has and what is missing for the next star, selection, EPR."""

from typing import Any, Final, NamedTuple

from vigil.app.domain.ledger.rules import EPR, LineRules
from vigil.app.domain.products.conditions import CLEAN, PAID, REAL_SALE
from vigil.app.domain.rulebook.book import DatedSection, EffectiveVersion
from vigil.app.domain.rulebook.products import StarConditions, StarTable, conditions_of
from vigil.topics.products import Certificate, NextStars, ProductStanding

SALES: Final = {2: REAL_SALE, 3: PAID}
"""By level: the way to it that every industry has."""


class Way(NamedTuple):
    """One way to the next star."""

    holds: tuple[str, ...]
    """Conditions that hold."""
    missing: tuple[str, ...]
    """Conditions that do not."""


def ways(standing: ProductStanding, rules: LineRules) -> list[Way]:
    """The ways to the next star, the one with the fewest missing conditions first.

    A line has what is missing; what holds is the rest of the rulebook's cell. Nothing is said to hold where the line
    was made by a rulebook with other cells.
    """
    following = standing.next
    if following is None:
        return []
    cells = _cells(following, standing, rules)
    found = []
    for index, missing in enumerate(following.ways):
        cell = cells[index] if index < len(cells) else ()
        own = tuple(name for name in missing if name != CLEAN or CLEAN in cell)
        holds = tuple(name for name in cell if name not in missing) if set(own) <= set(cell) else ()
        found.append(Way(holds, missing))
    return sorted(found, key=lambda way: len(way.missing))


def _cells(following: NextStars, standing: ProductStanding, rules: LineRules) -> list[tuple[str, ...]]:
    """The conditions of each way to the next star, as far as they are known."""
    limits = rules.star_conditions.limits_at(standing.at)
    section = rules.stars.get(standing.industry)
    table: StarTable | None = section.limits_at(standing.at) if section is not None else None
    if following.stars == 1:
        return [] if limits is None else [_one_star(following.ways[0] if following.ways else (), limits)]
    if table is None:
        return []
    cells = table.two if following.stars == 2 else table.three
    return [*(conditions_of(cell) for cell in cells), (SALES[following.stars],)]


def _one_star(missing: tuple[str, ...], limits: StarConditions) -> tuple[str, ...]:
    """The conditions of one star. A line does not have the product's model: where both models ask for what is missing,
    those that both ask for."""
    models = [names for names in (limits.rts, limits.custom) if set(missing) - {CLEAN} <= set(names)]
    return tuple(name for name in models[0] if all(name in names for names in models)) if models else ()


class Ability(NamedTuple):
    """One ability by which products of an industry are selected."""

    name: str
    holds: bool


def abilities(standing: ProductStanding, rules: LineRules) -> list[Ability]:
    """The abilities of the industry's row, and which of them the product has."""
    if standing.selection is None:
        return []
    section = rules.selection.get(standing.industry)
    table = section.limits_at(standing.at) if section is not None else None
    names = dict.fromkeys([*(table.abilities if table is not None else ()), *standing.selection.has])
    return [Ability(name, name in standing.selection.has) for name in names]


class Registration(NamedTuple):
    """One category of EPR that a product needs in a country."""

    category: str
    weeks: tuple[int, int] | None
    """How long the number takes to get; None: it is there."""
    certificates: list[Certificate]
    """Those of the country and category, those in force first."""


def registrations(
    standing: ProductStanding, certificates: list[Certificate], now: int
) -> dict[str, tuple[bool, list[Registration]]]:
    """By country: whether the product may be blocked there, and what it needs."""
    found = {}
    for country, epr in standing.epr.items():
        weeks = {one.category: one.weeks for one in epr.missing}
        needs = [
            Registration(name, weeks.get(name), _of_category(country, name, certificates, now)) for name in epr.needs
        ]
        found[country] = (epr.blocked, needs)
    return found


def _of_category(country: str, category: str, certificates: list[Certificate], now: int) -> list[Certificate]:
    own = [one for one in certificates if (one.kind, one.country, one.category) == (EPR, country, category)]
    return sorted(own, key=lambda one: not is_in_force(one, now))


def is_in_force(certificate: Certificate, at: int) -> bool:
    """True if a certificate counts at a time."""
    begun = certificate.valid_from is None or certificate.valid_from <= at
    ended = certificate.valid_until is not None and at >= certificate.valid_until
    proved = certificate.holder != "upstream" or bool(certificate.invoice)
    return certificate.status == "accepted" and begun and not ended and proved


def certificate_state(certificate: Certificate, now: int) -> str:
    """How a certificate stands: `in-force`, `ended`, `not-yet`, `no-invoice`, or what the check came to."""
    if certificate.status != "accepted":
        return certificate.status
    if certificate.valid_until is not None and now >= certificate.valid_until:
        return "ended"
    if certificate.valid_from is not None and now < certificate.valid_from:
        return "not-yet"
    return "in-force" if is_in_force(certificate, now) else "no-invoice"


def known_certificates(certificates: list[Certificate], rules: LineRules) -> list[Certificate]:
    """Those of the certificates that the rulebook has a use for; a worker rejects the others."""
    return [
        one
        for one in certificates
        if one.kind in rules.certificate_kinds and (one.kind != EPR or f"{one.country}.{one.category}" in rules.epr)
    ]


class AppliedRule(NamedTuple):
    """A section of the rulebook, as it was when a line was made."""

    section: str
    version: EffectiveVersion[Any]


def rules_of(standing: ProductStanding, rules: LineRules) -> list[AppliedRule]:
    """The rules that a product's line follows from."""
    named: list[tuple[str, DatedSection[Any] | None]] = [
        ("star-plan", rules.star_plan),
        ("star-conditions", rules.star_conditions),
        (f"stars.{standing.industry}", rules.stars.get(standing.industry)),
        (f"selection.{standing.industry}", rules.selection.get(standing.industry)),
        ("epr-blocking", rules.epr_blocking if standing.epr else None),
    ]
    for country, epr in standing.epr.items():
        named += [(f"epr.{country}.{name}", rules.epr.get(f"{country}.{name}")) for name in epr.needs]
    versions = [(name, section.at(standing.at)) for name, section in named if section is not None]
    return [AppliedRule(name, version) for name, version in versions if version is not None]


def is_listed_later(standing: ProductStanding, now: int) -> bool:
    """True if the product is selected, and will be listed only later."""
    listed_at = None if standing.selection is None else standing.selection.listed_at
    return listed_at is not None and listed_at > now
