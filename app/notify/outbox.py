"""What is owed to whom: the changes that were not delivered yet, in order for each incident and target. Pure.

    add ──▶ staged ──release (it is stored)──▶ due ──▶ done
                                                ├────▶ again, later
                                                └────▶ dead: a letter, and done

A change held back by quiet hours is replaced by the next of its incident: the last one tells how it stands.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.notify.changes import IncidentChange


class Progress(Struct, omit_defaults=True):
    """How far a change is on its way to one target; times are of the told clock, ms."""

    next_at: int
    """Not before."""
    attempts: int = 0
    first_at: int | None = None


class PendingDelivery(Struct):
    """A change and those who have not heard of it."""

    seq: int
    change: IncidentChange
    left: dict[str, Progress]


class Delivery(NamedTuple):
    """A change under way to one target."""

    target: str
    seq: int
    change: IncidentChange
    progress: Progress


class Letter(NamedTuple):
    """A delivery that was given up, and why."""

    target: str
    change: IncidentChange
    attempts: int
    detail: str


_owed: Final = msgspec.json.Decoder(PendingDelivery)


class Outbox:
    """All that is owed."""

    def __init__(self) -> None:
        self._owed: dict[str, PendingDelivery] = {}
        self._queues: dict[tuple[str, str], deque[str]] = {}
        """By target and incident, the changes in order; the first is the head."""
        self._heads: dict[str, list[tuple[int, int, str]]] = {}
        """By target, a heap of (next_at, seq, change) of the heads that are not under way."""
        self._staged: list[str] = []
        self._flying: set[tuple[str, str]] = set()
        """Target and change."""
        self._held: dict[str, int] = {}
        """How many deliveries each target is owed."""
        self._seq = 0
        self._dirty: dict[str, None] = {}
        self._letters: list[Letter] = []

    def __len__(self) -> int:
        """How many deliveries are owed."""
        return sum(self._held.values())

    def owed_to(self, target: str) -> int:
        return self._held.get(target, 0)

    def targets(self) -> list[str]:
        """Everybody to whom anything is owed."""
        return [name for name, count in self._held.items() if count]

    def waits(self, target: str, incident: str) -> bool:
        """Is anything of the incident still owed to the target?"""
        return (target, incident) in self._queues

    def add(self, change: IncidentChange, when: Mapping[str, int], now: int) -> None:
        """Owe a change to targets, to each from its time on. One that is owed already stays as it is."""
        if not when or change.id in self._owed:
            return
        self._seq += 1
        self._owed[change.id] = PendingDelivery(
            self._seq, change, {name: Progress(max(at, now)) for name, at in when.items()}
        )
        self._staged.append(change.id)
        self._dirty[change.id] = None
        for name in when:
            self._held[name] = self._held.get(name, 0) + 1

    def release(self, now: int) -> None:
        """What was added is stored: it may go out."""
        staged, self._staged = self._staged, []
        for id_ in staged:
            owed = self._owed[id_]
            for name in list(owed.left):
                self._replace_held(name, owed.change.incident.id, now)
                self._enqueue(name, owed)

    def next_at(self, target: str) -> int | None:
        """When the next delivery to a target is due; None: nothing is, until something is released or done."""
        heads = self._heads.get(target)
        while heads and not self._is_head(target, heads[0][1], heads[0][2]):
            heapq.heappop(heads)
        return heads[0][0] if heads else None

    def since(self) -> dict[str, int]:
        """By target, when the first of what waits was due: of what was tried, when that was first. May lie ahead."""
        first: dict[str, int] = {}
        for (target, _), queue in self._queues.items():
            progress = self._owed[queue[0]].left[target]
            at = progress.next_at if progress.first_at is None else progress.first_at
            first[target] = min(at, first.get(target, at))
        return first

    def due(self, target: str, now: int, most: int) -> list[Delivery]:
        """Up to `most` deliveries of different incidents, the longest due first; they are under way from now on."""
        found: list[Delivery] = []
        while len(found) < most and (at := self.next_at(target)) is not None and at <= now:
            _, seq, id_ = heapq.heappop(self._heads[target])
            owed = self._owed[id_]
            self._flying.add((target, id_))
            progress = owed.left[target]
            if progress.first_at is None:
                progress.first_at = now
            found.append(Delivery(target, seq, owed.change, progress))
        return found

    def done(self, delivery: Delivery) -> None:
        """It was delivered."""
        target, id_ = delivery.target, delivery.change.id
        self._flying.discard((target, id_))
        self._drop(target, id_)
        place = (target, delivery.change.incident.id)
        queue = self._queues[place]
        queue.remove(id_)
        if queue:
            self._push_head(target, self._owed[queue[0]])
        else:
            del self._queues[place]

    def refuse(self, change: IncidentChange, target: str, detail: str) -> None:
        """A change that is not taken on for a target."""
        self._letters.append(Letter(target, change, 0, detail))

    def again(self, delivery: Delivery, at: int) -> None:
        """It was not delivered; try again from `at` on."""
        delivery.progress.attempts += 1
        self._back(delivery, at)

    def back(self, delivery: Delivery) -> None:
        """It was not tried after all."""
        self._back(delivery, delivery.progress.next_at)

    def dead(self, delivery: Delivery, detail: str) -> None:
        """It never will be delivered."""
        self._letters.append(Letter(delivery.target, delivery.change, delivery.progress.attempts + 1, detail))
        self.done(delivery)

    def letters(self) -> list[Letter]:
        """What was given up since the last call."""
        letters, self._letters = self._letters, []
        return letters

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """The records that changed since the last call; None: owed no more."""
        dirty, self._dirty = self._dirty, {}
        for id_ in dirty:
            owed = self._owed.get(id_)
            yield f"o:{id_}", None if owed is None else msgspec.json.encode(owed)

    def load(self, records: Mapping[str, bytes], now: int) -> None:
        """Take over what `changed` gave, before anything else is asked; all of it may go out."""
        for owed in sorted((_owed.decode(raw) for raw in records.values()), key=lambda one: one.seq):
            self._owed[owed.change.id] = owed
            self._seq = owed.seq
            for name in owed.left:
                self._held[name] = self._held.get(name, 0) + 1
                self._enqueue(name, owed)

    def _enqueue(self, target: str, owed: PendingDelivery) -> None:
        queue = self._queues.setdefault((target, owed.change.incident.id), deque())
        queue.append(owed.change.id)
        if len(queue) == 1:
            self._push_head(target, owed)

    def _push_head(self, target: str, owed: PendingDelivery) -> None:
        heapq.heappush(self._heads.setdefault(target, []), (owed.left[target].next_at, owed.seq, owed.change.id))

    def _is_head(self, target: str, seq: int, id_: str) -> bool:
        owed = self._owed.get(id_)
        return owed is not None and owed.seq == seq and target in owed.left and (target, id_) not in self._flying

    def _back(self, delivery: Delivery, at: int) -> None:
        id_ = delivery.change.id
        self._flying.discard((delivery.target, id_))
        delivery.progress.next_at = at
        self._dirty[id_] = None
        self._push_head(delivery.target, self._owed[id_])

    def _replace_held(self, target: str, incident: str, now: int) -> None:
        queue = self._queues.get((target, incident))
        while queue:
            owed = self._owed[queue[-1]]
            progress = owed.left[target]
            if progress.next_at <= now or progress.attempts or (target, owed.change.id) in self._flying:
                return
            self._drop(target, queue.pop())
        self._queues.pop((target, incident), None)

    def _drop(self, target: str, id_: str) -> None:
        owed = self._owed[id_]
        del owed.left[target]
        self._held[target] -= 1
        if not owed.left:
            del self._owed[id_]
        self._dirty[id_] = None
