"""Stars of products: every cell of the table, the conditions of one star, the roll-out, and what is missing."""

from typing import Any

import pytest

from tests.support.line_stories import CORE, Line, certificate, custom, member, order, paid, product, standing
from tests.support.supplier_stories import DAY, at, tick

NOW = at("2022-09-10 12:00")
"""Every industry is open."""

BUILDING = (
    ["serious-certificate", "new", "engineering"],
    ["professional-certificate", "new dispatch-30d", "engineering dispatch-30d"],
)
TABLE = {
    "consumer-electronics": (
        ["serious-certificate", "new dispatch-7d", "lowest-price-180d", "delivery-15d"],
        ["lowest-price-180d delivery-15d", "new delivery-15d serious-certificate", "overseas-stock"],
    ),
    "home": (
        ["serious-certificate", "new", "lowest-price-180d", "delivery-30d"],
        ["new delivery-30d", "lowest-price-180d delivery-30d", "overseas-stock"],
    ),
    "beauty": (
        ["serious-certificate", "new dispatch-7d", "lowest-price-180d", "delivery-15d"],
        ["new delivery-15d", "new serious-certificate", "serious-certificate lowest-price-180d"],
    ),
    "apparel": (
        ["serious-certificate", "new dispatch-7d", "lowest-price-180d", "flexible-custom"],
        ["new delivery-15d", "new flexible-custom"],
    ),
    "jewelry": (
        ["serious-certificate", "new dispatch-7d", "lowest-price-180d", "delivery-15d"],
        ["new flexible-custom", "lowest-price-180d flexible-custom", "new delivery-15d serious-certificate"],
    ),
    "machinery": (
        ["local", "remote", "local-showroom"],
        ["local dispatch-30d", "remote dispatch-7d rts"],
    ),
    "building": BUILDING,
    "furniture": BUILDING,
    "lighting": BUILDING,
    "auto": (
        ["serious-certificate", "new", "flexible-custom", "absolute-price"],
        ["new serious-certificate dispatch-7d", "new delivery-15d absolute-price", "overseas-stock"],
    ),
    "new-energy": (
        ["serious-certificate", "remote"],
        ["new serious-certificate dispatch-30d", "serious-certificate remote dispatch-30d", "overseas-stock"],
    ),
}
"""By industry: the cells of two and of three stars, as the announcement's table has them."""

CELLS = [
    (industry, level, cell.split())
    for industry, columns in TABLE.items()
    for level, cells in zip((2, 3), columns, strict=True)
    for cell in cells
]
JOINED = [(industry, level, cell, left) for industry, level, cell in CELLS if len(cell) > 1 for left in cell]


def having(industry: str, names: list[str], **more: Any) -> list[Line]:
    """A product of one star with these conditions of the table, and what its supplier needs for them."""
    value: dict[str, Any] = {"industry": industry, "abilities": [], **more}
    lines = []
    for name in names:
        kind, _, days = name.partition("-")
        if kind in ("dispatch", "delivery"):
            value[f"{kind}_days"] = int(days[:-1])
        elif name in ("remote", "local"):
            value["service"] = name
            lines += [certificate(NOW - DAY, "warranty-agreement"), member(NOW - DAY)]
            lines += [certificate(NOW - DAY, "local-service")] if name == "local" else []
        elif name != "rts":
            value["abilities"].append(name)
    build = product if "rts" in names else custom
    return [*lines, build(NOW, **value)]


def ways_of(industry: str, level: int, holding: tuple[str, ...] = ()) -> list[list[str]]:
    """The ways to a level of a product of which only `holding` holds."""
    cells = [[name for name in cell.split() if name not in holding] for cell in TABLE[industry][level - 2]]
    return [*cells, ["real-sale" if level == 2 else "paid-5000"]]


# ---- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("industry", "level", "cell"), CELLS)
def test_a_cell_that_holds_gives_its_level_though_one_star_is_missing(
    industry: str, level: int, cell: list[str]
) -> None:
    line = standing(*having(industry, cell, info_score=0))
    assert line["stars"] == level
    if level == 3:
        assert line["next"] is None
    else:
        assert line["next"]["stars"] == 3


@pytest.mark.parametrize(("industry", "level", "cell", "left"), JOINED)
def test_a_cell_with_one_condition_missing_is_a_way_that_names_it(
    industry: str, level: int, cell: list[str], left: str
) -> None:
    rest = [name for name in cell if name != left]
    two_buyers = [] if level == 2 else [paid(NOW - DAY, None, ("p", "1"), buyer=buyer) for buyer in "xy"]
    line = standing(*having(industry, rest), *two_buyers, tick(NOW))
    assert line["stars"] == level - 1
    assert line["next"]["stars"] == level
    place = [one.split() for one in TABLE[industry][level - 2]].index(cell)
    assert line["next"]["ways"][place] == [left]


@pytest.mark.parametrize("industry", TABLE)
def test_ways_are_the_cells_in_order_and_then_the_sale(industry: str) -> None:
    assert standing(custom(NOW, industry=industry))["next"] == {"stars": 2, "ways": ways_of(industry, 2)}
    buyers = [paid(NOW - DAY, None, ("p", "1"), buyer=buyer) for buyer in "xy"]
    assert standing(*buyers, custom(NOW, industry=industry))["next"] == {"stars": 3, "ways": ways_of(industry, 3)}
    ready = standing(*buyers, product(NOW, industry=industry))
    assert ready["next"] == {"stars": 3, "ways": ways_of(industry, 3, ("rts",))}


@pytest.mark.parametrize(
    ("industry", "field", "days", "level"),
    [
        ("home", "delivery_days", 30, 2),
        ("home", "delivery_days", 31, 1),
        ("home", "delivery_days", None, 1),
        ("beauty", "delivery_days", 15, 2),
        ("beauty", "delivery_days", 16, 1),
        ("beauty", "dispatch_days", 7, 1),  # not without new
        ("beauty", "delivery_days", 0, 2),
    ],
)
def test_days_up_to_the_number_hold(industry: str, field: str, days: int | None, level: int) -> None:
    assert standing(custom(NOW, industry=industry, **{field: days}))["stars"] == level


@pytest.mark.parametrize(("days", "level"), [(7, 2), (8, 1)])
def test_new_with_seven_days_to_dispatch(days: int, level: int) -> None:
    assert standing(custom(NOW, industry="apparel", abilities=["new"], dispatch_days=days))["stars"] == level


@pytest.mark.parametrize(("days", "level"), [(30, 3), (31, 2)])
def test_engineering_with_thirty_days_to_dispatch(days: int, level: int) -> None:
    line = custom(NOW, industry="lighting", abilities=["engineering"], dispatch_days=days)
    assert standing(line)["stars"] == level


@pytest.mark.parametrize("industry", ["sports", "toys"])
def test_an_industry_without_a_row_has_one_star_at_most(industry: str) -> None:
    buyers = [paid(NOW - DAY, None, ("p", "5000"), buyer=buyer) for buyer in "xy"]
    line = standing(*buyers, product(NOW, industry=industry, abilities=["overseas-stock", "new"]))
    assert (line["stars"], line["next"]) == (1, None)
    short = standing(*buyers, product(NOW, industry=industry, info_score=0))
    assert (short["stars"], short["next"]) == (0, {"stars": 1, "ways": [["info"]]})


# ---- services --------------------------------------------------------------------------------------------------------

AGREEMENT = certificate(NOW - DAY, "warranty-agreement")
LOCAL = certificate(NOW - DAY, "local-service")
VERIFIED = member(NOW - DAY)
STANDARD = member(NOW - DAY, membership="standard")


@pytest.mark.parametrize(
    ("service", "held", "ways"),
    [
        ("none", [AGREEMENT, LOCAL, VERIFIED], [["local"], ["remote"], ["local-showroom"], ["real-sale"]]),
        ("remote", [], [["local"], ["remote"], ["local-showroom"], ["real-sale"]]),
        ("local", [LOCAL, VERIFIED], [["local"], ["remote"], ["local-showroom"], ["real-sale"]]),
    ],
)
def test_a_service_needs_the_offer_and_the_permit(service: str, held: list[Line], ways: list[list[str]]) -> None:
    line = standing(*held, custom(NOW, industry="machinery", service=service))
    assert (line["stars"], line["next"]["ways"], line["warranty_mark"]) == (1, ways, False)


@pytest.mark.parametrize(
    ("service", "held", "missing"),
    [
        ("remote", [AGREEMENT], ["local", "dispatch-30d"]),
        ("remote", [AGREEMENT, LOCAL, VERIFIED], ["local", "dispatch-30d"]),
        ("local", [AGREEMENT, VERIFIED], ["local", "dispatch-30d"]),
        ("local", [AGREEMENT, LOCAL], ["local", "dispatch-30d"]),
        ("local", [AGREEMENT, LOCAL, STANDARD], ["local", "dispatch-30d"]),
        ("local", [AGREEMENT, LOCAL, VERIFIED], ["dispatch-30d"]),
    ],
)
def test_local_service_needs_agreement_documents_and_membership(
    service: str, held: list[Line], missing: list[str]
) -> None:
    line = standing(*held, product(NOW, industry="machinery", service=service))
    assert (line["stars"], line["warranty_mark"]) == (2, True), "remote service holds"
    assert line["next"]["ways"] == [missing, ["dispatch-7d"], ["paid-5000"]]


# ---- one star --------------------------------------------------------------------------------------------------------

ORDERS_LATE = [paid(NOW - 20 * DAY, f"o{n}", ("z", "1"), by=NOW - DAY) for n in range(10)]


def dispatched(number: int) -> list[Line]:
    """Ten orders of another product, some of which were dispatched in time."""
    return [*ORDERS_LATE, *(order(NOW - DAY, f"o{n}", "dispatched") for n in range(number))]


def refunded(number: int, of: int) -> list[Line]:
    """Orders that are not due yet, some with a refund requested."""
    orders = [paid(NOW - DAY, f"r{n}", ("z", "1"), by=NOW + DAY) for n in range(of)]
    return [*orders, *(order(NOW - DAY, f"r{n}", "refund-requested") for n in range(number))]


ONE = [
    ("rts", {"info_score": 4.2}, [], []),
    ("rts", {"info_score": 4.199}, [], ["info"]),
    ("rts", {"info_score": 5}, [], []),
    ("custom", {"info_score": 4.2}, [], []),
    ("custom", {"info_score": 4.199}, [], ["info"]),
    *(("rts", {"freight_to": [one for one in CORE if one != left]}, [], ["freight"]) for left in CORE),
    *(("rts", {"guaranteed_to": [one for one in CORE if one != left]}, [], ["guaranteed"]) for left in CORE),
    ("rts", {"freight_to": [*CORE, "XX", "us"]}, [], []),
    ("rts", {"freight_to": ["us", *CORE[1:]]}, [], ["freight"]),
    ("rts", {"price": None, "samples": False}, [], []),
    ("custom", {"freight_to": [], "guaranteed_to": []}, [], []),
    ("custom", {"price": "ladder"}, [], []),
    ("custom", {"price": "sku"}, [], []),
    ("custom", {"price": "range"}, [], ["price"]),
    ("custom", {"price": "fixed"}, [], ["price"]),
    ("custom", {"price": None}, [], ["price"]),
    ("rts", {"customisable": False}, [], ["customisable"]),
    ("custom", {"customisable": False}, [], ["customisable"]),
    ("custom", {"samples": False}, [], ["samples"]),
    *((model, {}, dispatched(9), []) for model in ("rts", "custom")),
    *((model, {}, dispatched(8), ["on-time"]) for model in ("rts", "custom")),
    *((model, {}, refunded(0, 1), []) for model in ("rts", "custom")),
    *((model, {}, refunded(1, 11), []) for model in ("rts", "custom")),
    *((model, {}, refunded(1, 10), ["refunds"]) for model in ("rts", "custom")),
    (
        "rts",
        {"info_score": 0, "freight_to": [], "guaranteed_to": [], "customisable": False, "flags": ["moq-anomaly"]},
        [*dispatched(0), *refunded(20, 20)],
        ["clean", "info", "freight", "guaranteed", "on-time", "customisable", "refunds"],
    ),
    (
        "custom",
        {"info_score": 0, "price": None, "customisable": False, "samples": False, "flags": ["bad-refunds"]},
        [*dispatched(0), *refunded(20, 20)],
        ["clean", "info", "price", "on-time", "customisable", "samples", "refunds"],
    ),
]


@pytest.mark.parametrize(("model", "more", "orders", "missing"), ONE)
def test_one_star_asks_for_all_conditions_of_its_model(
    model: str, more: dict[str, Any], orders: list[Line], missing: list[str]
) -> None:
    line = standing(*orders, (product if model == "rts" else custom)(NOW, **more), tick(NOW))
    assert line["stars"] == (0 if missing else 1)
    if missing:
        assert line["next"] == {"stars": 1, "ways": [missing]}


@pytest.mark.parametrize("flag", ["price-cheating", "moq-anomaly", "sku-anomaly", "bad-refunds"])
def test_a_flag_takes_every_level_and_clean_comes_first(flag: str) -> None:
    everything = {"abilities": ["overseas-stock", "serious-certificate"], "legacy": True, "flags": ["unknown", flag]}
    line = standing(product(NOW, **everything))
    assert (line["stars"], line["next"]) == (0, {"stars": 1, "ways": [["clean"]]})


def test_an_unknown_flag_and_ability_have_no_effect() -> None:
    line = standing(product(NOW, flags=["fraud", "clean"], abilities=["gold", "info", "NEW"], traits=["glass"]))
    assert (line["stars"], line["next"]["ways"]) == (1, ways_of("consumer-electronics", 2))


# ---- sales -----------------------------------------------------------------------------------------------------------


def sales(*amounts: tuple[str, str], when: int = NOW - DAY) -> list[Line]:
    return [paid(when, None, ("p", usd), buyer=buyer) for buyer, usd in amounts]


@pytest.mark.parametrize(
    ("orders", "stars", "buyers", "usd"),
    [
        (sales(("x", "10")), 0, 1, "10.00"),
        (sales(("x", "10"), ("x", "10")), 0, 1, "20.00"),
        (sales(("x", "10"), ("y", "0.01")), 2, 2, "10.01"),
        (sales(("x", "4999.99")), 0, 1, "4999.99"),
        (sales(("x", "5000")), 3, 1, "5000.00"),
        (sales(("x", "4999.99"), ("x", "0.01")), 3, 1, "5000.00"),
        ([paid(NOW - DAY, None, ("p", "2500"), ("z", "9"), ("p", "2500"))], 3, 1, "5000.00"),
        ([paid(NOW - DAY, None, ("z", "5000"), buyer=buyer) for buyer in "xy"], 0, 0, "0.00"),
        (sales(("x", "5000"), when=NOW - 90 * DAY), 0, 0, "0.00"),
        (sales(("x", "5000"), when=NOW - 90 * DAY + 1), 3, 1, "5000.00"),
    ],
)
def test_a_real_sale_and_five_thousand_are_levels_of_their_own(
    orders: list[Line], stars: int, buyers: int, usd: str
) -> None:
    line = standing(*orders, custom(NOW, info_score=0), tick(NOW))
    assert (line["stars"], line["buyers_90d"], line["paid_usd_90d"]) == (stars, buyers, usd)


def test_refunds_do_not_lower_what_was_paid() -> None:
    orders = [paid(NOW - DAY, "o", ("p", "5000")), order(NOW - DAY, "o", "refund-requested")]
    line = standing(*orders, custom(NOW, info_score=0))
    assert (line["stars"], line["paid_usd_90d"]) == (3, "5000.00")


def test_an_order_that_was_never_paid_counts_for_nothing() -> None:
    steps = [order(NOW - DAY, "o", kind) for kind in ("dispatched", "refund-requested", "disputed")]
    line = standing(*steps, custom(NOW))
    assert (line["stars"], line["buyers_90d"], line["paid_usd_90d"]) == (1, 0, "0.00")


# ---- the roll-out ----------------------------------------------------------------------------------------------------

FIRST = ["consumer-electronics", "home", "beauty", "apparel", "sports", "machinery", "building", "furniture",
         "new-energy", "auto"]  # fmt: skip
LATER = ["jewelry", "lighting", "toys"]


def said_of_stars(line: Any) -> tuple[Any, ...]:
    return line["stars"], line["audience"], line["rulebook"]


@pytest.mark.parametrize("industry", [*FIRST, *LATER])
def test_the_roll_out_opens_some_industries_and_then_all(industry: str) -> None:
    before = standing(product(at("2022-08-01") - 1, industry=industry))
    assert (*said_of_stars(before), before["next"]) == (None, None, None, None)
    august = standing(product(at("2022-08-01"), industry=industry))
    assert said_of_stars(august) == ((1, "some", "2022-08-01") if industry in FIRST else (None, None, "2022-08-01"))
    assert (august["next"] is None) == (industry in [*LATER, "sports"])
    end = standing(product(at("2022-09-01") - 1, industry=industry))
    assert said_of_stars(end) == said_of_stars(august)
    for day, audience in [("2022-09-01", "some"), ("2022-10-01", "all"), ("2022-11-01", "all")]:
        assert said_of_stars(standing(product(at(day), industry=industry))) == (1, audience, day)
    assert said_of_stars(standing(product(at("2022-10-01") - 1, industry=industry))) == (1, "some", "2022-09-01")
    assert said_of_stars(standing(product(at("2022-11-01") - 1, industry=industry))) == (1, "all", "2022-10-01")


@pytest.mark.parametrize(
    ("when", "more", "stars"),
    [
        (at("2022-11-01") - 1, {}, 1),
        (at("2022-11-01"), {}, 0),
        (at("2022-08-01"), {}, 1),
        (at("2022-08-01"), {"flags": ["sku-anomaly"]}, 0),
        (at("2022-08-01"), {"industry": "jewelry"}, None),
        (at("2022-09-01"), {"industry": "jewelry"}, 1),
        (at("2022-10-20"), {"legacy": False}, 0),
        (at("2022-10-20"), {"abilities": ["overseas-stock"]}, 3),
    ],
)
def test_a_clean_legacy_product_has_one_star_until_november(when: int, more: dict[str, Any], stars: int | None) -> None:
    assert standing(product(when, **({"info_score": 0, "legacy": True} | more)))["stars"] == stars


def test_a_legacy_star_leads_to_two() -> None:
    line = standing(product(NOW, info_score=0, legacy=True))
    assert line["next"] == {"stars": 2, "ways": ways_of("consumer-electronics", 2)}
