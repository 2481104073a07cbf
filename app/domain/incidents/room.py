"""The incidents of one room: messages are noted as facts, and each incident's line is published when it changes.

    found-by-room, action-by-room, case ──▶ facts ──as of now──▶ lines ──another than before──▶ incident
                                                                   └──7 days after the end──▶ tombstone

Lines are functions of facts, so what arrives twice changes nothing, and the order of arrival does not matter for the
last line. A command about an incident that is not known waits for it, and becomes a dead letter if it does not come.

Expiry: an incident `remember_days` after its end, what follows from a verdict without an incident as long after it was
heard of, a room without any of them as long after its last end.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from vigil.app.domain.incidents import facts as noted
from vigil.app.domain.incidents.lines import IncidentLine, effect_in
from vigil.app.domain.incidents.metrics import look_ms
from vigil.app.domain.incidents.options import IncidentOptions
from vigil.app.domain.incidents.publishing import TAKEN_BACK, line_outputs, taken_back, tombstone
from vigil.app.domain.incidents.records import RoomRecords
from vigil.app.domain.incidents.room_lines import RoomLines
from vigil.app.domain.incidents.stored import (
    FORGOTTEN_AT_ONCE,
    INCIDENT,
    MOST_GROUPS,
    Command,
    FollowUp,
    IncidentRecord,
    ReceivedCase,
)
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import ChangedChunks, KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.incidents import IncidentStatus
from vigil.topics.internal import ActionInRoom, FoundInRoom

IncidentEvent = FoundInRoom | ActionInRoom | ReceivedCase

LONGEST_COUNTED_S: Final = 86_400


class RoomIncidents(KeyStateDefaults[IncidentEvent]):
    """All that is remembered of the incidents of one room."""

    def __init__(self, room_id: str, how: IncidentOptions, chunks: StateChunks) -> None:
        self._room_id = room_id
        self._how = how
        self._records = records = RoomRecords(room_id, how.case_wait_ms, chunks)
        self._lines = RoomLines(room_id, how, records)
        self._stale: dict[str, list[IncidentLine]] = {}
        """Groups whose lines may be others than were published, and their lines as they were computed last."""
        self._again = False
        """What is open is published although it was before."""
        self._expired = False
        self.resumes = bool(self._lines.open)

    # ---- events

    def apply(self, event: IncidentEvent, watermark: int, collector: OutputCollector) -> None:
        """Note what an event says."""
        if isinstance(event, FoundInRoom):
            touched = self._find(event)
        elif isinstance(event, ActionInRoom):
            touched = self._act(event)
        else:
            touched = self._command(event, watermark - 1, collector)
            if not touched:
                self._records.changed |= {"", self._records.pending.add(event, watermark)}
        for name in sorted(touched):
            self._refresh(name, self._lines.look(name, watermark - 1), watermark - 1, collector)
        if len(self._records.groups) > MOST_GROUPS:
            self._make_room(watermark - 1, collector)
        self.resumes = bool(self._lines.open)

    def _find(self, found: FoundInRoom) -> set[str]:
        """Note what a room found; return the groups that it may change."""
        records, groups = self._records, self._records.groups
        if found.kind == "stream":
            noted.note_stream(records.main, found)
            records.changed.add("")
            # What has ended is changed by the end of the room only, which may be read later than what it ended.
            return set(self._lines.open) if found.stream in ("live", "disconnected") else set(groups)
        if found.kind == "verdict-contested":
            noted.note_contested(records.follow_ups, found.verdict_id or "", found.at)
            return self._touch_follow_up(found.verdict_id or "")
        others: set[str] = set()
        if found.kind == "entry-missed":
            name = noted.note_entry(groups, found)
            others = noted.warnings_about(groups, found.since)
        elif found.kind in ("signal-lost", "signal-back"):
            name = noted.note_signal(groups, found)
        else:
            name = noted.note_condition(groups, found)
        records.changed.add(name)
        return {name, *others}

    def _act(self, found: ActionInRoom) -> set[str]:
        follow_up = self._records.follow_ups.setdefault(found.verdict_id, FollowUp(found.verdict_id, found.at))
        known = follow_up.action
        if known is not None and known.number >= found.number:
            return set()
        follow_up.action = found
        follow_up.at = max(follow_up.at, found.at)
        return self._touch_follow_up(found.verdict_id)

    def _touch_follow_up(self, verdict_id: str) -> set[str]:
        self._records.changed.add(noted.follow_up_name(verdict_id))
        group = self._lines.group_of(verdict_id)
        return set() if group is None else {group}

    def _command(self, received: ReceivedCase, now: int, collector: OutputCollector) -> set[str]:
        """Note a command; return its incident's group, nothing if that is not known."""
        case = received.case
        record = self._records.incidents.get(case.incident_id)
        if record is None or record.digest == TAKEN_BACK:
            return set()
        offset = -1 if received.offset is None else received.offset
        command = Command(case.at, offset, case.kind, case.by, case.until or 0, case.text or "")
        new = noted.note_command(record.commands, command)
        effect = effect_in(self._lines.of_group(record.group, now), case) if new else "repeated"
        collector.count(f"case:{case.kind}:{effect}")
        self._records.changed.add(INCIDENT + case.incident_id)
        return {record.group}

    # ---- lines

    def _refresh(self, name: str, lines: list[IncidentLine], now: int, collector: OutputCollector) -> None:
        """A group has changed, and these are its lines: know its incidents, apply what waited for them, count."""
        collector.hasten()
        applied = False
        for line in lines:
            if not line.forgotten:
                self._know(name, line.incident)
                applied |= self._apply_waiting(line.incident.incident_id, now, collector)
        self._stale[name] = self._lines.look(name, now) if applied else lines
        for line in self._stale[name]:
            record = self._records.incidents.get(line.incident.incident_id)
            if record is not None:
                self._count(line.incident, record, collector)

    def _know(self, name: str, incident: IncidentStatus) -> None:
        incidents, id_ = self._records.incidents, incident.incident_id
        if id_ not in incidents:
            self._records.know(id_, name)
        elif incidents[id_].digest == TAKEN_BACK:
            incidents[id_].digest = ""

    def _apply_waiting(self, incident_id: str, now: int, collector: OutputCollector) -> bool:
        """Apply the commands that waited for an incident; return False if there was none."""
        waiting = list(self._records.pending.take(incident_id))
        for chunk, received in waiting:
            self._records.changed.add(chunk)
            self._command(received, now, collector)
        return bool(waiting)

    def _count(self, incident: IncidentStatus, record: IncidentRecord, collector: OutputCollector) -> None:
        """Count the time to the first look and to the decision, once each."""
        if (waited_ms := look_ms(incident)) is not None and not record.looked:
            record.looked = True
            _count_seconds("look", incident, waited_ms, collector)
        if incident.decided_at is not None and incident.violated_at is not None and not record.decided:
            record.decided = True
            self._records.changed.add(INCIDENT + incident.incident_id)
            _count_seconds("decision", incident, incident.decided_at - incident.violated_at, collector)

    # ---- outputs

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """The lines that differ from those published last; if `final`, all of them."""
        now = watermark if final else watermark - 1
        names = self._records.groups if final else {*self._stale, *self._lines.open} if self._again else self._stale
        return [output for name in sorted(names) for output in self._outputs(name, now, final)]

    def _outputs(self, name: str, now: int, final: bool) -> Iterator[Output]:
        lines = {line.incident.incident_id: line.incident for line in self._known_lines(name, now)}
        known = self._records.of_group(name)
        yield from line_outputs(lines.values(), known, lambda one: final or (self._again and one.ended_at is None))
        yield from taken_back(lines, known.items(), now, again=final)

    def _known_lines(self, name: str, now: int) -> Iterator[IncidentLine]:
        """The lines of a group that are remembered; they are computed again only if time has changed them since."""
        lines = self._stale.get(name)
        if lines is None or self._lines.due.times.get(name, MAX_TIME) <= now:
            lines = self._lines.of_group(name, now)
        return (line for line in lines if not line.forgotten)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        for output in outputs:
            id_, _, digest = output.id.partition(":")
            record = self._records.incidents[id_]
            if record.digest != digest:
                record.digest = digest
                self._records.changed.add(INCIDENT + id_)
        self._stale.clear()
        self._again = False

    def resume(self) -> None:
        self._again = True

    # ---- timers

    def next_timer(self) -> int:
        """When time alone changes a line, a command has waited for too long, or something is no longer remembered."""
        return min(self._lines.due.next_time(), self._records.pending.due, self._forget_at())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Note what time has changed, and forget what is over for long."""
        records = self._records
        records.main.judged_at = at
        records.changed.add("")
        for name in sorted(self._lines.pop_due(at)):
            lines = self._lines.look(name, at)
            self._forget(name, lines, at, collector)
            if name in records.groups:
                self._refresh(name, lines, at, collector)
        records.changed.update(records.pending.reject(at, collector))
        if self._lines.unknown_verdicts:
            self._lines.forget_unknown(at)
        self._expired = self._is_empty() and records.main.stream_at + self._how.keep_ms <= at
        self.resumes = bool(self._lines.open)

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Reject every command that waits: its incident does not come any more."""
        self._records.changed.update(self._records.pending.reject(until, collector, all_of_them=True))

    def expired(self) -> bool:
        return self._expired

    def dump_changes(self) -> ChangedChunks:
        return self._records.dump()

    def _forget(self, name: str, lines: list[IncidentLine], at: int, collector: OutputCollector) -> None:
        """Forget the incidents of a group that are over for long, and the group if nothing is left of it."""
        over = [line.incident for line in lines if line.forgotten]
        for incident in over:
            self._drop(incident.incident_id, at, collector)
        if over and len(over) == len(lines):
            self._forget_group(name, at, collector)

    def _forget_group(self, name: str, at: int, collector: OutputCollector) -> None:
        for id_ in self._records.of_group(name):
            self._drop(id_, at, collector)
        self._lines.forget_group(name)
        self._stale.pop(name, None)

    def _make_room(self, at: int, collector: OutputCollector) -> None:
        """Forget some incidents of a room with too many before their time: those that ended first."""
        for name in self._lines.first_to_end(FORGOTTEN_AT_ONCE):
            self._forget_group(name, at, collector)

    def _drop(self, id_: str, at: int, collector: OutputCollector) -> None:
        record = self._records.drop_incident(id_)
        if record is not None and record.digest not in ("", TAKEN_BACK):
            gone = tombstone(id_, at)
            collector.emit(gone.topic, id_, gone.id, gone.at, None)

    def _is_empty(self) -> bool:
        return not self._records.groups and not self._records.follow_ups and not self._records.pending.records

    def _forget_at(self) -> int:
        """When the first thing that no incident is about is forgotten."""
        if self._expired:
            return MAX_TIME
        times = [self._records.follow_ups[id_].at for id_ in self._lines.unknown_verdicts]
        if self._is_empty():
            times.append(self._records.main.stream_at)
        return min(times) + self._how.keep_ms if times else MAX_TIME


def _count_seconds(what: str, incident: IncidentStatus, ms: int, collector: OutputCollector) -> None:
    seconds = min(max(-(-ms // 1000), 0), LONGEST_COUNTED_S)
    collector.count(f"{what}:{incident.severity}:{seconds}")
