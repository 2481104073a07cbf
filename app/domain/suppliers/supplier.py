"""One supplier: its metrics, its profile, and the lines that it sends to its industry for ranking.

    quote, payment, profile ──▶ figures ──changed──▶ current line ────────▶ its industry now
    48 h after a month's end ──▶ figures as of that end ─▶ the month's line ▶ its industry as of that end
    standing (the assessed score, back from there) ──▶ carried in the current line, also into another industry

Now is the largest of the shard's clock and the supplier's own latest event. A month's line is sent again when something
arrives that happened before the month's end, as long as that month is the latest assessed: nothing is late.

Forgets: metrics.py says what of the events; a supplier without a living profile goes 400 days after the last that was
heard of it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct, structs

from vigil.app.domain.suppliers.calendar import name_of
from vigil.app.domain.suppliers.metrics import SupplierMetrics
from vigil.app.domain.suppliers.profiles import Profile, Profiles, ProfileVersion
from vigil.app.domain.suppliers.rules import DAY_MS, SupplierRules
from vigil.app.engine.subject import OutputCollector, StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import SupplierLine, SupplierStanding, SupplierTotals
from vigil.topics.suppliers import Payment, ProfileDeleted, Quote, SupplierProfile

SupplierEvent = Quote | Payment | SupplierProfile | ProfileDeleted | SupplierStanding

VERSION: Final = 1

AGAIN_MS: Final = 60_000
"""After a move to another industry the line is sent once more: the former one may have published an older score of the
supplier in the meantime, before it learned that it had left."""

SWEEP_MS: Final = 5 * DAY_MS
"""How often entries are looked through for old ones: it frees memory, and changes no figure."""


class _Main(Struct, array_like=True):
    """The main part of a supplier's stored state."""

    version: int = VERSION
    watermark: int = MIN_TIME
    """How far the shard's clock had come."""
    swept: int = MIN_TIME
    """The clock when what is not remembered any more was deleted last."""
    now: int = MIN_TIME
    heard_at: int = MIN_TIME
    """The largest time of anything heard of the supplier."""
    first_at: int = MAX_TIME
    """The smallest time of an event."""
    active: bool = False
    """It had a quote or a payment."""
    held: list[ProfileVersion] = []
    closings: dict[int, str] = {}
    """Figures by month, in words: sums may be larger than what msgpack stores."""
    told: SupplierLine | None = None
    """The current line as sent last."""
    month_told: SupplierLine | None = None
    """The month's line as sent last."""
    standing: SupplierStanding | None = None
    again_at: int = MAX_TIME
    """When the current line is to be sent again after a move."""


_MAIN: Final = msgspec.msgpack.Decoder(_Main)
_encode: Final = msgspec.msgpack.Encoder().encode


class SupplierState:
    """All that is remembered of one supplier."""

    def __init__(self, supplier_id: str, rules: SupplierRules, parts: StateChunks) -> None:
        self._supplier_id = supplier_id
        self._rules = rules
        self._main = main = _MAIN.decode(parts[b""]) if parts else _Main()
        if main.version != VERSION:
            raise ValueError(f"the state of supplier {supplier_id!r} has the unknown version {main.version}")
        self._profiles = Profiles(main.held)
        self._metrics: SupplierMetrics | None = None
        self._changed = False
        self._assess_at = MAX_TIME
        self._assessed = 0
        self._assessed_end = MAX_TIME
        self._month_changed = True
        """Something may have changed in the line of the latest assessed month."""
        if parts:
            self._begin(parts)

    def _begin(self, parts: StateChunks) -> SupplierMetrics:
        """Go on from the stored state, or begin at the clock and time of the first event."""
        main, rules = self._main, self._rules
        self._assess()
        closings = {month: [int(figure) for figure in words.split()] for month, words in main.closings.items()}
        metrics = self._metrics = SupplierMetrics(rules, main.now, parts, closings, self._assessed - 1)
        return metrics

    def _assess(self) -> None:
        """Which month is the latest that is to be assessed, and when the next one is."""
        rules = self._rules
        self._assessed = rules.last_assessed(self._main.watermark)
        self._assessed_end = rules.calendar.end(self._assessed)
        self._assess_at = rules.assessed_at(self._assessed + 1)
        self._month_changed = True

    # ---- events -----------------------------------------------------------------------------------------------

    def is_duplicate(self, event: SupplierEvent) -> bool:
        """Is it a duplicate?"""
        if self._metrics is None or not isinstance(event, Quote | Payment):
            return False
        return self._metrics.is_duplicate(event, self._main.watermark)

    def apply(self, event: SupplierEvent, watermark: int, collector: OutputCollector) -> None:
        """Take one event in; a known quote's or payment's must not come."""
        passed = watermark - 1  # what lies below the clock has passed
        if isinstance(event, SupplierStanding):
            self._take(event, collector)
            return
        main, at = self._main, event.at
        if isinstance(event, Quote | Payment):
            memory = self._rules.quote_memory if isinstance(event, Quote) else self._rules.payment_memory
            if at <= passed - memory:
                collector.count("too_old")
                return
        metrics = self._advance(max(at, passed), passed)
        self._changed = True
        if at <= self._assessed_end:
            self._month_changed = True
        if at > main.heard_at:
            main.heard_at = at
        if isinstance(event, ProfileDeleted):
            self._profiles.add(event)
            self._move(collector)
            return
        if at < main.first_at:
            main.first_at = at
        if isinstance(event, Quote):
            main.active = True
            metrics.quote(event)
            if event.kind in ("pinned", "rejected"):
                id_ = f"{event.supplier_id}:{event.quote_id}:{event.kind}"
                collector.emit("quote-by-rfq", event.rfq_id, id_, at, event)
        elif isinstance(event, Payment):
            main.active = True
            metrics.payment(event)
        else:
            self._profiles.add(event)
            self._move(collector)

    def _take(self, standing: SupplierStanding, collector: OutputCollector) -> None:
        """The assessed score came back from the industry; one that is outdated has no effect."""
        main, sent = self._main, self._main.month_told
        if sent is None:
            collector.count("stale_standings")
            return
        held = main.standing
        expected = standing.month == sent.month and standing.industry == sent.industry
        newer = standing.month != sent.month and (held is None or standing.month > held.month)
        if not (expected or newer):
            collector.count("stale_standings")
            return
        if standing != held:
            main.standing = standing
            self._changed = True
            self._tell(collector)

    # ---- time -------------------------------------------------------------------------------------------------

    def next_timer(self) -> int:
        if self._metrics is None:
            return MAX_TIME
        return min(self._metrics.edge(), self._assess_at, self._forget_at(), self._main.again_at)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        self._advance(at, at)
        self._tell_month(collector)
        if at >= self._forget_at():
            self._main.active = False
            self._profiles.held.clear()
            self._move(collector)
        if at >= self._main.again_at:
            self._main.again_at = MAX_TIME
            self._tell(collector, again=True)
        self._changed = True

    def on_end_of_input(self, watermark: int, collector: OutputCollector) -> None:
        """The input has ended at `clock`: send what the industry must know as of then."""
        if self._metrics is None:
            return
        self._advance(watermark, watermark)
        self._changed = True
        self._tell_month(collector)
        self._tell(collector)

    def _advance(self, now: int, watermark: int) -> SupplierMetrics:
        """Move now and the shard's clock on; what became due is done."""
        main = self._main
        if watermark > main.watermark:
            main.watermark = watermark
        if now > main.now:
            main.now = now
        metrics = self._metrics or self._begin({})
        if now > metrics.now:
            metrics.advance(now)
        if main.watermark >= self._assess_at:
            self._assess()
            metrics.keep_closings(self._assessed - 1)
            self._profiles.forget(self._assessed_end)
        if main.watermark - main.swept >= SWEEP_MS:
            main.swept = main.watermark
            metrics.sweep(main.watermark)
        return metrics

    def _forget_at(self) -> int:
        """When the supplier is forgotten, if nothing more is heard of it."""
        held = self._profiles.held
        if (held and held[-1].profile is not None) or self.expired():
            return MAX_TIME
        return self._main.heard_at + self._rules.forget_silent

    # ---- lines ------------------------------------------------------------------------------------------------

    def pending_outputs(self, watermark: int, final: bool) -> Iterable[Output]:
        """The current line, where it changed (`final`: in any case), and that of the month."""
        outputs = OutputCollector()
        self._tell_month(outputs, final)
        self._tell(outputs, final)
        return outputs.outputs

    def has_deferred_output(self) -> bool:
        return False

    def _has_line(self) -> bool:
        return self._main.active or self._profiles.living(self._main.now)

    def _tell(self, collector: OutputCollector, again: bool = False) -> None:
        """Send the current line where it says something new."""
        main = self._main
        if self._metrics is None or not self._has_line():
            return
        profile = self._profiles.at(main.now)
        line = self._line(profile, main.now, None, self._metrics.figures(), main.standing)
        if again or not _alike(line, main.told):
            main.told = line
            self._changed = True
            self._emit(collector, line)

    def _move(self, collector: OutputCollector) -> None:
        """Leave the industries that lines of the supplier stand in, where they are not its own any more."""
        main, told, month_told = self._main, self._main.told, self._main.month_told
        if told is not None:
            industry = self._profiles.at(main.now).industry if self._has_line() else None
            if industry != told.industry:
                main.told = None
                main.again_at = MAX_TIME if industry is None else main.now + AGAIN_MS
                self._emit(
                    collector, structs.replace(told, at=main.now, figures=None, standing=None, moved_to=industry)
                )
        if month_told is not None:
            then = self._profiles.at(month_told.at).industry
            if then != month_told.industry:
                main.month_told = None
                self._emit(collector, structs.replace(month_told, figures=None, moved_to=then))

    def _tell_month(self, collector: OutputCollector, again: bool = False) -> None:
        """Send the line of the latest month that is due where it says something new."""
        main, end = self._main, self._assessed_end
        if not (self._month_changed or again) or self._metrics is None or not self._has_line():
            return
        self._month_changed = False
        if main.first_at > end:
            return
        figures = self._metrics.figures_of(self._assessed)
        line = self._line(self._profiles.at(end), end, name_of(self._assessed), figures, None)
        if again or line != main.month_told:
            main.month_told = line
            self._changed = True
            self._emit(collector, line)

    def _line(
        self, profile: Profile, at: int, month: str | None, figures: SupplierTotals, standing: SupplierStanding | None
    ) -> SupplierLine:
        return SupplierLine(
            supplier_id=self._supplier_id,
            industry=profile.industry,
            membership=profile.membership,
            stars=profile.stars,
            at=at,
            month=month,
            figures=figures,
            moved_to=None,
            standing=standing,
        )

    def _emit(self, collector: OutputCollector, line: SupplierLine) -> None:
        id_ = f"{line.supplier_id}/{line.industry}/{line.month or ''}/{line.at}"
        collector.emit("supplier-metrics", line.industry, id_, line.at, line)

    # ---- what is stored ---------------------------------------------------------------------------------------

    def expired(self) -> bool:
        return not self._main.active and not self._profiles.held

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        if not self._changed:
            return {}
        self._changed = False
        main = self._main
        parts: dict[bytes, bytes | None] = {}
        if self._metrics is not None:
            self._metrics.dump(parts)
            closings = self._metrics.closings
            main.closings = {month: " ".join(map(str, figures)) for month, figures in closings.items()}
        parts[b""] = _encode(main)
        return parts


def _alike(line: SupplierLine, told: SupplierLine | None) -> bool:
    """Do two lines say the same, be it at different times?"""
    return told is not None and (
        line.figures == told.figures
        and line.industry == told.industry
        and line.membership == told.membership
        and line.stars == told.stars
        and line.standing == told.standing
    )
