"""The rule about receptions: buyer after buyer enters, and the host says nothing.

    entry ──reception in time──▶ received: the count of misses starts at 0 again
      ├─────its time is up─────▶ missed: `entry-missed`; one more; at `in_a_row` it is a violation
      └─────not live any more──▶ cancelled: neither; the count starts at 0 again

Events with `at` ≤ t come before the timer of time t: a reception at the last millisecond is in time. State: an entry
until it is decided and counted, and a miss until the count starts at 0 again.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from vigil.app.domain.rooms.emitter import EvidenceItem, MissedEntry, RuleVersion, VerdictEmitter
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rooms.stats import RoomStats
from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Message
from vigil.topics.fields import HIGH_QUALITY, Tier
from vigil.topics.rooms import BuyerEntry
from vigil.topics.verdicts import WaitingEntry


class GreetingRule(Struct, frozen=True):
    """The rule with the limits of one time."""

    version: RuleVersion
    in_force: bool
    within_ms: int
    in_a_row: int
    at_risk_misses: int


RuleAt = Callable[[int], GreetingRule]
"""The rule with the limits of an event time."""

QueuedEntry = tuple[int, str, Tier | None]
"""An entry's `at`, buyer and tier (a list after a restart)."""


class GreetingSnapshot(Struct, array_like=True):
    """The rule's part of the room's main record."""

    waiting: QueueSnapshot = field(default_factory=QueueSnapshot)
    early: list[int] = []
    """Positions in the queue of entries that are missed already but stand behind an undecided one. That takes a
    `within_s` which became shorter at a midnight between the two."""
    missed: list[Any] = []
    """The consecutive misses so far, fewer than make a violation."""
    at_risk: int | None = None
    """`since` of the standing at-risk notice."""
    warned: tuple[int, int] | None = None
    """`since` and `at` of the last at-risk notice: one identity is published once."""
    violated: tuple[int, int] | None = None
    """`since` and `at` of the last violation: violations of one identity are one."""


class Greeting:
    """The entries of one room that are undecided or missed."""

    __slots__ = ("_buyers", "_emitter", "_queue", "_rule_at", "_snapshot", "_stats", "due")

    def __init__(
        self,
        emitter: VerdictEmitter,
        stats: RoomStats,
        snapshot: GreetingSnapshot,
        chunks: StateChunks,
        rule_at: RuleAt,
    ) -> None:
        self._emitter = emitter
        self._stats = stats
        self._snapshot = snapshot
        self._rule_at = rule_at
        self._queue: ChunkedQueue[QueuedEntry] = ChunkedQueue(b"w", 64, snapshot.waiting, chunks)
        self._buyers = {entry[1] for entry in self._undecided()}
        self.due = MAX_TIME
        """When the next entry is missed."""
        self._reschedule()

    def entered(self, entry: BuyerEntry, rule: GreetingRule) -> None:
        """A buyer entered while the room is live; `rule` has the limits of that time."""
        if not rule.in_force or entry.buyer_id in self._buyers:
            return
        self._buyers.add(entry.buyer_id)
        self._queue.append((entry.at, entry.buyer_id, entry.buyer_tier))
        self._stats.entered()
        self.due = min(self.due, entry.at + rule.within_ms)

    def reception(self, at: int) -> None:
        """The host showed reception: every undecided entry is received."""
        if not self._buyers:
            return
        early = frozenset(self._snapshot.early)
        for position, entry in enumerate(self._clear()):
            if position in early:
                self._count(entry)
            else:
                self._stats.received(at - entry[0])
                self._emitter.count_reception(at - entry[0])
                self._start_again(at)

    def cancel(self, at: int) -> None:
        """The room is not live any more: undecided entries are not judged, and the count starts at 0 again."""
        early = frozenset(self._snapshot.early)
        for position, entry in enumerate(self._clear()):
            if position in early:
                self._count(entry)
        self._start_again(at)

    def on_timer(self, at: int) -> None:
        """Entries that are due by `at` are missed. They are counted once all entries before them are decided."""
        items = self._queue.items
        early = set(self._snapshot.early)
        crossing = self._crossing()
        for position, entry in enumerate(items):
            due = entry[0] + self._rule_at(entry[0]).within_ms
            if due <= at and position not in early:
                self._missed(entry, due)
                early.add(position)
            elif due > at and not crossing:
                break
        decided = 0
        while decided in early:
            decided += 1
        counted = items[:decided]
        self._queue.drop(decided)
        self._snapshot.early = sorted(position - decided for position in early if position >= decided)
        for entry in counted:
            self._count(entry)
        self._reschedule()

    def waiting(self, most: int) -> tuple[WaitingEntry, ...]:
        """The undecided entries in the order of entry, at most so many."""
        return tuple(
            WaitingEntry(buyer_id=buyer, buyer_tier=tier, since=at, due=at + self._rule_at(at).within_ms)
            for at, buyer, tier in self._undecided()[:most]
        )

    def dump(self, into: ChangedChunks) -> None:
        """Put the records that changed since the last call into `into`."""
        self._queue.dump(into)

    def chunk_names(self) -> list[bytes]:
        """The names of all records that are stored or about to be."""
        return self._queue.chunk_names()

    def _missed(self, entry: QueuedEntry, due: int) -> None:
        at, buyer_id, tier = entry
        self._buyers.discard(buyer_id)
        self._stats.missed()
        self._emitter.entry_missed(
            GREETING, at, due, MissedEntry(buyer_id, "high" if tier in HIGH_QUALITY else "normal")
        )

    def _count(self, entry: QueuedEntry) -> None:
        """One more miss, in the order of entry."""
        snapshot = self._snapshot
        snapshot.missed.append(entry)
        rule = self._rule_at(entry[0])
        due = entry[0] + rule.within_ms
        if len(snapshot.missed) >= rule.in_a_row:
            missed = snapshot.missed[-rule.in_a_row :]
            snapshot.missed.clear()
            snapshot.at_risk = None
            if snapshot.violated != (missed[0][0], due):
                snapshot.violated = (missed[0][0], due)
                self._emitter.verdict(rule.version, None, missed[0][0], due, [self._evidence(one) for one in missed])
        elif len(snapshot.missed) >= rule.at_risk_misses and snapshot.at_risk is None:
            snapshot.at_risk = snapshot.missed[0][0]
            if snapshot.warned != (snapshot.at_risk, due):
                snapshot.warned = (snapshot.at_risk, due)
                self._emitter.at_risk(GREETING, snapshot.at_risk, due)

    def _start_again(self, at: int) -> None:
        """The count of consecutive misses is 0 again."""
        snapshot = self._snapshot
        snapshot.missed.clear()
        if snapshot.at_risk is not None:
            self._emitter.risk_cleared(GREETING, snapshot.at_risk, at)
            snapshot.at_risk = None

    def _clear(self) -> list[Any]:
        """Empty the queue and return what was in it: all of it is decided."""
        items = self._queue.items[:]
        self._queue.drop(len(items))
        self._snapshot.early = []
        self._buyers.clear()
        self.due = MAX_TIME
        return items

    def _undecided(self) -> list[Any]:
        early = frozenset(self._snapshot.early)
        return [entry for position, entry in enumerate(self._queue.items) if position not in early]

    def _crossing(self) -> bool:
        """True if an entry may be due before one that came earlier."""
        items = self._queue.items
        return bool(items) and self._rule_at(items[-1][0]).within_ms < self._rule_at(items[0][0]).within_ms

    def _reschedule(self) -> None:
        """Set `due`."""
        if not self._crossing():
            # The front is undecided: entries at the front that are decided have been counted and dropped.
            items = self._queue.items
            self.due = items[0][0] + self._rule_at(items[0][0]).within_ms if items else MAX_TIME
            return
        self.due = min((entry[0] + self._rule_at(entry[0]).within_ms for entry in self._undecided()), default=MAX_TIME)

    def _evidence(self, entry: QueuedEntry) -> EvidenceItem:
        at, buyer_id, tier = entry
        within_s = self._rule_at(at).within_ms // 1000
        params = {"buyer_id": buyer_id, "tier": tier or "none", "within_s": within_s}
        return EvidenceItem("buyer-entry", at, Message("evidence.entry-missed", params))
