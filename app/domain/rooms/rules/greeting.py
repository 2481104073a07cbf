"""greeting-miss: buyer after buyer came in and the host said nothing.

    entry ──reception in time──▶ received: the count of misses starts at 0 again
      ├─────deadline passes────▶ missed: `entry-missed`; one more; at `in_a_row` it is a violation
      └─────not live any more──▶ voided: neither; the count starts at 0 again

Events with `at` ≤ t come before the deadline of time t: a reception on the stroke is in time.
Forgets: an entry when it is decided and counted, a miss when the count starts at 0 again.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from vigil.app.domain.rooms.emitter import VerdictEmitter
from vigil.app.domain.rooms.limits import GREETING, GreetingRule
from vigil.app.domain.rooms.stats import RoomStats
from vigil.app.engine.storage.chunked import ChunkedQueue, QueueSnapshot, Records
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.fields import HIGH_QUALITY, Tier
from vigil.topics.rooms import BuyerEntry
from vigil.topics.verdicts import Evidence, Priority, WaitingEntry

RuleAt = Callable[[int], GreetingRule]
"""The rule as it stands at an event time."""

Entry = tuple[int, str, Tier | None]
"""Of an entry: `at`, buyer and tier (a list after a restart)."""


class GreetingSnapshot(Struct, array_like=True):
    """The rule's place in the room's main record."""

    waiting: QueueSnapshot = field(default_factory=QueueSnapshot)
    early: list[int] = []
    """Places in the queue of entries that are missed already but come after one that is undecided. That takes a
    `within_s` made shorter at a midnight between the two."""
    missed: list[Any] = []
    """The consecutive misses so far, fewer than make a violation."""
    at_risk: int | None = None
    """`since` of the warning that stands."""
    warned: tuple[int, int] | None = None
    """`since` and `at` of the last warning: one identity is told once."""
    violated: tuple[int, int] | None = None
    """`since` and `at` of the last violation: violations of one identity are one."""


class Greeting:
    """One room's entries that are undecided or missed."""

    __slots__ = ("_buyers", "_figures", "_kept", "_queue", "_rule_at", "_tell", "due")

    def __init__(
        self, tell: VerdictEmitter, figures: RoomStats, kept: GreetingSnapshot, parts: StateChunks, rule_at: RuleAt
    ) -> None:
        self._tell = tell
        self._figures = figures
        self._kept = kept
        self._rule_at = rule_at
        self._queue = ChunkedQueue(b"w", 64, kept.waiting, parts)
        self._buyers = {entry[1] for entry in self._undecided()}
        self.due = MAX_TIME
        """When the next entry is missed."""
        self._look_ahead()

    def entered(self, entry: BuyerEntry, rule: GreetingRule) -> None:
        """A buyer entered while the room is live; `rule` is that of the time."""
        if not rule.in_force or entry.buyer_id in self._buyers:
            return
        self._buyers.add(entry.buyer_id)
        self._queue.append((entry.at, entry.buyer_id, entry.buyer_tier))
        self._figures.entered()
        self.due = min(self.due, entry.at + rule.within_ms)

    def reception(self, at: int) -> None:
        """The host showed reception: every undecided entry is received."""
        if not self._buyers:
            return
        early = frozenset(self._kept.early)
        for place, entry in enumerate(self._clear()):
            if place in early:
                self._count(entry)
            else:
                self._figures.received(at - entry[0])
                self._tell.received(at - entry[0])
                self._start_again(at)

    def void(self, at: int) -> None:
        """The room is not live any more: undecided entries are not judged, and the count starts at 0 again."""
        early = frozenset(self._kept.early)
        for place, entry in enumerate(self._clear()):
            if place in early:
                self._count(entry)
        self._start_again(at)

    def on_timer(self, at: int) -> None:
        """The time `at` came: entries due by then are missed, and counted once all before them are decided."""
        items = self._queue.items
        early = set(self._kept.early)
        crossing = self._crossing()
        for place, entry in enumerate(items):
            due = entry[0] + self._rule_at(entry[0]).within_ms
            if due <= at and place not in early:
                self._missed(entry, due)
                early.add(place)
            elif due > at and not crossing:
                break
        decided = 0
        while decided in early:
            decided += 1
        counted = items[:decided]
        self._queue.drop(decided)
        self._kept.early = sorted(place - decided for place in early if place >= decided)
        for entry in counted:
            self._count(entry)
        self._look_ahead()

    def waiting(self, most: int) -> tuple[WaitingEntry, ...]:
        """The undecided entries in the order of entry, at most so many."""
        return tuple(
            WaitingEntry(buyer_id=buyer, buyer_tier=tier, since=at, due=at + self._rule_at(at).within_ms)
            for at, buyer, tier in self._undecided()[:most]
        )

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        self._queue.dump(into)

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return self._queue.names()

    def _missed(self, entry: Entry, due: int) -> None:
        at, buyer_id, tier = entry
        self._buyers.discard(buyer_id)
        self._figures.missed()
        priority: Priority = "high" if tier in HIGH_QUALITY else "normal"
        self._tell.notice("entry-missed", GREETING, at, due, buyer_id=buyer_id, priority=priority)

    def _count(self, entry: Entry) -> None:
        """One more miss, in the order of entry."""
        kept = self._kept
        kept.missed.append(entry)
        rule = self._rule_at(entry[0])
        due = entry[0] + rule.within_ms
        if len(kept.missed) >= rule.in_a_row:
            missed = kept.missed[-rule.in_a_row :]
            kept.missed.clear()
            kept.at_risk = None
            if kept.violated != (missed[0][0], due):
                kept.violated = (missed[0][0], due)
                self._tell.verdict(
                    GREETING, rule.family, None, rule.effective, missed[0][0], due, tuple(map(self._evidence, missed))
                )
        elif len(kept.missed) >= rule.at_risk_misses and kept.at_risk is None:
            kept.at_risk = kept.missed[0][0]
            if kept.warned != (kept.at_risk, due):
                kept.warned = (kept.at_risk, due)
                self._tell.notice("at-risk", GREETING, kept.at_risk, due)

    def _start_again(self, at: int) -> None:
        """The count of consecutive misses is 0 again."""
        kept = self._kept
        kept.missed.clear()
        if kept.at_risk is not None:
            self._tell.notice("risk-cleared", GREETING, kept.at_risk, at)
            kept.at_risk = None

    def _clear(self) -> list[Any]:
        """Empty the queue and return what was in it: all of it is decided."""
        items = self._queue.items[:]
        self._queue.drop(len(items))
        self._kept.early = []
        self._buyers.clear()
        self.due = MAX_TIME
        return items

    def _undecided(self) -> list[Any]:
        early = frozenset(self._kept.early)
        return [entry for place, entry in enumerate(self._queue.items) if place not in early]

    def _crossing(self) -> bool:
        """May an entry be due before one that came earlier?"""
        items = self._queue.items
        return bool(items) and self._rule_at(items[-1][0]).within_ms < self._rule_at(items[0][0]).within_ms

    def _look_ahead(self) -> None:
        if not self._crossing():
            # The front is undecided: what is decided and first was counted and dropped.
            items = self._queue.items
            self.due = items[0][0] + self._rule_at(items[0][0]).within_ms if items else MAX_TIME
            return
        self.due = min((entry[0] + self._rule_at(entry[0]).within_ms for entry in self._undecided()), default=MAX_TIME)

    def _evidence(self, entry: Entry) -> Evidence:
        at, buyer_id, tier = entry
        within = self._rule_at(at).within_ms // 1000
        who = f"buyer {buyer_id} ({tier or 'no tier'})"
        return Evidence(topic="buyer-entry", at=at, note=f"{who} entered and had no reception within {within} s")
