"""Digests: where many lines of one name and status change at once, a target receives some singly and one for the rest.

    change ──▶ group (target, kind, name, status) ──the first `singly` of a window──▶ sent one by one
                                                  └─ the others ─▶ counted ──the window is over──▶ one digest

A window begins with the first change of a group and lasts `digest_s`, or as long as quiet hours hold it back.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.notify.changes import MAX_STORED_BYTES, key_of
from vigil.app.notify.line_alerts import LineAlert, LineAlertChange, LineKind, LineStatus, change_of
from vigil.app.notify.line_routes import LineSending
from vigil.topics.fields import Instant
from vigil.topics.read_back import ForeignMessageError, read_back

KEY_PREFIX: Final = "g:"
"""Begins the keys of groups in the state topic."""

SHOWN_SUPPLIERS: Final = 10
"""Suppliers that a digest names."""


class DigestGroup(Struct, omit_defaults=True):
    """The window of one group. Stored as a JSON object: its field names stay.

    `begun`, `until` and `heard` are wall-clock times in ms, all others event times.
    """

    target: str
    kind: LineKind
    name: str
    status: LineStatus
    begun: Instant
    until: Instant
    sent: int = 0
    """How many were sent singly."""
    count: int = 0
    """How many wait for the digest."""
    first_at: Instant = 0
    last_at: Instant = 0
    due: Instant | None = None
    suppliers: list[str] = []
    heard: Instant = 0

    @property
    def key(self) -> str:
        """What identifies the group."""
        return key_of(self.target, self.kind, self.name, self.status)

    def count_in(self, alert: LineAlert) -> None:
        """Count one more line."""
        self.first_at = min(self.first_at, alert.at) if self.count else alert.at
        self.last_at = max(self.last_at, alert.at)
        self.due = alert.due if self.due is None else min(self.due, alert.due or self.due)
        if len(self.suppliers) < SHOWN_SUPPLIERS and alert.supplier_id not in self.suppliers:
            self.suppliers.append(alert.supplier_id)
        self.count += 1
        self.heard = alert.heard

    def digest(self) -> LineAlertChange:
        """Return the digest of what was counted."""
        line = LineAlert(
            id=key_of("digest", self.key, self.begun),
            kind=self.kind,
            name=self.name,
            status=self.status,
            at=self.last_at,
            heard=self.heard,
            since=self.first_at,
            due=self.due,
            count=self.count,
            suppliers=tuple(self.suppliers),
            opened_at=self.last_at,
            resolved_at=self.last_at,
        )
        return change_of(line, "digest")


_decoder: Final = msgspec.json.Decoder(DigestGroup)


def _decode(name: str, raw: bytes) -> DigestGroup:
    """Return a stored group; raise ForeignMessageError where it was not stored here."""
    group = read_back(_decoder, raw, MAX_STORED_BYTES)
    if name != KEY_PREFIX + group.key:
        raise ForeignMessageError("its key is another's")
    return group


class Digests:
    """The groups whose windows are open: at most one for each target, name and status."""

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._groups: dict[str, DigestGroup] = {}
        self._dirty: dict[str, None] = {}

    def take(self, alert: LineAlert, target: str, sending: LineSending) -> bool:
        """Return whether an alert is sent to a target singly; else it is counted."""
        now = alert.heard
        group = DigestGroup(
            target, alert.kind, alert.name, alert.status, now, until=max(now + self._window_ms, sending.at)
        )
        group = self._groups.setdefault(group.key, group)
        self._dirty[group.key] = None
        if group.sent < sending.singly:
            group.sent += 1
            return True
        group.count_in(alert)
        return False

    def due(self, now: int) -> list[tuple[str, LineAlertChange]]:
        """End the windows that are over by now; return target and digest of those that have counted some."""
        over = [key for key, group in self._groups.items() if group.until <= now]
        groups = [self._groups.pop(key) for key in over]
        self._dirty.update(dict.fromkeys(over))
        return [(group.target, group.digest()) for group in groups if group.count]

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
            group = self._groups.get(key)
            yield KEY_PREFIX + key, None if group is None else msgspec.json.encode(group)

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave; return the names of records that it cannot have given, with what is wrong."""
        unreadable = {}
        for name, raw in records.items():
            try:
                group = _decode(name, raw)
                self._groups[group.key] = group
            except ForeignMessageError as error:
                unreadable[name] = str(error)
        return unreadable
