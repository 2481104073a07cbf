"""The line of a supplier: `supplier-rights`, the membership-rights page as data.

Source: announcement of July 2022: buyers' levels, activities, rights.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.programmes.editions import previous_month
from vigil.app.domain.programmes.growth import growth_of, stage_of
from vigil.app.domain.programmes.participations import Accepted, judge_claims
from vigil.topics.programmes import (
    GoldRfqs,
    OwnedReward,
    Participation,
    RightsFacts,
    SupplierRights,
    TakenActivity,
)

TOPIC: Final = "supplier-rights"
TIERS: Final = ("L0", "L1", "L2", "L3", "L4")


class Quota(NamedTuple):
    """The quota of gold RFQs that the assessed score gives."""

    total: int | None
    """None is unlimited."""


def rights_of(
    supplier_id: str,
    facts: Facts,
    participations: Iterable[Participation],
    stars: Mapping[int, int],
    quota: Quota | None,
) -> SupplierRights:
    """The line as of now. `stars`: by number of stars, how many products have them; `quota`: None if there is none."""
    profile = facts.profile()
    labels = facts.moment.in_force(facts.rules.labels)
    return SupplierRights(
        supplier_id=supplier_id,
        at=facts.now,
        membership=profile.membership,
        stars=profile.stars,
        growth=growth_of(facts),
        labels=_labels(facts),
        activities=_activities(facts),
        permits=tuple(name for name in facts.rules.permits if facts.permit(name)),
        facts=RightsFacts(
            on_time_90d=facts.on_time().rounded(),
            refund_rate_90d=facts.refunds().rounded(),
            dispute_rate_90d=facts.disputes().rounded(),
        ),
        starred_products=_starred(facts, stars),
        gold_rfqs=None if quota is None else _gold(facts, quota),
        rewards=tuple(_rewards(participations, facts)),
        rulebook=None if labels is None else labels.effective_date,
    )


def _labels(facts: Facts) -> dict[str, str | None] | None:
    limits = facts.moment.limits(facts.rules.labels)
    if limits is None or stage_of(facts) == "before-opening":
        return None
    profile = facts.profile()
    own = (
        profile.membership == "verified" and profile.stars >= limits.least_stars and takes_part(limits.programme, facts)
    )
    return {
        tier: tier if own and tier in limits.own else limits.label if tier in limits.marked else None for tier in TIERS
    }


def takes_part(programme: str, facts: Facts) -> bool:
    """True if the supplier takes part in a programme this month: it was accepted in the edition of the month before."""
    days = facts.rules.days
    month = days.months.month_of(facts.now)
    facts.moment.reached(days.months.start(month + 1))
    claim = facts.ledger.claims.get((programme, previous_month(facts.now, days)))
    return claim is not None and isinstance(judge_claims(claim, facts), Accepted)


def _activities(facts: Facts) -> tuple[TakenActivity, ...]:
    taken = []
    for name, section in facts.rules.activities.items():
        limits = facts.moment.limits(section)
        if limits is None:
            continue
        if facts.is_verified() if limits.programme is None else takes_part(limits.programme, facts):
            taken.append(TakenActivity(activity=name, tiers=limits.tiers))
    return tuple(taken)


def _starred(facts: Facts, stars: Mapping[int, int]) -> dict[str, int] | None:
    plan = facts.moment.limits(facts.rules.star_plan)
    if plan is None or not plan.counts_published:
        return None
    return {str(number): stars.get(number, 0) for number in (1, 2, 3)}


def _gold(facts: Facts, quota: Quota) -> GoldRfqs:
    days = facts.rules.days
    month = days.months.month_of(facts.now)
    facts.moment.reached(days.months.start(month + 1))
    used = len(facts.gold_rfqs(month))
    return GoldRfqs(total=quota.total, used=used, left=None if quota.total is None else max(quota.total - used, 0))


def _rewards(participations: Iterable[Participation], facts: Facts) -> list[OwnedReward]:
    """The rewards that were given and are not over."""
    owned = [
        OwnedReward(reward=one.reward, programme=part.programme, edition=part.edition, valid_until=one.valid_until)
        for part in participations
        for one in part.rewards
        if one.valid_until is not None and not facts.moment.reached(one.valid_until + 1)
    ]
    return sorted(owned, key=lambda one: (one.programme, one.edition, one.reward))
