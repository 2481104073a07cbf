"""The totals as of the ends of months, for those months of which an assessment may still need them.

Most of them are kept when a month ends. An event that arrives later is added to each month end at which it counts.
"""

from collections.abc import Iterator

from vigil.app.domain.suppliers.metric_table import ZERO
from vigil.app.domain.suppliers.rolling_sums import Amounts
from vigil.app.domain.suppliers.rules import CountingRules, SupplierRules


class MonthEnds:
    """The month ends of one supplier. A total that is not kept is 0."""

    __slots__ = ("_kept_from", "_rules", "totals")

    def __init__(self, rules: SupplierRules, totals: dict[int, list[int]], kept_from: int) -> None:
        """`totals` by month, from the month `kept_from` on; they are kept up to date."""
        self.totals = totals
        """To read only."""
        self._rules = rules
        self._kept_from = kept_from

    def at_end_of(self, month: int) -> list[int] | tuple[int, ...]:
        """The totals of a month, in the order of TOTALS."""
        return self.totals.get(month, ZERO)

    def keep(self, month: int, totals: list[int]) -> None:
        """Keep the totals of a month that ends."""
        if month >= self._kept_from and any(totals):
            self.totals[month] = list(totals)

    def add(self, month: int, amounts: Amounts, sign: int = 1) -> None:
        """Add amounts to a month that has ended; `sign` −1 takes them back."""
        if month < self._kept_from:
            return
        totals = self.totals.get(month)
        if totals is None:
            totals = self.totals[month] = list(ZERO)
        for total, amount in amounts:
            totals[total] += sign * amount

    def between(self, since: int, month: int) -> Iterator[tuple[int, int, CountingRules]]:
        """Those month ends before `month` that are at `since` or later: month, end, and the rules that hold then."""
        rules = self._rules
        for ended in range(max(rules.calendar.month_of(since), self._kept_from), month):
            end = rules.calendar.end(ended)
            yield ended, end, rules.counting_at(end)

    def drop_before(self, first: int) -> None:
        """Forget the months before `first`."""
        self._kept_from = first
        for month in [month for month in self.totals if month < first]:
            del self.totals[month]
