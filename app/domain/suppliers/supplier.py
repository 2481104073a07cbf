"""One supplier: its events and its time, what is stored, and the parts that follow from them.

    quote, payment ──▶ metrics.py: entries, totals ──┐
    profile ─────────▶ profiles.py ──────────────────┼──▶ ranking_part.py: entries of rankings ──▶ its industry
    assessed score, back from there ─────────────────┘
    product, order, certificate, … ──▶ lines_part.py: ledger ──▶ lines

Now is the larger of the shard's watermark and the supplier's own latest event. No event is late: what happened before a
month's end counts in it while the month is the latest assessed one.

Expiry: metrics.py says when events expire. A supplier without an active profile expires 400 days after its last event.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from vigil.app.domain.ledger.memory import RETENTION
from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry
from vigil.app.domain.suppliers.events import COUNTED, LINE_EVENTS_WITH_ID, OF_LINES, PIN_KINDS, SupplierEvent
from vigil.app.domain.suppliers.lines_part import LinesPart
from vigil.app.domain.suppliers.metrics import SupplierMetrics
from vigil.app.domain.suppliers.profiles import Profiles
from vigil.app.domain.suppliers.ranking_part import RankingPart
from vigil.app.domain.suppliers.rules import DAY_MS
from vigil.app.domain.suppliers.state_rules import StateRules
from vigil.app.domain.suppliers.stored import encode, load_main_chunk, load_month_ends, store_month_ends
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import AssessedScore, ProgrammePlace
from vigil.topics.suppliers import Payment, ProfileDeleted, Quote, SupplierProfile
from vigil.topics.verdicts import Verdict

EXPIRE_EVERY_MS: Final = 5 * DAY_MS
"""How often entries are looked through for old ones. It frees memory and changes no total: less often would hold more
entries, more often would cost a pass over all of them."""


class SupplierState(KeyStateDefaults[SupplierEvent]):
    """All that is remembered of one supplier."""

    __slots__ = (
        "_changed",
        "_lines",
        "_main",
        "_metrics",
        "_profiles",
        "_ranking",
        "_rules",
        "earliest_timer",
    )
    earliest_timer: int

    def __init__(self, supplier_id: str, rules: StateRules, chunks: StateChunks) -> None:
        self._rules = rules.counting
        self._main = load_main_chunk(supplier_id, chunks)
        self._profiles = Profiles(self._main.profiles)
        self._lines = LinesPart(supplier_id, rules.lines, self._profiles, rules.at_the_end)
        self._ranking = RankingPart(supplier_id, rules, self._main, self._profiles, self._lines)
        self._metrics: SupplierMetrics | None = None
        self._changed = False
        self.earliest_timer = MAX_TIME

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load what is stored, some of it in each step; call it once, with what the constructor was given."""
        if chunks:
            yield from self._lines.load(chunks)
            self._begin(chunks)
            self.next_timer()

    def _begin(self, chunks: StateChunks) -> SupplierMetrics:
        """Continue from the stored state, or begin at the watermark and time of the first event."""
        main, ranking = self._main, self._ranking
        ranking.set_assessed_month()
        kept_from = ranking.assessed_month - 1
        metrics = self._metrics = SupplierMetrics(self._rules, main.now, chunks, load_month_ends(main), kept_from)
        ranking.use(metrics.totals)
        return metrics

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: SupplierEvent) -> bool:
        """True if an event of the same kind and id is remembered."""
        metrics = self._metrics
        if not isinstance(event, COUNTED):
            return isinstance(event, LINE_EVENTS_WITH_ID) and self._lines.is_duplicate(event)
        if metrics is None:
            return False
        entry: QuoteEntry | PaymentEntry | None
        if isinstance(event, Quote):
            entry, memory = metrics.quotes.get(event.quote_id), self._rules.quote_memory
        else:
            entry, memory = metrics.payments.get(event.payment_id), self._rules.payment_memory
        if entry is None:
            return False
        at: int | None = getattr(entry, event.kind)
        return at is not None and at > max(self._main.watermark, event.at) - memory

    def apply(self, event: SupplierEvent, watermark: int, collector: OutputCollector) -> None:
        """Apply one event; a quote or payment must not be a duplicate."""
        passed = watermark - 1  # times below the watermark have passed
        if not isinstance(event, COUNTED):
            self._apply_other(event, passed, collector)
            return
        memory = self._rules.quote_memory if isinstance(event, Quote) else self._rules.payment_memory
        if event.at <= passed - memory:
            collector.count("too_old")
            return
        main, metrics = self._main, self._advance_to_event(event.at, passed)
        if event.at < main.first_at:
            main.first_at = event.at
        if not main.active:
            main.active = True
            self.next_timer()
        if isinstance(event, Payment):
            metrics.payment(event)
        else:
            metrics.quote(event)
            if event.rfq_grade == "gold":
                self._lines.gold_quote(event)
            if event.kind in PIN_KINDS:
                id_ = f"{event.supplier_id}:{event.quote_id}:{event.kind}"
                collector.emit("quote-by-rfq", event.rfq_id, id_, event.at, event)
        changes_at = metrics.totals.rolling.changes_at
        if changes_at < self.earliest_timer:
            self.earliest_timer = changes_at

    def _apply_other(self, event: SupplierEvent, passed: int, collector: OutputCollector) -> None:
        """Apply what is neither a quote nor a payment."""
        if isinstance(event, AssessedScore):
            if self._ranking.take_assessed(event, collector):
                self._lines.profile_changed()  # its quota is another
                self._changed = True
        elif isinstance(event, ProgrammePlace):
            self._lines.place(event)
            self._changed = True
        elif isinstance(event, Verdict):
            self._advance(passed, passed)
            self._lines.referred(event)
            self._changed = True
            self.next_timer()
        elif isinstance(event, OF_LINES):
            self._lines.check_bounds(event)
            self._advance_to_event(event.at, passed)
            self._lines.apply(event, self._main.now, collector)
            self.next_timer()
        elif isinstance(event, SupplierProfile | ProfileDeleted):
            self._apply_profile(event, passed, collector)

    def _apply_profile(self, event: SupplierProfile | ProfileDeleted, passed: int, collector: OutputCollector) -> None:
        self._advance_to_event(event.at, passed)
        if isinstance(event, SupplierProfile):
            self._main.first_at = min(self._main.first_at, event.at)
        self._profiles.add(event)
        self._lines.profile_changed()
        self._ranking.leave_former_industries(collector)
        self.next_timer()

    def _advance_to_event(self, at: int, passed: int) -> SupplierMetrics:
        """Advance to an event of the time `at`, and note it."""
        main = self._main
        metrics = self._advance(at if at > passed else passed, passed)
        self._changed = True
        if at <= self._ranking.assessed_end:
            self._ranking.month_changed = True
        if at > main.latest_at:
            main.latest_at = at
        return metrics

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        """See KeyState; sets `earliest_timer` to it."""
        metrics, main = self._metrics, self._main
        if metrics is not None:
            self.earliest_timer = min(
                metrics.totals.next_change(main.now),
                self._ranking.assess_at,
                self._expires_at(),
                main.resend_at,
                self._lines.next_timer(),
            )
        return self.earliest_timer

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        ranking = self._ranking
        self._advance(at, at)
        self._lines.on_timer(at, collector)
        if ranking.month_changed:
            ranking.publish_month(collector)
        if at >= self._main.latest_at + self._rules.expire_silent and at >= self._expires_at():
            self._main.active = False
            self._profiles.versions.clear()
            self._lines.profile_changed()
            ranking.leave_former_industries(collector)
        if at >= self._main.resend_at:
            ranking.resend(collector)
        self._changed = True

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Publish what the industry must know as of the end."""
        if self._metrics is None:
            return
        self._advance(until, until)
        self._changed = True
        self._ranking.publish_month(collector)
        self._ranking.publish_current(collector)
        self._lines.end_of_input(self._main.now, collector)

    def _advance(self, now: int, watermark: int) -> SupplierMetrics:
        """Advance now and the watermark, and do what became due."""
        main = self._main
        if watermark > main.watermark:
            main.watermark = watermark
        if now > main.now:
            main.now = now
        metrics = self._metrics or self._begin({})
        if main.now >= metrics.totals.edge:
            metrics.pass_edges(main.now)
        if main.watermark >= self._ranking.assess_at:
            ranking = self._ranking
            ranking.set_assessed_month()
            metrics.totals.month_ends.drop_before(ranking.assessed_month - 1)
            self._profiles.expire(min(ranking.assessed_end, main.now - RETENTION))
        if main.watermark - main.expired_until >= EXPIRE_EVERY_MS:
            main.expired_until = main.watermark
            metrics.expire_entries(main.watermark)
            self._lines.forget(main.now)
        return metrics

    def _expires_at(self) -> int:
        """When the supplier expires if it has no further event."""
        versions = self._profiles.versions
        stays = versions[-1].profile is not None if versions else not self._main.active
        return MAX_TIME if stays else self._main.latest_at + self._rules.expire_silent

    # ---- what is published ------------------------------------------------------------------------------------

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """The entry of the latest month and the current one, where they changed; if `final`, in any case."""
        now, passed = self._now_and_passed(watermark if final else watermark - 1)
        lines = self._lines.pending_outputs(now, passed, self._ranking.quota(), final=final)
        return [*self._ranking.pending_outputs(always=final), *lines]

    def unconfirmed_outputs(self, watermark: int) -> Sequence[Output]:
        """Both entries, and the lines that went out with the last checkpoint."""
        lines = self._lines.unconfirmed_outputs(*self._now_and_passed(watermark), self._ranking.quota())
        return [*self._ranking.pending_outputs(always=True), *lines]

    @property
    def output_work(self) -> int:  # type: ignore[override]
        return self._lines.output_work

    def _now_and_passed(self, passed: int) -> tuple[int, int]:
        """Now, and the time that has passed for lines. They show the shard's clock: where it jumps, as after a pause,
        one checkpoint catches up with all that it passed."""
        passed = max(self._main.watermark, passed)
        return max(self._main.now, passed), passed

    def has_deferred_output(self) -> bool:
        return self._lines.has_more_outputs()

    def has_more_outputs(self) -> bool:
        return self._lines.has_more_outputs()

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        self._ranking.mark_published(outputs)
        self._lines.mark_published()
        # What is not stale any more is stored, also where no line differs.
        self._changed = self._changed or bool(outputs) or self._lines.output_work > 0

    # ---- what is stored ---------------------------------------------------------------------------------------

    def expired(self) -> bool:
        return not self._ranking.remembers() and not self._lines

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        """The chunks that changed: `q…` quotes, `r…` RFQs and `p…` payments, some of them each, and the main chunk."""
        if not self._changed:
            return {}
        self._changed = False
        main = self._main
        chunks: dict[bytes, bytes | None] = {}
        if self._metrics is not None:
            self._metrics.dump(chunks)
            store_month_ends(main, self._metrics.totals.month_ends.totals)
        self._lines.dump(chunks)
        chunks[b""] = encode(main)
        return chunks
