"""Alerts about suppliers' lines: obligations and participations in, changes for targets out.

    obligation     at-risk ─▶ opened ──breached──▶ breached ──▶ resolved: fulfilled, withdrawn, deleted, or a week old
                   breached ─▶ opened ───────────────────────┘
    participation  each of its states ─▶ noted

Each status of a line is sent once (known_statuses.py), to the targets of the routes that match it (line_routes.py),
singly or in a digest (line_digests.py). Only who received the beginning singly is notified of the end. Pure: callers
pass the wall-clock time.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vigil.app.notify import known_statuses, line_digests
from vigil.app.notify.changes import MAX_STORED_BYTES
from vigil.app.notify.known_statuses import MAX_LINES, KnownStatuses
from vigil.app.notify.line_alerts import (
    LineAlert,
    LineAlertChange,
    LineEnd,
    LineEvent,
    LineStatus,
    change_of,
    of_obligation,
    of_participation,
)
from vigil.app.notify.line_digests import Digests
from vigil.app.notify.line_routes import end_sendings, sendings
from vigil.app.notify.routes import Routing
from vigil.topics.programmes import Participation
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.services import Obligation

OPEN_KEYS: Final = "l:"
"""Begins the keys of open alerts about lines in the state topic."""

KEY_PREFIXES: Final = (OPEN_KEYS, known_statuses.KEY_PREFIX, line_digests.KEY_PREFIX)
"""Begin the keys of all records of alerts about lines, but for those of the outbox."""

DAY_MS: Final = 24 * 60 * 60 * 1000
EXPIRE_EVERY_MS: Final = 60_000
"""How often open alerts are looked through for those that are over: a pass over all of them."""


class LineBounds(Struct, frozen=True, kw_only=True):
    """How long alerts about lines stay open, and how many are kept. Times are wall-clock times in ms."""

    breached_ms: int = 7 * DAY_MS
    """How long an obligation that is breached and not fulfilled stays an open alert."""
    most_open: int = 100_000
    most_known: int = MAX_LINES


class ScheduledChange(NamedTuple):
    """A change, and from when on each target may receive it."""

    change: LineAlertChange
    when: dict[str, int]


_decoder: Final = msgspec.json.Decoder(LineAlert)


class LineBook:
    """All alerts about lines. Every call returns the changes that it makes, in order."""

    def __init__(self, routing: Routing, bounds: LineBounds | None = None) -> None:
        self._routing = routing
        self._bounds = bounds or LineBounds()
        self._known = KnownStatuses(self._bounds.most_known)
        self._digests = Digests(routing.digest_s * 1000)
        self.open: dict[str, LineAlert] = {}
        """By id, the obligations with targets that must be notified of their end; the latest message's stands last."""
        self._expired_at = 0
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        """Return the number of lines that are remembered."""
        return len(self._known)

    # ---- messages in

    def obligation(self, said: Obligation, now: int) -> list[ScheduledChange]:
        """Apply an obligation as it was published."""
        changes = []
        if said.status in ("at-risk", "breached"):
            changes += self._begin(said, now)
        if said.status == "breached" and said.done_at is not None:
            changes += self._end(said.obligation_id, "closed-late", said.done_at, now)
        elif said.status != "at-risk" and said.status != "breached":
            changes += self._end(said.obligation_id, said.status, said.at, now)
        return changes

    def participation(self, said: Participation, now: int) -> list[ScheduledChange]:
        """Apply a participation as it was published."""
        alert = of_participation(said, now)
        return self._send(alert, "noted") if self._known.is_news(alert.id, alert.status, alert.at) else []

    def gone(self, id_: str, at: int, now: int) -> list[ScheduledChange]:
        """A line was deleted at the event time `at`."""
        changes = self._end(id_, "gone", at, now)
        self._known.forget(id_)
        return changes

    def tick(self, now: int) -> list[ScheduledChange]:
        """The wall clock is at `now`: send digests whose window is over, end what is open for too long."""
        changes = [ScheduledChange(change, {target: now}) for target, change in self._digests.due(now)]
        if now - self._expired_at >= EXPIRE_EVERY_MS:
            self._expired_at = now
            oldest = now - self._bounds.breached_ms
            over = [one for one in self.open.values() if one.status == "breached" and one.heard <= oldest]
            changes += [change for one in over for change in self._resolve(one, "expired", one.at, now)]
        while len(self.open) > self._bounds.most_open:
            one = next(iter(self.open.values()))
            changes += self._resolve(one, "evicted", one.at, now)
        return changes

    # ---- what is stored

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None deletes one."""
        yield from self._digests.changed()
        yield from self._known.changed()
        dirty, self._dirty = self._dirty, {}
        for id_ in dirty:
            alert = self.open.get(id_)
            yield OPEN_KEYS + id_, None if alert is None else msgspec.json.encode(alert)

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore what `changed` gave, before any other call; return what was left out, and why."""
        statuses, groups, alerts = ({}, {}, {})  # type: tuple[dict[str, bytes], dict[str, bytes], dict[str, bytes]]
        kinds = {known_statuses.KEY_PREFIX: statuses, line_digests.KEY_PREFIX: groups, OPEN_KEYS: alerts}
        for name, raw in records.items():
            kinds[name[:2]][name] = raw
        return self._known.load(statuses) | self._digests.load(groups) | self._load_open(alerts)

    def _load_open(self, records: Mapping[str, bytes]) -> dict[str, str]:
        read, unreadable = [], {}
        for name, raw in records.items():
            try:
                alert = read_back(_decoder, raw, MAX_STORED_BYTES)
                if name != OPEN_KEYS + alert.id:
                    raise ForeignMessageError("its key is another's")
                read.append(alert)
            except ForeignMessageError as error:
                unreadable[name] = str(error)
        self.open = {alert.id: alert for alert in sorted(read, key=lambda one: (one.heard, one.id))}
        return unreadable

    # ---- parts

    def _begin(self, said: Obligation, now: int) -> list[ScheduledChange]:
        """An obligation is at risk or breached."""
        status: LineStatus = "breached" if said.status == "breached" else "at-risk"
        if not self._known.is_news(said.obligation_id, status, said.at):
            return []
        alert, known = of_obligation(said, status, now), self.open.get(said.obligation_id)
        if known is None:
            return self._send(alert, "opened")
        alert = replace(alert, opened_at=known.opened_at, end_targets=known.end_targets)
        return self._send(alert, "breached" if status == "breached" else "opened")

    def _send(self, alert: LineAlert, event: LineEvent) -> list[ScheduledChange]:
        """Send an alert singly to some targets, and count it for the digests of others."""
        found, before = sendings(self._routing, alert, alert.heard), self._known.status_of(alert.id)
        if found is not None or alert.id in self._known:
            self._known.note(alert.id, alert.status, alert.at)
        take = self._digests.take
        singly = {name: sending for name, sending in (found or {}).items() if take(alert, name, sending)}
        if alert.open:
            ends = [name for name, sending in singly.items() if sending.ends]
            alert = replace(alert, end_targets=tuple(dict.fromkeys((*alert.end_targets, *ends))))
            self._put(alert)
        when = {name: sending.at for name, sending in singly.items()}
        return [ScheduledChange(change_of(alert, event, before), when)] if when else []

    def _end(self, id_: str, why: LineEnd, at: int, now: int) -> list[ScheduledChange]:
        """An obligation is neither at risk nor breached any more, or was fulfilled."""
        if id_ in self._known and why != "closed-late":
            self._known.note(id_, why, at)
        known = self.open.get(id_)
        return [] if known is None else self._resolve(known, why, at, now)

    def _resolve(self, known: LineAlert, why: LineEnd, at: int, now: int) -> list[ScheduledChange]:
        at = max(at, known.at)
        resolved = replace(known, resolved_at=at, at=at, why=why, heard=now)
        del self.open[known.id]
        self._dirty[known.id] = None
        when = end_sendings(self._routing, resolved, now)
        return [ScheduledChange(change_of(resolved, "resolved"), when)] if when else []

    def _put(self, alert: LineAlert) -> None:
        """Replace an open alert, if a target must be notified of its end, and move it to the last place."""
        if alert.end_targets:
            self.open.pop(alert.id, None)
            self.open[alert.id] = alert
            self._dirty[alert.id] = None
