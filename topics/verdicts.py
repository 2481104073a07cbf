"""What Vigil says of rooms and hosts, out: `verdict`, `notice`, `room-status` and `enforcement`."""

import hashlib
from typing import Literal

from msgspec import Struct

from vigil.topics.fields import Tier
from vigil.topics.rooms import Stream

Priority = Literal["normal", "high"]
NoticeKind = Literal["entry-missed", "signal-lost", "signal-back", "at-risk", "risk-cleared"]
Step = Literal["warn", "close", "take-offline", "delete-content", "ban", "freeze", "close-past-rooms"]


def identity(*parts: str | int | None) -> str:
    """The first 32 hex digits of SHA-256 of the parts joined by `|`, null being empty."""
    text = "|".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Evidence(Struct, frozen=True, kw_only=True):
    """One event that a verdict rests on: where it came in, when it happened and what it says, in words."""

    topic: str
    at: int
    note: str


class Verdict(Struct, frozen=True, kw_only=True):
    """One violation."""

    verdict_id: str
    """`identity(rule, subject, room_id, since, at)`."""
    rule: str
    family: str
    subject: str | None
    """The label judged, where a label decides the rule."""
    rulebook: str
    """The effective date of the limits that judged it."""
    room_id: str
    host_id: str
    since: int
    """Start of the run, or the first missed entry's `at`."""
    at: int
    """When the violation occurred."""
    evidence: tuple[Evidence, ...]
    published_at: int | None = None
    """When it was sent; the only field that may differ between repeats."""


class Notice(Struct, frozen=True, kw_only=True):
    """Something a moderator wants to see coming; never a violation."""

    notice_id: str
    """`identity(kind, rule, buyer_id, room_id, since, at)`."""
    kind: NoticeKind
    rule: str | None
    room_id: str
    host_id: str
    buyer_id: str | None
    priority: Priority
    since: int
    at: int
    due: int | None
    """When it becomes a violation, where it does."""


class ReceptionSeconds(Struct, frozen=True, kw_only=True):
    """Time from entry to reception in seconds, by nearest rank, three decimals."""

    p50: float
    p95: float


class CommentCounts(Struct, frozen=True, kw_only=True):
    """Comments so far, by the author's role."""

    host: int
    buyer: int


class OpenCondition(Struct, frozen=True, kw_only=True):
    """A running run that has not given its violation, and when it will."""

    rule: str
    since: int
    due: int


class WaitingEntry(Struct, frozen=True, kw_only=True):
    """An undecided buyer entry, and when it will be missed."""

    buyer_id: str
    buyer_tier: Tier | None
    since: int
    due: int


class RoomStatus(Struct, frozen=True, kw_only=True):
    """A room's figures at `at`."""

    room_id: str
    host_id: str
    at: int
    stream: Stream | None
    """What the latest frame said; null before the first."""
    entries: int
    received: int
    missed: int
    reception_seconds: ReceptionSeconds | None
    buyers_now: int
    """Buyers with an entry or comment in the last 5 minutes."""
    engaged_buyers: int
    """Buyers with at least three comments."""
    comments: CommentCounts
    on_air_seconds: float
    absent_seconds: float
    black_seconds: float
    open: tuple[OpenCondition, ...]
    waiting: tuple[WaitingEntry, ...]
    verdicts: int


class Action(Struct, frozen=True, kw_only=True):
    """What the enforcement ladder recommends after a verdict."""

    action_id: str
    """The verdict's id."""
    revision: int
    """From 1; the highest revision of an `action_id` stands."""
    status: Literal["active", "withdrawn"]
    host_id: str
    room_id: str
    rule: str
    family: str
    count: int
    """Which violation within the window this is."""
    steps: tuple[Step, ...]
    choice: tuple[str, ...] | dict[str, tuple[int, int]] | None
    """What a moderator may choose from; the other fields carry the mildest."""
    ban_days: int | None
    ban_until: int | None
    freeze_days: int | None
    past_days: int | None
    at: int

    @property
    def sanctions(self) -> list[tuple[str, int | None]]:
        """The steps, each with its days where it has some; the mildest where a moderator may choose."""
        days = {"ban": self.ban_days, "freeze": self.freeze_days, "close-past-rooms": self.past_days}
        return [(step, days.get(step)) for step in self.steps]
