"""One industry: its suppliers' current lines, ranked now and then, and what `supplier-score` says of each.

    line of a supplier ──▶ kept ──at most every 2 s──▶ all ranked ──line, rank or rules changed──▶ supplier-score
    line of a month ─────▶ assessed.py ──▶ standing back to the supplier, that carries it in its current line

Ranking sorts the whole industry: ten thousand suppliers take some hundredths of a second, which is why it waits. One
new supplier may change the ranks of all others: their scores are told some at a time, since nothing else that the
worker has to say goes out before what it says at a time.

Forgets: a supplier when its line says that it left; an industry when nobody is left.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.industries.assessments import Assessments
from vigil.app.domain.industries.score import CENTS, ScoreRules, Standings, ranked, total
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.calendar import month_named
from vigil.app.domain.suppliers.rules import SECOND_MS, SupplierRules
from vigil.app.engine.subject import Arrival, Order, OutputCollector, StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.envelope import Output
from vigil.topics.fields import check_key, decode_json
from vigil.topics.internal import SupplierLine, SupplierTotals
from vigil.topics.scores import Assessed, Counts, Metrics, Rank, Ranks, SupplierScore
from vigil.topics.verdicts import identity

VERSION: Final = 1
LETTER: Final = b"s"

TOLD_AT_ONCE: Final = 4000
"""Scores that one checkpoint sends: two tenths of a second's work."""


class _Main(Struct, array_like=True):
    """The main part of an industry's stored state."""

    version: int = VERSION
    now: int = MIN_TIME
    """The largest of the clocks seen, and of the deadlines: a change of the rules up to it was shown."""
    shown_at: int = MIN_TIME
    """The clock when the suppliers were ranked last."""
    owed: bool = False
    """Something changed since."""
    due: dict[str, int] = {}
    """When the months that changed are to be assessed."""


_MAIN: Final = msgspec.msgpack.Decoder(_Main)
_LINE: Final = msgspec.msgpack.Decoder(SupplierLine)
_MESSAGE: Final = msgspec.json.Decoder(SupplierLine)
_encode: Final = msgspec.msgpack.Encoder().encode


class IndustryState:
    """All that is remembered of one industry."""

    def __init__(self, rules: SupplierRules, scores: ScoreRules, parts: StateChunks) -> None:
        self._rules = rules
        self._scores = scores
        self._main = main = _MAIN.decode(parts[b""]) if parts else _Main()
        if main.version != VERSION:
            raise ValueError(f"the state of an industry has the unknown version {main.version}")
        self._lines: dict[str, SupplierLine] = {}
        for name, part in parts.items():
            if name[:1] == LETTER:
                line = _LINE.decode(part)
                self._lines[line.supplier_id] = line
        self._assessments = Assessments(rules, scores, parts, main.due)
        self._changed: set[str] = set(self._lines) if main.owed else set()
        """Suppliers whose line changed since they were ranked."""
        self._shown: dict[str, Standings] = {} if main.owed else ranked(self._figures())
        self._untold: dict[str, None] = {}
        """Suppliers whose score changed when they were ranked last, and that were not told since."""
        self._unsaved: set[str] = set()
        self._dirty = False

    def _figures(self) -> Iterator[tuple[str, SupplierTotals]]:
        for supplier_id, line in self._lines.items():
            if line.figures is not None:
                yield supplier_id, line.figures

    # ---- events -----------------------------------------------------------------------------------------------

    def apply(self, event: SupplierLine, watermark: int, collector: OutputCollector) -> None:
        """Take a supplier's line in, its current one or one of a month."""
        main = self._main
        # Not the line's own time, which runs ahead of the clock: a change of the rules between the two is yet to come.
        main.now = max(main.now, watermark - 1)
        self._dirty = True
        if event.month is not None:
            self._assessments.add(event, event.month, watermark)
            return
        supplier_id = event.supplier_id
        known = self._lines.get(supplier_id)
        if known is not None and event.at < known.at:
            collector.count("stale_lines")
            return
        if event.figures is not None:
            self._lines[supplier_id] = event
        elif known is None:
            return
        else:
            del self._lines[supplier_id]
            if event.moved_to is None:
                id_ = identity("gone", supplier_id, event.at)
                collector.emit("supplier-score", supplier_id, id_, event.at, None)
        self._changed.add(supplier_id)
        self._unsaved.add(supplier_id)
        main.owed = True

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        rules_change = self._scores.next_change(self._main.now) if self._lines else MAX_TIME
        return min(rules_change, self._assessments.next_timer())

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        main = self._main
        if self._scores.next_change(main.now) <= at:
            self._changed.update(self._lines)
            main.owed = True
        main.now = max(main.now, at)
        self._assessments.on_timer(at, collector)
        self._dirty = True

    def on_end_of_input(self, watermark: int, collector: OutputCollector) -> None:
        """The input has ended at `clock`: assess what came."""
        self._assessments.on_end_of_input(collector)
        self._dirty = True

    # ---- what is shown ----------------------------------------------------------------------------------------

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        """Scores that changed since they were shown last, or held back for a moment; `final`: all of them."""
        main = self._main
        if final:
            self._rank(watermark, all_of_them=True)
            return self._tell(watermark, len(self._untold))
        if self._changed:
            wait = self._rules.limits(max(watermark, main.now)).rerank_every_s * SECOND_MS
            if not main.shown_at <= watermark < main.shown_at + wait:
                self._rank(watermark)
        return self._tell(watermark, TOLD_AT_ONCE)

    def _rank(self, watermark: int, all_of_them: bool = False) -> None:
        standings = ranked(self._figures())
        shown, changed = self._shown, self._changed
        for supplier_id in self._lines:
            if all_of_them or supplier_id in changed or standings.get(supplier_id) != shown.get(supplier_id):
                self._untold[supplier_id] = None
        self._shown = standings
        changed.clear()
        self._main.shown_at = watermark
        self._main.owed = bool(self._untold)
        self._dirty = True

    def _tell(self, watermark: int, most: int) -> list[Output]:
        told = list(islice(self._untold, most))
        if not told:
            return []
        for supplier_id in told:
            del self._untold[supplier_id]
        self._main.owed = bool(self._untold or self._changed)
        self._dirty = True
        lines = (self._lines.get(supplier_id) for supplier_id in told)
        return [
            self._score(line, max(watermark, line.at), self._shown.get(line.supplier_id))
            for line in lines
            if line is not None  # it left
        ]

    def has_more(self) -> bool:
        """Is there more to tell at once?"""
        return bool(self._untold)

    def has_deferred_output(self) -> bool:
        return bool(self._changed or self._untold)

    def _score(self, line: SupplierLine, at: int, standings: Standings | None) -> Output:
        figures = line.figures
        if figures is None:
            raise ValueError(f"the line of {line.supplier_id!r} that left is not kept")
        points = self._scores.points(at, figures, line.membership, standings)
        standing, entitlements = line.standing, None
        if standing is not None:
            end = self._rules.calendar.end(month_named(standing.month))
            entitlements = self._scores.entitlements(end, standing.score, standing.membership, standing.stars)
        score = SupplierScore(
            supplier_id=line.supplier_id,
            at=at,
            industry=line.industry,
            membership=line.membership,
            stars=line.stars,
            metrics=Metrics(
                quotes_month=figures.quotes_month,
                response_rate=_rate(figures.rfqs_in_time, figures.rfqs_quoted),
                reply_rate=_rate(figures.quotes_replied, figures.quotes),
                gmv_90d=_amount(figures.gmv_90d),
                gmv_month=_amount(figures.gmv_month),
            ),
            points=points,
            ranks=Ranks(
                quotes=None if standings is None else Rank(rank=standings.quotes, of=standings.of),
                response=None if standings is None else Rank(rank=standings.response, of=standings.of),
            ),
            predicted=total(points),
            assessed=None if standing is None else Assessed(month=standing.month, score=standing.score),
            entitlements=entitlements,
            gmv_challenge_rights=self._scores.challenge_rights(at, figures.gmv_month),
            counts=Counts(
                rfqs_quoted=figures.rfqs_quoted,
                rfqs_in_time=figures.rfqs_in_time,
                quotes=figures.quotes,
                quotes_replied=figures.quotes_replied,
            ),
            rulebook=self._scores.effective(at),
        )
        # Two different scores of one instant must not share an identity.
        id_ = identity("score", line.supplier_id, at, _encode(score).hex())
        return Output("supplier-score", line.supplier_id.encode(), id_, at, score)

    # ---- what is stored ---------------------------------------------------------------------------------------

    def expired(self) -> bool:
        return not self._lines and not self._assessments

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        if not self._dirty:
            return {}
        self._dirty = False
        parts: dict[bytes, bytes | None] = {b"": _encode(self._main)}
        for supplier_id in self._unsaved:
            line = self._lines.get(supplier_id)
            parts[LETTER + supplier_id.encode()] = None if line is None else _encode(line)
        self._unsaved.clear()
        self._assessments.dump(parts)
        return parts


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _amount(cents: int) -> str:
    return f"{cents // CENTS}.{cents % CENTS:02}"


class IndustryMachine:
    """Shards of industries. Lines are taken on arrival: of one supplier they come in order."""

    topics: tuple[str, ...] = ("supplier-metrics",)
    order: Order = Arrival()

    def __init__(self, rulebook: Rulebook) -> None:
        self._rules = SupplierRules(rulebook)
        self._scores = ScoreRules(rulebook)

    def decode(self, source_index: int, key: bytes | None, value: bytes | None, watermark: int) -> SupplierLine:
        """The line of a message; raise Refused."""
        line = decode_json(_MESSAGE, value)
        check_key(key, "industry", line.industry)
        return line

    def key_of(self, event: SupplierLine) -> str:
        return event.industry

    def dedup_key(self, event: SupplierLine) -> str | None:
        """A line that comes twice says the same twice."""
        return None

    def load(self, key: str, parts: StateChunks) -> IndustryState:
        return IndustryState(self._rules, self._scores, parts)

    def is_duplicate(self, state: IndustryState, event: SupplierLine) -> bool:
        return False

    def has_more(self, state: IndustryState) -> bool:
        """Is there more to tell than one checkpoint takes?"""
        return state.has_more()
