"""Days and months of the marketplace's calendar as instants, ms since the epoch."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("America/Los_Angeles")
_SATURDAY: Final = 5


def day_of(at: int) -> date:
    """The day in which an instant lies."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZONE).date()


@lru_cache(maxsize=4096)
def start_of(day: date) -> int:
    """The first ms of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)


def end_of(day: date) -> int:
    """The last ms of a day."""
    return start_of(day + timedelta(days=1)) - 1


def month_of(at: int) -> date:
    """The first day of the month in which an instant lies."""
    return day_of(at).replace(day=1)


def months_after(first: date, months: int = 1) -> date:
    """The first day of the month so many months after one, before it if negative."""
    year, index = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, index + 1, 1)


def end_of_month(first: date) -> int:
    """The last ms of a month, given by its first day."""
    return start_of(months_after(first)) - 1


def end_of_working_days(at: int, number: int) -> int:
    """The end of the so manyth working day after the day in which an instant lies."""
    day = day_of(at)
    while number:
        day += timedelta(days=1)
        number -= day.weekday() < _SATURDAY
    return end_of(day)
