"""Growth: stages by whole days, what ends them, what is skipped, tasks and milestones."""

from typing import Any

import pytest

from tests.support.line_stories import Line, measure, member, paid, rights
from tests.support.supplier_stories import DAY, at, tick

SIGNED, OPENED = at("2022-07-01 09:00"), at("2022-07-10 15:00")
TASKS = {"videos": 1, "showcases": 10, "trade-assurance": 1, "potential-products": 50}


def growth(*story: Line, signed: int | None = SIGNED, opened: int | None = OPENED) -> Any:
    return rights(member(SIGNED, signed_at=signed, opened_at=opened), *story)["growth"]


def tasks(*whens: int) -> list[Line]:
    return [measure(when, name, least) for when, (name, least) in zip(whens, TASKS.items(), strict=True)]


def milestones(leads: int, order: int, usd: int) -> list[Line]:
    return [
        measure(leads, "leads", 10),
        paid(order, "o1", ("p", "1.00")),
        paid(usd, "o2", ("p", "500.00"), ("r", "499.00")),
    ]


def test_growth_is_null_where_neither_time_is_known() -> None:
    assert growth(signed=None, opened=None) is None


def end(day: str) -> int:
    return at(day) + DAY - 1


@pytest.mark.parametrize(
    ("now", "stage", "since", "until"),
    [
        ("2022-07-02", "before-opening", SIGNED, end("2022-07-10")),
        ("2022-07-10 23:59:59.999", "before-opening", SIGNED, end("2022-07-10")),
        ("2022-07-11", "first-30", at("2022-07-11"), end("2022-08-09")),
        ("2022-08-09 23:59:59.999", "first-30", at("2022-07-11"), end("2022-08-09")),
        ("2022-08-10", "first-90", at("2022-08-10"), end("2022-10-08")),
        ("2022-10-08 23:59:59.999", "first-90", at("2022-08-10"), end("2022-10-08")),
        ("2022-10-09", "mature", at("2022-10-09"), None),
    ],
)
def test_stages_are_whole_days(now: str, stage: str, since: int, until: int | None) -> None:
    said = growth(tick(at(now)))
    assert (said["stage"], said["since"], said["until"]) == (stage, since, until)
    assert said["current"] == ("leads-10" if stage == "first-90" else None)


def test_growth_field_by_field() -> None:
    assert growth(tick(at("2022-07-20"))) == {
        "stage": "first-30",
        "since": at("2022-07-11"),
        "until": end("2022-08-09"),
        "tasks": dict.fromkeys(TASKS),
        "milestones": {"leads-10": None, "order-1": None, "usd-1000": None, "usd-10000": None},
        "current": None,
        "unlocks": [],
        "rating_open": False,
    }


def test_before_opening_without_its_time_has_no_end_and_without_signature_no_beginning() -> None:
    said = growth(tick(at("2022-12-01")), opened=None)
    assert (said["stage"], said["since"], said["until"]) == ("before-opening", SIGNED, None)
    said = growth(tick(at("2022-07-05")), signed=None)
    assert (said["stage"], said["since"], said["until"]) == ("before-opening", None, end("2022-07-10"))


def test_days_are_those_of_the_calendar_where_the_clocks_change() -> None:
    said = growth(tick(at("2022-10-30")), opened=at("2022-10-20 12:00"))
    assert (said["stage"], said["until"]) == ("first-30", at("2022-11-20") - 1)
    assert said["until"] - at("2022-10-20") == 31 * DAY + 3_600_000 - 1


def test_all_tasks_end_the_first_stage_with_the_day() -> None:
    story = tasks(SIGNED, at("2022-07-12"), at("2022-07-15 18:00"), at("2022-07-13"))
    said = growth(*story)
    assert (said["stage"], said["until"], said["rating_open"]) == ("first-30", end("2022-07-15"), True)
    said = growth(*story, tick(at("2022-07-16")))
    assert (said["stage"], said["since"], said["until"]) == ("first-90", at("2022-07-16"), end("2022-10-08"))
    assert said["tasks"] == {
        "videos": SIGNED,
        "showcases": at("2022-07-12"),
        "trade-assurance": at("2022-07-15 18:00"),
        "potential-products": at("2022-07-13"),
    }


def test_three_tasks_do_not() -> None:
    said = growth(*tasks(SIGNED, SIGNED, SIGNED, SIGNED)[:3], tick(at("2022-07-20")))
    assert (said["stage"], said["until"], said["rating_open"]) == ("first-30", end("2022-08-09"), False)


@pytest.mark.parametrize("done", [SIGNED, at("2022-07-10 23:59:59.999")])
def test_tasks_that_are_done_by_the_end_of_the_opening_skip_the_first_stage(done: int) -> None:
    story = tasks(done, done, done, done)
    assert growth(*story, tick(at("2022-07-10 23:59:59.999")))["stage"] == "before-opening"
    said = growth(*story, tick(at("2022-07-11")))
    assert (said["stage"], said["since"]) == ("first-90", at("2022-07-11"))


@pytest.mark.parametrize(("short", "name"), [(0.99, "videos"), (9, "showcases"), (49.5, "potential-products")])
def test_a_task_is_done_at_the_first_measure_that_reaches_it_and_stays_done(short: float, name: str) -> None:
    first = at("2022-07-15")
    story = [
        measure(SIGNED, name, short),
        measure(first, name, TASKS[name]),
        measure(first + 1, name, 0),
        measure(first + 2, name, TASKS[name] + 1),
    ]
    assert growth(*story)["tasks"][name] == first


def test_milestones_end_the_second_stage_with_the_day() -> None:
    story = milestones(at("2022-08-20"), at("2022-08-21"), at("2022-08-25 10:00"))
    said = growth(*story)
    assert (said["stage"], said["until"], said["current"]) == ("first-90", end("2022-08-25"), None)
    assert said["milestones"] == {
        "leads-10": at("2022-08-20"),
        "order-1": at("2022-08-21"),
        "usd-1000": at("2022-08-25 10:00"),
        "usd-10000": None,
    }
    assert said["unlocks"] == ["freight-30-off", "diagnosis"]
    said = growth(*story, tick(at("2022-08-26")))
    assert (said["stage"], said["since"], said["until"]) == ("mature", at("2022-08-26"), None)


def test_milestones_that_are_reached_before_the_second_stage_skip_it() -> None:
    story = milestones(at("2022-07-20"), at("2022-07-21"), at("2022-08-09 23:59:59.999"))
    assert growth(*story, tick(at("2022-08-09 23:59:59.999")))["stage"] == "first-30"
    assert growth(*story, tick(at("2022-08-10")))["stage"] == "mature"
    story = milestones(at("2022-07-20"), at("2022-07-21"), at("2022-08-10"))
    said = growth(*story, tick(at("2022-08-10")))
    assert (said["stage"], said["until"]) == ("first-90", end("2022-08-10"))


def test_both_stages_may_be_skipped() -> None:
    story = [*tasks(SIGNED, SIGNED, SIGNED, SIGNED), *milestones(SIGNED, OPENED, OPENED)]
    said = growth(*story, tick(at("2022-07-11")))
    assert (said["stage"], said["since"]) == ("mature", at("2022-07-11"))


@pytest.mark.parametrize(
    ("story", "current"),
    [
        ([], "leads-10"),
        ([measure(OPENED, "leads", 10)], "order-1"),
        ([measure(OPENED, "leads", 9.5)], "leads-10"),
        ([measure(OPENED, "leads", 10), paid(OPENED, "o", ("p", "999.99"))], "usd-1000"),
    ],
)
def test_current_is_the_first_milestone_that_is_not_reached(story: list[Line], current: str) -> None:
    assert growth(*story, tick(at("2022-08-20")))["current"] == current


def test_orders_count_from_the_opening_on() -> None:
    said = growth(paid(OPENED - 1, "o", ("p", "5000")), tick(at("2022-08-20")))["milestones"]
    assert (said["order-1"], said["usd-1000"]) == (None, None)
    said = growth(paid(OPENED, "o", ("p", "10000")), tick(at("2022-08-20")))
    assert said["milestones"] == {
        "leads-10": None,
        "order-1": OPENED,
        "usd-1000": OPENED,
        "usd-10000": OPENED,
    }
    assert said["unlocks"] == ["diagnosis"]
    never = growth(paid(OPENED, "o", ("p", "10000")), opened=None)["milestones"]
    assert (never["order-1"], never["usd-10000"]) == (None, None)


def test_amounts_are_added_in_order_of_time_and_id() -> None:
    story = [paid(OPENED + 5, "b", ("p", "400")), paid(OPENED + 5, "a", ("p", "600")), paid(OPENED, "z", ("p", "0.01"))]
    assert growth(*story, tick(at("2022-08-20")))["milestones"]["usd-1000"] == OPENED + 5
    story = [paid(OPENED + 9, "a", ("p", "0.01")), paid(OPENED + 5, "b", ("p", "999.99"))]
    assert growth(*story, tick(at("2022-08-20")))["milestones"]["usd-1000"] == OPENED + 9


def test_what_growth_reached_stays_when_its_orders_and_measures_are_forgotten() -> None:
    story = [measure(OPENED, "leads", 10), measure(OPENED + DAY, "leads", 0), paid(OPENED, "o", ("p", "1000"))]
    later = [tick(OPENED + days * DAY) for days in range(30, 700, 30)]
    said = growth(*story, *later)
    assert (said["stage"], said["milestones"]["usd-1000"]) == ("mature", OPENED)
    assert (said["milestones"]["leads-10"], said["milestones"]["order-1"]) == (OPENED, OPENED)


def test_an_amount_that_several_orders_reached_stays_when_the_first_of_them_is_forgotten() -> None:
    story = [paid(OPENED, "o1", ("p", "600")), paid(OPENED + 300 * DAY, "o2", ("p", "400"))]
    days = range(30, 690, 30)  # the first order is forgotten after 520 days, the milestone is 400 days old after 700
    said = growth(*story, paid(OPENED + 310 * DAY, "o3", ("p", "600")), *[tick(OPENED + day * DAY) for day in days])
    assert said["milestones"]["usd-1000"] == OPENED + 300 * DAY
