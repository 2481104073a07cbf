"""What is told: an incident as it stands, and the one step by which it came to stand so."""

import hashlib
import re
from typing import Final, Literal

import orjson
from msgspec import Struct

from vigil.topics.verdicts import Action, Evidence, Priority, Verdict

Sort = Literal["condition", "signal", "entry", "action"]
"""A rule's condition; a lost signal; one missed entry; an action whose verdict is not known any more."""

Event = Literal["opened", "violation", "action", "resolved", "noted"]
"""`noted` is told once and needs no end: a missed entry."""

ResolutionReason = Literal["risk-cleared", "signal-back", "violation", "room-ended", "withdrawn", "expired", "evicted"]
"""What ended an incident. `violation`: a warning that stands for several labels became the violation of one."""

SHOWN_EVIDENCE: Final = 12
SHOWN_NOTE: Final = 400

_TIER: Final = re.compile(r"\((?P<tier>L[0-4])\) entered and had no reception within \d+ s$")


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that began, and may end. Times are event time in ms; `heard` alone is of the told clock."""

    id: str
    """The same for the same condition on every machine and after every restart."""
    sort: Sort
    room_id: str
    host_id: str
    rule: str | None
    family: str | None
    since: int
    at: int
    """Of the latest message that says it."""
    heard: int
    """When a message last said something of it, by the told clock."""
    subject: str | None = None
    due: int | None = None
    priority: Priority = "normal"
    tiers: tuple[str, ...] = ()
    """Tiers that the buyers concerned have; of an entry of high priority, those that it may have."""
    buyer_id: str | None = None
    opened_at: int | None = None
    """None: it was over before it was heard of, and was never told."""
    violated_at: int | None = None
    verdict_id: str | None = None
    rulebook: str | None = None
    evidence: tuple[Evidence, ...] = ()
    action: Action | None = None
    resolved_at: int | None = None
    why: ResolutionReason | None = None
    told: tuple[str, ...] = ()
    """The targets that must hear of its end."""

    @property
    def open(self) -> bool:
        return self.resolved_at is None


class IncidentChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an incident, with the incident as it stands after it."""

    id: str
    """The idempotency key: the same step has the same, however often it is told."""
    event: Event
    at: int
    """The event time of the step."""
    incident: Incident

    @property
    def kind(self) -> str:
        """What routes go by: `at-risk`, `violation`, `action`, `signal-lost`, `entry-missed`, or `resolved`."""
        if self.event in ("resolved", "action"):
            return self.event
        sort = self.incident.sort
        if sort == "condition":
            return "at-risk" if self.incident.verdict_id is None else "violation"
        return "signal-lost" if sort == "signal" else "entry-missed"


def key_of(*parts: str | int | None) -> str:
    """32 hex digits that stand for the parts; as JSON, so that no identifier can pass for two."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def change(incident: Incident, event: Event, at: int, *more: str | int) -> IncidentChange:
    """A step of an incident; `more` tells apart the steps of which an incident can have several."""
    return IncidentChange(id=key_of(incident.id, event, *more), event=event, at=at, incident=incident)


def tiers_of(verdict: Verdict) -> tuple[str, ...]:
    """The tiers of the buyers whom a greeting-miss is about, as its evidence ends by telling them."""
    if verdict.rule != "greeting-miss":
        return ()
    found = [_TIER.search(one.note) for one in verdict.evidence if one.topic == "buyer-entry"]
    return tuple(sorted({match["tier"] for match in found if match is not None}))


def shown_evidence(verdict: Verdict) -> tuple[Evidence, ...]:
    """A verdict's evidence, bounded: it is repeated in every alert."""
    return tuple(
        one if len(one.note) <= SHOWN_NOTE else Evidence(topic=one.topic, at=one.at, note=one.note[:SHOWN_NOTE] + "…")
        for one in verdict.evidence[:SHOWN_EVIDENCE]
    )
