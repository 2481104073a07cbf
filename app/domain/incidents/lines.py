"""The line of each incident: a function of a room's facts, as of a time. Pure.

warning, verdicts of one condition ──▶ a line for each label; the warning becomes the first one's
missed entry ──▶ a line           losses of the signal ──▶ a line for those that belong together
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from vigil.app.domain.incidents.facts import Groups, end_after
from vigil.app.domain.incidents.options import DAY_MS
from vigil.app.domain.incidents.signals import signal_incidents
from vigil.app.domain.incidents.still_live import looks_at
from vigil.app.domain.incidents.stored import (
    ConditionRecord,
    EntryRecord,
    FollowUp,
    FoundVerdict,
    IncidentRecord,
    RoomRecord,
    SignalRecord,
)
from vigil.app.domain.incidents.work import MOST_SHOWN, work_of
from vigil.app.domain.rooms.rules.table import GREETING, RULES
from vigil.app.domain.rulebook.incidents import IncidentLimits
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.incidents import Case, Effect, EndedBy, IncidentAction, IncidentKind, IncidentStatus, Severity
from vigil.topics.internal import ActionInRoom
from vigil.topics.verdicts import identity

_WARNED: Final[Mapping[Severity, Severity]] = {"critical": "warning", "warning": "info", "info": "info"}
"""By the severity of a violation: that of its warning."""


class RoomFacts(NamedTuple):
    """What a room's incidents follow from."""

    room_id: str
    main: RoomRecord
    groups: Groups
    follow_ups: Mapping[str, FollowUp]
    incidents: Mapping[str, IncidentRecord]
    families: Mapping[str, str]
    """By rule: its family, for warnings, which do not name it."""


class IncidentLine(NamedTuple):
    """One incident as of a time."""

    incident: IncidentStatus
    due: int
    """When time alone changes it; MAX_TIME: never."""
    forgotten: bool
    """It ended so long ago that it is not remembered any more."""


class _End(NamedTuple):
    at: int | None = None
    by: EndedBy | None = None


class _Draft(NamedTuple):
    """What is known of an incident, without what people do about it."""

    id: str
    kind: IncidentKind
    severity: Severity
    ended: _End
    due: int
    """When time alone changes it."""
    worse_at: int
    """When it got worse last; 0: never."""
    about: dict[str, Any]
    """Further fields of its line."""
    withdrawn_at: int | None = None
    """When a review overturned its verdict last, also where another one has upheld it since."""


def lines_of(facts: RoomFacts, name: str, limits: IncidentLimits, now: int) -> list[IncidentLine]:
    """The incidents of one group of facts."""
    record = facts.groups[name]
    build = _Lines(facts, limits, now)
    if isinstance(record, ConditionRecord):
        return list(build.of_condition(record))
    if isinstance(record, EntryRecord):
        return [build.of_entry(record)]
    return list(build.of_signal(record))


def effect_in(lines: Iterable[IncidentLine], case: Case) -> Effect:
    """What a command came to; `done` of one that is older than those which its line shows."""
    for line in lines:
        if line.incident.incident_id == case.incident_id:
            for one in line.incident.commands:
                if (one.at, one.kind, one.by) == (case.at, case.kind, case.by):
                    return one.effect
    return "done"


def incident_id(kind: IncidentKind, room_id: str, since: int, **about: str | None) -> str:
    """The identity of an incident; `about`: the rule, the label and the buyer that it has."""
    return identity(kind, room_id, about.get("rule"), about.get("subject"), about.get("buyer_id"), since)


class _Lines:
    """Builds the lines of one room."""

    def __init__(self, facts: RoomFacts, limits: IncidentLimits, now: int) -> None:
        self._facts = facts
        self._limits = limits
        self._now = now

    def of_condition(self, record: ConditionRecord) -> Iterator[IncidentLine]:
        """A warning, or each label's violation; the first one is the warning's, where there was one."""
        if not record.verdicts:
            if record.warned_at is not None:
                ended = _End(record.cleared_at, "cleared") if record.cleared_at is not None else _End()
                yield self._of_rule(record, None, None, ended)
            return
        seen: set[str] = set()
        for verdict in record.verdicts:
            if verdict.subject in seen:
                continue  # a second violation of one condition and label cannot be
            first = not seen
            seen.add(verdict.subject)
            warned = first and record.warned_at is not None
            yield self._of_rule(record, verdict, verdict.subject or None, self._end_of(verdict), warned=warned)

    def of_entry(self, record: EntryRecord) -> IncidentLine:
        id_ = incident_id("entry", self._facts.room_id, record.since, rule=record.rule, buyer_id=record.buyer_id)
        ends_at = record.missed_at + self._limits.entry_shown_s * 1000
        ended = _End(ends_at, "passed") if ends_at <= self._now else _End()
        family = self._facts.families.get(record.rule)
        about = {"rule": record.rule, "family": family, "buyer_id": record.buyer_id, "priority": "high"}
        about["host_id"] = record.host_id
        times = {"since": record.since, "at_risk_at": record.missed_at}
        return self._line(_Draft(id_, "entry", "info", ended, ends_at, 0, {**about, **times}))

    def of_signal(self, record: SignalRecord) -> Iterator[IncidentLine]:
        for one in signal_incidents(record, self._facts.main, self._limits.signal_hold_s * 1000, self._now):
            id_ = incident_id("signal", self._facts.room_id, one.since)
            about = {"since": one.since, "at_risk_at": one.lost_at, "at": one.at, "host_id": one.host_id}
            about["losses"] = one.losses
            ended = _End(one.ended_at, one.ended_by)
            yield self._line(_Draft(id_, "signal", "warning", ended, one.due, 0, about))

    def _end_of(self, verdict: FoundVerdict) -> _End:
        """When a violation ended: by a review that withdrew it, or with its room, whatever came first."""
        room_end = end_after(self._facts.main, verdict.at)
        follow_up = self._facts.follow_ups.get(verdict.verdict_id)
        found = None if follow_up is None else follow_up.action
        if found is not None and found.decision == "overturned":
            withdrawn_at = max(found.decided_at or 0, verdict.at)
            if room_end is None or withdrawn_at <= room_end:
                return _End(withdrawn_at, "withdrawn")
        return _End() if room_end is None else _End(room_end, "room-ended")

    def _of_rule(
        self,
        record: ConditionRecord,
        verdict: FoundVerdict | None,
        subject: str | None,
        ended: _End,
        *,
        warned: bool = True,
    ) -> IncidentLine:
        facts = self._facts
        of = RULES.get(record.rule)
        severity: Severity = "critical" if of is None else of.severity
        about: dict[str, Any] = {
            "host_id": record.host_id,
            "rule": record.rule,
            "subject": subject,
            "family": facts.families.get(record.rule) if verdict is None else verdict.family,
            "since": record.since,
            "at_risk_at": record.warned_at if warned else None,
            "due": record.due,
            "at": max(record.warned_at or 0, 0 if verdict is None else verdict.at),
            "priority": self._priority(record, verdict),
        }
        worse_at, due, withdrawn_at = 0, MAX_TIME, None
        if verdict is None:
            severity = _WARNED[severity]
        else:
            about |= {"violated_at": verdict.at, "verdict_id": verdict.verdict_id, "media_uri": verdict.media_uri}
            follow_up = facts.follow_ups.get(verdict.verdict_id)
            due = self._follow(follow_up, ended, about)
            decided = None if follow_up is None else follow_up.action
            withdrawn_at = None if decided is None else decided.withdrawn_at
            worse_at = max(verdict.at, _revised_at(decided))
        id_ = incident_id("rule", facts.room_id, record.since, rule=record.rule, subject=None if warned else subject)
        return self._line(_Draft(id_, "rule", severity, ended, due, worse_at, about, withdrawn_at))

    def _priority(self, record: ConditionRecord, verdict: FoundVerdict | None) -> str:
        """High if the verdict names a buyer of high quality, or its warning is about one."""
        if verdict is not None:
            return verdict.priority
        missed = (one for one in self._facts.groups.values() if isinstance(one, EntryRecord))
        concerned = record.is_warning_of(GREETING) and any(record.since <= one.since <= record.until for one in missed)
        return "high" if concerned else "normal"

    def _follow(self, follow_up: FollowUp | None, ended: _End, about: dict[str, Any]) -> int:
        """Add what follows from a verdict; return when time alone changes it."""
        if follow_up is None:
            return MAX_TIME
        about["contested"] = follow_up.contested_at is not None
        about["at"] = max(about["at"], follow_up.at)
        found = follow_up.action
        if found is None:
            return MAX_TIME
        about |= {"decision": found.decision, "decided_at": found.decided_at, "appealed_at": found.appealed_at}
        about["outcomes"] = found.outcomes
        if found.action is not None:
            action = found.action
            about["action"] = IncidentAction(
                steps=action.steps,
                choice=action.choice,
                count=action.count,
                ban_until=action.ban_until,
                status=action.status,
                revision=action.revision,
            )
        looked_at = looks_at(follow_up, self._limits.still_live_s * 1000)
        if ended.at is not None or looked_at > self._now:
            return looked_at if ended.at is None else MAX_TIME
        about["still_live"] = self._facts.main.live
        about["at"] = max(about["at"], looked_at)
        return MAX_TIME

    def _line(self, draft: _Draft) -> IncidentLine:
        facts, now, limits = self._facts, self._now, self._limits
        id_, kind, severity, ended, due, worse_at, about, withdrawn_at = draft
        record = facts.incidents.get(id_)
        work = work_of(
            () if record is None else record.commands,
            now,
            ends=_ends(withdrawn_at, ended.at),
            worse_at=worse_at,
            expires_ms=limits.claim_expires_s * 1000,
        )
        violated = about.get("violated_at") is not None
        fields = {**_NOTHING, **about}
        fields["at"] = max(about.get("at", about["at_risk_at"] or 0), ended.at or 0, work.at)
        incident = IncidentStatus(
            incident_id=id_,
            kind=kind,
            room_id=facts.room_id,
            severity=severity,
            stage="ended" if ended.at is not None else "violation" if violated else "at-risk",
            ended_at=ended.at,
            ended_by=ended.by,
            claimed_by=work.claimed_by,
            claimed_at=work.claimed_at,
            first_claimed_at=work.first_claimed_at,
            snoozed_until=work.snoozed_until,
            notes=work.notes,
            commands=tuple(work.commands[-MOST_SHOWN:]),
            **fields,
        )
        if ended.at is None:
            return IncidentLine(incident, min(due, work.due), forgotten=False)
        forget_at = ended.at + limits.remember_days * DAY_MS
        return IncidentLine(incident, min(work.due, forget_at), forgotten=forget_at <= now)


_NOTHING: Final[Mapping[str, Any]] = {
    "rule": None,
    "family": None,
    "subject": None,
    "buyer_id": None,
    "at_risk_at": None,
    "due": None,
    "violated_at": None,
    "verdict_id": None,
    "action": None,
    "decision": None,
    "contested": False,
    "appealed_at": None,
    "priority": "normal",
    "losses": 0,
    "outcomes": (),
    "still_live": False,
    "media_uri": None,
    "decided_at": None,
}
"""What a line says of what it does not have."""


def _revised_at(found: ActionInRoom | None) -> int:
    """When the action was changed last, by a decision, another verdict, or a decision about one; 0: it was not."""
    if found is None or found.action is None:
        return 0
    return max(found.action.decided_at or 0, found.revised_at or 0)


def _ends(withdrawn_at: int | None, ended_at: int | None) -> list[int]:
    """When an incident ended, the last times: by the review that withdrew it, unless it had ended before, and now."""
    if ended_at is None:
        return [] if withdrawn_at is None else [withdrawn_at]
    return [ended_at] if withdrawn_at is None or withdrawn_at >= ended_at else [withdrawn_at, ended_at]
