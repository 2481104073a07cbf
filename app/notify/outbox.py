"""The changes that have not been delivered yet, in order for each alert (an incident, a line) and target. Pure.

    add ──▶ staged ──mark_stored──▶ due ──take_due──▶ in flight ──▶ complete
                                 ▲                     │
                                 └── retry, put_back ──┤
                                                       └──▶ give_up: a dead letter

Of each alert, a target has one change in flight at a time, so that an end never arrives before its beginning. A
change that quiet hours hold back is replaced by the next one of its alert: at their end, the last one shows how it is.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from vigil.app.notify.alerts import AlertChange
from vigil.app.notify.changes import MAX_STORED_BYTES, IncidentChange
from vigil.app.notify.line_alerts import LineAlertChange
from vigil.topics.fields import Instant
from vigil.topics.read_back import ForeignMessageError, read_back

KEY_PREFIXES: Final = (IncidentChange.stored_under, LineAlertChange.stored_under)
"""Begin the keys of the outbox's records in the state topic."""

C = TypeVar("C", bound=AlertChange)


class Progress(Struct, omit_defaults=True):
    """The progress of one change towards one target. Times are wall-clock times in ms."""

    next_at: Instant
    """The next try is not made before this."""
    attempts: int = 0
    """Failed tries."""
    first_at: Instant | None = None
    """When the first try was made."""


class PendingDelivery(Struct, Generic[C]):
    """A change and the targets that have not received it. Stored as a JSON object: its field names stay."""

    seq: int
    change: C
    left: dict[str, Progress]

    @property
    def key(self) -> str:
        """The key of its record."""
        return self.change.stored_under + self.change.id


class Delivery(NamedTuple):
    """A change in flight to one target."""

    target: str
    seq: int
    change: AlertChange
    progress: Progress


class Undelivered(NamedTuple):
    """A change that will not be delivered to a target, and why."""

    target: str
    change: AlertChange
    attempts: int
    detail: str


_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    IncidentChange.stored_under: msgspec.json.Decoder(PendingDelivery[IncidentChange]),
    LineAlertChange.stored_under: msgspec.json.Decoder(PendingDelivery[LineAlertChange]),
}
"""By the beginning of a record's key."""


def _decode(name: str, raw: bytes) -> PendingDelivery[AlertChange]:
    """Return a stored record; raise ForeignMessageError where it was not stored here."""
    pending: PendingDelivery[AlertChange] = read_back(_DECODERS[name[:2]], raw, MAX_STORED_BYTES)
    if name != pending.key:
        raise ForeignMessageError("its key is another's")
    return pending


class Outbox:
    """All pending deliveries."""

    def __init__(self) -> None:
        self._pending: dict[str, PendingDelivery[AlertChange]] = {}
        """By the id of the change."""
        self._queues: dict[tuple[str, str], deque[str]] = {}
        """By target and alert, the ids of its changes in order. Only the first, the head, may be sent."""
        self._heads: dict[str, list[tuple[int, int, str]]] = {}
        """By target, a heap of (next_at, seq, id of the change) of the heads that are not in flight."""
        self._staged: list[str] = []
        self._in_flight: set[tuple[str, str]] = set()
        """Target and id of the change."""
        self._counts: dict[str, int] = {}
        """By target, the number of pending deliveries."""
        self._seq = 0
        self._dirty: dict[str, None] = {}
        self._undelivered: list[Undelivered] = []

    def __len__(self) -> int:
        """Return the number of pending deliveries."""
        return sum(self._counts.values())

    def count(self, target: str) -> int:
        """Return the number of pending deliveries to a target."""
        return self._counts.get(target, 0)

    def targets(self) -> list[str]:
        """Return the targets that have pending deliveries."""
        return [name for name, count in self._counts.items() if count]

    def has_pending(self, target: str, alert: str) -> bool:
        """Return whether a change of this alert is still to be delivered to the target."""
        return (target, alert) in self._queues

    def add(self, change: AlertChange, when: Mapping[str, int], now: int) -> None:
        """Stage a change for targets, each from its own time on. A change that is pending already stays as it is."""
        if not when or change.id in self._pending:
            return
        self._seq += 1
        pending = PendingDelivery(self._seq, change, {name: Progress(max(at, now)) for name, at in when.items()})
        self._pending[change.id] = pending
        self._staged.append(change.id)
        self._dirty[pending.key] = None
        for name in when:
            self._counts[name] = self._counts.get(name, 0) + 1

    def mark_stored(self, now: int) -> None:
        """Record that what was added is stored: it may be sent from now on."""
        staged, self._staged = self._staged, []
        for id_ in staged:
            pending = self._pending[id_]
            for name in list(pending.left):
                self._replace_held(name, pending.change.alert.id, now)
                self._enqueue(name, pending)

    def next_at(self, target: str) -> int | None:
        """Return when the next delivery to a target is due; None where nothing waits to be sent."""
        heads = self._heads.get(target)
        while heads and not self._is_head(target, heads[0][1], heads[0][2]):
            heapq.heappop(heads)
        return heads[0][0] if heads else None

    def waiting_since(self) -> dict[str, int]:
        """Return for each target since when its oldest delivery has been due; of one that was tried, its first try.

        The time may lie ahead: what quiet hours hold back is not late.
        """
        first: dict[str, int] = {}
        for (target, _), queue in self._queues.items():
            progress = self._pending[queue[0]].left[target]
            at = progress.next_at if progress.first_at is None else progress.first_at
            first[target] = min(at, first.get(target, at))
        return first

    def take_due(self, target: str, now: int, limit: int) -> list[Delivery]:
        """Return up to `limit` deliveries of different alerts, the longest due first: they are in flight now."""
        found: list[Delivery] = []
        while len(found) < limit and (at := self.next_at(target)) is not None and at <= now:
            _, seq, id_ = heapq.heappop(self._heads[target])
            pending = self._pending[id_]
            self._in_flight.add((target, id_))
            progress = pending.left[target]
            if progress.first_at is None:
                progress.first_at = now
            found.append(Delivery(target, seq, pending.change, progress))
        return found

    def complete(self, delivery: Delivery) -> None:
        """Remove a delivery that was made; the next change of its alert may follow."""
        target, id_ = delivery.target, delivery.change.id
        self._in_flight.discard((target, id_))
        self._drop(target, id_)
        place = (target, delivery.change.alert.id)
        queue = self._queues[place]
        queue.remove(id_)
        if queue:
            self._push_head(target, self._pending[queue[0]])
        else:
            del self._queues[place]

    def reject(self, change: AlertChange, target: str, detail: str) -> None:
        """Record a change that is not accepted for a target."""
        self._undelivered.append(Undelivered(target, change, 0, detail))

    def retry(self, delivery: Delivery, at: int) -> None:
        """Try a delivery that failed again, from `at` on."""
        delivery.progress.attempts += 1
        self._put_back(delivery, at)

    def put_back(self, delivery: Delivery) -> None:
        """Return a delivery that was not tried after all."""
        self._put_back(delivery, delivery.progress.next_at)

    def give_up(self, delivery: Delivery, detail: str) -> None:
        """Remove a delivery that will never be made."""
        self._undelivered.append(Undelivered(delivery.target, delivery.change, delivery.progress.attempts + 1, detail))
        self.complete(delivery)

    def take_undelivered(self) -> list[Undelivered]:
        """Return what was given up or rejected since the last call."""
        undelivered, self._undelivered = self._undelivered, []
        return undelivered

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the records that changed since the last call; None deletes one."""
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
            pending = self._pending.get(key[2:])
            yield key, None if pending is None else msgspec.json.encode(pending)

    def load(self, records: Mapping[str, bytes]) -> dict[str, str]:
        """Restore a new outbox from the records of `changed`; all of it may be sent.

        Return the names of records that it cannot have given, each with what is wrong: they are left out.
        """
        read, unreadable = [], {}
        for name, raw in records.items():
            try:
                read.append(_decode(name, raw))
            except ForeignMessageError as error:
                unreadable[name] = str(error)
        for pending in sorted(read, key=lambda one: one.seq):
            self._pending[pending.change.id] = pending
            self._seq = pending.seq
            for name in pending.left:
                self._counts[name] = self._counts.get(name, 0) + 1
                self._enqueue(name, pending)
        return unreadable

    def _enqueue(self, target: str, pending: PendingDelivery[AlertChange]) -> None:
        queue = self._queues.setdefault((target, pending.change.alert.id), deque())
        queue.append(pending.change.id)
        if len(queue) == 1:
            self._push_head(target, pending)

    def _push_head(self, target: str, pending: PendingDelivery[AlertChange]) -> None:
        entry = (pending.left[target].next_at, pending.seq, pending.change.id)
        heapq.heappush(self._heads.setdefault(target, []), entry)

    def _is_head(self, target: str, seq: int, id_: str) -> bool:
        pending = self._pending.get(id_)
        if pending is None or pending.seq != seq:
            return False
        return target in pending.left and (target, id_) not in self._in_flight

    def _put_back(self, delivery: Delivery, at: int) -> None:
        pending = self._pending[delivery.change.id]
        self._in_flight.discard((delivery.target, delivery.change.id))
        delivery.progress.next_at = at
        self._dirty[pending.key] = None
        self._push_head(delivery.target, pending)

    def _replace_held(self, target: str, alert: str, now: int) -> None:
        """Drop the alert's changes that quiet hours hold back and that were never tried."""
        queue = self._queues.get((target, alert))
        while queue:
            pending = self._pending[queue[-1]]
            progress = pending.left[target]
            if progress.next_at <= now or progress.attempts or (target, pending.change.id) in self._in_flight:
                return
            self._drop(target, queue.pop())
        self._queues.pop((target, alert), None)

    def _drop(self, target: str, id_: str) -> None:
        pending = self._pending[id_]
        del pending.left[target]
        self._counts[target] -= 1
        if not pending.left:
            del self._pending[id_]
        self._dirty[pending.key] = None
