"""`participation` and `supplier-rights`: a supplier's programmes, and what it may do and see."""

from typing import Final, Literal

from msgspec import Struct

from vigil.topics.fields import Id, Instant, Number
from vigil.topics.scores import Membership, Rate, Stars
from vigil.topics.topic import Example, Topic

ParticipationStatus = Literal["refused", "claimed", "completed", "no-place", "failed"]


class TaskState(Struct, frozen=True, kw_only=True):
    """One task of a programme."""

    task: str
    """A measure, a programme, or `gold-rfqs`."""
    value: float
    """How much there is now, or at the window's end."""
    needs: float
    """How much there must be."""
    done_at: Instant | None
    """Since when it is done; null: it is not."""


class GivenReward(Struct, frozen=True, kw_only=True):
    """A reward of a completed participation."""

    reward: str
    """The reward's name."""
    valid_until: Instant | None
    """Null: it has not been given yet."""


class Participation(Struct, frozen=True, kw_only=True):
    """A supplier's part in one edition of a programme."""

    programme: str
    """The programme's name."""
    edition: str
    """Its month (`2022-08`) or first day (`2022-08-05`)."""
    supplier_id: Id
    at: Instant
    """Since when the status holds."""
    status: ParticipationStatus
    """`completed`: all is done, and there is a place where places are few."""
    reason: Literal["closed", "not-eligible"] | None
    """Why it was refused; else null."""
    claimed_at: Instant | None
    """When the claim was made that counts; null: none does."""
    opens: Instant
    """The window's first ms."""
    closes: Instant
    """The last ms of the window."""
    tasks: tuple[TaskState, ...]
    """Its tasks, in the rulebook's order."""
    completed_at: Instant | None
    """When all was done; null: it is not."""
    place: Number | None
    """The place, where they are few; else null."""
    rewards: tuple[GivenReward, ...]
    """Empty unless completed."""
    reward_by: Instant | None
    """Until when rewards are to be given."""
    rulebook: str
    """From when the programme, as it was, is in force."""


class Growth(Struct, frozen=True, kw_only=True):
    """The stage of a supplier since it opened."""

    stage: Literal["before-opening", "first-30", "first-90", "mature"]
    """The stage."""
    since: Instant | None
    """The stage's first ms; null: not known."""
    until: Instant | None
    """The last ms if nothing more is done."""
    tasks: dict[str, Instant | None]
    """When each task was done."""
    milestones: dict[str, Instant | None]
    """When each milestone was reached."""
    current: str | None
    """The first milestone that is not reached, in the second stage."""
    unlocks: tuple[str, ...]
    """What the milestones have unlocked."""
    rating_open: bool
    """True once all tasks are done."""


class TakenActivity(Struct, frozen=True, kw_only=True):
    """An activity in which the supplier takes part."""

    activity: str
    """The activity's name."""
    tiers: tuple[str, ...]
    """The tiers of the buyers who take part."""


class RightsFacts(Struct, frozen=True, kw_only=True):
    """Shares from which permits follow; null: there is nothing to divide by."""

    on_time_90d: Rate | None
    """Orders dispatched in time, of the last 90 days."""
    refund_rate_90d: Rate | None
    """Orders with a refund requested, of the last 90 days."""
    dispute_rate_90d: Rate | None
    """Orders that were disputed, of the last 90 days."""


class GoldRfqs(Struct, frozen=True, kw_only=True):
    """The quota of gold RFQs of this month."""

    total: Number | None
    """Null is unlimited."""
    used: Number
    """Gold RFQs quoted this month."""
    left: Number | None
    """What is left of the quota; null is unlimited."""


class OwnedReward(Struct, frozen=True, kw_only=True):
    """A reward that was given and is not over."""

    reward: str
    """The reward's name."""
    programme: str
    """For which programme it was given."""
    edition: str
    """For which edition of it."""
    valid_until: Instant
    """Until when it is good, inclusive."""


class SupplierRights(Struct, frozen=True, kw_only=True):
    """What a supplier sees, takes part in and may do at `at`."""

    supplier_id: Id
    at: Instant
    """The time as of which it is, ms since the epoch."""
    membership: Membership
    stars: Stars
    growth: Growth | None
    """Null: it is not known when it signed or opened."""
    labels: dict[str, str | None] | None
    """By tier of buyer: the label that the supplier sees; null: none."""
    activities: tuple[TakenActivity, ...]
    """In which activities it takes part."""
    permits: tuple[str, ...]
    """What it may do."""
    facts: RightsFacts
    """The shares from which permits follow."""
    starred_products: dict[str, Number] | None
    """By number of stars: how many products have them; null: not published yet."""
    gold_rfqs: GoldRfqs | None
    """Null: there are no entitlements."""
    rewards: tuple[OwnedReward, ...]
    """Rewards that were given and are not over."""
    rulebook: str | None
    """The effective date of the labels; null: before any are in force."""


TOPICS: Final = (
    Topic(
        "participation",
        "out",
        "programme/edition/supplier_id",
        Participation,
        "a supplier's part in a programme",
        compacted=True,
        tombstone="A null value: it does not follow from the events any more, or is forgotten.",
        examples=(
            Example(
                "strength-pack/2022-09/merchant-7",
                {
                    "programme": "strength-pack",
                    "edition": "2022-09",
                    "supplier_id": "merchant-7",
                    "at": 1662044500000,
                    "status": "claimed",
                    "reason": None,
                    "claimed_at": 1662044500000,
                    "opens": 1662015600000,
                    "closes": 1664607599999,
                    "tasks": [
                        {"task": "strength-cards", "value": 0.0, "needs": 1, "done_at": None},
                        {"task": "certificates", "value": 0.0, "needs": 1, "done_at": None},
                        {"task": "certificate-products", "value": 0.0, "needs": 1, "done_at": None},
                        {"task": "industry-abilities", "value": 0.0, "needs": 1, "done_at": None},
                    ],
                    "completed_at": None,
                    "place": None,
                    "rewards": [],
                    "reward_by": None,
                    "rulebook": "2022-07-21",
                },
                id="a02d950005c209badca6fda266ab75ec",
            ),
        ),
    ),
    Topic(
        "supplier-rights",
        "out",
        "supplier_id",
        SupplierRights,
        "what a supplier sees and may do",
        compacted=True,
        tombstone="A null value: nothing is left of the supplier.",
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662048021000,
                    "membership": "verified",
                    "stars": 4,
                    "growth": None,
                    "labels": {"L0": None, "L1": "L1+", "L2": "L1+", "L3": "L1+", "L4": "L1+"},
                    "activities": [{"activity": "rfq-targeting", "tiers": ["L2", "L3", "L4"]}],
                    "permits": ["buyer-portrait", "l1-campaigns"],
                    "facts": {"on_time_90d": None, "refund_rate_90d": 0.0, "dispute_rate_90d": 0.0},
                    "starred_products": None,
                    "gold_rfqs": None,
                    "rewards": [],
                    "rulebook": "2022-08-01",
                },
                id="3e1ac96bbf26385840d2d41fa5390f22",
            ),
        ),
    ),
)
