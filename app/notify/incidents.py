"""The incident machine: from verdicts, notices, actions and rooms' ends, in any order and however often, to changes.

    at-risk ─▶ opened ──verdict──▶ violation ──action──▶ action ─┐
    verdict ─▶ opened ───────────────────────────────────────────┼─▶ resolved (once; nothing opens it again)
    signal-lost ─▶ opened ───────────────────────────────────────┘   by risk-cleared, signal-back, the room's end,
    entry-missed ─▶ noted                                             a withdrawn action, or silence for too long

Pure: time is told. What ended before its beginning was heard of is remembered and not told; but a verdict is always
told, unless it was withdrawn before. A second violation under one beginning is an incident of its own, and so is each
label's: a warning names no label, so a label's verdict ends the warning.

Forgets: an incident that ended, `remember_ms` after it was last heard of; one that is open, by resolving it
`expire_ms` after it or its room was last heard of; and beyond `most`, at the next `tick`, the oldest, ended ones first.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.notify.changes import (
    Incident,
    IncidentChange,
    ResolutionReason,
    key_of,
    make_change,
    shown_evidence,
    tiers_of,
)
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.verdicts import Action, Notice, Verdict

HOUR_MS: Final = 60 * 60 * 1000
SHORTEST_WARNED_MS: Final = 60_000
"""Rules shorter than this give no warning (specification of `at-risk`)."""


class IncidentBounds(Struct, frozen=True, kw_only=True):
    """How long and how many; times are of the told clock."""

    expire_ms: int = 26 * HOUR_MS
    """A room is forgotten 24 h after its last event: what is open for longer missed its end."""
    remember_ms: int = 26 * HOUR_MS
    orphan_ms: int = 60_000
    """How long an action waits for its verdict, which another partition carries."""
    most: int = 100_000


class Parked(Struct, frozen=True, omit_defaults=True):
    """The latest revision of an action whose verdict was not read yet."""

    action: Action
    heard: int


class Ended(Struct, frozen=True, omit_defaults=True):
    """A room was over at the event time `at`."""

    at: int
    heard: int


class Incidents:
    """All incidents. Every call returns the changes that it makes, in order."""

    def __init__(self, families: Mapping[str, str], bounds: IncidentBounds | None = None) -> None:
        """`families`: the family of each rule, which notices do not tell."""
        self._families = families
        self._bounds = bounds or IncidentBounds()
        self._open: dict[str, Incident] = {}
        """By id, what was heard of longest ago first; so are the next three."""
        self._over: dict[str, Incident] = {}
        self._parked: dict[str, Parked] = {}
        self._ended: dict[str, Ended] = {}
        self._of_room: dict[str, set[str]] = {}
        """The open incidents of a room."""
        self._room_heard: dict[str, int] = {}
        """When the figures of a room with open incidents last came."""
        self._of_verdict: dict[str, str] = {}
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._over)

    @property
    def open(self) -> Mapping[str, Incident]:
        """The open incidents by id."""
        return self._open

    def get(self, id_: str) -> Incident | None:
        return self._open.get(id_) or self._over.get(id_)

    # What comes in.

    def notice(self, notice: Notice, now: int) -> list[IncidentChange]:
        """A notice came."""
        if notice.kind == "entry-missed":
            return self._entry_missed(notice, now)
        sort = "signal" if notice.kind in ("signal-lost", "signal-back") else "condition"
        known = self.get(_id(sort, notice.room_id, notice.rule, None, notice.since))
        if notice.kind in ("at-risk", "signal-lost"):
            if known is not None:
                return []
            incident = self._of_notice(sort, notice, now)
            if self._is_over(incident):
                self._put(replace(incident, resolved_at=incident.at, why="room-ended"))
                return []
            return [self._open_it(incident)]
        why: ResolutionReason = "signal-back" if notice.kind == "signal-back" else "risk-cleared"
        if known is None:
            self._put(replace(self._of_notice(sort, notice, now), resolved_at=notice.at, why=why))
            return []
        if not known.open or known.verdict_id is not None:
            return []
        return [self._resolve(known, why, notice.at, now)]

    def verdict(self, verdict: Verdict, now: int) -> list[IncidentChange]:
        """A verdict came."""
        told_before = self.get(self._of_verdict.get(verdict.verdict_id, ""))
        if told_before is not None and told_before.sort == "condition":
            return []
        parked = self._unpark(verdict.verdict_id)
        action = parked.action if parked else told_before.action if told_before else None
        changes = self._end_warning_of_labels(verdict, now)
        base = _id("condition", verdict.room_id, verdict.rule, verdict.subject, verdict.since)
        warned = self.get(base)
        if warned is not None and (not warned.open or warned.verdict_id is not None):
            base, warned = key_of(base, verdict.verdict_id), None
        incident = Incident(
            id=base,
            sort="condition",
            room_id=verdict.room_id,
            host_id=verdict.host_id,
            rule=verdict.rule,
            family=warned.family if warned and warned.family else verdict.family,
            subject=verdict.subject,
            since=verdict.since,
            at=verdict.at,
            heard=now,
            due=warned.due if warned else None,
            tiers=tiers_of(verdict),
            opened_at=warned.opened_at if warned else None,
            violated_at=verdict.at,
            verdict_id=verdict.verdict_id,
            rulebook=verdict.rulebook,
            evidence=shown_evidence(verdict),
            action=action,
            end_targets=warned.end_targets if warned else (),
        )
        if action is not None and action.status == "withdrawn":
            if warned is not None:
                return [*changes, self._resolve(incident, "withdrawn", action.at, now)]
            self._put(replace(incident, resolved_at=action.at, why="withdrawn"))
            return changes
        if warned is None:
            changes.append(self._open_it(incident))
        else:
            self._put(incident)
            changes.append(make_change(incident, "violation", verdict.at))
        if self._is_over(incident):
            changes.append(self._resolve(self._open[base], "room-ended", self._ended[verdict.room_id].at, now))
        return changes

    def action(self, action: Action, now: int) -> list[IncidentChange]:
        """An action, or a revision of one, came."""
        known = self.get(self._of_verdict.get(action.action_id, ""))
        if known is None:
            before = self._parked.pop(action.action_id, None)
            if before is None or before.action.revision < action.revision:
                before = Parked(action, now)
            self._parked[action.action_id] = before
            self._dirty[f"p:{action.action_id}"] = None
            return []
        if known.action is not None and known.action.revision >= action.revision:
            return []
        known = replace(known, action=action, heard=now)
        if known.open and action.status == "withdrawn":
            return [self._resolve(known, "withdrawn", action.at, now)]
        self._put(known)
        return [make_change(known, "action", action.at, action.revision)]

    def room(self, room_id: str, at: int, over: bool, now: int) -> list[IncidentChange]:
        """A room's figures came, as of `at`; `over`: its stream was ended, or the room was forgotten (a tombstone)."""
        if not over:
            if room_id in self._of_room:
                self._room_heard[room_id] = now
            return []
        before = self._ended.pop(room_id, None)
        incidents = [self._open[id_] for id_ in self._of_room.get(room_id, ())]
        at = max(at, before.at if before else 0)
        self._ended[room_id] = Ended(at, now)
        self._dirty[f"r:{room_id}"] = None
        due = sorted((one for one in incidents if one.at <= at), key=lambda one: (one.since, one.id))
        return [self._resolve(one, "room-ended", at, now) for one in due]

    def tick(self, now: int) -> list[IncidentChange]:
        """The told clock is at `now`: what waited for too long is told or let go."""
        changes = []
        for verdict_id in _older(self._parked, now - self._bounds.orphan_ms):
            changes.append(self._tell_orphan(verdict_id, now))
        for id_ in _older(self._open, now - self._bounds.expire_ms):
            incident = self._open[id_]
            heard = self._room_heard.get(incident.room_id, 0)
            if heard > incident.heard:
                self._put(replace(incident, heard=now))  # not `heard`: they stand in order
            else:
                changes.append(self._resolve(incident, "expired", incident.at, now))
        for id_ in _older(self._over, now - self._bounds.remember_ms):
            self._forget(id_)
        for room_id in _older(self._ended, now - self._bounds.remember_ms):
            self._forget_end(room_id)
        return changes + self._within_bounds(now)

    def add_end_targets(self, id_: str, targets: tuple[str, ...]) -> None:
        """Write down that these targets must hear of the incident's end."""
        incident = self.get(id_)
        if incident is not None and (more := tuple(name for name in targets if name not in incident.end_targets)):
            where = self._open if incident.open else self._over
            where[id_] = replace(incident, end_targets=incident.end_targets + more)
            self._dirty[f"i:{id_}"] = None

    # What is stored.

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None: let go."""
        dirty, self._dirty = self._dirty, {}
        for name in dirty:
            letter, _, key = name.partition(":")
            value: Any = self.get(key) if letter == "i" else (self._parked if letter == "p" else self._ended).get(key)
            yield name, None if value is None else _encode(value)

    def load(self, records: Mapping[str, bytes]) -> None:
        """Take over what `changed` gave, before anything else is asked."""
        read: dict[str, list[tuple[int, str, Any]]] = {"i": [], "p": [], "r": []}
        for name, raw in records.items():
            letter, _, key = name.partition(":")
            value = msgspec.json.decode(raw, type=_TYPES[letter])
            read[letter].append((value.heard, key, value))
        for _, _, incident in sorted(read["i"], key=lambda one: one[:2]):
            self._put(incident)
        self._parked = {key: parked for _, key, parked in sorted(read["p"], key=lambda one: one[:2])}
        self._ended = {key: ended for _, key, ended in sorted(read["r"], key=lambda one: one[:2])}
        self._dirty.clear()

    # The parts.

    def _of_notice(self, sort: Any, notice: Notice, now: int) -> Incident:
        return Incident(
            id=_id(sort, notice.room_id, notice.rule, notice.buyer_id, notice.since),
            sort=sort,
            room_id=notice.room_id,
            host_id=notice.host_id,
            rule=notice.rule,
            family=self._families.get(notice.rule or ""),
            since=notice.since,
            at=notice.at,
            heard=now,
            due=notice.due,
            priority=notice.priority,
            tiers=HIGH_QUALITY if notice.priority == "high" else ("L0",) if notice.kind == "entry-missed" else (),
            buyer_id=notice.buyer_id,
        )

    def _entry_missed(self, notice: Notice, now: int) -> list[IncidentChange]:
        incident = replace(self._of_notice("entry", notice, now), opened_at=notice.at, resolved_at=notice.at)
        if self.get(incident.id) is not None:
            return []
        self._put(incident)
        return [make_change(incident, "noted", notice.at)]

    def _end_warning_of_labels(self, verdict: Verdict, now: int) -> list[IncidentChange]:
        if verdict.subject is None or verdict.at - verdict.since < SHORTEST_WARNED_MS:
            return []
        id_ = _id("condition", verdict.room_id, verdict.rule, None, verdict.since)
        warning = self.get(id_)
        if warning is not None:
            return [self._resolve(warning, "violation", verdict.at, now)] if warning.open else []
        self._put(
            Incident(
                id=id_,
                sort="condition",
                room_id=verdict.room_id,
                host_id=verdict.host_id,
                rule=verdict.rule,
                family=verdict.family,
                since=verdict.since,
                at=verdict.at,
                heard=now,
                resolved_at=verdict.at,
                why="violation",
            )
        )
        return []

    def _tell_orphan(self, verdict_id: str, now: int) -> IncidentChange:
        action = self._parked[verdict_id].action
        self._unpark(verdict_id)
        incident = Incident(
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
        self._put(incident)
        return make_change(incident, "action", action.at, action.revision)

    def _is_over(self, incident: Incident) -> bool:
        ended = self._ended.get(incident.room_id)
        return ended is not None and ended.at >= incident.at

    def _open_it(self, incident: Incident) -> IncidentChange:
        incident = replace(incident, opened_at=incident.at)
        self._put(incident)
        return make_change(incident, "opened", incident.at)

    def _resolve(self, incident: Incident, why: ResolutionReason, at: int, now: int) -> IncidentChange:
        resolved = replace(incident, resolved_at=max(at, incident.at), why=why, heard=now)
        self._put(resolved)
        return make_change(resolved, "resolved", max(at, incident.at))

    def _put(self, incident: Incident) -> None:
        """Keep the incident as it now is, as the one heard of last."""
        id_, room_id = incident.id, incident.room_id
        self._open.pop(id_, None)
        self._over.pop(id_, None)
        if incident.open:
            self._open[id_] = incident
            self._of_room.setdefault(room_id, set()).add(id_)
        else:
            self._over[id_] = incident
            self._leave_room(incident)
        if incident.verdict_id is not None:
            self._of_verdict[incident.verdict_id] = id_
        self._dirty[f"i:{id_}"] = None

    def _leave_room(self, incident: Incident) -> None:
        inside = self._of_room.get(incident.room_id)
        if inside is not None:
            inside.discard(incident.id)
            if not inside:
                del self._of_room[incident.room_id]
                self._room_heard.pop(incident.room_id, None)

    def _forget(self, id_: str) -> None:
        incident = self._over.pop(id_)
        if incident.verdict_id is not None and self._of_verdict.get(incident.verdict_id) == id_:
            del self._of_verdict[incident.verdict_id]
        self._dirty[f"i:{id_}"] = None

    def _within_bounds(self, now: int) -> list[IncidentChange]:
        most = self._bounds.most
        changes = []
        while len(self._parked) > most:
            changes.append(self._tell_orphan(next(iter(self._parked)), now))
        while self._over and len(self) > most:
            self._forget(next(iter(self._over)))
        while len(self._open) > most:
            oldest = next(iter(self._open.values()))
            changes.append(self._resolve(oldest, "evicted", oldest.at, now))
            self._forget(oldest.id)
        while len(self._ended) > most:
            self._forget_end(next(iter(self._ended)))
        return changes

    def _forget_end(self, room_id: str) -> None:
        del self._ended[room_id]
        self._dirty[f"r:{room_id}"] = None

    def _unpark(self, verdict_id: str) -> Parked | None:
        parked = self._parked.pop(verdict_id, None)
        if parked is not None:
            self._dirty[f"p:{verdict_id}"] = None
        return parked


_TYPES: Final[Mapping[str, Any]] = {"i": Incident, "p": Parked, "r": Ended}
_encode: Final = msgspec.json.Encoder().encode


def _id(sort: str, room_id: str, rule: str | None, subject: str | None, since: int) -> str:
    return key_of(sort, room_id, rule, subject, since)


def _older(heard_of: Mapping[str, Any], until: int) -> list[str]:
    """The keys, of what is in order of `heard`, that were last heard of by `until`."""
    found = []
    for key, value in heard_of.items():
        if value.heard > until:
            break
        found.append(key)
    return found
