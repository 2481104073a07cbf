"""Messages between Vigil's own shards. They may change with any version; nobody else should read these topics."""

from typing import Final, Literal

from msgspec import Struct, field

from vigil.topics.rooms import RoomEvent
from vigil.topics.scores import Membership
from vigil.topics.suppliers import Quote
from vigil.topics.topic import Topic
from vigil.topics.verdicts import Verdict

SECOND_MS: Final = 1000


class SupplierTotals(Struct, frozen=True):
    """The numbers from which a supplier's metrics and points are computed: counts, and amounts in whole US cents.

    `app/domain/suppliers/metric_table.py` says how each one is counted.
    """

    quotes_month: int
    rfqs_quoted: int
    rfqs_in_time: int
    quotes: int
    quotes_replied: int
    gmv_90d: int
    gmv_month: int
    prior_gmv_90d: int
    """The `gmv_90d` at the end of the month before: it decides the bonus of a verified supplier."""


class AssessedScore(Struct, frozen=True, kw_only=True):
    """A supplier's assessed score, from the industry that ranked it back to the supplier."""

    supplier_id: str
    industry: str
    """The industry that ranked it: the one of its profile at the month's end."""
    month: str
    score: int
    membership: Membership
    """By the profile at the month's end, by which the entitlements go too."""
    stars: int
    at: int


class RankingEntry(Struct, frozen=True, kw_only=True):
    """A supplier as its industry ranks it: as of now, or (`month` set) as of the end of an assessed month."""

    supplier_id: str
    industry: str
    membership: Membership
    stars: int
    at: int
    """The time of which the totals are."""
    month: str | None
    """The assessed month; null for the current entry."""
    totals: SupplierTotals | None = field(name="figures")
    """Null if the supplier has left this industry, or is not ranked anywhere any more."""
    moved_to: str | None
    """If there are no totals: the industry to which the supplier moved; null if it is not ranked anywhere any more."""
    assessed: AssessedScore | None = field(name="standing")
    """The latest assessed score; the current entry carries it to an industry to which the supplier moves."""


UnobservedTopic = Literal["buyer-entry", "comment", "frame-status"]


class UnobservedSecond(Struct, frozen=True, kw_only=True):
    """A second of a room of which its shard does not see everything: a record lies in another partition."""

    room_id: str
    topic: UnobservedTopic
    """Of the record; `comment` stands for a host's comment that shows reception."""
    at: int
    """When the second begins: a whole second of event time, ms."""

    @property
    def last(self) -> int:
        """The last ms of the second."""
        return self.at + SECOND_MS - 1


RoomInput = RoomEvent | UnobservedSecond
"""What a room's shard reads."""


MISROUTED_BY_ROOM: Final = "misrouted-by-room"

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
    Topic("supplier-metrics", "internal", "industry", RankingEntry, "metrics on their way to ranks", retention_days=7),
    Topic(
        "supplier-standing",
        "internal",
        "supplier_id",
        AssessedScore,
        "assessed scores on their way back",
        retention_days=7,
    ),
    Topic(
        MISROUTED_BY_ROOM,
        "internal",
        "room_id",
        UnobservedSecond,
        "what lies in a wrong partition, on its way to the room that it belongs to",
        retention_days=7,
    ),
)
