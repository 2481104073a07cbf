"""Which of the suppliers' numbers hold at a time, looked up once and ready to count with (milliseconds)."""

import bisect
from typing import Final, NamedTuple

from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.suppliers import SupplierLimits
from vigil.app.domain.suppliers.calendar import Calendar
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME

SECOND_MS: Final = 1000
HOUR_MS: Final = 3600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS


class Windows(NamedTuple):
    """How metrics are counted while `start` ≤ now < `until`."""

    start: int
    until: int
    response_within: int
    response: int
    reply: int
    gmv: int


class SupplierRules:
    """The [suppliers] section by time; its earliest numbers also hold for all time before."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.calendar = Calendar(rulebook.zone)
        versions = rulebook.versions("suppliers")
        self._limits: list[SupplierLimits] = [dated.limits for dated in versions]
        self._starts = [MIN_TIME, *(dated.start for dated in versions[1:])]
        ends = [*self._starts[1:], MAX_TIME]
        self._windows = [
            Windows(
                start,
                until,
                limits.response_within_h * HOUR_MS,
                limits.response_days * DAY_MS,
                limits.reply_days * DAY_MS,
                limits.gmv_days * DAY_MS,
            )
            for limits, start, until in zip(self._limits, self._starts, ends, strict=True)
        ]
        self._latest = (self._windows[-1],)
        # What is remembered longer than needed does no harm, what is forgotten too early does.
        self.quote_memory = max(limits.quote_memory_days for limits in self._limits) * DAY_MS
        self.payment_memory = max(limits.payment_memory_days for limits in self._limits) * DAY_MS
        self.forget_silent = max(limits.forget_silent_days for limits in self._limits) * DAY_MS

    def windows_from(self, at: int) -> "tuple[Windows, ...] | list[Windows]":
        """How metrics are counted at `at` and later, in order."""
        latest = self._latest
        if at >= latest[0].start:
            return latest
        return self._windows[self._index(at) :]

    def limits(self, at: int) -> SupplierLimits:
        """The numbers in force at `at`."""
        return self._limits[self._index(at)]

    def assessed_at(self, month: int) -> int:
        """When a month's assessment is due."""
        return self.calendar.start(month + 1) + self.limits(self.calendar.end(month)).assessed_after_h * HOUR_MS

    def last_assessed(self, watermark: int) -> int:
        """The latest month whose assessment is due by `clock` (before 1970: by its beginning)."""
        watermark = max(watermark, 0)
        month = self.calendar.month_of(watermark)
        while self.assessed_at(month) > watermark:
            month -= 1
        return month

    def _index(self, at: int) -> int:
        return bisect.bisect_right(self._starts, at) - 1
