"""One supplier: its totals, its profile, and the ranking entries that it sends to its industry.

    quote, payment, profile ──▶ totals ──changed──▶ current entry ────────▶ its industry as of now
    48 h after a month's end ──▶ totals as of that end ─▶ the month's entry ▶ its industry as of that end
    assessed score, back from there ──▶ carried in the current entry, also into another industry

Ranks need all suppliers of an industry in one shard, so the entries are repartitioned by industry. The assessed score
comes back because the supplier may move: its next industry publishes the score that the former one assessed.

Now is the larger of the shard's watermark and the supplier's own latest event. As long as a month is the latest
assessed one, its entry is sent again when an event arrives that happened before the month's end: no event is late.

Expiry: metrics.py says when events expire. A supplier without an active profile expires 400 days after its last event.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from vigil.app.domain.buyers.rights import Quota
from vigil.app.domain.industries.score import ScoreRules
from vigil.app.domain.ledger.memory import RETENTION
from vigil.app.domain.ledger.rules import LineRules
from vigil.app.domain.suppliers.calendar import month_from_name, month_name
from vigil.app.domain.suppliers.entries import PaymentEntry, QuoteEntry
from vigil.app.domain.suppliers.lines_part import AtTheEnd, LineEvent, LinesPart
from vigil.app.domain.suppliers.metrics import SupplierMetrics
from vigil.app.domain.suppliers.profiles import Profile, Profiles
from vigil.app.domain.suppliers.rules import DAY_MS, SupplierRules
from vigil.app.domain.suppliers.stored import encode, load_main_chunk, load_month_ends, store_month_ends
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import KeyStateDefaults, StateChunks
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import AssessedScore, ProgrammePlace, RankingEntry, SupplierTotals
from vigil.topics.products import Certificate, Order, Product
from vigil.topics.services import Activity, ServiceRequest
from vigil.topics.suppliers import Payment, ProfileDeleted, Quote, SupplierProfile
from vigil.topics.verdicts import Verdict

SupplierEvent = (
    Quote | Payment | SupplierProfile | ProfileDeleted | AssessedScore | LineEvent | ProgrammePlace | Verdict
)

_COUNTED: Final = (Quote, Payment)
_OF_LINES: Final = (Product, Order, Certificate, ServiceRequest, Activity)

PIN_KINDS: Final = ("pinned", "rejected")
"""What of a quote decides about pins."""

RESEND_MS: Final = 60_000
"""How long after a move to another industry the current entry is sent again. Until it learned of the move, the former
industry may have published an older score of the supplier after the new one; the repetition makes the new one the last.
"""

EXPIRE_EVERY_MS: Final = 5 * DAY_MS
"""How often entries are looked through for old ones. It frees memory and changes no total: less often would hold more
entries, more often would cost a pass over all of them."""


class StateRules(NamedTuple):
    """What all suppliers of a worker share."""

    counting: SupplierRules
    lines: LineRules
    scores: ScoreRules
    at_the_end: AtTheEnd


class SupplierState(KeyStateDefaults[SupplierEvent]):
    """All that is remembered of one supplier."""

    __slots__ = (
        "_assess_at",
        "_assessed",
        "_assessed_end",
        "_changed",
        "_lines",
        "_main",
        "_metrics",
        "_month_changed",
        "_profiles",
        "_rules",
        "_state_rules",
        "_supplier_id",
        "earliest_timer",
    )
    earliest_timer: int

    def __init__(self, supplier_id: str, rules: StateRules, chunks: StateChunks) -> None:
        self._supplier_id = supplier_id
        self._state_rules = rules
        self._rules = rules.counting
        self._main = load_main_chunk(supplier_id, chunks)
        self._profiles = Profiles(self._main.profiles)
        self._lines = LinesPart(supplier_id, rules.lines, self._profiles, rules.at_the_end)
        self._metrics: SupplierMetrics | None = None
        self._changed = False
        self._assess_at = MAX_TIME
        """When the next month is assessed."""
        self._assessed = 0
        """The latest assessed month."""
        self._assessed_end = MAX_TIME
        self._month_changed = True
        """True if the entry of the latest assessed month may have changed."""
        self.earliest_timer = MAX_TIME

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load what is stored, some of it in each step; call it once, with what the constructor was given."""
        if chunks:
            yield from self._lines.load(chunks)
            self._begin(chunks)
            self.next_timer()

    def _begin(self, chunks: StateChunks) -> SupplierMetrics:
        """Continue from the stored state, or begin at the watermark and time of the first event."""
        main, rules = self._main, self._rules
        self._set_assessed_month()
        metrics = self._metrics = SupplierMetrics(rules, main.now, chunks, load_month_ends(main), self._assessed - 1)
        return metrics

    def _set_assessed_month(self) -> None:
        """Find the latest month whose assessment is due, and when the next one is."""
        rules = self._rules
        self._assessed = rules.last_assessed(self._main.watermark)
        self._assessed_end = rules.calendar.end(self._assessed)
        self._assess_at = rules.assessed_at(self._assessed + 1)
        self._month_changed = True

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: SupplierEvent) -> bool:
        """True if an event of the same kind and id is remembered."""
        metrics = self._metrics
        if not isinstance(event, _COUNTED):
            return isinstance(event, Order | ServiceRequest) and self._lines.is_duplicate(event)
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
        if not isinstance(event, _COUNTED):
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
            self._apply_assessed(event, collector)
        elif isinstance(event, ProgrammePlace):
            self._lines.place(event)
            self._changed = True
        elif isinstance(event, Verdict):
            self._advance(passed, passed)
            self._lines.referred(event)
            self._changed = True
            self.next_timer()
        elif isinstance(event, _OF_LINES):
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
        self._leave_former_industries(collector)
        self.next_timer()

    def _advance_to_event(self, at: int, passed: int) -> SupplierMetrics:
        """Advance to an event of the time `at`, and note it."""
        main = self._main
        metrics = self._advance(at if at > passed else passed, passed)
        self._changed = True
        if at <= self._assessed_end:
            self._month_changed = True
        if at > main.latest_at:
            main.latest_at = at
        return metrics

    def _apply_assessed(self, assessed: AssessedScore, collector: OutputCollector) -> None:
        """Take the assessed score from the industry; one that is out of date has no effect."""
        main, sent = self._main, self._main.month_entry
        if sent is None:
            collector.count("stale_standings")
            return
        known = main.assessed
        expected = assessed.month == sent.month and assessed.industry == sent.industry
        newer = assessed.month != sent.month and (known is None or assessed.month > known.month)
        if not (expected or newer):
            collector.count("stale_standings")
            return
        if assessed != known:
            main.assessed = assessed
            self._changed = True
            self._lines.profile_changed()
            self._publish_current(collector)

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        """See KeyState; sets `earliest_timer` to it."""
        metrics, main = self._metrics, self._main
        if metrics is not None:
            self.earliest_timer = min(
                metrics.totals.next_change(main.now),
                self._assess_at,
                self._expires_at(),
                main.resend_at,
                self._lines.next_timer(),
            )
        return self.earliest_timer

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        self._advance(at, at)
        self._lines.on_timer(at, collector)
        if self._month_changed:
            self._publish_month(collector)
        if at >= self._main.latest_at + self._rules.expire_silent and at >= self._expires_at():
            self._main.active = False
            self._profiles.versions.clear()
            self._lines.profile_changed()
            self._leave_former_industries(collector)
        if at >= self._main.resend_at:
            self._main.resend_at = MAX_TIME
            self._publish_current(collector, always=True)
        self._changed = True

    def on_end_of_input(self, until: int, collector: OutputCollector) -> None:
        """Publish what the industry must know as of the end."""
        if self._metrics is None:
            return
        self._advance(until, until)
        self._changed = True
        self._publish_month(collector)
        self._publish_current(collector)
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
        if main.watermark >= self._assess_at:
            self._set_assessed_month()
            metrics.totals.month_ends.drop_before(self._assessed - 1)
            self._profiles.expire(min(self._assessed_end, main.now - RETENTION))
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

    # ---- ranking entries --------------------------------------------------------------------------------------

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        """The entry of the latest month and the current one, where they changed; if `final`, in any case."""
        now, passed = self._now_and_passed(watermark if final else watermark - 1)
        lines = self._lines.pending_outputs(now, passed, self._quota(), final=final)
        return [*self._entry_outputs(always=final), *lines]

    def unconfirmed_outputs(self, watermark: int) -> Sequence[Output]:
        """Both entries, and the lines that went out with the last checkpoint."""
        lines = self._lines.unconfirmed_outputs(*self._now_and_passed(watermark), self._quota())
        return [*self._entry_outputs(always=True), *lines]

    @property
    def output_work(self) -> int:  # type: ignore[override]
        return self._lines.output_work

    def _entry_outputs(self, always: bool) -> list[Output]:
        entries = (self._changed_month_entry(always), self._changed_current_entry(always))
        return [
            Output("supplier-metrics", entry.industry.encode(), _identity(entry), entry.at, entry)
            for entry in entries
            if entry is not None
        ]

    def _now_and_passed(self, passed: int) -> tuple[int, int]:
        """Now, and the time that has passed for lines. They show the shard's clock: where it jumps, as after a pause,
        one checkpoint catches up with all that it passed."""
        passed = max(self._main.watermark, passed)
        return max(self._main.now, passed), passed

    def _quota(self) -> Quota | None:
        """The quota of gold RFQs that the assessed score gives."""
        assessed = self._main.assessed
        if assessed is None:
            return None
        end = self._rules.calendar.end(month_from_name(assessed.month))
        given = self._state_rules.scores.entitlements(end, assessed)
        return None if given is None else Quota(given.gold_rfqs)

    def has_deferred_output(self) -> bool:
        return self._lines.has_more_outputs()

    def has_more_outputs(self) -> bool:
        return self._lines.has_more_outputs()

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        self._note_month_compared()
        self._lines.mark_published()
        # What is not stale any more is stored, also where no line differs.
        self._changed = self._changed or bool(outputs) or self._lines.output_work > 0
        for output in outputs:
            if isinstance(output.body, RankingEntry):
                self._note_sent(output.body)

    def _is_ranked(self) -> bool:
        return self._main.active or self._profiles.is_active(self._main.now)

    def _changed_current_entry(self, always: bool) -> RankingEntry | None:
        """The current entry if its content changed, or `always`; None if there is none."""
        main = self._main
        if self._metrics is None or not self._is_ranked():
            return None
        profile = self._profiles.at(main.now)
        entry = self._entry(profile, main.now, None, self._metrics.totals.as_of(main.now), main.assessed)
        return entry if always or not _same_content(entry, main.current_entry) else None

    def _changed_month_entry(self, always: bool) -> RankingEntry | None:
        """The entry of the latest assessed month if it changed, or `always`; None if there is none."""
        main, end = self._main, self._assessed_end
        if not (self._month_changed or always) or self._metrics is None or not self._counts():
            return None
        if main.first_at > end:
            return None
        totals = self._metrics.totals.at_end_of(self._assessed)
        entry = self._entry(self._profiles.at(end), end, month_name(self._assessed), totals, None)
        return entry if always or entry != main.month_entry else None

    def _note_month_compared(self) -> None:
        """Note that the entry of the month was compared with the one that was sent: no need to until it may change."""
        if self._metrics is not None and self._counts():
            self._month_changed = False

    def _note_sent(self, entry: RankingEntry) -> None:
        if entry.month is None:
            self._main.current_entry = entry
        else:
            self._main.month_entry = entry
        self._changed = True

    def _publish_current(self, collector: OutputCollector, always: bool = False) -> None:
        """Send the current entry if its content changed, or `always`."""
        entry = self._changed_current_entry(always)
        if entry is not None:
            self._note_sent(entry)
            self._send(collector, entry)

    def _publish_month(self, collector: OutputCollector) -> None:
        """Send the entry of the latest assessed month if it changed."""
        entry = self._changed_month_entry(always=False)
        self._note_month_compared()
        if entry is not None:
            self._note_sent(entry)
            self._send(collector, entry)

    def _leave_former_industries(self, collector: OutputCollector) -> None:
        """Withdraw the entries that were sent to an industry to which the supplier does not belong any more."""
        main, current, of_month = self._main, self._main.current_entry, self._main.month_entry
        if current is not None:
            industry = self._profiles.at(main.now).industry if self._is_ranked() else None
            if industry != current.industry:
                main.current_entry = None
                main.resend_at = MAX_TIME if industry is None else main.now + RESEND_MS
                left = structs.replace(current, at=main.now, totals=None, assessed=None, moved_to=industry)
                self._send(collector, left)
        if of_month is not None:
            then = self._profiles.at(of_month.at).industry
            if then != of_month.industry:
                main.month_entry = None
                self._send(collector, structs.replace(of_month, totals=None, moved_to=then))

    def _entry(
        self, profile: Profile, at: int, month: str | None, totals: SupplierTotals, assessed: AssessedScore | None
    ) -> RankingEntry:
        days = self._lines.login_days(at)
        if days:
            totals = structs.replace(totals, login_days=days)
        return RankingEntry(
            supplier_id=self._supplier_id,
            industry=profile.industry,
            membership=profile.membership,
            stars=profile.stars,
            at=at,
            month=month,
            totals=totals,
            moved_to=None,
            assessed=assessed,
        )

    def _send(self, collector: OutputCollector, entry: RankingEntry) -> None:
        collector.emit("supplier-metrics", entry.industry, _identity(entry), entry.at, entry)

    # ---- what is stored ---------------------------------------------------------------------------------------

    def _counts(self) -> bool:
        """True while a quote, a payment or a profile is remembered."""
        return self._main.active or bool(self._profiles.versions)

    def expired(self) -> bool:
        return not self._counts() and not self._lines

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


def _identity(entry: RankingEntry) -> str:
    return f"{entry.supplier_id}/{entry.industry}/{entry.month or ''}/{entry.at}"


def _same_content(entry: RankingEntry, other: RankingEntry | None) -> bool:
    """True if two entries differ in nothing but their times."""
    return other is not None and (
        entry.totals == other.totals
        and entry.industry == other.industry
        and entry.membership == other.membership
        and entry.stars == other.stars
        and entry.assessed == other.assessed
    )
