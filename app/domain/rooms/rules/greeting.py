"""The rule about receptions: buyer after buyer enters, and the host receives none of them.

    entry ──reception in time──▶ received: the count of misses starts at 0 again
      ├─────its time is up─────▶ missed: `entry-missed`; one more; at `in_a_row` it is a violation
      │       └─ a host's comment of its span lies in another partition ──▶ voided: neither; the count starts at 0 again
      └─────not live any more──▶ cancelled: neither; the count starts at 0 again

An entry's span is from `early_s` before it to `within_s` after it: the services that stamp entries and comments have
clocks of their own. It is received by one comment that introduces, answers, or is not classified, or by a greeting and
a question, in either order. The spans of all undecided entries include now: the latest comment of each kind decides.

Events with `at` ≤ t come before the timer of time t: a reception at the last millisecond is in time. State: an entry
until it is decided and counted, a miss until the count starts at 0 again, and the latest comment of each kind.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from vigil.app.domain.rooms.contestable import Span
from vigil.app.domain.rooms.emitter import EventTimes, EvidenceItem, NoticeSubject, RuleVersion, VerdictEmitter
from vigil.app.domain.rooms.rules.table import GREETING
from vigil.app.domain.rooms.stats import RoomStats
from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.app.messages import Message
from vigil.topics.fields import HIGH_QUALITY, Tier
from vigil.topics.rooms import BuyerEntry, Intent
from vigil.topics.verdicts import WaitingEntry


class GreetingRule(Struct, frozen=True):
    """The rule with the limits of one time."""

    version: RuleVersion
    in_force: bool
    within_ms: int
    in_a_row: int
    at_risk_misses: int
    early_ms: int
    greeting_alone_counts: bool


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
    received: list[int] = []
    """Positions in the queue of entries that are received or voided already but stand behind an undecided one. That
    takes other limits from a midnight between the two."""
    greeted_at: int = MIN_TIME
    """The latest greeting without a question; MIN_TIME: none."""
    asked_at: int = MIN_TIME
    """The latest question without a greeting."""
    hosted_at: int = MIN_TIME
    """The latest comment that receives by itself."""
    unobserved_until: int = 0
    """Up to here a reception may not have been observed: an entry whose span begins by then is not missed."""
    uncounted_until: int = 0
    """Up to here an entry may not have been observed: which misses are consecutive is known from then on."""


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
        at, snapshot = entry.at, self._snapshot
        queued: QueuedEntry = (at, entry.buyer_id, entry.buyer_tier)
        self._stats.entered()
        since = at - rule.early_ms
        if (snapshot.hosted_at >= since or snapshot.greeted_at >= since) and self._receives(at, rule):
            self._received(queued, at)
            snapshot.received.append(len(self._queue.items))
            self._queue.append(queued)
            self._settle(at)
            return
        self._buyers.add(entry.buyer_id)
        self._queue.append(queued)
        self.due = min(self.due, at + rule.within_ms)

    def reception(self, at: int, intent: Intent | None) -> None:
        """The host showed reception, by a comment of this kind."""
        snapshot = self._snapshot
        if intent == "greet":
            snapshot.greeted_at = at
        elif intent == "ask":
            snapshot.asked_at = at
        else:
            snapshot.hosted_at = at
        if not self._buyers:
            return
        if snapshot.hosted_at == at and not snapshot.early and not snapshot.received:
            for entry in self._clear():  # the common case: it receives everybody who waits
                self._received(entry, at)
            self._start_again(at)
            return
        decided = self._decided()
        mixed = self._mixed()
        for position, entry in enumerate(self._queue.items):
            if position in decided:
                continue
            if self._receives(entry[0], self._rule_at(entry[0])):
                self._received(entry, at)
                snapshot.received.append(position)
            elif not mixed:
                break  # nor any that came later
        self._settle(at)

    def cancel(self, at: int) -> None:
        """The room is not live any more: undecided entries are not judged, and the count starts at 0 again."""
        missed = frozenset(self._snapshot.early)
        received = frozenset(self._snapshot.received)
        for position, entry in enumerate(self._clear()):
            if position in missed:
                self._count(entry)
            elif position in received:
                self._start_again(at)
        self._start_again(at)

    def unobserved_reception(self, last: int) -> None:
        """The host may have shown reception up to `last`: no entry with such a time in its span is missed."""
        snapshot = self._snapshot
        snapshot.unobserved_until = max(snapshot.unobserved_until, last)

    def unobserved_entry(self, last: int, at: int) -> None:
        """Buyers may have entered up to `last`: what was missed before does not count with what is missed after it."""
        snapshot = self._snapshot
        snapshot.uncounted_until = max(snapshot.uncounted_until, last)
        if snapshot.missed and snapshot.missed[0][0] <= last:  # it may be known late: all may have entered after it
            self._start_again(at)

    def on_timer(self, at: int) -> None:
        """Entries that are due by `at` are missed."""
        snapshot, items = self._snapshot, self._queue.items
        if not items or snapshot.early or snapshot.received or self._mixed():
            self._decide_due(at)
            return
        rule = self._rule_at(items[0][0])
        if items[0][0] - rule.early_ms <= snapshot.unobserved_until:
            self._decide_due(at)
            return
        # The common case: one rule judges all that wait, so they are decided and counted in the order of entry.
        missed = [entry for entry in items if entry[0] + rule.within_ms <= at]
        for entry in missed:
            self._missed(entry, entry[0] + rule.within_ms)
        self._queue.drop(len(missed))
        for entry in missed:
            self._count(entry)
        self.due = items[0][0] + rule.within_ms if items else MAX_TIME

    def _decide_due(self, at: int) -> None:
        """Decide the entries that are due by `at`, whatever rules they are judged by."""
        decided = self._decided()
        mixed = self._mixed()
        for position, entry in enumerate(self._queue.items):
            if position in decided:
                continue
            rule = self._rule_at(entry[0])
            due = entry[0] + rule.within_ms
            if due <= at and entry[0] - rule.early_ms <= self._snapshot.unobserved_until:
                self._buyers.discard(entry[1])
                self._emitter.count_voided()
                self._snapshot.received.append(position)
            elif due <= at:
                self._missed(entry, due)
                self._snapshot.early.append(position)
            elif not mixed:
                break
        self._settle(at)

    def open_from(self) -> int:
        """The first time at which a reception would have prevented a violation that may still come; MAX_TIME: none."""
        entries = [*self._snapshot.missed[:1], *self._queue.items]
        return min((self._span(entry[0])[0] for entry in entries), default=MAX_TIME)

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

    def _receives(self, at: int, rule: GreetingRule) -> bool:
        """True if what the host has said so far receives an entry of the time `at`, whose span has not ended."""
        snapshot = self._snapshot
        since = at - rule.early_ms
        if snapshot.hosted_at >= since:
            return True
        return snapshot.greeted_at >= since and (rule.greeting_alone_counts or snapshot.asked_at >= since)

    def _received(self, entry: QueuedEntry, at: int) -> None:
        self._buyers.discard(entry[1])
        self._stats.received(at - entry[0])
        self._emitter.count_reception(at - entry[0])

    def _missed(self, entry: QueuedEntry, due: int) -> None:
        at, buyer_id, tier = entry
        self._buyers.discard(buyer_id)
        self._stats.missed()
        self._emitter.entry_missed(
            GREETING, at, due, NoticeSubject(buyer_id, "high" if tier in HIGH_QUALITY else "normal")
        )

    def _count(self, entry: QueuedEntry) -> None:
        """One more miss, in the order of entry."""
        snapshot = self._snapshot
        if entry[0] <= snapshot.uncounted_until:
            return
        snapshot.missed.append(entry)
        rule = self._rule_at(entry[0])
        due = entry[0] + rule.within_ms
        if len(snapshot.missed) >= rule.in_a_row:
            missed = snapshot.missed[-rule.in_a_row :]
            snapshot.missed.clear()
            snapshot.at_risk = None
            if snapshot.violated != (missed[0][0], due):
                snapshot.violated = (missed[0][0], due)
                self._publish(rule.version, missed, due)
        elif len(snapshot.missed) >= rule.at_risk_misses and snapshot.at_risk is None:
            snapshot.at_risk = snapshot.missed[0][0]
            if snapshot.warned != (snapshot.at_risk, due):
                snapshot.warned = (snapshot.at_risk, due)
                self._emitter.at_risk(GREETING, snapshot.at_risk, due)

    def _publish(self, version: RuleVersion, missed: list[Any], due: int) -> None:
        times = EventTimes(missed[0][0], due)
        spans = [self._span(entry[0]) for entry in missed]
        self._emitter.verdict(version, None, times, [self._evidence(entry) for entry in missed], spans)

    def _span(self, at: int) -> Span:
        """The first and the last time of a comment that may receive an entry of the time `at`."""
        rule = self._rule_at(at)
        return at - rule.early_ms, at + rule.within_ms

    def _start_again(self, at: int) -> None:
        """The count of consecutive misses is 0 again."""
        snapshot = self._snapshot
        snapshot.missed.clear()
        if snapshot.at_risk is not None:
            self._emitter.risk_cleared(GREETING, snapshot.at_risk, at)
            snapshot.at_risk = None

    def _settle(self, at: int) -> None:
        """Count the decided entries before which all are decided, in the order of entry."""
        snapshot = self._snapshot
        missed, received = frozenset(snapshot.early), frozenset(snapshot.received)
        done = 0
        while done in missed or done in received:
            done += 1
        counted = self._queue.items[:done]
        self._queue.drop(done)
        snapshot.early = sorted(position - done for position in missed if position >= done)
        snapshot.received = sorted(position - done for position in received if position >= done)
        for position, entry in enumerate(counted):
            if position in received:
                self._start_again(at)
            else:
                self._count(entry)
        self._reschedule()

    def _clear(self) -> list[Any]:
        """Empty the queue and return what was in it: all of it is decided."""
        items = self._queue.items[:]
        self._queue.drop(len(items))
        self._snapshot.early = []
        self._snapshot.received = []
        self._buyers.clear()
        self.due = MAX_TIME
        return items

    def _decided(self) -> frozenset[int]:
        """Positions in the queue of entries that are decided but not counted yet."""
        return frozenset((*self._snapshot.early, *self._snapshot.received))

    def _undecided(self) -> list[Any]:
        decided = self._decided()
        return [entry for position, entry in enumerate(self._queue.items) if position not in decided]

    def _mixed(self) -> bool:
        """True if entries are judged by different limits: then one may be decided before one that came earlier."""
        items = self._queue.items
        return len(items) > 1 and self._rule_at(items[-1][0]) != self._rule_at(items[0][0])

    def _reschedule(self) -> None:
        """Set `due`."""
        if not self._mixed():
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
