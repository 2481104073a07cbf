"""The line of a product: facts and their windows, what is the latest, tombstones, slices, and rules that are data."""

from itertools import permutations
from typing import Any

import pytest

from tests.support.line_stories import (
    CORE,
    Line,
    certificate,
    custom,
    epr,
    lines_of,
    member,
    order,
    paid,
    product,
    rights,
    standing,
)
from tests.support.supplier_stories import DAY, Chain, at, tick
from vigil.app.domain.ledger.lines import UNITS_AT_ONCE
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook

NOW = at("2022-09-10 12:00")
WINDOW = 90 * DAY


def facts(*story: Line, now: int = NOW) -> Any:
    return rights(*story, tick(now))["facts"]


# ---- the whole line --------------------------------------------------------------------------------------------------


def test_every_field_of_a_line() -> None:
    story = [
        certificate(NOW - 3 * DAY, "warranty-agreement"),
        epr(NOW - 3 * DAY, "DE", "eee"),
        paid(NOW - DAY, None, ("p", "12.5"), buyer="x"),
        product(
            NOW,
            industry="consumer-electronics",
            abilities=["new"],
            delivery_days=16,
            markets=["DE", "FR", "US"],
            traits=["circuit", "packaging"],
            service="remote",
        ),
        tick(NOW + 7),
    ]
    assert standing(*story) == {
        "supplier_id": "s",
        "product_id": "p",
        "at": NOW + 7,
        "industry": "consumer-electronics",
        "stars": 1,
        "audience": "some",
        "next": {
            "stars": 2,
            "ways": [["serious-certificate"], ["dispatch-7d"], ["lowest-price-180d"], ["delivery-15d"], ["real-sale"]],
        },
        "selection": {
            "grade": "competitive",
            "has": ["new"],
            "missing": ["delivery-15d", "lowest-price-180d"],
            "listed_at": NOW + 2 * DAY,
        },
        "epr": {
            "DE": {
                "needs": ["packaging", "eee"],
                "missing": [{"category": "packaging", "weeks": [1, 2]}],
                "blocked": True,
            },
            "FR": {
                "needs": ["packaging", "eee"],
                "missing": [{"category": "packaging", "weeks": [1, 4]}, {"category": "eee", "weeks": [1, 6]}],
                "blocked": True,
            },
        },
        "warranty_mark": True,
        "paid_usd_90d": "12.50",
        "buyers_90d": 1,
        "rulebook": "2022-09-01",
    }


def test_now_is_the_largest_time_of_all_accepted_events() -> None:
    assert standing(product(NOW), tick(NOW + 5))["at"] == NOW + 5
    assert standing(tick(NOW + 5), product(NOW))["at"] == NOW + 5


def test_files_are_sorted_by_the_bytes_of_the_key() -> None:
    ids = ["é", "p/2", "p%", "p", "p-", "p.", "Z", "p0"]
    lines = lines_of(*(product(NOW, id_) for id_ in ids))["product-standing"]
    assert [line["product_id"] for line in lines] == ["Z", "p", "p%", "p/2", "p-", "p.", "p0", "é"]


# ---- latest and tombstones -------------------------------------------------------------------------------------------


def test_the_latest_state_holds_in_any_order() -> None:
    story = [product(NOW - day * DAY, industry=industry) for day, industry in enumerate(["home", "auto", "beauty"])]
    assert {standing(*arrival)["industry"] for arrival in permutations(story)} == {"home"}


def test_of_states_with_one_time_the_last_to_arrive_replaces_the_first_everywhere() -> None:
    one, other = product(NOW, industry="home", abilities=["new"]), product(NOW, industry="auto", abilities=["new"])
    assert standing(one, other)["industry"] == "auto"
    assert standing(other, one)["industry"] == "home"
    early = [custom(NOW - DAY, industry="auto", abilities=abilities) for abilities in (["new"], [])]
    assert standing(*early, other)["selection"]["listed_at"] == NOW + 2 * DAY
    assert standing(*reversed(early), other)["selection"]["listed_at"] == NOW + DAY


def test_a_state_is_whole_what_it_leaves_out_is_not_kept() -> None:
    line = standing(custom(NOW - DAY, abilities=["new"], delivery_days=3), custom(NOW))
    assert line["selection"]["has"] == []


def test_a_deleted_product_has_no_line_and_one_that_comes_back_has() -> None:
    gone = product(NOW, deleted=True)
    assert standing(product(NOW - DAY), gone) is None
    assert standing(gone, product(NOW - DAY)) is None
    assert standing(product(NOW - DAY), gone, product(NOW + 1))["stars"] == 1
    assert standing(product(NOW - DAY), gone, product(NOW))["stars"] == 1, "of one time the last to arrive holds"


def test_a_worker_publishes_a_tombstone() -> None:
    chain = Chain().play(product(NOW - DAY), product(NOW - DAY, "r")).checkpoint()
    assert sorted(chain.states("product-standing")) == ["s/p", "s/r"]
    chain.play(product(NOW, deleted=True)).crash().checkpoint()
    assert sorted(chain.states("product-standing")) == ["s/r"]
    assert len({id_ for topic, _, id_, body in chain.published if topic == "product-standing" and body is None}) == 1


def test_a_line_is_published_when_anything_but_its_time_changes() -> None:
    chain = Chain().play(product(NOW)).checkpoint()
    chain.play(product(NOW + DAY), product(NOW + 2 * DAY, info_score=4.9)).checkpoint().play(tick(NOW + 3 * DAY))
    chain.checkpoint()
    assert len(chain.sent("product-standing")) == 1
    chain.play(product(NOW + 4 * DAY, abilities=["new"])).checkpoint()
    assert [line["at"] for line in chain.sent("product-standing")] == [NOW, NOW + 4 * DAY]


def test_a_product_that_nobody_described_has_no_line() -> None:
    assert standing(paid(NOW, "o")) is None


# ---- orders on time --------------------------------------------------------------------------------------------------

DUE = NOW - DAY


def due(by: int, *steps: tuple[str, int], when: int | None = None) -> list[Line]:
    """An order to be dispatched by then, and its further steps."""
    return [paid(by - DAY if when is None else when, "o", by=by), *(order(at_, "o", kind) for kind, at_ in steps)]


@pytest.mark.parametrize(
    ("story", "share"),
    [
        ([], None),
        (due(DUE), 0.0),
        (due(DUE, ("dispatched", DUE)), 1.0),
        (due(DUE, ("dispatched", DUE + 1)), 0.0),
        (due(NOW), 0.0),
        (due(NOW + 1), None),
        (due(NOW + 1, ("dispatched", NOW - 5)), None),
        (due(NOW - WINDOW), None),
        (due(NOW - WINDOW + 1), 0.0),
        (due(DUE, ("refund-requested", DUE)), None),
        (due(DUE, ("refund-requested", DUE + 1)), 0.0),
        (due(DUE, ("refund-requested", DUE - 1), ("dispatched", DUE)), 1.0),
        (due(DUE, ("refund-requested", DUE - 1), ("dispatched", DUE + 1)), 0.0),
        (due(DUE, ("disputed", DUE - 1)), 0.0),
        (due(DUE, ("dispatched", DUE - 5 * DAY), when=DUE - 2 * DAY), 1.0),
        (due(DUE, when=DUE + 1), 0.0),
        ([*due(DUE)[1:], order(DUE, "o", "dispatched")], None),
        (due(DUE, when=NOW - 520 * DAY + 1), 0.0),
        (due(DUE, when=NOW - 520 * DAY), None),
    ],
)
def test_on_time_of_the_orders_that_were_due_in_the_last_90_days(story: list[Line], share: float | None) -> None:
    for arrival in permutations([*story, product(NOW, "other")]):
        assert facts(*arrival)["on_time_90d"] == share


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_order_is_remembered_520_days_after_its_dispatch_whatever_came_first(number: int) -> None:
    paid_, dispatched = due(DUE, ("dispatched", DUE), when=NOW - 521 * DAY)
    story = [dispatched, paid_]
    story.insert(number, product(NOW, "other"))
    assert facts(*story)["on_time_90d"] == 1.0
    assert facts(product(NOW, "other"), paid_, dispatched)["on_time_90d"] is None, "it was forgotten at once"


def test_orders_due_since_count_each() -> None:
    story = [paid(DUE - DAY, f"o{n}", by=DUE) for n in range(3)]
    assert facts(*story, order(DUE, "o1", "dispatched"))["on_time_90d"] == 0.333333


# ---- refunds and disputes --------------------------------------------------------------------------------------------

RATES = [("refund-requested", "refund_rate_90d"), ("disputed", "dispute_rate_90d")]


@pytest.mark.parametrize(("kind", "fact"), RATES)
@pytest.mark.parametrize(
    ("paid_at", "step_at", "rate"),
    [
        (NOW - DAY, NOW, 1.0),
        (NOW - DAY, None, 0.0),
        (NOW, NOW - 5 * DAY, 1.0),
        (NOW - WINDOW, NOW, None),
        (NOW - WINDOW + 1, NOW, 1.0),
    ],
)
def test_rates_are_over_the_orders_paid_in_the_last_90_days(
    kind: str, fact: str, paid_at: int, step_at: int | None, rate: float | None
) -> None:
    steps = [] if step_at is None else [order(step_at, "o", kind)]
    said = facts(paid(paid_at, "o", by=NOW + DAY), *steps)
    assert said[fact] == rate
    other = dict(RATES)["disputed" if kind == "refund-requested" else "refund-requested"]
    assert said[other] == (None if rate is None else 0.0)


def test_a_step_of_an_order_that_was_not_paid_counts_in_no_rate() -> None:
    story = [paid(NOW - DAY, "o"), *(order(NOW, "x", kind) for kind, _ in RATES)]
    assert (facts(*story)["refund_rate_90d"], facts(*story)["dispute_rate_90d"]) == (0.0, 0.0)


def test_of_an_order_and_kind_the_first_to_arrive_counts() -> None:
    first, second = order(DUE + 1, "o", "dispatched"), order(DUE - 1, "o", "dispatched")
    assert facts(*due(DUE), first, second)["on_time_90d"] == 0.0
    assert facts(*due(DUE), second, first)["on_time_90d"] == 1.0


def test_a_worker_publishes_stars_that_time_changes() -> None:
    orders = [paid(NOW - DAY, f"o{n}", ("z", "1"), by=NOW + DAY) for n in range(10)]
    chain = Chain().play(*orders, product(NOW)).crash().checkpoint()
    assert chain.states("product-standing")["s/p"]["stars"] == 1
    chain.advance(NOW + DAY).checkpoint().advance(NOW + DAY + 1).crash()
    late = chain.states("product-standing")["s/p"]
    assert (late["stars"], late["at"]) == (0, NOW + DAY)
    chain.advance(NOW + DAY + WINDOW + 1).checkpoint()
    assert chain.states("product-standing")["s/p"]["stars"] == 1


# ---- slices ----------------------------------------------------------------------------------------------------------


def test_many_products_are_computed_in_slices() -> None:
    number = 2 * UNITS_AT_ONCE + 50
    chain = Chain().play(*(custom(NOW, f"p{n}", industry="machinery", service="remote") for n in range(number)))
    for _ in range(4):
        chain.checkpoint()
    assert {line["stars"] for line in chain.states("product-standing").values()} == {1}
    chain.play(certificate(NOW + 1, "warranty-agreement"))
    for _ in range(4):
        before = len(chain.sent("product-standing"))
        chain.checkpoint()
        assert len(chain.sent("product-standing")) - before <= UNITS_AT_ONCE
    lines = chain.states("product-standing").values()
    assert (len(lines), {line["stars"] for line in lines}) == (number, {2})
    assert len(chain.sent("product-standing")) == 2 * number


def test_a_crash_between_slices_loses_none() -> None:
    """Only the last product changes: nothing of the first slices goes out, only the state shows what is left."""
    number = 2 * UNITS_AT_ONCE + 50
    products = [custom(NOW, f"p{n:03}", industry="machinery") for n in range(number - 1)]
    chain = Chain().play(*products, custom(NOW, "z", industry="machinery", service="remote"))
    for _ in range(4):
        chain.checkpoint()
    chain.play(certificate(NOW + 1, "warranty-agreement"))
    for _ in range(4):
        chain.crash()
    assert chain.states("product-standing")["s/z"]["stars"] == 2


def test_starred_products_follow_what_is_published() -> None:
    day = at("2022-10-05")
    chain = Chain().play(*(custom(day, f"p{n}") for n in range(5))).checkpoint()
    chain.play(custom(day, "p0", abilities=["overseas-stock"]), custom(day, "p1", deleted=True)).checkpoint()
    chain.play(custom(day, "p2", info_score=0)).crash()
    chain.play(custom(day, "p3", abilities=["serious-certificate"])).checkpoint()
    assert chain.states("supplier-rights")["s"]["starred_products"] == {"1": 1, "2": 1, "3": 1}


# ---- rules are data --------------------------------------------------------------------------------------------------


def with_sections(text: str) -> Rulebook:
    return parse_rulebook(BUILT_IN.read_text() + text, "rulebook.toml")


def test_a_further_phase_of_the_roll_out_is_a_dated_table() -> None:
    rules = with_sections(
        """
[star-plan.from.2023-01-01]
audience = "some"
industries = ["toys"]
legacy_stars = 2
source = "a test"
"""
    )
    new_year = at("2023-01-01")
    line = standing(product(new_year, industry="toys", info_score=0, legacy=True), rulebook=rules)
    assert (line["stars"], line["audience"], line["rulebook"]) == (2, "some", "2023-01-01")
    assert standing(product(new_year - 1, industry="toys", legacy=True), rulebook=rules)["audience"] == "all"
    closed = standing(product(new_year), rulebook=rules)
    assert (closed["stars"], closed["rulebook"]) == (None, "2023-01-01")


def test_another_industry_is_a_table_of_stars_and_one_of_selection() -> None:
    rules = with_sections(
        """
[stars.toys]
says = "Toys."

[stars.toys.from.2022-09-05]
two = ["craft + dispatch-3d", "custom"]
three = ["delivery-9d"]
source = "a test"

[selection.toys]
says = "Toys."

[selection.toys.from.2022-09-05]
abilities = ["wooden", "delivery-9d"]
themes = [{ name = "gifts", needs = ["wooden", "painted"] }]
source = "a test"
"""
    )
    line = standing(product(NOW, industry="toys", abilities=["craft", "wooden"], delivery_days=10), rulebook=rules)
    assert line["next"] == {"stars": 2, "ways": [["dispatch-3d"], ["custom"], ["real-sale"]]}
    assert line["rulebook"] == "2022-09-05"
    listed = {"grade": "competitive", "has": ["wooden"], "missing": ["painted"], "listed_at": NOW + 2 * DAY}
    assert line["selection"] == listed
    before = standing(product(at("2022-09-05") - 1, industry="toys", abilities=["wooden"]), rulebook=rules)
    assert (before["selection"], before["next"], before["rulebook"]) == (None, None, "2022-09-01")


def test_another_country_and_category_is_a_table() -> None:
    rules = with_sections(
        """
[epr.ES.wood]
says = "Wood in Spain."

[epr.ES.wood.from.2022-09-05]
trait = "wood"
declared = "year"
weeks = [3, 9]
source = "a test"
"""
    )
    line = product(NOW, markets=["ES", "DE"], traits=["wood"])
    needed = {"needs": ["wood"], "missing": [{"category": "wood", "weeks": [3, 9]}], "blocked": True}
    nothing = {"needs": [], "missing": [], "blocked": False}
    assert standing(line, rulebook=rules)["epr"] == {"DE": nothing, "ES": needed}
    registered = standing(epr(NOW, "ES", "wood"), line, rulebook=rules)["epr"]["ES"]
    assert registered == needed | {"missing": [], "blocked": False}
    assert standing(epr(NOW, "ES", "wood"), line)["epr"] == {"DE": nothing}


def test_other_numbers_of_one_star_are_a_dated_table() -> None:
    rules = with_sections(
        """
[star-conditions.from.2022-09-05]
rts = ["info", "samples"]
custom = ["price"]
flags = ["fraud"]
info_at_least = 3
core_countries = ["US"]
prices = ["fixed"]
on_time_at_least_share = 0.5
refunds_below_share = 0.5
buyers_over = 2
paid_at_least_usd = 100
source = "a test"
"""
    )
    line = product(NOW, info_score=3, customisable=False, freight_to=CORE[1:], flags=["bad-refunds"])
    said = standing(line, rulebook=rules)
    assert (said["stars"], said["next"]["ways"], said["rulebook"]) == (0, [["samples"]], "2022-09-05")
    flagged = standing(custom(NOW, price="fixed", flags=["fraud"]), member(NOW), rulebook=rules)
    assert flagged["next"]["ways"] == [["clean"]]


def test_a_listing_is_kept_by_the_rules_of_its_time_not_of_a_later_table() -> None:
    rules = with_sections(
        """
[selection.apparel.from.2024-01-01]
abilities = ["nothing"]
source = "a test"
"""
    )
    start = at("2022-08-10")
    states = [custom(start + day * DAY, industry="apparel", abilities=["new"]) for day in (0, 1)]
    story = [*states, tick(start + 60 * DAY), custom(start + 61 * DAY, industry="apparel", abilities=["new"])]
    assert standing(*story, tick(start + 120 * DAY), rulebook=rules)["selection"]["listed_at"] == start + 2 * DAY


def test_what_is_sent_again_after_a_crash_is_as_of_the_same_time() -> None:
    """The clock has passed the due time of the orders: what is sent again must not be older than what went out."""
    orders = [paid(NOW - DAY, f"o{n}", ("z", "1"), by=NOW + DAY) for n in range(10)]
    chain = Chain().play(*orders, product(NOW)).checkpoint()
    chain.advance(NOW + 40 * DAY).crash()
    sent = {id_ for topic, _, id_, body in chain.published if topic == "product-standing"}
    assert (len(sent), chain.states("product-standing")["s/p"]["stars"]) == (2, 0)


def test_a_tombstone_that_a_crash_keeps_from_going_out_goes_out_after_it() -> None:
    chain = Chain().play(product(NOW - DAY), product(NOW - DAY, "r")).checkpoint()
    chain.play(product(NOW, deleted=True)).crash(sent=False).checkpoint()
    assert sorted(chain.states("product-standing")) == ["s/r"]
    chain.play(product(NOW + 1)).checkpoint().play(product(NOW + 2, "r", deleted=True)).crash(sent=False).crash()
    assert sorted(chain.states("product-standing")) == ["s/p"]
