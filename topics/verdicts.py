"""Outputs about rooms and hosts: `verdict`, `notice`, `room-status` and `enforcement`."""

import hashlib
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.topics.fields import Id, Instant, Number, Parameter, Seconds, ShortText, Tier
from vigil.topics.rooms import Stream
from vigil.topics.topic import Example, Topic

Priority = Literal["normal", "high"]
NoticeKind = Literal["entry-missed", "signal-lost", "signal-back", "at-risk", "risk-cleared", "verdict-contested"]
ActionStatus = Literal["active", "held", "withdrawn"]
Step = Literal["warn", "close", "take-offline", "delete-content", "ban", "freeze", "close-past-rooms"]


def identity(*parts: str | int | None) -> str:
    """The first 32 hex digits of SHA-256 of the parts joined by `|`, null being empty.

    A `%` or `|` within a part is written `%25` or `%7C`, so that no two things share an identity.
    """
    text = "|".join(["" if part is None else str(part) for part in parts])
    if "%" in text or text.count("|") >= len(parts):
        text = "|".join("" if part is None else str(part).replace("%", "%25").replace("|", "%7C") for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Evidence(Struct, frozen=True, kw_only=True):
    """One event on which a verdict rests: its topic, its time and what it says."""

    topic: str
    """The topic of the event."""
    at: Instant
    note: str
    """What the event says, in English."""
    code: str | None = None
    """Which sentence `note` is, for programs and other languages; null in a verdict from before there were codes."""
    params: dict[ShortText, ShortText | Parameter] = {}
    """What the sentence of `code` is filled with."""
    media_uri: str | None = None
    """Where the frame or comment can be seen or heard; null where its producer did not say."""


class Verdict(Struct, frozen=True, kw_only=True):
    """One violation."""

    verdict_id: Id
    """`identity(rule, subject, room_id, since, at)`."""
    rule: Id
    family: Id
    subject: ShortText | None
    """The label that was judged; null where the rule does not depend on a label."""
    rulebook: ShortText
    """The effective date of the limits by which it was judged."""
    room_id: Id
    host_id: Id
    since: Instant
    """When the condition began, or the `at` of the first missed entry."""
    at: Instant
    """When the violation occurred."""
    evidence: tuple[Evidence, ...]
    """On what it rests: the missed entries, the comment, or the first and last frame of the condition."""
    published_at: Instant | None = None
    """When it was published; the only field that may differ between repeats."""


class Notice(Struct, frozen=True, kw_only=True):
    """A warning for moderators; never a violation."""

    notice_id: Id
    """`identity(kind, rule, buyer_id, room_id, since, at)`; of `verdict-contested`, `verdict_id` for `buyer_id`."""
    kind: NoticeKind
    """What happened, what may become a violation, what is over, or which verdict may be wrong."""
    rule: Id | None
    """The rule concerned; null for `signal-lost` and `signal-back`."""
    room_id: Id
    host_id: Id
    buyer_id: Id | None
    """The buyer who was missed; null unless `kind` is `entry-missed`."""
    priority: Priority
    """`high` where the buyer's tier is L1 or above."""
    since: Instant
    at: Instant
    due: Instant | None
    """When it becomes a violation; null where it does not."""
    verdict_id: Id | None = None
    """The verdict that a late comment contests; null unless `kind` is `verdict-contested`."""


class ReceptionSeconds(Struct, frozen=True, kw_only=True):
    """Time from entry to reception in seconds, by nearest rank, three decimals."""

    p50: Seconds
    """The median."""
    p95: Seconds
    """The 95th percentile."""


class CommentCounts(Struct, frozen=True, kw_only=True):
    """Comments so far, by the author's role."""

    host: Number
    """By the host."""
    buyer: Number
    """By buyers."""


class OpenCondition(Struct, frozen=True, kw_only=True):
    """A condition that holds and is not a violation yet, and when it becomes one."""

    rule: Id
    since: Instant
    due: Instant


class WaitingEntry(Struct, frozen=True, kw_only=True):
    """A buyer entry without reception so far, and when it counts as missed."""

    buyer_id: Id
    buyer_tier: Tier | None
    since: Instant
    due: Instant


class RoomStatus(Struct, frozen=True, kw_only=True):
    """The state of a room at the event time `at`."""

    room_id: Id
    host_id: Id
    at: Instant
    stream: Stream | None
    """The stream by the latest frame; null before the first."""
    entries: Number
    """Buyer entries judged: made while live, by a buyer without an undecided entry."""
    received: Number
    """Entries that the host received in time."""
    missed: Number
    """Entries that the host missed."""
    reception_seconds: ReceptionSeconds | None
    """Null before the first reception."""
    buyers_now: Number
    """Buyers with an entry or comment in the last 5 minutes."""
    engaged_buyers: Number
    """Buyers with at least three comments."""
    comments: CommentCounts
    """Comments so far."""
    on_air_seconds: Seconds
    """Seconds on air."""
    absent_seconds: Seconds
    """Seconds on air without a visible face."""
    black_seconds: Seconds
    """Seconds on air with a black picture."""
    open: tuple[OpenCondition, ...]
    """Conditions that become violations if they go on."""
    waiting: tuple[WaitingEntry, ...]
    """Buyers whom nobody has received yet."""
    verdicts: Number
    """Violations so far."""


class Action(Struct, frozen=True, kw_only=True):
    """What the enforcement ladder recommends after a verdict."""

    action_id: Id
    """The verdict's id."""
    revision: Number
    """Counts from 1; the highest revision of an `action_id` is the valid one."""
    status: ActionStatus
    """`held` while it waits for the approval of two people, `withdrawn` when the verdict was overturned."""
    host_id: Id
    room_id: Id
    rule: Id
    family: Id
    count: Number
    """The number of this violation within the window."""
    steps: Annotated[tuple[Step, ...], Meta(max_length=16)]
    """What the marketplace is to do; Vigil closes no stream itself."""
    choice: tuple[str, ...] | dict[str, tuple[Number, Number]] | None
    """What a moderator may choose from; the other fields carry the mildest until a review chooses."""
    ban_days: Number | None
    """Length of the ban; null: none."""
    ban_until: Instant | None
    """End of the ban, ms since the epoch: of this one, or of a longer one that still runs."""
    freeze_days: Number | None
    """Days for which the account is frozen; null: none."""
    past_days: Number | None
    """Number of past days whose rooms are closed; null: none."""
    at: Instant
    """When the violation occurred."""
    decided_by: ShortText | None = None
    """Who made the review that stands; null: there is none."""
    decided_at: Instant | None = None
    """When the review that stands was made."""
    approved_by: tuple[ShortText, ...] = ()
    """Who approved it, in order; empty where no approval is needed."""

    @property
    def sanctions(self) -> list[tuple[str, int | None]]:
        """Each step with its days, None where it has none; where a moderator may choose, the mildest."""
        days = {"ban": self.ban_days, "freeze": self.freeze_days, "close-past-rooms": self.past_days}
        return [(step, days.get(step)) for step in self.steps]


TOPICS: Final = (
    Topic(
        "verdict",
        "out",
        "room_id",
        Verdict,
        "one violation",
        retention_days=180,
        examples=(
            Example(
                "room-1",
                {
                    "verdict_id": "20672b91cfe722dbd41689f8a76ed603",
                    "rule": "greeting-miss",
                    "family": "reception",
                    "subject": None,
                    "rulebook": "2022-07-19",
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "since": 1662048001000,
                    "at": 1662048015000,
                    "evidence": [
                        {
                            "topic": "buyer-entry",
                            "at": 1662048001000,
                            "note": "buyer buyer-3 (L1) entered and had no reception within 10 s",
                            "code": "evidence.entry-missed",
                            "params": {"buyer_id": "buyer-3", "tier": "L1", "within_s": 10},
                            "media_uri": None,
                        },
                        {
                            "topic": "buyer-entry",
                            "at": 1662048003000,
                            "note": "buyer buyer-4 (no tier) entered and had no reception within 10 s",
                            "code": "evidence.entry-missed",
                            "params": {"buyer_id": "buyer-4", "tier": "none", "within_s": 10},
                            "media_uri": None,
                        },
                        {
                            "topic": "buyer-entry",
                            "at": 1662048005000,
                            "note": "buyer buyer-5 (no tier) entered and had no reception within 10 s",
                            "code": "evidence.entry-missed",
                            "params": {"buyer_id": "buyer-5", "tier": "none", "within_s": 10},
                            "media_uri": None,
                        },
                    ],
                    "published_at": 1662048017087,
                },
                id="20672b91cfe722dbd41689f8a76ed603",
            ),
        ),
    ),
    Topic(
        "notice",
        "out",
        "room_id",
        Notice,
        "an early warning for moderators",
        retention_days=7,
        examples=(
            Example(
                "room-1",
                {
                    "notice_id": "fd373504c085aeb1bf960cd515b60b61",
                    "kind": "entry-missed",
                    "rule": "greeting-miss",
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "buyer_id": "buyer-3",
                    "priority": "high",
                    "since": 1662048001000,
                    "at": 1662048011000,
                    "due": None,
                    "verdict_id": None,
                },
                id="fd373504c085aeb1bf960cd515b60b61",
            ),
        ),
    ),
    Topic(
        "enforcement",
        "out",
        "host_id",
        Action,
        "one action of the ladder",
        retention_days=180,
        examples=(
            Example(
                "merchant-7",
                {
                    "action_id": "20672b91cfe722dbd41689f8a76ed603",
                    "revision": 1,
                    "status": "active",
                    "host_id": "merchant-7",
                    "room_id": "room-1",
                    "rule": "greeting-miss",
                    "family": "reception",
                    "count": 1,
                    "steps": ["warn"],
                    "choice": ["warn", "close"],
                    "ban_days": None,
                    "ban_until": None,
                    "freeze_days": None,
                    "past_days": None,
                    "at": 1662048015000,
                    "decided_by": None,
                    "decided_at": None,
                    "approved_by": [],
                },
                id="20672b91cfe722dbd41689f8a76ed603:1",
            ),
        ),
    ),
    Topic(
        "room-status",
        "out",
        "room_id",
        RoomStatus,
        "a room's figures",
        compacted=True,
        tombstone="A null value, 1 h after the room ended: Vigil has forgotten it.",
        examples=(
            Example(
                "room-1",
                {
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "at": 1662048021000,
                    "stream": "live",
                    "entries": 3,
                    "received": 0,
                    "missed": 3,
                    "reception_seconds": None,
                    "buyers_now": 4,
                    "engaged_buyers": 0,
                    "comments": {"host": 0, "buyer": 1},
                    "on_air_seconds": 20.0,
                    "absent_seconds": 0.0,
                    "black_seconds": 0.0,
                    "open": [{"rule": "black-screen", "since": 1662048020000, "due": 1662048140000}],
                    "waiting": [],
                    "verdicts": 1,
                },
                id="room-1@1662048021000",
            ),
        ),
    ),
)

SHADOW_TOPICS: Final = (
    Topic(
        "verdict-shadow",
        "out",
        "room_id",
        Verdict,
        "a verdict of a candidate rulebook",
        retention_days=7,
        examples=TOPICS[0].examples,
    ),
)
