"""The service score: points by factor, the rank formula, the bonus, entitlements and the GMV challenge."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import (
    INDUSTRY_SECTIONS,
    AmountStep,
    BonusLimits,
    ChallengeLimits,
    EntitlementLimits,
    RankPoints,
    ScoreLimits,
    ShareStep,
)
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import SupplierTotals
from vigil.topics.scores import Entitlements, Membership, Points

CENTS: Final = 100


def rank_points(limits: RankPoints, rank: int, of: int) -> int:
    """Points of the `rank`th of `of` suppliers, rank 1 being the best."""
    numerator, denominator = exactly(limits.top_share)
    top = -(-numerator * of // denominator)
    if rank <= top:
        return limits.top_points
    rest = of - top - 1
    if rest == 0:
        return limits.rest_points
    # Halves are rounded up.
    return (2 * limits.rest_points * (of - rank) + rest) // (2 * rest)


@lru_cache(maxsize=1024)
def exactly(share: float) -> tuple[int, int]:
    """A share of the rulebook by the decimal as it is written there: its numerator and denominator."""
    return Decimal(repr(share)).as_integer_ratio()


def share_points(steps: Sequence[ShareStep], part: int, whole: int) -> int:
    """Points of the share part / whole; 0 where there is no whole. Exact: a tenth is a tenth."""
    if not whole:
        return 0
    for step in reversed(steps):
        numerator, denominator = exactly(step.threshold)
        above = part * denominator - numerator * whole
        if above > 0 or (above == 0 and step.at_least_share is not None):
            return step.points
    return 0


def amount_points(steps: Sequence[AmountStep], cents: int) -> int:
    """Points of an amount in cents."""
    for step in reversed(steps):
        begins = step.threshold * CENTS
        if cents > begins or (cents == begins and step.at_least_usd is not None):
            return step.points
    return 0


class Standings(NamedTuple):
    """One supplier's ranks, each with the number of suppliers ranked; None when it did not quote this month."""

    quotes: int
    response: int
    of: int


def ranked(lines: Iterable[tuple[str, SupplierTotals]]) -> dict[str, Standings]:
    """The ranks of an industry's suppliers that quoted this month; equal values share the best rank, null is last.

    A rate is compared as the quotient of its counts: two different quotients of counts below 90 million are different
    floats, and equal ones equal.
    """
    quoted = [(supplier_id, figures) for supplier_id, figures in lines if figures.quotes_month > 0]
    by_quotes = _ranks({supplier_id: figures.quotes_month for supplier_id, figures in quoted})
    by_response = _ranks(
        {
            supplier_id: figures.rfqs_in_time / figures.rfqs_quoted if figures.rfqs_quoted else -1.0
            for supplier_id, figures in quoted
        }
    )
    of = len(quoted)
    return {supplier_id: Standings(by_quotes[supplier_id], by_response[supplier_id], of) for supplier_id, _ in quoted}


def _ranks(values: "dict[str, int] | dict[str, float]") -> dict[str, int]:
    first: dict[float, int] = {}
    for place, value in enumerate(sorted(values.values(), reverse=True), start=1):
        first.setdefault(value, place)
    return {supplier_id: first[value] for supplier_id, value in values.items()}


class ScoreRules:
    """What scores go by at a time; the earliest points also hold for all time before."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._earliest = rulebook.versions("service-score")[0]
        self._changes = sorted({dated.start for section in INDUSTRY_SECTIONS for dated in rulebook.versions(section)})

    def next_change(self, after: int) -> int:
        """The next time at which a score may change by the rules alone."""
        return next((change for change in self._changes if change > after), MAX_TIME)

    def points(self, at: int, figures: SupplierTotals, membership: Membership, standings: Standings | None) -> Points:
        """The points by the rules in force at `at`."""
        limits: ScoreLimits = (self._rulebook.at("service-score", at) or self._earliest).limits
        quotes = response = 0
        if standings is not None:
            quotes = rank_points(limits.quotes, standings.quotes, standings.of)
            if figures.rfqs_in_time:
                response = rank_points(limits.response, standings.response, standings.of)
        return Points(
            quotes=quotes,
            response=response,
            reply=share_points(limits.reply, figures.quotes_replied, figures.quotes),
            gmv=amount_points(limits.gmv, figures.gmv_90d),
            bonus=self._bonus(at, figures, membership),
        )

    def effective(self, at: int) -> str:
        """The effective date of the rules of the score at `at`."""
        return (self._rulebook.at("service-score", at) or self._earliest).effective_date

    def _bonus(self, at: int, figures: SupplierTotals, membership: Membership) -> int:
        limits: BonusLimits | None = self._in_force("verified-bonus", at)
        if limits is None or membership != "verified":
            return 0
        least = limits.least_gmv_usd
        return 0 if least is not None and figures.prior_gmv_90d < least * CENTS else limits.points

    def entitlements(self, end: int, score: int, membership: Membership, stars: int) -> Entitlements | None:
        """What an assessed score entitles to, by the rules as of the month's end; None where they tell nothing."""
        limits: EntitlementLimits | None = self._in_force("entitlements", end)
        if limits is None:
            return None
        band = next(band for band in reversed(limits.bands) if score >= band.score)
        gold = band.gold_verified
        if membership != "verified":
            gold = band.gold_standard if stars >= limits.gold_standard_stars else 0
        return Entitlements(
            gold_rfqs=None if gold == "unlimited" else gold,
            pinned_quotes=band.pinned_quotes,
            free_pass_quotes=band.free_pass_quotes,
            silver_early=band.silver_early,
            star_points=band.star_points,
        )

    def challenge_rights(self, at: int, gmv_month: int) -> int:
        """Quote rights that the GMV challenge gives."""
        limits: ChallengeLimits | None = self._in_force("gmv-challenge", at)
        if limits is None:
            return 0
        reached = (prize.rights for prize in reversed(limits.prizes) if gmv_month >= prize.at_least_usd * CENTS)
        return next(reached, 0)

    def _in_force(self, section: str, at: int) -> Any:
        dated = self._rulebook.at(section, at)
        return None if dated is None else dated.limits


def total(points: Points) -> int:
    """The service score; it is not capped."""
    return points.quotes + points.response + points.reply + points.gmv + points.bonus
