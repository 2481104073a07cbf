"""Messages between Vigil's own shards. They may change with any version; nobody else should read these topics."""

from typing import Final, Literal

from msgspec import Struct, field

from vigil.topics.incidents import StepOutcome
from vigil.topics.rooms import RoomEvent
from vigil.topics.scores import Membership
from vigil.topics.suppliers import Quote
from vigil.topics.topic import Topic
from vigil.topics.verdicts import Action, NoticeKind, Priority, Verdict

SECOND_MS: Final = 1000


class SupplierTotals(Struct, frozen=True):
    """The numbers from which a supplier's metrics and points are computed: counts, and amounts in whole US cents.

    `app/domain/suppliers/metric_table.py` says how each one is counted.
    """

    quotes_month: int
    rfqs_quoted: int
    rfqs_in_time: int
    gmv_90d: int
    gmv_month: int
    prior_gmv_90d: int
    """The `gmv_90d` at the end of the month before: it decides the bonus of a verified supplier."""
    rfqs_quoted_30d: int = 0
    rfqs_replied_30d: int = 0
    quotes_submitted_month: int = 0
    """Quotes, not RFQs: the entitlements of the earlier rules ask for them."""
    login_days: float = 0
    """The measure `login-days-30d` as of then."""


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
    submitted: int = 0
    """Quotes that were submitted in the month."""


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


class AcceptedClaim(Struct, frozen=True, kw_only=True):
    """What decides about the place of a claim that is accepted."""

    places: int
    """How many there are."""
    decided_at: int
    """When places are given: the time of the claim, or the end of the window."""
    by_id: bool
    """Of claims with one time, the smaller supplier_id is first; otherwise the first to arrive."""


class ProgrammeClaim(Struct, frozen=True, kw_only=True):
    """A claim of a programme with few places, on its way to where these are given."""

    programme: str
    edition: str
    supplier_id: str
    at: int
    """The time by which places are given: that of the claim, or of its completion."""
    accepted: AcceptedClaim | None
    """Null: the claim has arrived, and may be accepted; or, with a `number`, it is not accepted any more."""
    number: int = 0
    """Of what a supplier says about the acceptance of its claims: counts from 1, the highest is valid. 0: a claim has
    arrived."""


class ProgrammePlace(Struct, frozen=True, kw_only=True):
    """The place that a claim got, on its way back to the supplier."""

    programme: str
    edition: str
    supplier_id: str
    at: int
    place: int
    """From 1; 0: none is left."""


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


RoomInput = RoomEvent | UnobservedSecond | Verdict
"""What a room's shard reads."""


StreamNews = Literal["live", "disconnected", "ended", "forgotten"]


class FoundInRoom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a room published or became, on its way to its incidents: no more than they show."""

    room_id: str
    host_id: str
    at: int
    kind: NoticeKind | Literal["verdict", "stream"]
    rule: str | None = None
    family: str | None = None
    """Of a verdict."""
    subject: str | None = None
    since: int = 0
    due: int | None = None
    buyer_id: str | None = None
    verdict_id: str | None = None
    priority: Priority = "normal"
    media_uri: str | None = None
    """Of the newest evidence that has one."""
    stream: StreamNews | None = None
    """What the stream became; `forgotten`: its room has expired without an end."""


class ActionInRoom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What follows from a verdict, as its host's shard has it, on its way to the incident."""

    verdict_id: str
    room_id: str
    at: int
    """Event time of the latest thing that it says."""
    number: int
    """Counts from 1; of one verdict the highest is valid."""
    action: Action | None = None
    """The latest revision; None where no ladder is effective."""
    active_at: int | None = None
    """Since when the action is active; None where it is not."""
    decision: Literal["upheld", "overturned"] | None = None
    decided_at: int | None = None
    withdrawn_at: int | None = None
    """When a review overturned the verdict last, also where another one has upheld it since."""
    appealed_at: int | None = None
    outcomes: tuple[StepOutcome, ...] = ()
    revised_at: int | None = None
    """When another verdict of the host, or a review of another one, changed the action last: a verdict counts from its
    publication, because it may be late. None: none did."""


MISROUTED_BY_ROOM: Final = "misrouted-by-room"
RESTRICTED_BY_SUPPLIER: Final = "restricted-by-supplier"
RESTRICTED_BY_ROOM: Final = "restricted-by-room"
FOUND_BY_ROOM: Final = "found-by-room"
ACTION_BY_ROOM: Final = "action-by-room"

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
        "programme-claim",
        "internal",
        "programme/edition",
        ProgrammeClaim,
        "claims of programmes with few places on their way to these",
        retention_days=7,
    ),
    Topic(
        "programme-place",
        "internal",
        "supplier_id",
        ProgrammePlace,
        "places of programmes on their way back",
        retention_days=7,
    ),
    Topic(
        RESTRICTED_BY_SUPPLIER,
        "internal",
        "host_id",
        Verdict,
        "what is a violation unless the host has a permit, on its way to the supplier that it is",
        retention_days=7,
    ),
    Topic(
        RESTRICTED_BY_ROOM,
        "internal",
        "room_id",
        Verdict,
        "violations without a permit on their way back to their room",
        retention_days=7,
    ),
    Topic(
        FOUND_BY_ROOM,
        "internal",
        "room_id",
        FoundInRoom,
        "warnings, violations and ends of rooms on their way to incidents",
        retention_days=7,
    ),
    Topic(
        ACTION_BY_ROOM,
        "internal",
        "room_id",
        ActionInRoom,
        "actions and reviews on their way to incidents",
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
