"""The section [suppliers] by time, looked up once and converted to milliseconds for counting."""

import bisect
from typing import Final, NamedTuple

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import SupplierLimits
from vigil.app.domain.suppliers.calendar import Calendar
from vigil.app.domain.suppliers.metric_table import WINDOWS
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME

SECOND_MS: Final = 1000
HOUR_MS: Final = 3600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS


class CountingRules(NamedTuple):
    """How totals are counted while start ≤ now < until. Times and durations are milliseconds."""

    start: int
    until: int
    response_within: int
    windows: tuple[int, ...]
    """The length of each rolling window, in the order of metric_table.WINDOWS."""


class SupplierRules:
    """The section [suppliers] by time. Its first version is also effective at all times before it."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.calendar = Calendar(rulebook.zone)
        versions = rulebook.section("suppliers", SupplierLimits).versions
        self._limits = [version.limits for version in versions]
        self._starts = [MIN_TIME, *(version.start for version in versions[1:])]
        ends = [*self._starts[1:], MAX_TIME]
        self._counting = [
            CountingRules(
                start,
                until,
                limits.response_within_h * HOUR_MS,
                tuple(getattr(limits, window) * DAY_MS for window in WINDOWS),
            )
            for limits, start, until in zip(self._limits, self._starts, ends, strict=True)
        ]
        # The longest of all versions: to remember longer than needed is harmless, to forget too early is not.
        self.quote_memory = max(limits.quote_memory_days for limits in self._limits) * DAY_MS
        self.payment_memory = max(limits.payment_memory_days for limits in self._limits) * DAY_MS
        self.expire_silent = max(limits.forget_silent_days for limits in self._limits) * DAY_MS

    def counting_at(self, at: int) -> CountingRules:
        """How totals are counted at `at`."""
        return self._counting[self._index(at)]

    def limits(self, at: int) -> SupplierLimits:
        """The limits that are effective at `at`."""
        return self._limits[self._index(at)]

    def assessed_at(self, month: int) -> int:
        """When the assessment of a month is due."""
        return self.calendar.start(month + 1) + self.limits(self.calendar.end(month)).assessed_after_h * HOUR_MS

    def last_assessed(self, watermark: int) -> int:
        """The latest month whose assessment is due by the watermark; before 1970, by the beginning of 1970."""
        watermark = max(watermark, 0)
        month = self.calendar.month_of(watermark)
        while self.assessed_at(month) > watermark:
            month -= 1
        return month

    def _index(self, at: int) -> int:
        return bisect.bisect_right(self._starts, at) - 1
