"""An incident and the changes that are published about it: what is stored, and what targets receive.

Both are stored and sent as JSON objects. The field names in storage and in webhooks are part of the contract:
where an attribute has another name, `rename` maps it.
"""

import hashlib
from typing import ClassVar, Final, Literal, get_args

import orjson
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.messages import message_of
from vigil.topics.fields import HIGH_QUALITY, Instant, Tier
from vigil.topics.verdicts import Action, Evidence, Notice, Priority, Verdict

IncidentSort = Literal["condition", "signal", "entry", "action", "contested"]
"""A rule's condition; a lost signal; one missed entry; an action whose verdict is no longer known; a verdict that a
late comment contests."""

ChangeEvent = Literal["opened", "violation", "action", "resolved", "noted"]
"""`noted` is sent once and is never resolved: a missed entry, a contested verdict."""

ResolutionReason = Literal["risk-cleared", "signal-back", "violation", "room-ended", "withdrawn", "expired", "evicted"]
"""What ended an incident. `violation`: a warning that covers several labels became the violation of one of them."""

MAX_STORED_BYTES: Final = 4 * 1024 * 1024
"""The largest record of the state. A stored change repeats its incident with all evidence, which may be more than the
default of 1 MiB for a message."""
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
    since: Instant
    at: Instant
    """Event time of the latest message about it."""
    heard: Instant
    """Wall-clock time at which the latest message about it was read."""
    subject: str | None = None
    due: Instant | None = None
    priority: Priority = "normal"
    tiers: tuple[str, ...] = ()
    """Tiers of the buyers concerned. An entry of high priority has all the tiers that its buyer may have."""
    buyer_id: str | None = None
    opened_at: Instant | None = None
    """None where it had ended before its beginning was read: such an incident is never sent."""
    violated_at: Instant | None = None
    verdict_id: str | None = None
    rulebook: str | None = None
    evidence: tuple[Evidence, ...] = ()
    action: Action | None = None
    resolved_at: Instant | None = None
    why: ResolutionReason | None = None
    losses: int = 0
    """How often the signal was lost; 0 where it is about something else."""
    lost_since: Instant | None = None
    """The last frame before the latest loss."""
    back_at: Instant | None = None
    """When the signal came back after the latest loss; None while it is away."""
    end_targets: tuple[str, ...] = ()
    """Names of the targets that must be notified of its end."""

    @property
    def open(self) -> bool:
        """True until it is resolved."""
        return self.resolved_at is None

    @property
    def momentary(self) -> bool:
        """True for what is published once and has no end."""
        return self.sort in ("entry", "action", "contested")


class IncidentChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of an incident, with the incident as it is after that step."""

    stored_under: ClassVar[str] = "o:"
    """Begins the keys of records of the state that hold such a change."""

    id: str
    """The idempotency key: the same for every delivery of the same step."""
    event: ChangeEvent
    at: Instant
    """Event time of the step in ms."""
    incident: Incident

    @property
    def kind(self) -> str:
        """What routes match: `at-risk`, `violation`, `action`, … (RouteKind), or `resolved`."""
        if self.event in ("resolved", "action"):
            return self.event
        sort = self.incident.sort
        if sort == "condition":
            return "at-risk" if self.incident.verdict_id is None else "violation"
        return {"signal": "signal-lost", "contested": "verdict-contested"}.get(sort, "entry-missed")

    @property
    def alert(self) -> Incident:
        """The incident, by the name that all changes have for what they are a step of."""
        return self.incident

    @property
    def letter_key(self) -> str:
        """The key of its dead letter."""
        return self.incident.room_id


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
    entries = [message_of(one) for one in verdict.evidence if one.topic == "buyer-entry"]
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


def id_of(sort: IncidentSort, room_id: str, rule: str | None, subject: str | None, since: int) -> str:
    """Return the id of an incident: a function of what it is about."""
    return key_of(sort, room_id, rule, subject, since)


def _of_condition(id_: str, verdict: Verdict, now: int) -> Incident:
    """What is known of a verdict's condition, whatever became of it."""
    return Incident(
        id=id_,
        sort="condition",
        room_id=verdict.room_id,
        host_id=verdict.host_id,
        rule=verdict.rule,
        family=verdict.family,
        since=verdict.since,
        at=verdict.at,
        heard=now,
    )


def of_verdict(id_: str, verdict: Verdict, warning: Incident | None, action: Action | None, now: int) -> Incident:
    """The incident of a verdict; `warning`: the same incident while it was a warning."""
    return replace(
        _of_condition(id_, verdict, now),
        family=warning.family if warning and warning.family else verdict.family,
        subject=verdict.subject,
        due=warning.due if warning else None,
        tiers=tiers_of(verdict),
        opened_at=warning.opened_at if warning else None,
        violated_at=verdict.at,
        verdict_id=verdict.verdict_id,
        rulebook=verdict.rulebook,
        evidence=shown_evidence(verdict),
        action=action,
        end_targets=warning.end_targets if warning else (),
    )


def of_notice(sort: IncidentSort, notice: Notice, family: str | None, now: int) -> Incident:
    """The incident of a notice; `family`: that of its rule, which notices do not name."""
    return Incident(
        id=id_of(sort, notice.room_id, notice.rule, notice.buyer_id, notice.since),
        sort=sort,
        room_id=notice.room_id,
        host_id=notice.host_id,
        rule=notice.rule,
        family=family,
        since=notice.since,
        at=notice.at,
        heard=now,
        due=notice.due,
        priority=notice.priority,
        tiers=HIGH_QUALITY if notice.priority == "high" else ("L0",) if notice.kind == "entry-missed" else (),
        buyer_id=notice.buyer_id,
    )


def of_orphan(verdict_id: str, action: Action, now: int) -> Incident:
    """The incident of an action whose verdict has not come: it begins and ends with the action."""
    return Incident(
        id=key_of("action", verdict_id),
        sort="action",
        room_id=action.room_id,
        host_id=action.host_id,
        rule=action.rule,
        family=action.family,
        since=action.at,
        at=action.at,
        heard=now,
        opened_at=action.at,
        verdict_id=verdict_id,
        action=action,
        resolved_at=action.at,
    )


def of_unread_warning(id_: str, verdict: Verdict, now: int) -> Incident:
    """A warning that became the violation of a label's verdict before it was read: it is resolved."""
    return replace(_of_condition(id_, verdict, now), resolved_at=verdict.at, why="violation")
