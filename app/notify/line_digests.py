"""Digests: where many lines of one name and status change at once, a target receives some singly and one for the rest.

    line ──▶ group (target, kind, name, status) ──the first `singly` of a window──▶ sent one by one
                                                └─ the others ─▶ counted ──the window is over──▶ one digest

A window begins with the first line of a group and lasts `digest_s`, or as long as quiet hours hold it back. Windows are
not stored: lines that were counted and not sent are read again after a restart, and a new window counts them. Pure.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from aiokafka.structs import TopicPartition
from msgspec import Struct, field

from vigil.app.notify.alerts import AlertChange, key_of
from vigil.app.notify.line_alerts import LineAlert, LineKind
from vigil.app.notify.line_routes import LineSending

SHOWN_SUPPLIERS: Final = 10
"""Suppliers that a digest names."""


class CountedLine(NamedTuple):
    """A line that waits for its digest: where its message is."""

    key: str
    partition: TopicPartition
    offset: int


class DigestGroup(Struct):
    """The window of one group. `begun` and `until` are wall-clock times in ms, all others event times."""

    target: str
    kind: LineKind
    name: str
    status: str
    begun: int
    until: int
    sent: int = 0
    """How many were sent singly."""
    lines: dict[str, CountedLine] = field(default_factory=dict)
    """By key, those that wait for the digest."""
    first_at: int = 0
    last_at: int = 0
    due: int | None = None
    suppliers: list[str] = field(default_factory=list)

    def count_in(self, alert: LineAlert, line: CountedLine) -> None:
        """Count one more line."""
        self.first_at = min(self.first_at, alert.at) if self.lines else alert.at
        self.last_at = max(self.last_at, alert.at)
        self.due = alert.due if self.due is None else min(self.due, alert.due or self.due)
        if len(self.suppliers) < SHOWN_SUPPLIERS and alert.supplier_id not in self.suppliers:
            self.suppliers.append(alert.supplier_id)
        self.lines[line.key] = line

    def digest(self) -> AlertChange:
        """Return the digest of what was counted; the same lines give the same `id`."""
        id_ = key_of("digest", self.target, self.kind, self.name, self.status, *sorted(self.lines))
        line = LineAlert(
            id=id_,
            kind=self.kind,
            name=self.name,
            status=self.status,
            at=self.last_at,
            since=self.first_at,
            due=self.due,
            count=len(self.lines),
            suppliers=tuple(self.suppliers),
        )
        return AlertChange(id=id_, event="digest", kind=self.kind, at=self.last_at, alert=line)


class Digests:
    """The groups whose windows are open: at most one for each target, name and status."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._groups: dict[tuple[str, str, str, str], DigestGroup] = {}
        self.ended: dict[str, DigestGroup] = {}
        """By name, those whose digest is to be delivered."""
        self._ended = 0
        self._singly: dict[tuple[str, str], str] = {}
        """By target and key, the status of a line that is to be sent singly."""

    def admit(self, target: str, alert: LineAlert, line: CountedLine, how: LineSending, now: int) -> int | None:
        """Return from when on a line is sent to a target singly; None: a digest counts it."""
        if self._singly.get((target, line.key)) == alert.status or self._take(target, alert, line, how, now):
            self._singly[target, line.key] = alert.status
            return how.at
        return None

    def may_send(self, target: str, key: str, alert: LineAlert, how: LineSending, now: int) -> bool:
        """Return whether a line that is sent singly may be sent now."""
        return self._singly.get((target, key)) == alert.status and how.at is not None and how.at <= now

    def sent(self, target: str, key: str) -> None:
        """Forget that a line is to be sent singly."""
        self._singly.pop((target, key), None)

    def _take(self, target: str, alert: LineAlert, line: CountedLine, how: LineSending, now: int) -> bool:
        """Return whether a line is sent to a target singly; else it is counted, once."""
        named = (target, alert.kind, alert.name, alert.status)
        for group in self.groups():
            if (group.target, group.kind, group.name, group.status) == named and line.key in group.lines:
                group.lines[line.key] = line
                return False
        until = max(now + self._window_ms, how.at or now)
        group = DigestGroup(target, alert.kind, alert.name, alert.status, now, until)
        group = self._groups.setdefault(named, group)
        if group.sent < how.singly:
            group.sent += 1
            return True
        group.count_in(alert, line)
        return False

    def leave_out(self, target: str, key: str, alert: LineAlert) -> None:
        """Count a line no more that has another status by now."""
        for group in self.groups():
            if (group.target, group.kind, group.name) == (target, alert.kind, alert.name) and not (
                group.status == alert.status and alert.why is None
            ):
                group.lines.pop(key, None)

    def end(self, now: int) -> list[tuple[str, DigestGroup]]:
        """End the windows that are over by now; return those that have counted some, each with a name of its own."""
        over = [named for named, group in self._groups.items() if group.until <= now]
        found = []
        for named in over:
            group = self._groups.pop(named)
            if group.lines:
                self._ended += 1
                self.ended[f"digest:{self._ended}"] = group
                found.append((f"digest:{self._ended}", group))
        return found

    def groups(self) -> Iterator[DigestGroup]:
        """Yield all groups whose lines wait for their digest."""
        yield from self._groups.values()
        yield from self.ended.values()
