"""Outputs about suppliers and RFQs: `supplier-score` and `pin-decision`."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.topics.fields import Id, Instant, Number
from vigil.topics.topic import Example, Topic

Membership = Literal["verified", "standard"]

Score = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Points of a service score."""

Stars = Annotated[int, Meta(ge=0, le=5)]
Rate = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,15}\.[0-9]{2}$")]
"""US$ with two decimals."""


class Metrics(Struct, frozen=True):
    """A supplier's RFQ metrics; rates are 0–1 rounded to 6 places or null, amounts strings with two decimals (US$)."""

    quotes_month: Number
    """Distinct RFQs quoted in the current calendar month (America/Los_Angeles)."""
    response_rate: Rate | None
    """Share of the RFQs quoted in the last 30 days that were quoted in time."""
    reply_rate: Rate | None
    """Share of the RFQs with a quote of the last 30 days of which the buyer has replied to one of these quotes."""
    gmv_90d: Amount
    """Settled minus refunded US$ of the last 90 days, linked to an RFQ; never below 0."""
    gmv_month: Amount
    """Paid US$ of the current calendar month, linked to an RFQ; refunds do not lower it."""


class Points(Struct, frozen=True, kw_only=True):
    """The service score by factor."""

    quotes: Score
    """For the quotes of this month, by rank."""
    response: Score
    """For the response rate, by rank."""
    reply: Score
    """For the reply rate."""
    gmv: Score
    """For the GMV of 90 days."""
    logins: Score = 0
    """For the days logged in of the last 30; 0 by the rules from 2022-08-03 on."""
    bonus: Score
    """For verified members."""


class Rank(Struct, frozen=True, kw_only=True):
    """A place among the suppliers of the same industry that quoted this month."""

    rank: Number
    """1 is the best; equal values share the best rank."""
    of: Number
    """Number of suppliers that are ranked."""


class Ranks(Struct, frozen=True, kw_only=True):
    """A supplier's places in its industry."""

    quotes: Rank | None
    """By quotes this month; null: not ranked."""
    response: Rank | None
    """By response rate; null: not ranked."""


class Assessed(Struct, frozen=True, kw_only=True):
    """The score of a month, fixed 48 h after the month's end."""

    month: str
    """Such as `2022-08`."""
    score: Score
    """The service score of that month."""


class Entitlements(Struct, frozen=True, kw_only=True):
    """The entitlements of the assessed score, until the next one is assessed."""

    gold_rfqs: Number | None
    """Null is unlimited."""
    pinned_quotes: Number
    """Number of quotes that may be pinned."""
    free_pass_quotes: Number | None
    """Number of free-pass quotes; null is unlimited."""
    quote_rights: Number | None = None
    """Quote rights; null by the rules from 2022-08-03 on, which give them for the GMV challenge."""
    silver_early: bool
    """True if silver RFQs are visible six working hours early."""
    star_points: Score
    """Star marketing points."""


class Counts(Struct, frozen=True):
    """The numbers from which the two rates are computed."""

    rfqs_quoted: Number
    """RFQs first quoted in the last 30 days."""
    rfqs_in_time: Number
    """Of these, quoted in time."""
    rfqs_quoted_30d: Number = 0
    """RFQs with a quote that was submitted in the last 30 days."""
    rfqs_replied_30d: Number = 0
    """Of these, those of which the buyer replied to such a quote."""


class SupplierScore(Struct, frozen=True, kw_only=True):
    """A supplier's metrics, points, ranks, scores and entitlements at `at`."""

    supplier_id: Id
    at: Instant
    """The time of which the metrics are, ms since the epoch."""
    industry: str
    membership: Membership
    stars: Stars
    metrics: Metrics
    """The values for which points are given."""
    points: Points | None
    """The service score by factor; null: not scored yet."""
    ranks: Ranks
    """Its places in the industry."""
    predicted: Score | None
    """The score as of now: the sum of the points."""
    assessed: Assessed | None
    """The last score that was fixed; null before the first."""
    entitlements: Entitlements | None
    """What the assessed score entitles to; null before the first."""
    gmv_challenge_rights: Number
    """Quote rights earned in the GMV challenge this month."""
    counts: Counts
    """The numbers from which the two rates are computed."""
    rulebook: str


class PinDecision(Struct, frozen=True, kw_only=True):
    """Whether a quote is pinned: at most three of one RFQ, first come first served."""

    rfq_id: Id
    quote_id: Id
    supplier_id: Id
    at: Instant
    decision: Literal["granted", "refused"]
    """`granted` if the quote is pinned."""
    place: Number | None
    """1 to 3, in order of request; null: refused."""
    reason: Literal["rejected", "full"] | None
    """Why it was refused; null: granted."""


TOPICS: Final = (
    Topic(
        "supplier-score",
        "out",
        "supplier_id",
        SupplierScore,
        "a supplier's metrics and scores",
        compacted=True,
        tombstone="A null value: the supplier has no line any more.",
        examples=(
            Example(
                "merchant-7",
                {
                    "supplier_id": "merchant-7",
                    "at": 1662048021000,
                    "industry": "lighting",
                    "membership": "verified",
                    "stars": 4,
                    "metrics": {
                        "quotes_month": 1,
                        "response_rate": 1.0,
                        "reply_rate": 0.0,
                        "gmv_90d": "1250.00",
                        "gmv_month": "0.00",
                    },
                    "points": {"quotes": 20, "response": 20, "reply": 0, "gmv": 10, "logins": 0, "bonus": 0},
                    "ranks": {"quotes": {"rank": 1, "of": 1}, "response": {"rank": 1, "of": 1}},
                    "predicted": 50,
                    "assessed": None,
                    "entitlements": None,
                    "gmv_challenge_rights": 0,
                    "counts": {"rfqs_quoted": 1, "rfqs_in_time": 1, "rfqs_quoted_30d": 1, "rfqs_replied_30d": 0},
                    "rulebook": "2022-08-03",
                },
                id="9e9096b883d39d5a85343278b03d25b1",
            ),
        ),
    ),
    Topic(
        "pin-decision",
        "out",
        "rfq_id",
        PinDecision,
        "whether a quote is pinned",
        retention_days=90,
        examples=(
            Example(
                "rfq-9",
                {
                    "rfq_id": "rfq-9",
                    "quote_id": "quote-31",
                    "supplier_id": "merchant-7",
                    "at": 1662044500000,
                    "decision": "granted",
                    "place": 1,
                    "reason": None,
                },
                id="0f96f204359f48346b831f1a6944922b",
            ),
        ),
    ),
)
