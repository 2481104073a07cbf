"""The service score: points by factor, the rank formula, the bonus, entitlements and the GMV challenge.

Thresholds are compared exactly, in integers: a share of 0.1 in the rulebook is one tenth, and not the nearest binary
fraction, so that a supplier at the threshold reaches it.

Source: RFQ service score announcement of July 2022. How ranks below the top tenth become points, and that only those
suppliers are ranked that quoted in the month, is decided by Vigil; the announcement says "0–19 by rank" among "peers".
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import (
    INDUSTRY_SECTIONS,
    AmountStep,
    BonusLimits,
    ChallengeLimits,
    DaysStep,
    EntitlementLimits,
    RankPoints,
    ScoreLimits,
    ShareStep,
    SubmittedQuotes,
)
from vigil.app.domain.suppliers.metric_table import CENTS
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import AssessedScore, SupplierTotals
from vigil.topics.scores import Entitlements, Membership, Points


def rank_points(limits: RankPoints, rank: int, of: int) -> int:
    """Points of rank `rank` among `of` suppliers; rank 1 is the best."""
    numerator, denominator = exact_share(limits.top_share)
    top = -(-numerator * of // denominator)
    if rank <= top:
        return limits.top_points
    rest = of - top - 1
    if rest == 0:
        return limits.rest_points
    # rest_points × (of − rank) / rest, halves rounded up.
    return (2 * limits.rest_points * (of - rank) + rest) // (2 * rest)


@lru_cache(maxsize=1024)
def exact_share(share: float) -> tuple[int, int]:
    """Numerator and denominator of a share by the decimal that is written in the rulebook."""
    return Decimal(repr(share)).as_integer_ratio()


def share_points(steps: Sequence[ShareStep], part: int, whole: int) -> int:
    """Points for the share part / whole; 0 if the whole is 0."""
    if not whole:
        return 0
    for step in reversed(steps):
        numerator, denominator = exact_share(step.threshold)
        above = part * denominator - numerator * whole
        if above > 0 or (above == 0 and step.at_least_share is not None):
            return step.points
    return 0


def amount_points(steps: Sequence[AmountStep], cents: int) -> int:
    """Points for an amount in cents."""
    for step in reversed(steps):
        threshold = step.threshold * CENTS
        if cents > threshold or (cents == threshold and step.at_least_usd is not None):
            return step.points
    return 0


def days_points(steps: Sequence[DaysStep], days: float) -> int:
    """Points for a number of days."""
    return next((step.points for step in reversed(steps) if days >= step.at_least_days), 0)


class IndustryRanks(NamedTuple):
    """The ranks of one supplier that quoted this month."""

    quotes: int
    response: int
    of: int
    """Number of suppliers that are ranked."""


def rank_suppliers(suppliers: Iterable[tuple[str, SupplierTotals]]) -> dict[str, IndustryRanks]:
    """The ranks of an industry's suppliers that quoted this month; equal values share the best rank, null is last.

    A rate is compared as the quotient of its counts: two different quotients of counts below 90 million are different
    floats, and equal ones are equal.
    """
    quoted = [(supplier_id, totals) for supplier_id, totals in suppliers if totals.quotes_month > 0]
    by_quotes = _ranks({supplier_id: totals.quotes_month for supplier_id, totals in quoted})
    by_response = _ranks(
        {
            supplier_id: totals.rfqs_in_time / totals.rfqs_quoted if totals.rfqs_quoted else -1.0
            for supplier_id, totals in quoted
        }
    )
    of = len(quoted)
    return {
        supplier_id: IndustryRanks(by_quotes[supplier_id], by_response[supplier_id], of) for supplier_id, _ in quoted
    }


def _ranks(values: "dict[str, int] | dict[str, float]") -> dict[str, int]:
    first: dict[float, int] = {}
    for place, value in enumerate(sorted(values.values(), reverse=True), start=1):
        first.setdefault(value, place)
    return {supplier_id: first[value] for supplier_id, value in values.items()}


class ScoreRules:
    """The rules of the score by time. The first version of [service-score] is also effective at all times before it."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._score = rulebook.section("service-score", ScoreLimits)
        self._bonus_rules = rulebook.section("verified-bonus", BonusLimits)
        self._entitlements = rulebook.section("entitlements", EntitlementLimits)
        self._challenge = rulebook.section("gmv-challenge", ChallengeLimits)
        self._changes = sorted(
            {version.start for section in INDUSTRY_SECTIONS for version in rulebook.versions(section)}
        )

    def next_change(self, after: int) -> int:
        """The next time after `after` at which a score may change by the rules alone; MAX_TIME if there is none."""
        return next((change for change in self._changes if change > after), MAX_TIME)

    def points(self, at: int, totals: SupplierTotals, membership: Membership, ranks: IndustryRanks | None) -> Points:
        """The points by the rules that are effective at `at`. `ranks` are None if the supplier is not ranked."""
        limits = self._score.at_or_first(at).limits
        quotes = response = 0
        if ranks is not None:
            quotes = rank_points(limits.quotes, ranks.quotes, ranks.of)
            if totals.rfqs_in_time:
                response = rank_points(limits.response, ranks.response, ranks.of)
        return Points(
            quotes=quotes,
            response=response,
            reply=share_points(limits.reply, totals.rfqs_replied_30d, totals.rfqs_quoted_30d),
            gmv=amount_points(limits.gmv, totals.gmv_90d),
            logins=days_points(limits.logins, totals.login_days),
            bonus=self._bonus(at, totals, membership),
        )

    def effective_date(self, at: int) -> str:
        """The effective date of the rules of the score at `at`."""
        return self._score.at_or_first(at).effective_date

    def _bonus(self, at: int, totals: SupplierTotals, membership: Membership) -> int:
        limits = self._bonus_rules.limits_at(at)
        if limits is None or membership != "verified":
            return 0
        least = limits.least_gmv_usd
        return 0 if least is not None and totals.prior_gmv_90d < least * CENTS else limits.points

    def entitlements(self, end: int, assessed: AssessedScore) -> Entitlements | None:
        """The entitlements of a month's assessed score, by the rules at the month's end; None if those have none."""
        score, membership, stars = assessed.score, assessed.membership, assessed.stars
        limits = self._entitlements.limits_at(end)
        if limits is None:
            return None
        band = next(band for band in reversed(limits.bands) if score >= band.score)
        gold = band.gold_verified
        if membership != "verified":
            gold = band.gold_standard if stars >= limits.gold_standard_stars else 0
        rights = band.quote_rights
        if isinstance(rights, SubmittedQuotes):
            rights = min(max(assessed.submitted, rights.least), rights.most)
        return Entitlements(
            gold_rfqs=_limited(gold),
            pinned_quotes=band.pinned_quotes,
            free_pass_quotes=_limited(band.free_pass_quotes),
            quote_rights=rights,
            silver_early=band.silver_early,
            star_points=band.star_points,
        )

    def challenge_rights(self, at: int, gmv_month: int) -> int:
        """Quote rights by the GMV challenge; `gmv_month` in cents."""
        limits = self._challenge.limits_at(at)
        if limits is None:
            return 0
        reached = (prize.rights for prize in reversed(limits.prizes) if gmv_month >= prize.at_least_usd * CENTS)
        return next(reached, 0)


def _limited(number: int | str) -> int | None:
    """A number of the rulebook; None if it says `unlimited`."""
    return number if isinstance(number, int) else None


def total_score(points: Points) -> int:
    """The service score, the sum of the points; it is not capped."""
    return points.quotes + points.response + points.reply + points.gmv + points.logins + points.bonus
