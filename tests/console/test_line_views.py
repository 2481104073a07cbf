"""What the pages of products, obligations and suppliers say of lines: ways to the next star, due times, permits."""

import msgspec
import pytest

from tests.console.test_line_store import NOW, obligation, put
from tests.support.console_stories import RULEBOOK, ConsoleStage
from tests.support.line_stories import certificate, custom, epr, member, paid, product
from tests.support.supplier_stories import DAY, at
from vigil.app.console.ingest.obligations import Obligations
from vigil.app.console.views.due import LINES, ListQuery, listing, page_of, when_in_words
from vigil.app.console.views.products import (
    abilities,
    certificate_state,
    known_certificates,
    registrations,
    rules_of,
    ways,
)
from vigil.app.console.views.rights import permits
from vigil.app.console.views.text import WORDS
from vigil.app.domain.ledger.rules import LineRules
from vigil.topics.products import Certificate, NextStars, ProductStanding

RULES = LineRules(RULEBOOK)
MINUTE = 60_000
HOUR = 60 * MINUTE


def standing(*story: object) -> ProductStanding:
    (row,) = ConsoleStage().play_lines(*story).state.model.lines.products_of("s")  # type: ignore[arg-type]
    return row.decoded()


def way_words(one: ProductStanding) -> list[tuple[str, str]]:
    return [(" ".join(way.holds), " ".join(way.missing)) for way in ways(one, RULES)]


# ---- products


def test_each_way_to_the_next_star_says_what_holds_and_what_is_missing_the_shortest_way_first():
    one = standing(product(NOW, abilities=["serious-certificate", "new"], dispatch_days=7))
    assert (one.stars, way_words(one)) == (
        2,
        [
            ("new serious-certificate", "delivery-15d"),
            ("", "overseas-stock"),
            ("", "paid-5000"),
            ("", "lowest-price-180d delivery-15d"),
        ],
    )


def test_a_flag_stands_in_every_way():
    one = standing(product(NOW, flags=["moq-anomaly"], samples=True, price="sku"))
    assert way_words(one) == [("info on-time customisable refunds", "clean")]


@pytest.mark.parametrize(
    "line, holds, missing",
    [
        (product(NOW, freight_to=[]), "info guaranteed on-time customisable refunds", "freight"),
        (custom(NOW, samples=False), "info price on-time customisable refunds", "samples"),
        (custom(NOW, info_score=4.19), "on-time customisable refunds", "info"),
    ],
)
def test_for_one_star_it_says_what_the_models_that_are_possible_have_in_common(line: object, holds: str, missing: str):
    assert way_words(standing(line)) == [(holds, missing)]


def test_nothing_is_said_to_hold_where_the_line_follows_from_another_rulebook():
    one = msgspec.structs.replace(standing(product(NOW)), next=NextStars(stars=2, ways=(("hand-made",), ("sewn",))))
    assert way_words(one) == [("", "hand-made"), ("", "sewn")]


def test_a_product_with_all_stars_or_of_an_industry_without_a_row_has_no_way():
    assert ways(standing(product(NOW, abilities=["overseas-stock"])), RULES) == []
    assert ways(standing(product(NOW, industry="sports")), RULES) == []


def test_the_abilities_of_the_industry_that_it_has_and_has_not():
    one = standing(product(NOW, abilities=["new", "craft"], delivery_days=16))
    expected = [("new", True), ("delivery-15d", False), ("price-power", False), ("private-mould", False)]
    assert [tuple(each) for each in abilities(one, RULES)] == expected
    assert abilities(standing(product(NOW, industry="sports")), RULES) == []


def test_registrations_by_country_with_those_that_are_missing_and_their_certificates():
    story = [epr(NOW - DAY, "DE", "packaging"), product(NOW, markets=["DE", "US"], traits=["packaging", "circuit"])]
    console = ConsoleStage().play_lines(*story)
    one = console.state.model.lines.products_of("s")[0].decoded()
    found = registrations(one, console.state.model.lines.certificates_of("s"), NOW)
    ((blocked, needs),) = found.values()
    assert blocked and [(need.category, need.weeks) for need in needs] == [("packaging", None), ("eee", (2, 15))]
    assert [[each.certificate_id for each in need.certificates] for need in needs] == [["DE-packaging"], []]


def test_the_rules_of_a_product_are_those_that_were_in_force():
    one = standing(product(NOW, markets=["FR"], traits=["paper"]))
    assert [(rule.section, rule.version.effective_date) for rule in rules_of(one, RULES)] == [
        ("star-plan", "2022-08-01"),
        ("star-conditions", "2022-08-01"),
        ("stars.consumer-electronics", "2022-08-01"),
        ("selection.consumer-electronics", "2022-08-01"),
        ("epr-blocking", "2022-08-01"),
        ("epr.FR.paper", "1970-01-01"),
    ]
    assert rules_of(standing(product(at("2022-07-31 12:00"))), RULES) == []


@pytest.mark.parametrize(
    "changes, state",
    [
        ({}, "in-force"),
        ({"valid_until": NOW + 1}, "in-force"),
        ({"valid_until": NOW}, "ended"),
        ({"valid_from": NOW}, "in-force"),
        ({"valid_from": NOW + 1}, "not-yet"),
        ({"holder": "upstream"}, "no-invoice"),
        ({"holder": "upstream", "invoice": True}, "in-force"),
        ({"status": "rejected", "valid_until": NOW}, "rejected"),
    ],
)
def test_how_a_certificate_stands(changes: dict[str, object], state: str):
    line = certificate(NOW - DAY, "fda", None, **changes)
    assert certificate_state(msgspec.convert(line.value, Certificate), NOW) == state


def test_certificates_that_no_rule_asks_for_are_left_out_as_by_the_worker():
    lines = [epr(NOW, "DE", "eee"), epr(NOW, "DE", "tyre"), certificate(NOW, "fda"), certificate(NOW, "diploma")]
    held = [msgspec.convert(line.value, Certificate) for line in lines]
    assert [one.certificate_id for one in known_certificates(held, RULES)] == ["DE-eee", "fda"]


# ---- what is due


@pytest.mark.parametrize(
    "span, english, chinese",
    [
        (1, "in less than a minute", "不到 1 分钟后"),
        (MINUTE, "in 1 min", "1 分钟后"),
        (HOUR - 1, "in 59 min", "59 分钟后"),
        (HOUR, "in 1 h", "1 小时后"),
        (5 * HOUR + 10 * MINUTE, "in 5 h 10 min", "5 小时 10 分钟后"),
        (DAY, "in 1 d", "1 天后"),
        (3 * DAY + 4 * HOUR + MINUTE, "in 3 d 4 h", "3 天 4 小时后"),
        (0, "less than a minute ago", "不到 1 分钟前"),
        (-2 * DAY, "2 d ago", "2 天前"),
    ],
)
def test_when_something_is_due_in_words(span: int, english: str, chinese: str):
    assert [when_in_words(WORDS[one], NOW + span, NOW) for one in ("en", "zh")] == [english, chinese]


def held() -> Obligations:
    return put(
        Obligations(1000),
        obligation("a", due=3, supplier="merchant-1"),
        obligation("b", due=1, supplier="merchant-12", duty="service-parts"),
        obligation("c", "breached", due=-1, supplier="Merchant-2"),
        obligation("d", "open", due=9, supplier="merchant-1"),
    )


@pytest.mark.parametrize(
    "query, expected",
    [
        ({}, ["b", "a", "c"]),
        ({"status": "open"}, ["d"]),
        ({"status": "met"}, ["b", "a", "c"]),
        ({"duty": "service-parts"}, ["b"]),
        ({"duty": "no-duty"}, []),
        ({"supplier": "merchant-1"}, ["a"]),
        ({"supplier": "MERCHANT-1"}, ["b", "a"]),
        ({"supplier": " merchant "}, ["b", "a", "c"]),
        ({"supplier": "merchant-1", "duty": "service-parts"}, []),
        ({"page": "9"}, ["b", "a", "c"]),
    ],
)
def test_the_list_has_what_a_reader_asks_for(query: dict[str, str], expected: list[str]):
    """A supplier that is known by exactly what was typed is the only one; else all that contain it."""
    found = listing(held(), ListQuery.of(query))
    assert [row.decoded().obligation_id for row in found.rows] == expected
    assert (found.found, found.page, found.pages) == (len(expected), 1, 1)


@pytest.mark.parametrize("query", [{}, {"duty": "service-answer"}])
def test_two_thousand_lines_are_pages_of_a_hundred(query: dict[str, str]):
    many = put(Obligations(3000), *(obligation(f"{n:04}", due=n) for n in range(2001)))
    first, last = listing(many, ListQuery.of(query)), listing(many, ListQuery.of(query | {"page": "21"}))
    assert (first.found, first.pages, len(first.rows), len(last.rows)) == (2001, 21, LINES, 1)
    assert last.rows[0].decoded().obligation_id == "2000"


@pytest.mark.parametrize("text, page", [(None, 1), ("2", 2), ("0", 1), ("-1", 1), ("²", 1), ("9" * 7, 1), ("x", 1)])
def test_a_page_that_is_no_number_is_the_first(text: str | None, page: int):
    assert page_of(text) == page


# ---- rights


def test_permits_say_what_they_ask_for():
    console = ConsoleStage().play_lines(
        member(NOW - DAY, membership="standard", stars=2), certificate(NOW, "warranty-agreement")
    )
    rights = console.state.model.lines.rights_of("s")
    assert rights is not None
    rows = {row.name: row for row in permits(rights, RULES, WORDS["en"])}
    assert [name for name, row in rows.items() if row.held] == ["remote-service", "festival-floor"]
    assert next(iter(rows)) == "remote-service"
    assert rows["local-service"].needs == [
        "a certificate in force: Warranty agreement",
        "a certificate in force: Documents of service on site",
        "verified membership",
    ]
    assert rows["second-hand-clothing"].needs == [
        "a certificate in force: Quality system",
        "stars: 2 or more; or verified and stars: 1 or more",
        "more than 95 % of orders dispatched on time, in 90 days",
        "less than 5 % of orders disputed, in 90 days",
    ]
    assert rows["festival-floor"].needs[0] == "the permit Remote service"


def test_a_permit_that_the_rulebook_does_not_know_is_shown_by_its_name():
    console = ConsoleStage().play_lines(member(NOW), paid(NOW))
    rights = console.state.model.lines.rights_of("s")
    assert rights is not None
    rows = permits(msgspec.structs.replace(rights, permits=("to-fly",)), RULES, WORDS["zh"])
    assert (rows[0].name, rows[0].held, rows[0].needs) == ("to-fly", True, [])
