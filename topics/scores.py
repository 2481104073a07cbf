"""What Vigil says of suppliers and RFQs, out: `supplier-score` and `pin-decision`."""

from typing import Literal

from msgspec import Struct

Membership = Literal["verified", "standard"]


class Metrics(Struct, frozen=True, kw_only=True):
    """A supplier's RFQ metrics; rates are 0–1 rounded to 6 places or null, amounts strings with two decimals (US$)."""

    quotes_month: int
    response_rate: float | None
    reply_rate: float | None
    gmv_90d: str
    gmv_month: str


class Points(Struct, frozen=True, kw_only=True):
    """The service score by factor."""

    quotes: int
    response: int
    reply: int
    gmv: int
    bonus: int


class Rank(Struct, frozen=True, kw_only=True):
    """Place among the suppliers of the same industry that quoted this month."""

    rank: int
    of: int


class Ranks(Struct, frozen=True, kw_only=True):
    quotes: Rank | None
    response: Rank | None


class Assessed(Struct, frozen=True, kw_only=True):
    """The score of a month that is fixed, 48 h after its end."""

    month: str
    """Such as `2022-08`."""
    score: int


class Entitlements(Struct, frozen=True, kw_only=True):
    """What the assessed score entitles to until the next one."""

    gold_rfqs: int | None
    """Null is unlimited."""
    pinned_quotes: int
    free_pass_quotes: int
    silver_early: bool
    star_points: int


class Counts(Struct, frozen=True, kw_only=True):
    """What the two rates are made of."""

    rfqs_quoted: int
    rfqs_in_time: int
    quotes: int
    quotes_replied: int


class SupplierScore(Struct, frozen=True, kw_only=True):
    """A supplier's metrics, points, ranks, scores and entitlements at `at`."""

    supplier_id: str
    at: int
    industry: str
    membership: Membership
    stars: int
    metrics: Metrics
    points: Points | None
    ranks: Ranks
    predicted: int | None
    assessed: Assessed | None
    entitlements: Entitlements | None
    gmv_challenge_rights: int
    counts: Counts
    rulebook: str


class PinDecision(Struct, frozen=True, kw_only=True):
    """Whether a quote is pinned: at most three of one RFQ, first come first served."""

    rfq_id: str
    quote_id: str
    supplier_id: str
    at: int
    decision: Literal["granted", "refused"]
    place: int | None
    reason: Literal["rejected", "full"] | None
