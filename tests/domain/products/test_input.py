"""What is refused of products, orders and certificates, what is left out, and what is counted."""

from typing import Any

import pytest

from tests.support.line_stories import CORE, Line, certificate, epr, measure, member, order, paid, product, recorded
from tests.support.line_stories import standing as standing_of
from tests.support.supplier_stories import DAY, RULEBOOK, Chain, at
from vigil.app.runtime.replay import replay

NOW = at("2022-09-10 12:00")
MISSING = object()


def changed(line: Line, **more: Any) -> Line:
    """The line with other fields; MISSING leaves one out."""
    value = {name: one for name, one in ((line.value or {}) | more).items() if one is not MISSING}
    return line._replace(value=value)


def refused(*story: Line) -> list[str]:
    """The topics of the dead letters, all of them malformed, of a replay."""
    letters = [output.body for output in replay(recorded(story), RULEBOOK)["dead-letter"]]
    assert all(letter.reason == "malformed" for letter in letters), letters
    return [str(letter.topic) for letter in letters]


# ---- product ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["supplier_id", "at", "product_id", "industry", "model", "info_score"])
@pytest.mark.parametrize("value", [MISSING, None, [], True])
def test_a_required_field_of_a_product_that_cannot_be_read_is_malformed(field: str, value: object) -> None:
    assert refused(changed(product(NOW), **{field: value})) == ["product"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "RTS"),
        ("model", "other"),
        ("info_score", -0.1),
        ("info_score", 5.1),
        ("info_score", 5.0000005),
        ("info_score", -0.0000005),
        ("info_score", "4.2"),
        ("product_id", ""),
        ("product_id", "p" * 129),
        ("at", NOW // 1000),
        ("at", NOW + 0.5),
    ],
)
def test_a_required_field_out_of_its_range_is_malformed(field: str, value: object) -> None:
    assert refused(changed(product(NOW), **{field: value})) == ["product"]


@pytest.mark.parametrize(
    ("field", "value", "same_as"),
    [
        ("abilities", None, []),
        ("abilities", "new", []),
        ("abilities", ["new", 7, None, ["x"], "serious-certificate"], ["new", "serious-certificate"]),
        ("dispatch_days", -1, None),
        ("dispatch_days", 7.5, None),
        ("dispatch_days", "7", None),
        ("dispatch_days", 7.0, 7),
        ("delivery_days", True, None),
        ("price", "free", None),
        ("customisable", None, False),
        ("customisable", "true", False),
        ("samples", 1, False),
        ("legacy", "yes", False),
        ("deleted", 1, False),
        ("deleted", None, False),
        ("flags", {"bad-refunds": True}, []),
        ("flags", ["bad-refunds", 1], ["bad-refunds"]),
        ("service", "onsite", "none"),
        ("service", None, "none"),
        ("traits", ["circuit", 1], ["circuit"]),
        ("markets", ["DE", None], ["DE"]),
        ("freight_to", [*CORE, 1], CORE),
        ("guaranteed_to", "US", []),
        ("more", {"anything": 1}, MISSING),
    ],
)
def test_an_optional_field_that_cannot_be_read_is_left_out_alone(field: str, value: object, same_as: object) -> None:
    story = [certificate(NOW - DAY, "warranty-agreement"), product(NOW, markets=["FR"], traits=["battery"])]
    line, plain = changed(story[1], **{field: value}), changed(story[1], **{field: same_as})
    assert refused(story[0], line) == []
    assert standing_of(story[0], line) == standing_of(story[0], plain)


def test_numbers_may_be_written_in_any_way() -> None:
    line = standing_of(changed(product(NOW, industry="home", delivery_days=30.0), info_score=5, at=float(NOW)))
    assert (line["stars"], line["at"]) == (2, NOW)


def test_names_are_taken_as_they_are_written() -> None:
    names = {"industry": "Home", "abilities": ["New", " new"], "traits": ["Circuit"], "markets": ["DE"]}
    line = standing_of(product(NOW, "a b/%ü", **names), id_="a b/%ü")
    assert (line["industry"], line["stars"], line["next"]) == ("Home", 1, None)
    assert line["epr"]["DE"]["needs"] == []


# ---- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dispatched", "refund-requested", "disputed"])
def test_only_a_paid_order_needs_buyer_time_and_lines(kind: str) -> None:
    assert refused(order(NOW, "o", kind)) == []
    assert refused(changed(order(NOW, "o", kind), buyer_id=1, dispatch_by="soon", lines={})) == []


@pytest.mark.parametrize("field", ["supplier_id", "at", "order_id", "kind", "buyer_id", "dispatch_by", "lines"])
@pytest.mark.parametrize("value", [MISSING, None, [], "", {}])
def test_a_required_field_of_a_paid_order_that_cannot_be_read_is_malformed(field: str, value: object) -> None:
    assert refused(changed(paid(NOW, "o"), **{field: value})) == ["order"]


def line_of(**more: Any) -> dict[str, Any]:
    value = {"product_id": "p", "amount_usd": "10", **more}
    return {name: one for name, one in value.items() if one is not MISSING}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "settled"),
        ("dispatch_by", NOW // 1000),
        ("lines", [line_of()] * 51),
        ("lines", [line_of(), "x"]),
        ("lines", [line_of(product_id=MISSING)]),
        ("lines", [line_of(product_id="")]),
        ("lines", [line_of(amount_usd=MISSING)]),
        ("lines", [line_of(amount_usd=None)]),
        ("lines", [line_of(amount_usd="0")]),
        ("lines", [line_of(amount_usd=0)]),
        ("lines", [line_of(amount_usd=-1)]),
        ("lines", [line_of(amount_usd="1.001")]),
        ("lines", [line_of(amount_usd=1.001)]),
        ("lines", [line_of(amount_usd="ten")]),
        ("lines", [line_of(amount_usd=True)]),
        ("lines", [line_of(), line_of(amount_usd="1e2")]),
    ],
)
def test_a_paid_order_with_a_line_that_cannot_be_read_is_malformed(field: str, value: object) -> None:
    assert refused(changed(paid(NOW, "o"), **{field: value})) == ["order"]


@pytest.mark.parametrize(
    ("written", "usd"), [("10", "10.00"), (10, "10.00"), (10.5, "10.50"), ("0.01", "0.01"), (4.35, "4.35")]
)
def test_an_amount_is_a_string_or_a_number(written: object, usd: str) -> None:
    line = changed(paid(NOW - DAY, "o"), lines=[line_of(amount_usd=written)])
    assert standing_of(line, product(NOW))["paid_usd_90d"] == usd


def test_fifty_lines_are_taken_and_a_service_that_is_unknown_is_none() -> None:
    line = changed(paid(NOW - DAY, "o"), lines=[line_of(service="onsite")] * 50)
    assert refused(line) == []
    assert standing_of(line, product(NOW))["paid_usd_90d"] == "500.00"


def test_a_repeat_of_an_order_and_kind_has_no_effect_but_moves_now() -> None:
    again = paid(NOW + DAY, "o", ("p", "900"), buyer="y")
    line = standing_of(paid(NOW - DAY, "o", ("p", "10")), product(NOW), again)
    assert (line["paid_usd_90d"], line["buyers_90d"], line["at"]) == ("10.00", 1, NOW + DAY)


# ---- certificate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["supplier_id", "at", "certificate_id", "kind", "status"])
@pytest.mark.parametrize("value", [MISSING, None, "", 1])
def test_a_required_field_of_a_certificate_that_cannot_be_read_is_malformed(field: str, value: object) -> None:
    assert refused(changed(certificate(NOW, "fda"), **{field: value})) == ["certificate"]


@pytest.mark.parametrize("field", ["country", "category", "number"])
@pytest.mark.parametrize("value", [MISSING, None, 1])
def test_a_registration_needs_country_category_and_number(field: str, value: object) -> None:
    assert refused(changed(epr(NOW, "DE", "eee"), **{field: value})) == ["certificate"]
    assert refused(changed(certificate(NOW, "fda"), **{field: value})) == []


@pytest.mark.parametrize(
    ("country", "category"),
    [
        ("IT", "eee"),
        ("de", "eee"),
        ("DE", "glass"),
        ("DE", "circuit"),
        ("DE", "furniture"),
        ("DE", "tyre"),
        ("DE", "textile"),
        ("DE", "paper"),
    ],
)
def test_a_country_a_category_and_a_pair_without_a_tick_are_malformed(country: str, category: str) -> None:
    assert refused(epr(NOW, country, category)) == ["certificate"]


KINDS = ["quality-system", "medical-1-2", "medical-3", "fda", "warranty-agreement", "local-service"]


def test_kinds_of_certificates_are_those_of_the_rulebook() -> None:
    assert refused(*(certificate(NOW, kind) for kind in KINDS), epr(NOW, "FR", "paper")) == []
    assert refused(certificate(NOW, "medical-2"), certificate(NOW, "EPR")) == ["certificate"] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("valid_from", "2022-09-01"),
        ("valid_from", NOW // 1000),
        ("valid_from", 0),
        ("valid_from", NOW + 0.5),
        ("valid_until", "never"),
        ("valid_until", NOW // 1000),
        ("valid_until", 10**16),
        ("valid_until", True),
        ("holder", "parent"),
        ("holder", 1),
        ("invoice", "yes"),
        ("invoice", 1),
    ],
)
def test_what_says_whether_a_certificate_is_in_force_must_be_readable(field: str, value: object) -> None:
    for line in (certificate(NOW, "fda"), epr(NOW, "DE", "eee")):
        assert refused(changed(line, **{field: value})) == ["certificate"]
        assert refused(changed(line, **{field: None})) == []


def test_a_status_that_is_unknown_is_malformed() -> None:
    assert refused(certificate(NOW, "fda", status="expired")) == ["certificate"]


# ---- measures and profiles -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("paper-tonnes", 4), ("paper-tonnes-year", -1), ("paper-tonnes-year", None)]
)
def test_a_measure_that_no_rulebook_names_or_without_its_value_is_malformed(name: str, value: Any) -> None:
    assert refused(measure(NOW, name, value)) == ["activity"]


@pytest.mark.parametrize("value", [0, NOW // 1000, "yesterday", 10**16, True])
def test_a_time_of_a_profile_that_cannot_be_read_is_left_out(value: object) -> None:
    line = member(NOW, signed_at=value, opened_at=value)
    assert refused(line) == []
    rights = replay(recorded([line]), RULEBOOK)["supplier-rights"]
    assert rights[0].body.growth is None


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [product(NOW), paid(NOW, "o"), certificate(NOW, "fda")])
def test_the_key_is_the_supplier(line: Line) -> None:
    assert refused(line._replace(key="other")) == [line.topic]


def test_a_refused_event_does_not_move_now() -> None:
    late = changed(product(NOW + 200 * DAY), model="other")
    assert standing_of(product(NOW), late)["at"] == NOW


def test_ignored_fields_are_counted() -> None:
    lines = [
        changed(product(NOW), service="onsite", abilities=["new", 1, 2], legacy=None),
        changed(paid(NOW, "o"), lines=[line_of(service="onsite"), line_of(service=None)]),
        changed(order(NOW, "o", "disputed"), buyer_id=1),
        changed(certificate(NOW, "fda"), country=1),
    ]
    counts = Chain().play(*lines).collector.counts
    assert {name: number for name, number in counts.items() if name.startswith("fields_ignored")} == {
        "fields_ignored:product:service": 1,
        "fields_ignored:product:abilities": 2,
        "fields_ignored:product:legacy": 1,
        "fields_ignored:order:lines.service": 2,
        "fields_ignored:order:buyer_id": 1,
        "fields_ignored:certificate:country": 1,
    }
