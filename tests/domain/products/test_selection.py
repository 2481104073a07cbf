"""Industry selection: rows, the theme, the grade, and since when a product is listed."""

from itertools import permutations
from typing import Any

import pytest

from tests.support.line_stories import Line, certificate, custom, member, order, product, standing
from tests.support.supplier_stories import DAY, at, tick

NOW = at("2022-09-10 12:00")

ROWS = {
    "apparel": ["new", "delivery-15d", "price-power", "flexible-custom"],
    "consumer-electronics": ["new", "delivery-15d", "price-power", "private-mould"],
    "jewelry": ["new", "flexible-custom", "craft", "dispatch-7d"],
    "auto": ["new", "delivery-15d", "absolute-price", "overseas-stock"],
    "building": ["professional-certificate", "engineering", "dispatch-30d", "new"],
    "machinery": ["professional-certificate", "local", "remote", "local-showroom"],
}
"""By industry: the row of the announcement's table."""

THEME = ["new", "delivery-15d", "lowest-price-180d"]
HELD = [
    member(NOW - 9 * DAY),
    certificate(NOW - 9 * DAY, "warranty-agreement"),
    certificate(NOW - 9 * DAY, "local-service"),
]


def having(industry: str, names: list[str], when: int = NOW, **more: Any) -> Line:
    """A product with these abilities, days and services."""
    value: dict[str, Any] = {"abilities": []}
    for name in names:
        kind, _, days = name.partition("-")
        if kind in ("dispatch", "delivery"):
            value[f"{kind}_days"] = int(days[:-1])
        elif name in ("remote", "local"):
            value["service"] = name
        else:
            value["abilities"].append(name)
    return custom(when, industry=industry, **(value | more))


def selection(*story: Line) -> Any:
    return standing(*story)["selection"]


# ---- grade -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("industry", "name"), [(industry, name) for industry, row in ROWS.items() for name in row])
def test_one_ability_of_the_row_makes_competitive(industry: str, name: str) -> None:
    said = selection(*HELD, having(industry, [name]))
    has = ["local", "remote"] if name == "local" else [name]
    missing = [one for one in THEME if one != name] if industry == "consumer-electronics" and name in THEME else []
    assert said == {"grade": "competitive", "has": has, "missing": missing, "listed_at": NOW + 2 * DAY}


@pytest.mark.parametrize("industry", ROWS)
def test_abilities_are_shown_in_the_order_of_the_row(industry: str) -> None:
    said = selection(*HELD, having(industry, [*reversed(ROWS[industry]), "unknown"]))
    assert (said["grade"], said["has"]) == ("competitive", ROWS[industry])


def test_without_an_ability_of_the_row_there_is_no_grade() -> None:
    none = {"grade": None, "has": [], "missing": [], "listed_at": None}
    assert selection(having("apparel", ["craft", "overseas-stock"])) == none


@pytest.mark.parametrize("industry", ["home", "beauty", "furniture", "lighting", "new-energy", "toys", "sports"])
def test_an_industry_without_a_row_has_no_selection(industry: str) -> None:
    assert selection(having(industry, ["new", "delivery-15d"])) is None


@pytest.mark.parametrize(
    ("names", "grade", "has", "missing"),
    [
        (THEME, "top", ["new", "delivery-15d"], []),
        (["new", "delivery-15d"], "competitive", ["new", "delivery-15d"], ["lowest-price-180d"]),
        (["new", "lowest-price-180d"], "competitive", ["new"], ["delivery-15d"]),
        (["delivery-15d", "lowest-price-180d"], "competitive", ["delivery-15d"], ["new"]),
        (["lowest-price-180d"], None, [], ["new", "delivery-15d"]),
        (["private-mould"], "competitive", ["private-mould"], []),
        ([], None, [], []),
    ],
)
def test_the_theme_makes_top_and_names_what_is_missing(
    names: list[str], grade: str | None, has: list[str], missing: list[str]
) -> None:
    said = selection(having("consumer-electronics", names))
    assert (said["grade"], said["has"], said["missing"]) == (grade, has, missing)
    assert said["listed_at"] == (NOW + 2 * DAY if grade else None)


def test_another_industry_has_no_theme() -> None:
    said = selection(having("apparel", THEME))
    assert (said["grade"], said["missing"]) == ("competitive", [])
    assert selection(having("apparel", ["lowest-price-180d"]))["missing"] == []


@pytest.mark.parametrize("flag", ["price-cheating", "moq-anomaly", "sku-anomaly", "bad-refunds"])
def test_a_flag_takes_the_grade_but_not_the_abilities(flag: str) -> None:
    said = selection(having("consumer-electronics", ["new", "delivery-15d"], flags=[flag]))
    assert said == {"grade": None, "has": ["new", "delivery-15d"], "missing": ["lowest-price-180d"], "listed_at": None}


@pytest.mark.parametrize(("field", "days", "has"), [("delivery_days", 15, 1), ("delivery_days", 16, 0)])
def test_fifteen_days_are_up_to_fifteen(field: str, days: int, has: int) -> None:
    said = selection(custom(NOW, industry="auto", **{field: days}))
    assert said["has"] == ["delivery-15d"][:has]


def test_selection_begins_with_august() -> None:
    assert selection(having("apparel", ["new"], at("2022-08-01") - 1)) is None
    first = selection(having("apparel", ["new"], at("2022-08-01")))
    assert first["grade"] == "competitive"


def test_an_industry_whose_stars_are_not_open_yet_has_its_selection() -> None:
    line = standing(having("jewelry", ["craft"], at("2022-08-01")))
    assert (line["stars"], line["selection"]["grade"]) == (None, "competitive")


# ---- listed_at -------------------------------------------------------------------------------------------------------

START = at("2022-08-10 12:00")


def states(*kinds: str) -> list[Line]:
    """One state a day: `+` selected, `-` not, `x` deleted, `o` of another industry, `f` with a flag, `t` top."""
    made = {
        "+": {"abilities": ["new"]},
        "-": {"abilities": []},
        "x": {"abilities": ["new"], "deleted": True},
        "o": {"abilities": ["new"], "industry": "apparel"},
        "h": {"abilities": ["new"], "industry": "home"},
        "f": {"abilities": ["new"], "flags": ["bad-refunds"]},
        "t": {"abilities": ["new", "lowest-price-180d"], "delivery_days": 15},
        "d": {"delivery_days": 3},
    }
    return [custom(START + day * DAY, **made[kind]) for day, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kinds", "first"),
    [
        ("+", 0),
        ("++t+", 0),
        ("+d", 0),
        ("-+", 1),
        ("+-+", 2),
        ("+x+", 2),
        ("+f+", 2),
        ("o+", 1),
        ("+o+", 2),
        ("+o", 1),
        ("oo+o", 3),
        ("+h+", 2),
        ("+-", None),
        ("t-t+", 2),
    ],
)
def test_listed_two_days_after_the_first_state_from_which_all_were_selected(kinds: str, first: int | None) -> None:
    expected = None if first is None else START + (first + 2) * DAY
    story = states(*kinds)
    for arrival in permutations(story):
        assert selection(*arrival)["listed_at"] == expected


def test_states_before_august_count() -> None:
    july = at("2022-07-05")
    said = selection(having("apparel", ["new"], july), having("apparel", ["new"], at("2022-08-02")))
    assert said["listed_at"] == july + 2 * DAY


@pytest.mark.parametrize("later", [29, 31, 70])
def test_listed_at_stays_when_its_states_are_forgotten(later: int) -> None:
    story = [*states("+", "t"), tick(START + 40 * DAY), custom(START + (41 + later) * DAY, abilities=["new"])]
    assert selection(*story, tick(START + 200 * DAY))["listed_at"] == START + 2 * DAY


def test_what_was_not_selected_is_forgotten_with_what_was_before() -> None:
    story = [*states("+", "-", "+"), tick(START + 40 * DAY), custom(START + 80 * DAY, abilities=["new"])]
    assert selection(*story, tick(START + 100 * DAY))["listed_at"] == START + 4 * DAY


@pytest.mark.parametrize(("age", "since"), [(30 * DAY, START), (30 * DAY - 1, START + 20 * DAY)])
def test_a_state_that_arrives_after_its_memory_has_no_effect(age: int, since: int) -> None:
    now = START + 40 * DAY
    later = [custom(when, abilities=["new"]) for when in (now - 20 * DAY, now)]
    said = selection(*states("+"), *later, custom(now - age, abilities=[]))
    assert said["listed_at"] == since + 2 * DAY


def test_the_latest_state_is_remembered_for_good_and_an_older_one_that_becomes_the_latest_is_taken() -> None:
    now = START + 300 * DAY
    assert standing(*states("+"), tick(now))["selection"]["listed_at"] == START + 2 * DAY
    assert selection(*states("+"), tick(now), custom(START + DAY, abilities=[]))["listed_at"] is None


# ---- listed_at and permits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["remote", "local"])
def test_for_listing_a_service_counts_without_its_permit(service: str) -> None:
    said = selection(custom(NOW, industry="machinery", service=service))
    assert said == {"grade": None, "has": [], "missing": [], "listed_at": NOW + 2 * DAY}


def test_a_permit_that_begins_later_moves_no_listing() -> None:
    story = [custom(NOW, industry="machinery", service="remote"), certificate(NOW + 5 * DAY, "warranty-agreement")]
    said = selection(*story)
    assert said == {"grade": "competitive", "has": ["remote"], "missing": [], "listed_at": NOW + 2 * DAY}


def test_without_a_service_nothing_is_listed() -> None:
    assert selection(*HELD, custom(NOW, industry="machinery"))["listed_at"] is None


def test_a_product_that_is_ready_to_ship_is_selected_alike() -> None:
    said = selection(product(NOW, industry="apparel", abilities=["price-power"]), order(NOW, "o", "disputed"))
    assert said["has"] == ["price-power"]
