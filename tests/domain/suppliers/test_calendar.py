"""Months of the marketplace's time zone, also where clocks change."""

from zoneinfo import ZoneInfo

import pytest

from tests.support.supplier_stories import DAY, HOUR, ZONE, at
from vigil.app.domain.suppliers.calendar import Calendar, month_from_name, month_name

CALENDAR = Calendar(ZONE)


@pytest.mark.parametrize(
    ("month", "days", "hours"),
    [
        ("2022-02", 28, 0),
        ("2022-03", 31, -1),  # clocks go forward on the 13th
        ("2022-07", 31, 0),
        ("2022-11", 30, 1),  # clocks go back on the 6th
        ("2024-02", 29, 0),
    ],
)
def test_a_month_is_shorter_or_longer_where_clocks_change(month: str, days: int, hours: int) -> None:
    number = month_from_name(month)
    assert CALENDAR.start(number) == at(f"{month}-01")
    assert CALENDAR.start(number + 1) - CALENDAR.start(number) == days * DAY + hours * HOUR


def test_a_month_begins_at_midnight_and_ends_a_millisecond_before_the_next() -> None:
    august = month_from_name("2022-08")
    assert CALENDAR.month_of(at("2022-08-01")) == CALENDAR.month_of(at("2022-08-31 23:59:59.999")) == august
    assert CALENDAR.month_of(at("2022-08-01") - 1) == august - 1
    assert CALENDAR.end(august) == at("2022-09-01") - 1


def test_month_names_convert_back_and_forth() -> None:
    assert [month_name(month_from_name(name)) for name in ("2022-01", "2022-12")] == ["2022-01", "2022-12"]
    assert month_from_name("2023-01") == month_from_name("2022-12") + 1


def test_another_zone_has_other_months() -> None:
    shanghai = Calendar(ZoneInfo("Asia/Shanghai"))
    assert shanghai.start(month_from_name("2022-08")) == at("2022-08-01") - 15 * HOUR


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Shanghai", "Pacific/Kiritimati", "UTC"])
def test_every_time_that_an_event_can_have_lies_in_a_month(zone: str) -> None:
    calendar = Calendar(ZoneInfo(zone))
    for when in (0, 1, 253_402_300_799_999, 253_402_300_799_999 - 12 * HOUR):
        month = calendar.month_of(when)
        assert calendar.start(month) <= when
        assert when <= calendar.end(month) or month_name(month) == "9999-12"
