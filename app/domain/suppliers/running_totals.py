"""The totals of one supplier as of now and as of the ends of months, kept up to date without counting again.

An amount counts in a total from one time (inclusive) to another (exclusive); metric_table.py says which. A total is the
sum of the amounts whose interval contains now:

    amount 1      ├──────────────────┤
    amount 2             ├──────────────────┤
    ──────────────────────────▲─────────────────▶
                             now

`now` only advances, and no event is later than it. rolling_sums.py takes away what leaves a rolling window. At two
*edges* more happens: at the end of a month its totals are kept, and what counts by month begins again; where other
limits take effect, everything is counted again by them.

An event that arrives late counts like any other: at once if its interval contains now, and in the totals of the month
ends that its interval contains, by the limits of each. Sums do not depend on the order of their parts, so totals do not
depend on the order of arrival.

Entries are in metrics.py, which says what each event adds. A new object, and one that `pass_edge` says to count again,
has no amounts: add those of all entries, then call `end_recount`.
"""

from typing import Final

from vigil.app.domain.suppliers.entries import RfqEntry
from vigil.app.domain.suppliers.metric_table import (
    AMOUNTS,
    GMV_90D,
    IN_ORDER_OF_FIELDS,
    MONTHLY,
    MONTHLY_QUOTES,
    PAYMENT_EFFECTS,
    QUOTE_AMOUNTS,
    RFQ_IN_TIME,
    RFQ_LATE,
    ZERO,
    PaymentKind,
    QuoteKind,
    WindowAmounts,
)
from vigil.app.domain.suppliers.month_ends import MonthEnds
from vigil.app.domain.suppliers.rolling_sums import Amounts, RollingSums
from vigil.app.domain.suppliers.rules import CountingRules, SupplierRules
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.internal import SupplierTotals

MAX_CENTS: Final = 10**18
"""Published amounts are at most ten quadrillion dollars (decided: readers of JSON hold integers of 64 bits)."""


class RunningTotals:
    """The sums as of now, and those of the month ends."""

    __slots__ = (
        "_counting",
        "_month_until",
        "_rules",
        "edge",
        "late_before",
        "month",
        "month_ends",
        "month_start",
        "rolling",
    )

    def __init__(self, rules: SupplierRules, now: int, month_end_totals: dict[int, list[int]], kept_from: int) -> None:
        """As of `now`. `month_end_totals` are kept by month, from the month `kept_from` on."""
        self.month_ends = MonthEnds(rules, month_end_totals, kept_from)
        self._rules = rules
        self._counting = rules.counting_at(now)
        self._begin_month(rules.calendar.month_of(now))
        self.edge = min(self._month_until, self._counting.until)
        """The time before which `pass_edge` must not be called."""
        self._begin_recount(now)

    # ---- time -------------------------------------------------------------------------------------------------

    def next_change(self, now: int) -> int:
        """When a total changes next after `now` if no event arrives; at the latest at the next edge."""
        rolling = self.rolling
        if now >= rolling.changes_at:
            rolling.advance_to(now)
        return min(rolling.changes_at, self.edge)

    def pass_edge(self, now: int) -> bool:
        """Pass the next edge, which is not after `now`. Return True if other limits take effect: count again."""
        edge = self.edge
        self.rolling.advance_to(edge - 1)
        if edge == self._month_until:
            self._end_month(now)
        other_limits = edge == self._counting.until
        if other_limits:
            self._counting = self._rules.counting_at(edge)
            self._begin_recount(edge)
        self.edge = min(self._month_until, self._counting.until)
        return other_limits

    def _end_month(self, now: int) -> None:
        """Keep the totals of the month, and begin the next one, or that of `now` where nothing changes until then."""
        rolling, month = self.rolling, self.month
        self.month_ends.keep(month, rolling.sums)
        for total in MONTHLY:
            rolling.sums[total] = 0
        skips = rolling.changes_at == MAX_TIME and now < self._counting.until
        self._begin_month(self._rules.calendar.month_of(now) if skips else month + 1)

    def _begin_month(self, month: int) -> None:
        calendar = self._rules.calendar
        self.month = month
        """The calendar month of now."""
        self.month_start = self.late_before = calendar.start(month)
        """What counts before `late_before` counts in month ends, too."""
        self._month_until = calendar.start(month + 1)

    def _begin_recount(self, now: int) -> None:
        """Begin without amounts as of `now`. Nothing is late until `end_recount`: the month ends contain it already."""
        self.late_before = MIN_TIME
        self.rolling = RollingSums(now, self._counting.windows, list(ZERO))

    def end_recount(self) -> None:
        """All entries are counted again."""
        self.late_before = self.month_start

    # ---- totals -----------------------------------------------------------------------------------------------

    def as_of(self, now: int) -> SupplierTotals:
        """The totals as of `now`, which is before the next edge."""
        self.rolling.advance_to(now)
        return self._totals(self.rolling.sums, self.month)

    def at_end_of(self, month: int) -> SupplierTotals:
        """The totals as of the end of a month that has ended."""
        return self._totals(self.month_ends.at_end_of(month), month)

    def _totals(self, sums: "list[int] | tuple[int, ...]", month: int) -> SupplierTotals:
        values = [*sums, self.month_ends.at_end_of(month - 1)[GMV_90D], 0]
        for number in AMOUNTS:
            if not 0 <= values[number] <= MAX_CENTS:
                values[number] = min(max(values[number], 0), MAX_CENTS)
        return SupplierTotals(*IN_ORDER_OF_FIELDS(values))

    # ---- counting ---------------------------------------------------------------------------------------------

    def add_quote(self, kind: QuoteKind, submitted: int, since: int) -> None:
        """Count an event of a quote from `since` until the window has passed the submission."""
        for window, amounts in QUOTE_AMOUNTS[kind]:
            self.rolling.add(window, submitted, amounts)
            if since < self.late_before:
                self._add_to_month_ends(window, amounts, submitted, since)
        for total in MONTHLY_QUOTES[kind]:
            if submitted >= self.month_start:
                self.rolling.sums[total] += 1
            else:
                self.add_to_month(total, submitted, 1)

    def add_payment(self, kind: PaymentKind, at: int, cents: int) -> None:
        """Count an event of a payment."""
        for total, window, sign in PAYMENT_EFFECTS[kind]:
            if window is None:
                self.add_to_month(total, at, sign * cents)
            else:
                amounts = ((total, sign * cents),)
                self.rolling.add(window, at, amounts)
                if at < self.late_before:
                    self._add_to_month_ends(window, amounts, at, at)

    def add_rfq(self, rfq: RfqEntry) -> None:
        """Count an RFQ in the rolling windows by its first quote."""
        first = rfq.first_at
        for window, amounts in RFQ_IN_TIME if first - rfq.rfq_at <= self._counting.response_within else RFQ_LATE:
            self.rolling.add(window, first, amounts)
        if first < self.late_before:
            self._add_rfq_to_month_ends(rfq, 1)

    def take_back_rfq(self, rfq: RfqEntry) -> None:
        """Undo `add_rfq`."""
        for window, amounts in _rfq_amounts(rfq, self._counting):
            self.rolling.take_back(window, rfq.first_at, amounts)
        if rfq.first_at < self.late_before:
            self._add_rfq_to_month_ends(rfq, -1)

    def move(self, amounts_of: tuple[WindowAmounts, ...], before: int | None, at: int) -> None:
        """Count an RFQ by a later quote than before."""
        for window, amounts in amounts_of:
            if before is not None:
                self.rolling.take_back(window, before, amounts)
            self.rolling.add(window, at, amounts)

    def add_to_month(self, total: int, at: int, amount: int) -> None:
        """Add an amount to a total of the calendar month in which `at` lies."""
        if at >= self.month_start:
            self.rolling.sums[total] += amount
        elif at < self.late_before:
            self.month_ends.add(self._rules.calendar.month_of(at), ((total, amount),))

    def _add_to_month_ends(self, window: int, amounts: Amounts, at: int, since: int) -> None:
        """Add amounts that count from `since` until the rolling window has passed `at`."""
        for month, end, rules in self.month_ends.between(since, self.month):
            if end < at + rules.windows[window]:
                self.month_ends.add(month, amounts)

    def _add_rfq_to_month_ends(self, rfq: RfqEntry, sign: int) -> None:
        first = rfq.first_at
        for month, end, rules in self.month_ends.between(first, self.month):
            for window, amounts in _rfq_amounts(rfq, rules):
                if end < first + rules.windows[window]:
                    self.month_ends.add(month, amounts, sign)


def _rfq_amounts(rfq: RfqEntry, rules: CountingRules) -> tuple[WindowAmounts, ...]:
    """What an RFQ adds, by its first quote and the rules of the time for which is counted."""
    return RFQ_IN_TIME if rfq.first_at - rfq.rfq_at <= rules.response_within else RFQ_LATE
