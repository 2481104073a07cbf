"""The assessed months of an industry: ranks and points as of a month's end, and the scores sent back to the suppliers.

    entry of a month ──▶ kept ──after `rerank_every_s`──▶ all ranked ──score changed──▶ assessed score ▶ the supplier

The entries of a month arrive from many shards at about the same time, and some again when a late event changed them.
Ranking waits for them for a moment, and is repeated for those that come later: the scores depend on the set of entries
and not on their order. A score is sent only if it differs from the one sent before.

Expiry: a month when the second month after it is assessed.
"""

from heapq import heappop, heappush
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.industries.score import ScoreRules, rank_suppliers, total_score
from vigil.app.domain.suppliers.calendar import month_from_name
from vigil.app.domain.suppliers.rules import SECOND_MS, SupplierRules
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.timers import TimerHeap
from vigil.topics.internal import AssessedScore, RankingEntry

MONTH_CHUNK: Final = b"m"
"""The first letter of the chunk keys of entries of months; month, a slash and the supplier's id follow."""


class MonthEntry(Struct, array_like=True):
    """One supplier's entry of a month, and the score that was sent for it."""

    entry: RankingEntry
    sent: AssessedScore | None = None


_ENTRY: Final = msgspec.msgpack.Decoder(MonthEntry)
_encode: Final = msgspec.msgpack.Encoder().encode


class Assessments:
    """The months of one industry, by name."""

    def __init__(self, rules: SupplierRules, scores: ScoreRules, chunks: StateChunks, due: dict[str, int]) -> None:
        """`due`: when the months that changed are to be ranked. The caller stores it."""
        self.due = due
        self._rules = rules
        self._scores = scores
        self._months: dict[str, dict[str, MonthEntry]] = {}
        self._changed: set[tuple[str, str]] = set()
        self._expiry_times: dict[str, int] = {}
        for chunk_key, chunk in chunks.items():
            if chunk_key[:1] == MONTH_CHUNK:
                kept = _ENTRY.decode(chunk)
                self._months.setdefault(kept.entry.month or "", {})[kept.entry.supplier_id] = kept
        self._oldest: list[str] = sorted(self._months)
        """A heap of the months; their names sort by time."""
        self._timers = TimerHeap(due)
        """When each month that changed is to be ranked; keeps `due` up to date."""

    def __bool__(self) -> bool:
        return bool(self._months)

    def add(self, entry: RankingEntry, month: str, watermark: int) -> None:
        """Add a supplier's entry of a month, or remove it where the supplier belongs to another industry."""
        entries = self._months.get(month)
        if entries is None:
            entries = self._months[month] = {}
            heappush(self._oldest, month)
        kept = entries.get(entry.supplier_id)
        if entry.totals is None:
            if kept is None:
                return
            del entries[entry.supplier_id]
        elif kept is None:
            entries[entry.supplier_id] = MonthEntry(entry)
        elif kept.entry == entry:
            return
        else:
            kept.entry = entry
        self._changed.add((month, entry.supplier_id))
        if month not in self.due:
            now = max(watermark, entry.at)
            self._timers.schedule(month, now + self._rules.limits(now).rerank_every_s * SECOND_MS)

    def next_timer(self) -> int:
        """When to call `on_timer` next; MAX_TIME if never."""
        due = self._timers.next_time()
        return min(due, self._expires_at(self._oldest[0])) if self._oldest else due

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Rank the months that are due by `at`, and delete those that have expired."""
        while (timer := self._timers.pop_due(at + 1)) is not None:
            self._assess(timer[1], collector)
        while self._oldest and self._expires_at(self._oldest[0]) <= at:
            month = heappop(self._oldest)
            self._changed.update((month, supplier_id) for supplier_id in self._months.pop(month))
            self._timers.cancel(month)
            self._expiry_times.pop(month, None)

    def on_end_of_input(self, collector: OutputCollector) -> None:
        """Rank every month that changed."""
        for month in list(self.due):
            self._timers.cancel(month)
            self._assess(month, collector)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the state chunks that changed since the last call into `into`."""
        for month, supplier_id in self._changed:
            kept = self._months.get(month, {}).get(supplier_id)
            into[MONTH_CHUNK + f"{month}/{supplier_id}".encode()] = None if kept is None else _encode(kept)
        self._changed.clear()

    def _expires_at(self, month: str) -> int:
        at = self._expiry_times.get(month)
        if at is None:
            at = self._expiry_times[month] = self._rules.assessed_at(month_from_name(month) + 2)
        return at

    def _assess(self, month: str, collector: OutputCollector) -> None:
        """Rank a month and send the scores that changed."""
        entries = self._months.get(month, {})
        ranks = rank_suppliers(
            (supplier_id, kept.entry.totals) for supplier_id, kept in entries.items() if kept.entry.totals is not None
        )
        for supplier_id, kept in sorted(entries.items()):
            entry = kept.entry
            if entry.totals is None:
                continue
            points = self._scores.points(entry.at, entry.totals, entry.membership, ranks.get(supplier_id))
            assessed = AssessedScore(
                supplier_id=supplier_id,
                industry=entry.industry,
                month=month,
                score=total_score(points),
                membership=entry.membership,
                stars=entry.stars,
                at=entry.at,
                submitted=entry.totals.quotes_submitted_month,
            )
            if assessed != kept.sent:
                kept.sent = assessed
                self._changed.add((month, supplier_id))
                id_ = f"{supplier_id}/{entry.industry}/{month}/{assessed.score}/{assessed.submitted}"
                collector.emit("supplier-standing", supplier_id, id_, entry.at, assessed)
