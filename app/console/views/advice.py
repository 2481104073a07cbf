"""What would raise a supplier's score: for each factor the next step up, how far it is, and what it would be worth.

Calculated with the rulebook's own functions from what Vigil published, on the assumption that the ranks of the other
suppliers stay as they are.
"""

from fractions import Fraction
from typing import Final, NamedTuple

from vigil.app.domain.industries.score import amount_points, rank_points, share_points, total_score
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import (
    Band,
    BonusLimits,
    ChallengeLimits,
    EntitlementLimits,
    RankPoints,
    ScoreLimits,
)
from vigil.topics.scores import Points, Rank, SupplierScore

NO_POINTS: Final = Points(quotes=0, response=0, reply=0, gmv=0, logins=0, bonus=0)
"""Stands for the points of a supplier who has none yet."""


class Factor(NamedTuple):
    """One part of the score."""

    name: str
    points: int
    most: int


class Advice(NamedTuple):
    """One thing that would help: `name` says what, `numbers` how much of it, `gain` the points that it is worth."""

    name: str
    numbers: dict[str, str | int]
    gain: int


class Outlook(NamedTuple):
    """The parts of a supplier's score, and what would raise them."""

    factors: tuple[Factor, ...]
    advice: tuple[Advice, ...]
    next_band: Band | None
    """The next row of the entitlements above the predicted score."""
    missing: int
    """Points that are missing to it."""
    next_prize: tuple[str, int] | None
    """US$ of `gmv_month` that are missing to the GMV challenge's next prize, and its quote rights."""
    response_days: int
    response_within_h: int


def cents(amount: str) -> int:
    """US cents of an amount with two decimals."""
    return round(Fraction(amount) * 100)


def dollars(amount_cents: int) -> str:
    return f"{amount_cents // 100:,}.{amount_cents % 100:02d}"


def outlook(rulebook: Rulebook, score: SupplierScore) -> Outlook:
    """By the rules in force at the score's own time."""
    dated = rulebook.at("service-score", score.at) or rulebook.versions("service-score")[0]
    limits: ScoreLimits = dated.limits
    bonus = rulebook.at("verified-bonus", score.at)
    bonus_limits: BonusLimits | None = bonus.limits if bonus is not None else None
    points = score.points or NO_POINTS
    advice = [
        *_rank("quotes", limits.quotes, score.ranks.quotes, points.quotes),
        *_response(limits.response, score),
        *_reply(limits, score),
        *_gmv(limits, score),
        *_bonus(bonus_limits, score),
    ]
    band, missing = _band(rulebook, score)
    counting = (rulebook.at("suppliers", score.at) or rulebook.versions("suppliers")[0]).limits
    return Outlook(
        factors=(
            Factor("quotes", points.quotes, limits.quotes.top_points),
            Factor("response", points.response, limits.response.top_points),
            Factor("reply", points.reply, limits.reply[-1].points),
            Factor("gmv", points.gmv, limits.gmv[-1].points),
            *(Factor("logins", points.logins, step.points) for step in limits.logins[-1:]),
            Factor("bonus", points.bonus, bonus_limits.points if bonus_limits else 0),
        ),
        advice=tuple(sorted(advice, key=lambda one: -one.gain)),
        next_band=band,
        missing=missing,
        next_prize=_prize(rulebook, score),
        response_days=counting.response_days,
        response_within_h=counting.response_within_h,
    )


def _rank(name: str, limits: RankPoints, rank: Rank | None, points: int) -> list[Advice]:
    """The next better rank that is worth more, and the first one with the most points."""
    if rank is None:
        return [Advice(f"{name}.begin", {}, 0)]
    better = [place for place in range(rank.rank - 1, 0, -1) if rank_points(limits, place, rank.of) > points]
    if not better:
        return []
    step = better[0]
    gain = rank_points(limits, step, rank.of) - points
    best = next((place for place in better if rank_points(limits, place, rank.of) == limits.top_points), step)
    advice = [Advice(f"{name}.rank", {"rank": step, "of": rank.of}, gain)]
    if best != step:
        advice.append(Advice(f"{name}.top", {"rank": best, "of": rank.of}, limits.top_points - points))
    return advice


def _response(limits: RankPoints, score: SupplierScore) -> list[Advice]:
    counts = score.counts
    if counts.rfqs_quoted and counts.rfqs_in_time == 0:
        return [Advice("response.first", {}, 0)]
    advice = _rank("response", limits, score.ranks.response, (score.points or NO_POINTS).response)
    late = counts.rfqs_quoted - counts.rfqs_in_time
    if advice and late > 0:
        # In time m more times: (in + m) / (all + m) ≥ the next tenth.
        share = Fraction(counts.rfqs_in_time, counts.rfqs_quoted)
        goal = Fraction(int(share * 10) + 1, 10)
        if goal < 1:
            more = -(-(goal * counts.rfqs_quoted - counts.rfqs_in_time) // (1 - goal))
            advice.append(Advice("response.share", {"more": int(more), "percent": int(goal * 100)}, 0))
    return advice


def _reply(limits: ScoreLimits, score: SupplierScore) -> list[Advice]:
    """How many more of the RFQs that are quoted would have to be replied to, for each step above."""
    quotes, replied = score.counts.rfqs_quoted_30d, score.counts.rfqs_replied_30d
    now = share_points(limits.reply, replied, quotes)
    if not quotes:
        return [Advice("reply.begin", {}, 0)]
    for part in range(replied + 1, quotes + 1):
        points = share_points(limits.reply, part, quotes)
        if points > now:
            return [Advice("reply.more", {"more": part - replied, "quotes": quotes}, points - now)]
    return []


def _gmv(limits: ScoreLimits, score: SupplierScore) -> list[Advice]:
    held = cents(score.metrics.gmv_90d)
    now = amount_points(limits.gmv, held)
    for step in limits.gmv:
        if step.points > now:
            needed = step.threshold * 100 + (0 if step.at_least_usd is not None else 1)
            return [Advice("gmv.more", {"amount": dollars(needed - held)}, step.points - now)]
    return []


def _bonus(limits: BonusLimits | None, score: SupplierScore) -> list[Advice]:
    if limits is None:
        return []
    if score.membership != "verified":
        return [Advice("bonus.verified", {}, limits.points)]
    least = (limits.least_gmv_usd or 0) * 100
    missing = least - cents(score.metrics.gmv_90d)
    if missing > 0:
        return [Advice("bonus.gmv", {"amount": dollars(missing)}, limits.points)]
    return []


def _band(rulebook: Rulebook, score: SupplierScore) -> tuple[Band | None, int]:
    dated = rulebook.at("entitlements", score.at)
    points = score.predicted if score.predicted is not None else total_score(score.points) if score.points else None
    if dated is None or points is None:
        return None, 0
    limits: EntitlementLimits = dated.limits
    above = next((band for band in limits.bands if band.score > points), None)
    return above, (above.score - points if above is not None else 0)


def _prize(rulebook: Rulebook, score: SupplierScore) -> tuple[str, int] | None:
    dated = rulebook.at("gmv-challenge", score.at)
    if dated is None:
        return None
    limits: ChallengeLimits = dated.limits
    held = cents(score.metrics.gmv_month)
    above = next((prize for prize in limits.prizes if prize.at_least_usd * 100 > held), None)
    return (dollars(above.at_least_usd * 100 - held), above.rights) if above is not None else None
