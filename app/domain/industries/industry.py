"""One industry: the ranking entries of its suppliers, ranked at intervals, and what `supplier-score` says of each.

    current entry ────▶ kept ──at most every 2 s──▶ all ranked ──entry, rank or rules changed──▶ supplier-score
    entry of a month ─▶ assessments.py ──▶ assessed score back to the supplier, which carries it in its current entry

A supplier's points depend on its rank, so one entry can change the scores of all other suppliers. Two bounds follow.
Ranking sorts the whole industry, some hundredths of a second for ten thousand suppliers, so it is done at most every
`rerank_every_s`. The scores that a ranking changed are published in parts, because the outputs of one checkpoint are
sent before anything else that the worker publishes.

Expiry: a supplier when its entry says that it left; an industry when no supplier and no month is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.domain.industries.assessments import Assessments
from vigil.app.domain.industries.score import IndustryRanks, ScoreRules, rank_suppliers, total_score
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.calendar import month_from_name
from vigil.app.domain.suppliers.metric_table import published_counts, published_metrics
from vigil.app.domain.suppliers.rules import SECOND_MS, SupplierRules
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import (
    Arrival,
    KeyStateDefaults,
    Order,
    OriginOf,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.decoder import decode_own
from vigil.topics.envelope import Output
from vigil.topics.fields import check_key
from vigil.topics.internal import RankingEntry, SupplierTotals
from vigil.topics.labels import OnIgnored
from vigil.topics.scores import Assessed, Rank, Ranks, SupplierScore
from vigil.topics.verdicts import identity

VERSION: Final = 1
"""Of the stored state. New fields go to the end, with a default; any other change is a new version."""

ENTRY_CHUNK: Final = b"s"
"""The first letter of the chunk keys of current entries; the supplier's id follows."""

SCORES_PER_CHECKPOINT: Final = 4000
"""Scores that one checkpoint publishes: work for 0.2 s. With more, other outputs would wait for longer."""


class IndustryMainChunk(Struct, array_like=True):
    """The main chunk of an industry's stored state. Stored by position: add fields at the end, with a default."""

    version: int = VERSION
    now: int = MIN_TIME
    """The largest watermark and timer seen: changes of the rules up to it are in the scores."""
    ranked_at: int = MIN_TIME
    """The watermark when the suppliers were ranked last."""
    has_changes: bool = False
    """True if something changed that is not published yet."""
    due: dict[str, int] = {}
    """When the months that changed are to be assessed."""


_MAIN: Final = msgspec.msgpack.Decoder(IndustryMainChunk)
_ENTRY: Final = msgspec.msgpack.Decoder(RankingEntry)
_MESSAGE: Final = msgspec.json.Decoder(RankingEntry)
_encode: Final = msgspec.msgpack.Encoder().encode


class _Publication(NamedTuple):
    """The outputs of one checkpoint, from `pending_outputs` to `mark_published`."""

    ranked_at: int | None
    """The watermark at which the suppliers were ranked for it; None: they were not."""
    ranks: dict[str, IndustryRanks]
    unpublished: dict[str, None]
    """Suppliers whose score has changed and was not published, in this order."""
    now: tuple[str, ...]
    """Those of them whose score this checkpoint publishes."""


class IndustryState(KeyStateDefaults[RankingEntry]):
    """All that is remembered of one industry."""

    def __init__(self, rules: SupplierRules, scores: ScoreRules, chunks: StateChunks) -> None:
        self._rules = rules
        self._scores = scores
        self._main = main = _MAIN.decode(chunks[b""]) if chunks else IndustryMainChunk()
        if main.version != VERSION:
            raise ValueError(f"the state of an industry has the unknown version {main.version}")
        self._entries: dict[str, RankingEntry] = {}
        for chunk_key, chunk in chunks.items():
            if chunk_key[:1] == ENTRY_CHUNK:
                entry = _ENTRY.decode(chunk)
                self._entries[entry.supplier_id] = entry
        self._assessments = Assessments(rules, scores, chunks, main.due)
        self._changed: set[str] = set(self._entries) if main.has_changes else set()
        """Suppliers whose entry changed since all were ranked."""
        self._ranks: dict[str, IndustryRanks] = {} if main.has_changes else rank_suppliers(self._totals())
        """The ranks by which the published scores go."""
        self._unpublished: dict[str, None] = {}
        """Suppliers whose score the last ranking changed, and is not published yet; a dict keeps their order."""
        self._publication: _Publication | None = None
        self._unsaved: set[str] = set()
        self._dirty = False

    def _totals(self) -> Iterator[tuple[str, SupplierTotals]]:
        for supplier_id, entry in self._entries.items():
            if entry.totals is not None:
                yield supplier_id, entry.totals

    # ---- events -----------------------------------------------------------------------------------------------

    def apply(self, event: RankingEntry, watermark: int, collector: OutputCollector) -> None:
        """Apply a supplier's entry, its current one or that of a month."""
        main = self._main
        # Not the entry's own time, which is ahead of the watermark: a change of the rules between them is yet to come.
        main.now = max(main.now, watermark - 1)
        self._dirty = True
        if event.month is not None:
            self._assessments.add(event, event.month, watermark)
            return
        supplier_id = event.supplier_id
        known = self._entries.get(supplier_id)
        if known is not None and event.at < known.at:
            collector.count("stale_lines")
            return
        if event.totals is not None:
            self._entries[supplier_id] = event
        elif known is None:
            return
        else:
            del self._entries[supplier_id]
            if event.moved_to is None:
                id_ = identity("gone", supplier_id, event.at)
                collector.emit("supplier-score", supplier_id, id_, event.at, None)
        self._changed.add(supplier_id)
        self._unsaved.add(supplier_id)
        main.has_changes = True

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        rules_change = self._scores.next_change(self._main.now) if self._entries else MAX_TIME
        return min(rules_change, self._assessments.next_timer())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        main = self._main
        if self._scores.next_change(main.now) <= at:
            self._changed.update(self._entries)
            main.has_changes = True
        main.now = max(main.now, at)
        self._assessments.on_timer(at, collector)
        self._dirty = True

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Assess what came."""
        self._assessments.on_end_of_input(collector)
        self._dirty = True

    # ---- what is published ------------------------------------------------------------------------------------

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """Scores that changed since they were published last, some at a time; if `final`, all scores."""
        self._publication = publication = self._prepare(watermark, final)
        return [
            self._score(entry, max(watermark, entry.at), publication.ranks.get(supplier_id))
            for supplier_id in publication.now
            if (entry := self._entries.get(supplier_id)) is not None  # else it left
        ]

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        main, publication = self._main, self._publication
        if publication is None:
            raise RuntimeError("an industry's outputs were marked as published before they were asked for")
        self._publication = None
        if publication.ranked_at is not None:
            self._ranks, self._unpublished = publication.ranks, publication.unpublished
            self._changed.clear()
            main.ranked_at = publication.ranked_at
        for supplier_id in publication.now:
            del self._unpublished[supplier_id]
        if publication.ranked_at is not None or publication.now:
            main.has_changes = self.has_deferred_output()
            self._dirty = True

    def _prepare(self, watermark: int, final: bool) -> _Publication:
        """Rank the suppliers again if that is due, and choose the scores of the next checkpoint."""
        if final or self._ranking_is_due(watermark):
            ranked_at, ranks = watermark, rank_suppliers(self._totals())
            changed = (supplier_id for supplier_id in self._entries if final or self._has_changed(supplier_id, ranks))
            unpublished = self._unpublished | dict.fromkeys(changed)
        else:
            ranked_at, ranks, unpublished = None, self._ranks, self._unpublished
        now = tuple(islice(unpublished, len(unpublished) if final else SCORES_PER_CHECKPOINT))
        return _Publication(ranked_at, ranks, unpublished, now)

    def _ranking_is_due(self, watermark: int) -> bool:
        if not self._changed:
            return False
        main = self._main
        wait = self._rules.limits(max(watermark, main.now)).rerank_every_s * SECOND_MS
        return not main.ranked_at <= watermark < main.ranked_at + wait

    def _has_changed(self, supplier_id: str, ranks: dict[str, IndustryRanks]) -> bool:
        return supplier_id in self._changed or ranks.get(supplier_id) != self._ranks.get(supplier_id)

    def has_more_outputs(self) -> bool:
        return bool(self._unpublished)

    def has_deferred_output(self) -> bool:
        return bool(self._changed or self._unpublished)

    def _score(self, entry: RankingEntry, at: int, ranks: IndustryRanks | None) -> Output:
        """The supplier's score by the rules that are effective at `at`."""
        totals = entry.totals
        if totals is None:
            raise ValueError(f"the entry of {entry.supplier_id!r}, which left, must not be kept")
        points = self._scores.points(at, totals, entry.membership, ranks)
        assessed, entitlements = entry.assessed, None
        if assessed is not None:
            end = self._rules.calendar.end(month_from_name(assessed.month))
            entitlements = self._scores.entitlements(end, assessed)
        score = SupplierScore(
            supplier_id=entry.supplier_id,
            at=at,
            industry=entry.industry,
            membership=entry.membership,
            stars=entry.stars,
            metrics=published_metrics(totals),
            points=points,
            ranks=Ranks(
                quotes=None if ranks is None else Rank(rank=ranks.quotes, of=ranks.of),
                response=None if ranks is None else Rank(rank=ranks.response, of=ranks.of),
            ),
            predicted=total_score(points),
            assessed=None if assessed is None else Assessed(month=assessed.month, score=assessed.score),
            entitlements=entitlements,
            gmv_challenge_rights=self._scores.challenge_rights(at, totals.gmv_month),
            counts=published_counts(totals),
            rulebook=self._scores.effective_date(at),
        )
        # The content is part of the identity: two different scores of one instant must not share it.
        id_ = identity("score", entry.supplier_id, at, _encode(score).hex())
        return Output("supplier-score", entry.supplier_id.encode(), id_, at, score)

    # ---- what is stored ---------------------------------------------------------------------------------------

    def expired(self) -> bool:
        return not self._entries and not self._assessments

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The chunks that changed: `s…` current entries, `m…` entries of months, each by itself, and the main chunk."""
        if not self._dirty:
            return {}
        self._dirty = False
        chunks: dict[bytes, bytes | None] = {b"": _encode(self._main)}
        for supplier_id in self._unsaved:
            entry = self._entries.get(supplier_id)
            chunks[ENTRY_CHUNK + supplier_id.encode()] = None if entry is None else _encode(entry)
        self._unsaved.clear()
        self._assessments.dump(chunks)
        return chunks


class IndustryMachine(StateMachineDefaults[RankingEntry]):
    """Industries by name. Entries are applied on arrival: those of one supplier arrive in the order of their times."""

    topics: tuple[str, ...] = ("supplier-metrics",)
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules = SupplierRules(rulebook)
        self._scores = ScoreRules(rulebook)

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> RankingEntry:
        """The entry of a message; raise InvalidEvent."""
        entry = decode_own(_MESSAGE, record.value)
        check_key(record.key, "industry", entry.industry)
        return entry

    def key_of(self, event: RankingEntry) -> str:
        return event.industry

    def rules_change_after(self, at: int) -> int:
        return self._scores.next_change(at)

    def load(self, key: str, chunks: StateChunks) -> IndustryState:
        return IndustryState(self._rules, self._scores, chunks)
