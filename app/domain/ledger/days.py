"""Calendar days, months and periods of a time zone as instants of event time."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from vigil.app.domain.rulebook.book import midnight
from vigil.app.domain.suppliers.calendar import Calendar

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = date(9998, 12, 31)
_SATURDAY: Final = 5


class Days:
    """Days of one time zone. Instants are milliseconds since the epoch; a day's end is its last millisecond."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.months = Calendar(zone)
        self.start = lru_cache(maxsize=4096)(self._start)
        """The first millisecond of a day."""

    def day_of(self, at: int) -> date:
        """The day in which an instant lies."""
        moment = _EPOCH + timedelta(milliseconds=min(max(at, 0), 253_000_000_000_000))
        return moment.astimezone(self._zone).date()

    def end(self, day: date) -> int:
        """The last millisecond of a day."""
        return self.start(day + timedelta(days=1)) - 1

    def end_of_day_of(self, at: int) -> int:
        """The last millisecond of the day in which an instant lies."""
        return self.end(self.day_of(at))

    def end_after_days(self, at: int, days: int) -> int:
        """The end of the day that is so many calendar days after the one in which an instant lies."""
        return self.end(self.day_of(at) + timedelta(days=days))

    def end_after_working_days(self, at: int, days: int, holidays: frozenset[str]) -> int:
        """The end of the so manyth working day after the day in which an instant lies."""
        day = self.day_of(at)
        while days > 0:
            day += timedelta(days=1)
            if day.weekday() < _SATURDAY and day.isoformat() not in holidays:
                days -= 1
        return self.end(day)

    def end_after_months(self, at: int, months: int) -> int:
        """The end of the day with the same number so many months on, or of that month's last day."""
        day = self.day_of(at)
        return self.end(day_of_month(day.year * 12 + day.month - 1 + months, day.day))

    def end_of_month_after(self, at: int, months: int) -> int:
        """The end of the month that is so many months after the one in which an instant lies."""
        return self.months.end(self.months.month_of(at) + months)

    def end_of_named(self, day: str) -> int:
        """The end of a day that the rulebook names, `YYYY-MM-DD`."""
        return self.end(date.fromisoformat(day))

    def start_of_named(self, day: str) -> int:
        """The beginning of a day that the rulebook names, `YYYY-MM-DD`."""
        return self.start(date.fromisoformat(day))

    def _start(self, day: date) -> int:
        return midnight(min(day, _LAST), self._zone)


def day_of_month(month: int, number: int) -> date:
    """A day of a month (12 × year + month − 1), the month's last day at the latest."""
    year, index = divmod(month, 12)
    first_of_next = date(year + (index == 11), (index + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    return date(year, index + 1, min(number, last))
