"""The suppliers part of the rulebook as types. Amounts are US dollars, shares 0–1."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Seconds = Annotated[int, Meta(gt=0)]
Hours = Annotated[int, Meta(gt=0, le=10_000)]
Days = Annotated[int, Meta(gt=0, le=36_500)]
PointCount = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Dollars = Annotated[int, Meta(ge=0)]

_LONGEST_MONTH_DAYS: Final = 31


def _ascending(values: Iterable[float], what: str) -> None:
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"the {what} must rise from step to step")


class SupplierLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How a supplier's metrics are counted, and how long its events are remembered.

    A rolling window has one key, `…_days`; suppliers/metric_table.py names the key of each total's window.
    """

    response_within_h: Hours
    """A quote at most this long after the RFQ is in time."""
    response_days: Days
    """The window of the response rate. An RFQ is in it by the supplier's first quote to that RFQ."""
    reply_days: Days
    """The window of the reply rate. A quote is in it by the time of its submission."""
    gmv_days: Days
    """The window of settled minus refunded amounts."""
    quote_memory_days: Days
    payment_memory_days: Days
    forget_silent_days: Days
    """A supplier without a profile expires this long after its latest event."""
    assessed_after_h: Hours
    """A month's assessment is due this long after the month's end."""
    rerank_every_s: Seconds
    """An industry is ranked at most once in this time."""

    def __post_init__(self) -> None:
        if self.quote_memory_days < max(self.response_days, self.reply_days):
            raise ValueError("quote_memory_days must cover response_days and reply_days")
        # The bonus needs the GMV of the window that ended with the previous month. An assessment, which is made
        # assessed_after_h after its month's end, needs that of the window that ended with the month.
        needed = self.gmv_days + _LONGEST_MONTH_DAYS + -(-self.assessed_after_h // 24)
        if self.payment_memory_days < needed:
            raise ValueError(f"payment_memory_days must be at least {needed}: gmv_days, a month and assessed_after_h")


class RankPoints(Struct, frozen=True, forbid_unknown_fields=True):
    """Points by rank within the industry: the top share gets `top_points`, the others from `rest_points` down to 0."""

    top_share: Share
    top_points: PointCount
    rest_points: PointCount


class ShareStep(Struct, frozen=True, forbid_unknown_fields=True):
    """Points for a share at or above `at_least_share`, or above `over_share`."""

    points: PointCount
    at_least_share: Share | None = None
    over_share: Share | None = None

    def __post_init__(self) -> None:
        if (self.at_least_share is None) == (self.over_share is None):
            raise ValueError("a step begins either at_least_share or over_share: give one of them")

    @property
    def threshold(self) -> float:
        return self.at_least_share if self.at_least_share is not None else self.over_share or 0.0


class AmountStep(Struct, frozen=True, forbid_unknown_fields=True):
    """Points for an amount at or above `at_least_usd`, or above `over_usd`."""

    points: PointCount
    at_least_usd: Dollars | None = None
    over_usd: Dollars | None = None

    def __post_init__(self) -> None:
        if (self.at_least_usd is None) == (self.over_usd is None):
            raise ValueError("a step begins either at_least_usd or over_usd: give one of them")

    @property
    def threshold(self) -> int:
        return self.at_least_usd if self.at_least_usd is not None else self.over_usd or 0


class DaysStep(Struct, frozen=True, forbid_unknown_fields=True):
    """Points for at least so many days."""

    at_least_days: PointCount
    points: PointCount


class ScoreLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """The factors of the service score; of a list of steps, the highest one that is reached counts."""

    quotes: RankPoints
    response: RankPoints
    reply: Annotated[tuple[ShareStep, ...], Meta(min_length=1)]
    gmv: Annotated[tuple[AmountStep, ...], Meta(min_length=1)]
    logins: tuple[DaysStep, ...] = ()
    """For the days logged in of the last 30, the measure `login-days-30d`; none: no points."""

    def __post_init__(self) -> None:
        _ascending((step.threshold for step in self.reply), "shares of reply")
        _ascending((step.threshold for step in self.gmv), "amounts of gmv")
        _ascending((step.at_least_days for step in self.logins), "days of logins")


class BonusLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Extra points of a verified supplier."""

    points: PointCount
    least_gmv_usd: Dollars | None = None
    """With a smaller `gmv_90d` at the end of a month there are none in the following month. None: no such condition."""


class SubmittedQuotes(Struct, frozen=True, forbid_unknown_fields=True):
    """As many as quotes were submitted in the assessed month, within bounds."""

    least: PointCount
    most: PointCount

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError("least must not be above most")


class Band(Struct, frozen=True, forbid_unknown_fields=True):
    """The entitlements of an assessed score of at least `score`."""

    score: PointCount
    gold_verified: PointCount | Literal["unlimited"]
    gold_standard: PointCount | Literal["unlimited"]
    pinned_quotes: PointCount
    free_pass_quotes: PointCount | Literal["unlimited"]
    silver_early: bool
    star_points: PointCount
    quote_rights: PointCount | SubmittedQuotes | None = None
    """None: the score gives none, they come from the GMV challenge."""


class EntitlementLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """The entitlements of an assessed score, until the next one is assessed."""

    gold_standard_stars: Annotated[int, Meta(ge=0, le=5)]
    """A standard supplier has a gold-RFQ quota from this many stars on."""
    bands: Annotated[tuple[Band, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _ascending((band.score for band in self.bands), "scores of bands")
        if self.bands[0].score != 0:
            raise ValueError("the first band must begin at score = 0, so that every score has one")


class Prize(Struct, frozen=True, forbid_unknown_fields=True):
    """Quote rights for a `gmv_month` of at least this amount."""

    at_least_usd: Dollars
    rights: PointCount


class ChallengeLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """The GMV challenge; the highest prize that is reached counts."""

    prizes: Annotated[tuple[Prize, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        _ascending((prize.at_least_usd for prize in self.prizes), "amounts of prizes")


class PinLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How many quotes of one RFQ are pinned, and how long an RFQ is remembered after its last event."""

    places: Annotated[int, Meta(gt=0)]
    keep_days: Days


SUPPLIER_SECTIONS: Final[Mapping[str, type[Struct]]] = {"suppliers": SupplierLimits}

INDUSTRY_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "service-score": ScoreLimits,
    "verified-bonus": BonusLimits,
    "entitlements": EntitlementLimits,
    "gmv-challenge": ChallengeLimits,
}
"""What decides a score once the metrics are known."""

RFQ_SECTIONS: Final[Mapping[str, type[Struct]]] = {"pins": PinLimits}
