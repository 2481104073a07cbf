"""Messages between Vigil's own shards. They may change with any version; nobody else should read these topics."""

from typing import Final

from msgspec import Struct

from vigil.topics.scores import Membership
from vigil.topics.suppliers import Quote
from vigil.topics.topic import Topic
from vigil.topics.verdicts import Verdict


class SupplierTotals(Struct, frozen=True, kw_only=True):
    """A supplier's metrics before rounding: counts, and whole US cents."""

    quotes_month: int
    rfqs_quoted: int
    rfqs_in_time: int
    quotes: int
    quotes_replied: int
    gmv_90d: int
    gmv_month: int
    prior_gmv_90d: int
    """The `gmv_90d` at the end of the month before: it decides a verified supplier's bonus."""


class SupplierStanding(Struct, frozen=True, kw_only=True):
    """A supplier's assessed score, on its way back from the industry that it was ranked in."""

    supplier_id: str
    industry: str
    """The industry that ranked it: the one it was in at the month's end."""
    month: str
    score: int
    membership: Membership
    """By the profile as of the month's end, as the entitlements go."""
    stars: int
    at: int


class SupplierLine(Struct, frozen=True, kw_only=True):
    """A supplier's line in the ranking of one industry: the current one, or (`month` set) one month's assessment."""

    supplier_id: str
    industry: str
    membership: Membership
    stars: int
    at: int
    """Now: what the figures are as of."""
    month: str | None
    """The month assessed, or null for the current line."""
    figures: SupplierTotals | None
    """Null when the supplier has left this industry, or has no line any more."""
    moved_to: str | None
    """Where `figures` is null: the industry that it went to; null when it is gone from all."""
    standing: SupplierStanding | None
    """The latest assessed score, carried along with the current line."""


TOPICS: Final = (
    Topic("verdict-by-host", "internal", "host_id", Verdict, "verdicts on their way to the ladders", retention_days=7),
    Topic(
        "quote-by-rfq",
        "internal",
        "rfq_id",
        Quote,
        "pin requests and rejections on their way to pins",
        retention_days=7,
    ),
    Topic("supplier-metrics", "internal", "industry", SupplierLine, "metrics on their way to ranks", retention_days=7),
    Topic(
        "supplier-standing",
        "internal",
        "supplier_id",
        SupplierStanding,
        "assessed scores on their way back",
        retention_days=7,
    ),
)
