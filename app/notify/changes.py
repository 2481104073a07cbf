"""An incident and the changes that are published about it: what is stored, and what targets receive.

Both are stored and sent as JSON objects. The field names in storage and in webhooks are part of the contract:
where an attribute has another name, `rename` maps it.
"""

import hashlib
from typing import Final, Literal, get_args

import orjson
from msgspec import Struct

from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.messages import CATALOGUES
from vigil.topics.fields import Tier
from vigil.topics.verdicts import Action, Evidence, Priority, Verdict

IncidentSort = Literal["condition", "signal", "entry", "action"]
"""A rule's condition; a lost signal; one missed entry; an action whose verdict is no longer known."""

ChangeEvent = Literal["opened", "violation", "action", "resolved", "noted"]
"""`noted` is sent once and is never resolved: a missed entry."""

ResolutionReason = Literal["risk-cleared", "signal-back", "violation", "room-ended", "withdrawn", "expired", "evicted"]
"""What ended an incident. `violation`: a warning that covers several labels became the violation of one of them."""

MAX_EVIDENCE: Final = 12
MAX_NOTE_CHARS: Final = 400
MAX_EVIDENCE_CHARS: Final = 3000
"""Evidence is stored with its incident and repeated in every alert. Without these bounds a verdict with much evidence
would grow each of them."""


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"end_targets": "told"}):
    """Something that begins and may end. Times are event times in ms; only `heard` is wall-clock time."""

    id: str
    """A function of the condition: the same on every machine and after every restart."""
    sort: IncidentSort
    room_id: str
    host_id: str
    rule: str | None
    family: str | None
    since: int
    at: int
    """Event time of the latest message about it."""
    heard: int
    """Wall-clock time at which the latest message about it was read."""
    subject: str | None = None
    due: int | None = None
    priority: Priority = "normal"
    tiers: tuple[str, ...] = ()
    """Tiers of the buyers concerned. An entry of high priority has all the tiers that its buyer may have."""
    buyer_id: str | None = None
    opened_at: int | None = None
    """None where it had ended before its beginning was read: such an incident is never sent."""
    violated_at: int | None = None
    verdict_id: str | None = None
    rulebook: str | None = None
    evidence: tuple[Evidence, ...] = ()
    action: Action | None = None
    resolved_at: int | None = None
    why: ResolutionReason | None = None
    end_targets: tuple[str, ...] = ()
    """Names of the targets that must be notified of its end."""

    @property
    def open(self) -> bool:
        """True until it is resolved."""
        return self.resolved_at is None


class IncidentChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an incident, with the incident as it is after that step."""

    id: str
    """The idempotency key: the same for every delivery of the same step."""
    event: ChangeEvent
    at: int
    """Event time of the step in ms."""
    incident: Incident

    @property
    def kind(self) -> str:
        """What routes match: `at-risk`, `violation`, `action`, `signal-lost`, `entry-missed`, or `resolved`."""
        if self.event in ("resolved", "action"):
            return self.event
        sort = self.incident.sort
        if sort == "condition":
            return "at-risk" if self.incident.verdict_id is None else "violation"
        return "signal-lost" if sort == "signal" else "entry-missed"


def key_of(*parts: str | int | None) -> str:
    """Return 32 hex digits that identify the parts. They are hashed as JSON, so that no two lists of parts collide."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def make_change(incident: Incident, event: ChangeEvent, at: int, *more: str | int) -> IncidentChange:
    """Return a step of an incident at event time `at`.

    `more` distinguishes steps that an incident can have several of, such as the revisions of its action.
    """
    return IncidentChange(id=key_of(incident.id, event, *more), event=event, at=at, incident=incident)


def tiers_of(verdict: Verdict) -> tuple[str, ...]:
    """Return the tiers of the buyers whom a verdict about receptions names in its evidence."""
    if verdict.rule != GREETING:
        return ()
    read = CATALOGUES["en"].read
    entries = [read(one.note) for one in verdict.evidence if one.topic == "buyer-entry"]
    tiers = {entry.params.get("tier") for entry in entries if entry is not None}
    return tuple(sorted(tier for tier in get_args(Tier) if tier in tiers))


def shown_evidence(verdict: Verdict) -> tuple[Evidence, ...]:
    """Return a verdict's evidence, cut to MAX_EVIDENCE pieces of MAX_NOTE_CHARS characters.

    A piece that is cut has its note alone: its parameters would be as long.
    """
    return tuple(
        one
        if len(one.note) <= MAX_NOTE_CHARS and _length(one) <= MAX_EVIDENCE_CHARS
        else Evidence(topic=one.topic, at=one.at, note=_cut(one.note))
        for one in verdict.evidence[:MAX_EVIDENCE]
    )


def _length(evidence: Evidence) -> int:
    """How many characters a piece of evidence has besides its note."""
    return len(evidence.media_uri or "") + sum(len(name) + len(str(value)) for name, value in evidence.params.items())


def _cut(note: str) -> str:
    return note if len(note) <= MAX_NOTE_CHARS else note[:MAX_NOTE_CHARS] + "…"
