"""EPR: what a product needs in each country, what is missing, whether it is blocked; certificates in force."""

from typing import Any

import pytest

from tests.support.line_stories import Line, certificate, epr, measure, product, standing
from tests.support.supplier_stories import DAY, at, tick

NOW = at("2022-09-10 12:00")
TRAITS = ["packaging", "circuit", "battery", "furniture", "tyre", "textile", "paper"]
CATEGORIES = ["packaging", "eee", "battery", "furniture", "tyre", "textile", "paper"]
WEEKS = {
    "DE": {"packaging": [1, 2], "eee": [2, 15], "battery": [2, 15]},
    "FR": {
        "packaging": [1, 4],
        "eee": [1, 6],
        "battery": [1, 6],
        "furniture": [1, 6],
        "tyre": [1, 6],
        "textile": [1, 6],
        "paper": [1, 6],
    },
}
PAIRS = [(country, category) for country, weeks in WEEKS.items() for category in weeks]


def sold(*countries: str, traits: list[str] | None = None, when: int = NOW) -> Line:
    return product(when, markets=list(countries), traits=TRAITS if traits is None else traits)


def missing(country: str, *categories: str) -> list[dict[str, Any]]:
    return [{"category": one, "weeks": WEEKS[country][one]} for one in categories]


def said(*story: Line) -> Any:
    return standing(*story)["epr"]


@pytest.mark.parametrize(("trait", "category"), list(zip(TRAITS, CATEGORIES, strict=True)))
def test_a_trait_needs_its_category_where_the_table_has_a_tick(trait: str, category: str) -> None:
    for country in ("DE", "FR"):
        needs = [category] if category in WEEKS[country] else []
        expected = {"needs": needs, "missing": missing(country, *needs), "blocked": bool(needs)}
        assert said(sold(country, traits=[trait])) == {country: expected}


def test_categories_are_in_the_order_of_the_table_and_countries_too() -> None:
    answer = said(sold("US", "FR", "DE", traits=list(reversed(TRAITS))))
    assert list(answer) == ["DE", "FR"]
    assert answer["DE"]["needs"] == CATEGORIES[:3]
    assert answer["FR"]["needs"] == CATEGORIES
    assert answer["FR"]["missing"] == missing("FR", *CATEGORIES)


@pytest.mark.parametrize("countries", [[], ["US"], ["de"], ["IT", "ES"]])
def test_a_country_in_which_it_is_not_sold_is_left_out(countries: list[str]) -> None:
    assert said(sold(*countries)) == {}


def test_a_product_without_traits_needs_nothing() -> None:
    nothing = {"needs": [], "missing": [], "blocked": False}
    assert said(sold("DE", "FR", traits=[])) == {"DE": nothing, "FR": nothing}
    assert said(sold("DE", traits=["wood", "Circuit"])) == {"DE": nothing}


# ---- paper -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tonnes", "needs"), [(None, True), (0, False), (4.999, False), (5, True), (5.0, True), (500, True)]
)
def test_paper_is_needed_unless_less_than_five_tonnes_are_reported(tonnes: float | None, needs: bool) -> None:
    measured = [] if tonnes is None else [measure(NOW - DAY, "paper-tonnes-year", tonnes)]
    assert said(*measured, sold("FR", traits=["paper"]))["FR"]["needs"] == (["paper"] if needs else [])


def test_the_latest_measure_of_paper_holds_and_of_equal_times_the_last_to_arrive() -> None:
    product_ = sold("FR", traits=["paper"])
    little, much = measure(NOW - 2 * DAY, "paper-tonnes-year", 1), measure(NOW - DAY, "paper-tonnes-year", 6)
    assert said(product_, much, little)["FR"]["needs"] == ["paper"]
    again = measure(NOW - DAY, "paper-tonnes-year", 2)
    assert said(product_, much, again)["FR"]["needs"] == []
    assert said(product_, again, much)["FR"]["needs"] == ["paper"]


# ---- registrations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("country", "category"), PAIRS)
def test_a_registration_counts_for_its_country_and_category(country: str, category: str) -> None:
    answer = said(epr(NOW - DAY, country, category), sold("DE", "FR"))
    for one, weeks in WEEKS.items():
        left = [name for name in weeks if (one, name) != (country, category)]
        assert answer[one] == {"needs": list(weeks), "missing": missing(one, *left), "blocked": True}


def test_nothing_is_missing_with_all_registrations() -> None:
    answer = said(*(epr(NOW - DAY, *pair) for pair in PAIRS), sold("DE", "FR"))
    assert answer["FR"] == {"needs": CATEGORIES, "missing": [], "blocked": False}
    assert answer["DE"] == {"needs": CATEGORIES[:3], "missing": [], "blocked": False}


def is_missing(*story: Line, when: int = NOW) -> bool:
    return bool(said(sold("DE", traits=["circuit"], when=NOW - 99 * DAY), *story, tick(when))["DE"]["missing"])


@pytest.mark.parametrize(
    ("more", "in_force"),
    [
        ({}, True),
        ({"status": "submitted"}, False),
        ({"status": "rejected"}, False),
        ({"status": "withdrawn"}, False),
        ({"valid_from": NOW}, True),
        ({"valid_from": NOW + 1}, False),
        ({"valid_until": NOW}, False),
        ({"valid_until": NOW + 1}, True),
        ({"valid_from": NOW - 1, "valid_until": NOW + 1}, True),
        ({"valid_from": None, "valid_until": None, "holder": None, "invoice": None}, True),
        ({"holder": "upstream"}, False),
        ({"holder": "upstream", "invoice": None}, False),
        ({"holder": "upstream", "invoice": False}, False),
        ({"holder": "upstream", "invoice": True}, True),
        ({"holder": "self", "invoice": False}, True),
        ({"holder": "upstream", "invoice": True, "status": "submitted"}, False),
    ],
)
def test_a_certificate_is_in_force_as_its_latest_event_says(more: dict[str, Any], in_force: bool) -> None:
    assert is_missing(epr(NOW - DAY, "DE", "eee", **more)) is not in_force


def test_another_kind_category_or_country_is_no_registration_of_it() -> None:
    assert is_missing(epr(NOW - DAY, "DE", "battery"), epr(NOW - DAY, "FR", "eee"), certificate(NOW - DAY, "fda"))


@pytest.mark.parametrize(("later", "in_force"), [("withdrawn", False), ("submitted", False), ("accepted", True)])
def test_the_latest_event_holds_in_any_order(later: str, in_force: bool) -> None:
    first, second = epr(NOW - 2 * DAY, "DE", "eee"), epr(NOW - DAY, "DE", "eee", status=later)
    assert is_missing(first, second) is not in_force
    assert is_missing(second, first) is not in_force


def test_of_events_with_one_time_the_last_to_arrive_holds() -> None:
    yes, no = epr(NOW - DAY, "DE", "eee"), epr(NOW - DAY, "DE", "eee", status="withdrawn")
    assert is_missing(yes, no)
    assert not is_missing(no, yes)


def test_one_of_several_certificates_is_enough() -> None:
    over = epr(NOW - DAY, "DE", "eee", certificate_id="over", valid_until=NOW - 1)
    assert not is_missing(epr(NOW - DAY, "DE", "eee", certificate_id="other"), over)
    assert is_missing(over)


def test_a_certificate_becomes_another_kind_with_its_latest_event() -> None:
    story = [epr(NOW - 2 * DAY, "DE", "eee", certificate_id="c"), certificate(NOW - DAY, "fda", "c")]
    assert is_missing(*story)


def test_a_registration_of_another_supplier_does_not_count() -> None:
    assert is_missing(epr(NOW - DAY, "DE", "eee", "other"))


@pytest.mark.parametrize("age", [399, 401, 2000])
def test_the_latest_event_of_a_certificate_is_remembered_for_good(age: int) -> None:
    assert not is_missing(epr(NOW - 98 * DAY, "DE", "eee"), when=NOW + age * DAY)


@pytest.mark.parametrize(("age", "registered"), [(400 * DAY, True), (400 * DAY - 1, True)])
def test_an_older_event_of_a_certificate_changes_nothing_now(age: int, registered: bool) -> None:
    late = epr(NOW - age, "DE", "eee", status="withdrawn")
    assert is_missing(epr(NOW - DAY, "DE", "eee"), tick(NOW), late) is not registered


# ---- blocked ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "blocked"), [(at("2022-08-01") - 1, False), (at("2022-08-01"), True)])
def test_what_is_missing_blocks_from_august(when: int, blocked: bool) -> None:
    answer = said(sold("DE", traits=["circuit"], when=when))
    assert answer == {"DE": {"needs": ["eee"], "missing": missing("DE", "eee"), "blocked": blocked}}


def test_one_country_is_blocked_without_the_other() -> None:
    answer = said(epr(NOW - DAY, "DE", "eee"), sold("DE", "FR", traits=["circuit"]))
    assert (answer["DE"]["blocked"], answer["FR"]["blocked"]) == (False, True)
