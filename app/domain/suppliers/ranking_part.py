"""The part of a supplier's state that its ranking entries follow from: what is sent to its industry, and comes back.

    totals as of now, profile as of now ───────▶ current entry ───▶ its industry as of now
    totals and profile as of a month's end ────▶ month's entry ───▶ its industry as of that end
    assessed score, back from there ──▶ carried in the current entry, also into another industry

Ranks need all suppliers of an industry in one shard, so the entries are repartitioned by industry. The assessed score
comes back because the supplier may move: its next industry publishes the score that the former one assessed.

An entry is sent where it differs from the one that was sent last. The current one goes out with checkpoints and where
the assessed score changes; its time alone is no difference. A month is assessed some time after its end (48 h); as long
as it is the latest assessed one, its entry is sent again when an event changes it that happened before the month's end.

A profile says to which industry an entry belongs, and may say it late. An entry that was sent to another industry is
withdrawn: it is sent there once more, without totals, with the industry to which the supplier moved, or none if the
supplier expired.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from vigil.app.domain.buyers.rights import Quota
from vigil.app.domain.suppliers.calendar import month_from_name, month_name
from vigil.app.domain.suppliers.lines_part import LinesPart
from vigil.app.domain.suppliers.profiles import Profile, Profiles
from vigil.app.domain.suppliers.running_totals import RunningTotals
from vigil.app.domain.suppliers.state_rules import StateRules
from vigil.app.domain.suppliers.stored import SupplierMainChunk
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output
from vigil.topics.internal import AssessedScore, RankingEntry, SupplierTotals

ENTRY_TOPIC: Final = "supplier-metrics"

RESEND_MS: Final = 60_000
"""How long after a move to another industry the current entry is sent again. Until it learned of the move, the former
industry may have published an older score of the supplier after the new one; the repetition makes the new one the last.
"""


class RankingPart:
    """The ranking entries of one supplier."""

    __slots__ = (
        "_lines",
        "_main",
        "_profiles",
        "_rules",
        "_scores",
        "_supplier_id",
        "_totals",
        "assess_at",
        "assessed_end",
        "assessed_month",
        "month_changed",
    )

    def __init__(
        self, supplier_id: str, rules: StateRules, main: SupplierMainChunk, profiles: Profiles, lines: LinesPart
    ) -> None:
        """Of `main` it changes `current_entry`, `month_entry`, `assessed` and `resend_at`; it only reads the others."""
        self._supplier_id = supplier_id
        self._rules = rules.counting
        self._scores = rules.scores
        self._main = main
        self._profiles = profiles
        self._lines = lines
        self._totals: RunningTotals | None = None
        self.assess_at = MAX_TIME
        """When the next month is assessed."""
        self.assessed_month = 0
        """The latest assessed month."""
        self.assessed_end = MAX_TIME
        self.month_changed = True
        """True if the entry of the latest assessed month may have changed."""

    def use(self, totals: RunningTotals) -> None:
        """Take the totals, once there are any. Without them there are no entries."""
        self._totals = totals

    def set_assessed_month(self) -> None:
        """Find the latest month whose assessment is due, and when the next one is."""
        rules = self._rules
        self.assessed_month = rules.last_assessed(self._main.watermark)
        self.assessed_end = rules.calendar.end(self.assessed_month)
        self.assess_at = rules.assessed_at(self.assessed_month + 1)
        self.month_changed = True

    def remembers(self) -> bool:
        """True while a quote, a payment or a profile is remembered. Months are assessed only then."""
        return self._main.active or bool(self._profiles.versions)

    def quota(self) -> Quota | None:
        """The quota of gold RFQs that the assessed score gives."""
        assessed = self._main.assessed
        if assessed is None:
            return None
        end = self._rules.calendar.end(month_from_name(assessed.month))
        given = self._scores.entitlements(end, assessed)
        return None if given is None else Quota(given.gold_rfqs)

    # ---- with checkpoints -------------------------------------------------------------------------------------

    def pending_outputs(self, always: bool) -> list[Output]:
        """The entry of the latest month and the current one, where they changed, or `always`."""
        entries = (self._changed_month_entry(always), self._changed_current_entry(always))
        return [
            Output(ENTRY_TOPIC, entry.industry.encode(), _identity(entry), entry.at, entry)
            for entry in entries
            if entry is not None
        ]

    def mark_published(self, outputs: Iterable[Output]) -> None:
        """Note that the entries among `outputs` go out, as `pending_outputs` has returned them."""
        self._note_month_compared()
        for output in outputs:
            if isinstance(output.body, RankingEntry):
                self._note_sent(output.body)

    # ---- at once ----------------------------------------------------------------------------------------------

    def publish_current(self, collector: OutputCollector, always: bool = False) -> None:
        """Send the current entry if its content changed, or `always`."""
        entry = self._changed_current_entry(always)
        if entry is not None:
            self._note_sent(entry)
            _send(collector, entry)

    def publish_month(self, collector: OutputCollector) -> None:
        """Send the entry of the latest assessed month if it changed."""
        entry = self._changed_month_entry(always=False)
        self._note_month_compared()
        if entry is not None:
            self._note_sent(entry)
            _send(collector, entry)

    def take_assessed(self, assessed: AssessedScore, collector: OutputCollector) -> bool:
        """Take the assessed score from the industry; return True if it changed. An outdated one has no effect."""
        main, sent = self._main, self._main.month_entry
        if sent is None:
            collector.count("stale_standings")
            return False
        known = main.assessed
        expected = assessed.month == sent.month and assessed.industry == sent.industry
        newer = assessed.month != sent.month and (known is None or assessed.month > known.month)
        if not (expected or newer):
            collector.count("stale_standings")
            return False
        if assessed == known:
            return False
        main.assessed = assessed
        self.publish_current(collector)
        return True

    def leave_former_industries(self, collector: OutputCollector) -> None:
        """Withdraw the entries that were sent to an industry to which the supplier does not belong any more."""
        main, current, of_month = self._main, self._main.current_entry, self._main.month_entry
        if current is not None:
            industry = self._profiles.at(main.now).industry if self._is_ranked() else None
            if industry != current.industry:
                main.current_entry = None
                main.resend_at = MAX_TIME if industry is None else main.now + RESEND_MS
                left = structs.replace(current, at=main.now, totals=None, assessed=None, moved_to=industry)
                _send(collector, left)
        if of_month is not None:
            then = self._profiles.at(of_month.at).industry
            if then != of_month.industry:
                main.month_entry = None
                _send(collector, structs.replace(of_month, totals=None, moved_to=then))

    def resend(self, collector: OutputCollector) -> None:
        """Send the current entry again: the supplier moved RESEND_MS ago."""
        self._main.resend_at = MAX_TIME
        self.publish_current(collector, always=True)

    # ---- the entries ------------------------------------------------------------------------------------------

    def _is_ranked(self) -> bool:
        return self._main.active or self._profiles.is_active(self._main.now)

    def _changed_current_entry(self, always: bool) -> RankingEntry | None:
        """The current entry if its content changed, or `always`; None if there is none."""
        main = self._main
        if self._totals is None or not self._is_ranked():
            return None
        profile = self._profiles.at(main.now)
        entry = self._entry(profile, main.now, None, self._totals.as_of(main.now), main.assessed)
        return entry if always or not _same_content(entry, main.current_entry) else None

    def _changed_month_entry(self, always: bool) -> RankingEntry | None:
        """The entry of the latest assessed month if it changed, or `always`; None if there is none."""
        main, end = self._main, self.assessed_end
        if not (self.month_changed or always) or self._totals is None or not self.remembers():
            return None
        if main.first_at > end:
            return None
        totals = self._totals.at_end_of(self.assessed_month)
        entry = self._entry(self._profiles.at(end), end, month_name(self.assessed_month), totals, None)
        return entry if always or entry != main.month_entry else None

    def _note_month_compared(self) -> None:
        """Note that the entry of the month was compared with the one that was sent: no need to until it may change."""
        if self._totals is not None and self.remembers():
            self.month_changed = False

    def _note_sent(self, entry: RankingEntry) -> None:
        if entry.month is None:
            self._main.current_entry = entry
        else:
            self._main.month_entry = entry

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


def _send(collector: OutputCollector, entry: RankingEntry) -> None:
    collector.emit(ENTRY_TOPIC, entry.industry, _identity(entry), entry.at, entry)


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
