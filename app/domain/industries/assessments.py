"""The assessed scores of an industry's months: ranks and points as of a month's end, sent back to each supplier.

    a supplier's line of the month ──▶ kept ──a moment later──▶ all ranked ──score changed──▶ standing ▶ the supplier

Lines of a month come from many shards at about the same time, and some again when something arrived late; ranking
waits a moment for them and is repeated for those that come later, so that the scores are those of the set of lines.

Forgets: a month when the second month after it is assessed.
"""

from heapq import heappop, heappush
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.industries.score import ScoreRules, ranked, total
from vigil.app.domain.suppliers.calendar import month_named
from vigil.app.domain.suppliers.rules import SECOND_MS, SupplierRules
from vigil.app.engine.subject import OutputCollector, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import SupplierLine, SupplierStanding

LETTER: Final = b"m"


class MonthEntry(Struct, array_like=True):
    """One supplier's line of a month, and the score sent for it."""

    line: SupplierLine
    sent: SupplierStanding | None = None


_ENTRY: Final = msgspec.msgpack.Decoder(MonthEntry)
_encode: Final = msgspec.msgpack.Encoder().encode


class Assessments:
    """The months of one industry."""

    def __init__(self, rules: SupplierRules, scores: ScoreRules, parts: StateChunks, due: dict[str, int]) -> None:
        """`due`: when the months that changed are to be ranked."""
        self.due = due
        self._rules = rules
        self._scores = scores
        self._months: dict[str, dict[str, MonthEntry]] = {}
        self._changed: set[tuple[str, str]] = set()
        self._forget_times: dict[str, int] = {}
        for name, part in parts.items():
            if name[:1] == LETTER:
                entry = _ENTRY.decode(part)
                self._months.setdefault(entry.line.month or "", {})[entry.line.supplier_id] = entry
        self._oldest: list[str] = sorted(self._months)
        """The months, the oldest first: a heap (they are named so that they sort)."""
        self._next: list[tuple[int, str]] = sorted((at, month) for month, at in due.items())
        """`due` as a heap; an entry that is not its month's any more is skipped."""

    def __bool__(self) -> bool:
        return bool(self._months)

    def add(self, line: SupplierLine, month: str, watermark: int) -> None:
        """Take a supplier's line of a month in, or that it is another industry's."""
        entries = self._months.get(month)
        if entries is None:
            entries = self._months[month] = {}
            heappush(self._oldest, month)
        entry = entries.get(line.supplier_id)
        if line.figures is None:
            if entry is None:
                return
            del entries[line.supplier_id]
        elif entry is None:
            entries[line.supplier_id] = MonthEntry(line)
        elif entry.line == line:
            return
        else:
            entry.line = line
        self._changed.add((month, line.supplier_id))
        if month not in self.due:
            now = max(watermark, line.at)
            self.due[month] = now + self._rules.limits(now).rerank_every_s * SECOND_MS
            heappush(self._next, (self.due[month], month))

    def next_timer(self) -> int:
        """When to call `on_timer` next."""
        following = self._next
        while following and self.due.get(following[0][1]) != following[0][0]:
            heappop(following)
        due = following[0][0] if following else MAX_TIME
        return min(due, self._forget_at(self._oldest[0])) if self._oldest else due

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        """Rank the months that are due by `at`, and forget those that nobody needs any more."""
        while self._next and self._next[0][0] <= at:
            when, month = heappop(self._next)
            if self.due.get(month) == when:
                self._assess(month, collector)
        while self._oldest and self._forget_at(self._oldest[0]) <= at:
            month = heappop(self._oldest)
            self._changed.update((month, supplier_id) for supplier_id in self._months.pop(month))
            self.due.pop(month, None)
            self._forget_times.pop(month, None)

    def on_end_of_input(self, collector: OutputCollector) -> None:
        """Rank every month that changed."""
        for month in list(self.due):
            self._assess(month, collector)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the records that changed into `into`."""
        for month, supplier_id in self._changed:
            entry = self._months.get(month, {}).get(supplier_id)
            into[LETTER + f"{month}/{supplier_id}".encode()] = None if entry is None else _encode(entry)
        self._changed.clear()

    def _forget_at(self, month: str) -> int:
        at = self._forget_times.get(month)
        if at is None:
            at = self._forget_times[month] = self._rules.assessed_at(month_named(month) + 2)
        return at

    def _assess(self, month: str, collector: OutputCollector) -> None:
        del self.due[month]
        entries = self._months.get(month, {})
        standings = ranked(
            (supplier_id, entry.line.figures)
            for supplier_id, entry in entries.items()
            if entry.line.figures is not None
        )
        for supplier_id, entry in sorted(entries.items()):
            line = entry.line
            if line.figures is None:
                continue
            points = self._scores.points(line.at, line.figures, line.membership, standings.get(supplier_id))
            standing = SupplierStanding(
                supplier_id=supplier_id,
                industry=line.industry,
                month=month,
                score=total(points),
                membership=line.membership,
                stars=line.stars,
                at=line.at,
            )
            if standing != entry.sent:
                entry.sent = standing
                self._changed.add((month, supplier_id))
                id_ = f"{supplier_id}/{line.industry}/{month}/{standing.score}"
                collector.emit("supplier-standing", supplier_id, id_, line.at, standing)
