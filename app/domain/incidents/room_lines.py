"""The lines of one room's groups of facts: when time changes them, which go on, and whose verdicts they are.

group ──look──▶ lines ─┬─▶ due: when time alone changes one
                       ├─▶ open: groups with an incident that goes on
                       └─▶ group of each verdict      a verdict without one is unknown, and forgotten in time
"""

from collections.abc import Iterator

from vigil.app.domain.incidents.lines import IncidentLine, RoomFacts, lines_of
from vigil.app.domain.incidents.options import IncidentOptions
from vigil.app.domain.incidents.records import RoomRecords
from vigil.app.domain.incidents.stored import SignalRecord
from vigil.app.engine.timers import TimerHeap
from vigil.app.engine.watermark import MAX_TIME


class RoomLines:
    """The lines of one room's groups, and what follows from them since each was looked at last."""

    def __init__(self, room_id: str, how: IncidentOptions, records: RoomRecords) -> None:
        self._how = how
        self._records = records
        self._facts = RoomFacts(
            room_id, records.main, records.groups, records.follow_ups, records.incidents, how.families
        )
        self._group_of_verdict: dict[str, str] = {}
        self.unknown_verdicts = dict.fromkeys(records.follow_ups)
        """Verdicts of which something is known though they are not known here."""
        self.due: TimerHeap[str] = TimerHeap()
        """By group: when time alone changes one of its lines."""
        self.open: set[str] = set()
        """Groups with an incident that goes on. While there are any, the room `resumes`: who counts open ones after
        a restart must hear of them."""
        for name in records.groups:
            self.look(name, records.main.judged_at)

    def of_group(self, name: str, now: int) -> list[IncidentLine]:
        """The lines of a group, also those whose time to be remembered is over."""
        record = self._records.groups[name]
        since = record.losses[0].since if isinstance(record, SignalRecord) else record.since
        return lines_of(self._facts, name, self._how.limits_at(since), now)

    def look(self, name: str, now: int) -> list[IncidentLine]:
        """The lines of a group; note when they change by themselves, and whose verdicts they are."""
        lines = self.of_group(name, now)
        due = min((line.due for line in lines if not line.forgotten), default=MAX_TIME)
        if due < MAX_TIME:
            self.due.schedule(name, due)
        else:
            self.due.cancel(name)
        if any(line.incident.ended_at is None for line in lines):
            self.open.add(name)
        else:
            self.open.discard(name)
        for line in lines:
            if line.incident.verdict_id is not None:
                self._group_of_verdict[line.incident.verdict_id] = name
                self.unknown_verdicts.pop(line.incident.verdict_id, None)
        return lines

    def group_of(self, verdict_id: str) -> str | None:
        """The group of a verdict of which something was noted; None: it is not known here, which is noted."""
        group = self._group_of_verdict.get(verdict_id)
        if group is None:
            self.unknown_verdicts[verdict_id] = None
        return group

    # ---- time

    def pop_due(self, at: int) -> Iterator[str]:
        """The groups whose lines time has changed."""
        while (due := self.due.pop_due(at + 1)) is not None:
            yield due[1]

    # ---- expiry

    def first_to_end(self, number: int) -> list[str]:
        """The groups that are forgotten first where there are too many: those that ended first."""
        groups, ends = self._records.groups, self.due.times
        first = sorted(groups, key=lambda name: (name in self.open, ends.get(name, MAX_TIME), name))
        return first[:number]

    def forget_group(self, name: str) -> None:
        """Forget a group and what follows from its verdicts."""
        for verdict_id in [id_ for id_, group in self._group_of_verdict.items() if group == name]:
            self._records.drop_follow_up(verdict_id)
            del self._group_of_verdict[verdict_id]
        del self._records.groups[name]
        self.due.cancel(name)
        self.open.discard(name)
        self._records.changed.add(name)

    def forget_unknown(self, at: int) -> None:
        """Forget what is known of verdicts that no incident is about, once it is over for long."""
        records, keep_ms = self._records, self._how.keep_ms
        for verdict_id in [id_ for id_ in self.unknown_verdicts if records.follow_ups[id_].at + keep_ms <= at]:
            records.drop_follow_up(verdict_id)
            del self.unknown_verdicts[verdict_id]
