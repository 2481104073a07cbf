"""The incident machine: verdicts, notices, actions and room statuses in, changes of incidents out.

    at-risk ─▶ opened ──verdict──▶ violation ──action──▶ action ─┐
    verdict ─▶ opened ───────────────────────────────────────────┼─▶ resolved (once; nothing opens it again)
    signal-lost ─▶ opened (signals.py) ──────────────────────────┘   by risk-cleared, a steady signal, the room's end,
    entry-missed, verdict-contested ─▶ noted                          a withdrawn action, or silence for too long

The topics may be read in any order, and messages more than once. Pure: callers pass the wall-clock time.

An incident whose end is read before its beginning is remembered, but nothing is published about it; a verdict is
always published, unless it was withdrawn before. A second violation with the same beginning is an incident of its own,
and so is each label's: as a warning names no label, a label's verdict resolves the warning.

State: a resolved incident is dropped `remember_ms` after it was last heard of. An open one is resolved `expire_ms`
after it or its room was last heard of. Beyond `most` the oldest are dropped at the next `tick`, resolved ones first.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vigil.app.domain.rooms.risk import at_risk_at
from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.notify import signals
from vigil.app.notify.changes import (
    Incident,
    IncidentChange,
    IncidentSort,
    ResolutionReason,
    id_of,
    key_of,
    make_change,
    of_notice,
    of_orphan,
    of_unread_warning,
    of_verdict,
)
from vigil.app.notify.incident_table import IncidentTable, older
from vigil.topics.verdicts import Action, Notice, Verdict

HOUR_MS: Final = 60 * 60 * 1000


class IncidentBounds(Struct, frozen=True, kw_only=True):
    """How long incidents are kept, and how many. Times are wall-clock times in ms."""

    expire_ms: int = 26 * HOUR_MS
    """Vigil forgets a room 24 h after its last event. An incident that is open for longer has missed its end."""
    remember_ms: int = 26 * HOUR_MS
    signal_hold_ms: int = 30_000
    """How long a signal must be back without another loss until its incident is resolved."""
    orphan_ms: int = 60_000
    """How long an action waits for its verdict, which comes from another partition."""
    most: int = 100_000


def _leads_to(action: Action) -> Action:
    """Return the action without its revision and who decided: a change of these alone is not notified."""
    return replace(action, revision=0, decided_by=None, decided_at=None)


class Incidents:
    """All incidents. Every call returns the changes that it makes, in order."""

    def __init__(self, rulebook: Rulebook, bounds: IncidentBounds | None = None) -> None:
        """`rulebook`: the workers' own. It has the family of each rule and says which conditions give a warning:
        notices say neither."""
        self._rulebook = rulebook
        self._bounds = bounds or IncidentBounds()
        self._table = IncidentTable()

    def __len__(self) -> int:
        return len(self._table)

    @property
    def open(self) -> Mapping[str, Incident]:
        """The open incidents by id."""
        return self._table.open

    def get(self, id_: str) -> Incident | None:
        return self._table.get(id_)

    # ---- messages in

    def notice(self, notice: Notice, now: int) -> list[IncidentChange]:
        """Apply a notice."""
        if notice.kind == "entry-missed":
            return self._note(self._of_notice("entry", notice, now))
        if notice.kind == "verdict-contested":
            return self._contested(notice, now)
        if notice.kind in ("signal-lost", "signal-back"):
            return self._signal(notice, now)
        incident = self._of_notice("condition", notice, now)
        known = self.get(incident.id)
        if notice.kind == "at-risk":
            return self._begin(incident) if known is None else []
        if known is None:
            self._table.put(replace(incident, resolved_at=notice.at, why="risk-cleared"))
            return []
        if not known.open or known.verdict_id is not None:
            return []
        return [self._resolve(known, "risk-cleared", notice.at, now)]

    def verdict(self, verdict: Verdict, now: int) -> list[IncidentChange]:
        """Apply a verdict."""
        before = self._table.of_verdict(verdict.verdict_id)
        if before is not None and before.sort == "condition":
            return []
        action = self._table.unpark(verdict.verdict_id) or (before.action if before else None)
        changes = self._end_warning_of_labels(verdict, now)
        id_, warning = self._warning_of(verdict)
        incident = of_verdict(id_, verdict, warning, action, now)
        if action is not None and action.status == "withdrawn":
            return changes + self._withdraw(incident, warning is not None, action.at, now)
        if warning is None:
            changes.append(self._open(incident))
        else:
            self._table.put(incident)
            changes.append(make_change(incident, "violation", verdict.at))
        if self._is_over(incident):
            ended_at = self._table.ended[verdict.room_id].at
            changes.append(self._resolve(self._table.open[id_], "room-ended", ended_at, now))
        return changes

    def action(self, action: Action, now: int) -> list[IncidentChange]:
        """Apply an action, or a revision of one."""
        known = self._table.of_verdict(action.action_id)
        if known is None:
            self._table.park(action, now)
            return []
        before = known.action
        if before is not None and before.revision >= action.revision:
            return []
        known = replace(known, action=action, heard=now)
        if known.open and action.status == "withdrawn":
            return [self._resolve(known, "withdrawn", action.at, now)]
        self._table.put(known)
        news = before is None or _leads_to(before) != _leads_to(action)
        return [make_change(known, "action", action.at, action.revision)] if news else []

    def room(self, room_id: str, at: int, over: bool, now: int) -> list[IncidentChange]:
        """Apply a room status as of `at`; `over`: the stream was ended, or the status is a tombstone."""
        table = self._table
        incidents = table.of_room(room_id)
        if not over:
            if incidents:
                table.room_heard[room_id] = now
            return []
        at = table.end_room(room_id, at, now)
        due = sorted((one for one in incidents if one.at <= at), key=lambda one: (one.since, one.id))
        return [self._resolve(one, "room-ended", at, now) for one in due]

    def tick(self, now: int) -> list[IncidentChange]:
        """The wall clock is at `now`: publish or drop what has waited for too long."""
        table, bounds = self._table, self._bounds
        changes = [self._orphan(verdict_id, now) for verdict_id in older(table.parked, now - bounds.orphan_ms)]
        for id_ in older(table.returned, now - bounds.signal_hold_ms):
            incident = table.open[id_]
            steady_at = (incident.back_at or incident.at) + bounds.signal_hold_ms
            changes.append(self._resolve(incident, "signal-back", steady_at, now))
        for id_ in older(table.open, now - bounds.expire_ms):
            incident = table.open[id_]
            if table.room_heard.get(incident.room_id, 0) > incident.heard:
                table.put(replace(incident, heard=now))  # not the time of the status: the order is that of `heard`
            else:
                changes.append(self._resolve(incident, "expired", incident.at, now))
        for id_ in older(table.resolved, now - bounds.remember_ms):
            table.forget(id_)
        for room_id in older(table.ended, now - bounds.remember_ms):
            table.forget_end(room_id)
        return changes + self._evict(now)

    def add_end_targets(self, id_: str, targets: tuple[str, ...]) -> None:
        """Remember that these targets must be notified of the incident's end."""
        self._table.add_end_targets(id_, targets)

    # ---- what is stored

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        return self._table.changed()

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave, before any other call; return what was left out, and why."""
        return self._table.load(records)

    @property
    def heard(self) -> int | None:
        """The wall-clock time at which the latest message was read of which something is known."""
        return self._table.heard

    # ---- parts

    def _of_notice(self, sort: IncidentSort, notice: Notice, now: int) -> Incident:
        return of_notice(sort, notice, self._rulebook.families.get(notice.rule or ""), now)

    def _signal(self, notice: Notice, now: int) -> list[IncidentChange]:
        incident = self._of_notice("signal", notice, now)
        step = signals.step(self._table.signal_of(notice.room_id), incident, notice.kind, self._bounds.signal_hold_ms)
        changes = []
        if step.steady_at is not None and step.known is not None:
            changes.append(self._resolve(step.known, "signal-back", step.steady_at, now))
        elif step.known is not None:
            self._table.put(step.known)
        return changes + self._begin(step.begun) if step.begun is not None else changes

    def _contested(self, notice: Notice, now: int) -> list[IncidentChange]:
        """Publish that a verdict may be wrong, once a verdict. It stands until a review: its own incident goes on."""
        if notice.verdict_id is None:
            return []
        incident = self._of_notice("contested", notice, now)
        return self._note(replace(incident, id=key_of("contested", notice.verdict_id), verdict_id=notice.verdict_id))

    def _note(self, incident: Incident) -> list[IncidentChange]:
        """Publish what has no end, once."""
        if self.get(incident.id) is not None:
            return []
        incident = replace(incident, opened_at=incident.at, resolved_at=incident.at)
        self._table.put(incident)
        return [make_change(incident, "noted", incident.at)]

    def _warning_of(self, verdict: Verdict) -> tuple[str, Incident | None]:
        """Return the id of a verdict's incident, and the open warning that the verdict turns into a violation.

        Where the incident of this beginning is resolved or has a verdict, this verdict is an incident of its own.
        """
        id_ = id_of("condition", verdict.room_id, verdict.rule, verdict.subject, verdict.since)
        known = self.get(id_)
        if known is None or (known.open and known.verdict_id is None):
            return id_, known
        return key_of(id_, verdict.verdict_id), None

    def _withdraw(self, incident: Incident, published: bool, at: int, now: int) -> list[IncidentChange]:
        """Resolve the incident of a verdict whose action is withdrawn.

        `published`: whether the incident was published as a warning; else nothing is published about it.
        """
        if published:
            return [self._resolve(incident, "withdrawn", at, now)]
        self._table.put(replace(incident, resolved_at=at, why="withdrawn"))
        return []

    def _end_warning_of_labels(self, verdict: Verdict, now: int) -> list[IncidentChange]:
        """Resolve the warning of a label's rule; if it was not read yet, remember that it is resolved."""
        if verdict.subject is None or at_risk_at(self._rulebook, verdict.since, verdict.at) is None:
            return []
        id_ = id_of("condition", verdict.room_id, verdict.rule, None, verdict.since)
        warning = self.get(id_)
        if warning is not None:
            return [self._resolve(warning, "violation", verdict.at, now)] if warning.open else []
        self._table.put(of_unread_warning(id_, verdict, now))
        return []

    def _orphan(self, verdict_id: str, now: int) -> IncidentChange:
        """Publish an action whose verdict has not come."""
        action = self._table.parked[verdict_id].action
        self._table.unpark(verdict_id)
        incident = of_orphan(verdict_id, action, now)
        self._table.put(incident)
        return make_change(incident, "action", action.at, action.revision)

    def _is_over(self, incident: Incident) -> bool:
        """True if the room was over at the incident's time or later."""
        ended = self._table.ended.get(incident.room_id)
        return ended is not None and ended.at >= incident.at

    def _begin(self, incident: Incident) -> list[IncidentChange]:
        """Open an incident, unless its room is over."""
        if self._is_over(incident):
            self._table.put(replace(incident, resolved_at=incident.at, why="room-ended"))
            return []
        return [self._open(incident)]

    def _open(self, incident: Incident) -> IncidentChange:
        incident = replace(incident, opened_at=incident.at)
        self._table.put(incident)
        return make_change(incident, "opened", incident.at)

    def _resolve(self, incident: Incident, reason: ResolutionReason, at: int, now: int) -> IncidentChange:
        resolved = replace(incident, resolved_at=max(at, incident.at), why=reason, heard=now)
        self._table.put(resolved)
        return make_change(resolved, "resolved", max(at, incident.at))

    def _evict(self, now: int) -> list[IncidentChange]:
        """Drop the oldest of what is more than `most`."""
        table, most = self._table, self._bounds.most
        changes = []
        while len(table.parked) > most:
            changes.append(self._orphan(next(iter(table.parked)), now))
        while table.resolved and len(table) > most:
            table.forget(next(iter(table.resolved)))
        while len(table.open) > most:
            oldest = next(iter(table.open.values()))
            changes.append(self._resolve(oldest, "evicted", oldest.at, now))
            table.forget(oldest.id)
        while len(table.ended) > most:
            table.forget_end(next(iter(table.ended)))
        return changes
