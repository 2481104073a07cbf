"""The service score: the rank formula by hand, every threshold of both tables, and from what ranks are computed."""

import pytest

from tests.support.line_stories import measure
from tests.support.supplier_stories import (
    DAY,
    HOUR,
    RULEBOOK,
    Line,
    at,
    ended,
    payment,
    points,
    profile,
    quote,
    replied,
    score,
    tick,
)
from vigil.app.domain.industries.score import ScoreRules, amount_points, rank_points, rank_suppliers, share_points
from vigil.app.domain.rulebook.suppliers import RankPoints
from vigil.topics.internal import SupplierTotals

JULY = at("2022-07-15")
NOON = at("2022-08-20 12:00")
BEFORE = at("2022-07-20 12:00")
RANKS = RankPoints(top_share=0.1, top_points=20, rest_points=19)


def totals(quotes_month: int = 1, in_time: int = 0, rfqs: int = 0) -> SupplierTotals:
    return SupplierTotals(
        quotes_month=quotes_month,
        rfqs_quoted=rfqs,
        rfqs_in_time=in_time,
        gmv_90d=0,
        gmv_month=0,
        prior_gmv_90d=0,
    )


# ranks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rank", "of", "expected"),
    [
        (1, 1, 20),  # top = 1
        (1, 2, 20),
        (2, 2, 19),  # n = top + 1
        (1, 3, 20),
        (2, 3, 19),  # 19 × 1 / 1
        (3, 3, 0),
        (2, 10, 19),  # 19 × 8 / 8
        (3, 10, 17),  # 19 × 7 / 8 = 16.625
        (6, 10, 10),  # 19 × 4 / 8 = 9.5, rounded up
        (10, 10, 0),
        (2, 11, 20),  # top = ⌈1.1⌉ = 2
        (3, 11, 19),
        (4, 11, 17),  # 19 × 7 / 8
        (11, 11, 0),
        (2, 20, 20),  # top = 2
        (3, 20, 19),
        (3, 21, 20),  # top = 3
        (10, 100, 20),
        (11, 100, 19),
        (12, 100, 19),  # 19 × 88 / 89 = 18.79
        (100, 100, 0),
        (11, 101, 20),  # top = 11
    ],
)
def test_points_by_rank(rank: int, of: int, expected: int) -> None:
    assert rank_points(RANKS, rank, of) == expected


def test_equal_values_share_the_best_rank_and_the_next_one_is_skipped() -> None:
    result = rank_suppliers([("a", totals(5)), ("b", totals(7)), ("c", totals(5)), ("d", totals(1))])
    assert {name: one.quotes for name, one in result.items()} == {"b": 1, "a": 2, "c": 2, "d": 4}
    assert {one.of for one in result.values()} == {4}


def test_rates_are_ranked_unrounded_and_null_is_last() -> None:
    close = [("a", totals(1, 3333333, 10000000)), ("b", totals(1, 1, 3)), ("c", totals(1)), ("d", totals(1, 0, 1))]
    result = rank_suppliers([*close, ("e", totals(1, 2, 6))])
    assert {name: one.response for name, one in result.items()} == {"b": 1, "e": 1, "a": 3, "d": 4, "c": 5}


def test_suppliers_that_did_not_quote_this_month_have_no_rank() -> None:
    assert set(rank_suppliers([("a", totals(0, 5, 5)), ("b", totals(1))])) == {"b"}


def test_ranks_are_within_the_industry() -> None:
    story = [profile(NOON, "a", "toys"), profile(NOON, "b", "tools"), quote(NOON + 1, "a"), quote(NOON + 1, "b")]
    result = ended(*story, quote(NOON + 1, "b")).scores
    assert [result[name]["ranks"]["quotes"] for name in "ab"] == [{"rank": 1, "of": 1}] * 2


def test_a_zero_response_rate_gets_no_points_though_it_is_ranked_first() -> None:
    result = score(quote(NOON, after=13 * HOUR))
    assert result["ranks"]["response"] == {"rank": 1, "of": 1}
    assert (result["points"]["quotes"], result["points"]["response"]) == (20, 0)


def test_a_null_response_rate_gets_no_points() -> None:
    assert points(quote(NOON, rfq="r"), quote(NOON + 40 * DAY, rfq="r"))["response"] == 0


def test_a_supplier_without_a_quote_this_month_has_no_rank_and_no_points() -> None:
    result = score(quote(at("2022-08-31 12:00")), tick(at("2022-09-01 12:00")))
    assert result["metrics"]["response_rate"] == 1.0
    assert result["ranks"] == {"quotes": None, "response": None}
    assert (result["points"]["quotes"], result["points"]["response"]) == (0, 0)


# reply rate ----------------------------------------------------------------------------------------------------------

NEW_REPLY = [(0, 100, 0), (1, 100, 6), (99, 1000, 6), (1, 10, 12), (299, 1000, 12), (3, 10, 24), (499, 1000, 24),
             (5, 10, 30), (1, 1, 30), (0, 0, 0)]  # fmt: skip
OLD_REPLY = [(0, 100, 0), (1, 100, 3), (99, 1000, 3), (1, 10, 6), (299, 1000, 6), (3, 10, 12), (499, 1000, 12),
             (5, 10, 15), (1, 1, 15)]  # fmt: skip


def reply_points(day: str, part: int, whole: int) -> int:
    version = RULEBOOK.at("service-score", at(day))
    assert version is not None
    return share_points(version.limits.reply, part, whole)


@pytest.mark.parametrize(("part", "whole", "expected"), NEW_REPLY)
def test_reply_points(part: int, whole: int, expected: int) -> None:
    assert reply_points("2022-08-03", part, whole) == expected


@pytest.mark.parametrize(("part", "whole", "expected"), OLD_REPLY)
def test_reply_points_before_2022_08_03(part: int, whole: int, expected: int) -> None:
    assert reply_points("2022-08-02", part, whole) == expected


def test_a_reply_rate_of_exactly_a_tenth_reaches_the_step() -> None:
    story = [quote(NOON, id_=str(number)) for number in range(10)]
    assert points(*story, replied(NOON + 1, "0"))["reply"] == 12


# gmv -----------------------------------------------------------------------------------------------------------------


def gmv_points(day: str, cents: int) -> int:
    version = RULEBOOK.at("service-score", at(day))
    assert version is not None
    return amount_points(version.limits.gmv, cents)


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("0", 0), ("0.01", 2), ("499.99", 2), ("500", 5), ("999.99", 5), ("1000", 10), ("9999.99", 10), ("10000", 15),
        ("19999.99", 15), ("20000", 20), ("34999.99", 20), ("35000", 30), ("999999", 30),
    ],
)  # fmt: skip
def test_gmv_points(usd: str, expected: int) -> None:
    assert gmv_points("2022-08-03", round(float(usd) * 100)) == expected


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("0", 0), ("0.01", 2), ("1000", 2), ("1000.01", 5), ("4999.99", 5), ("5000", 10), ("9999.99", 10),
        ("10000", 15), ("24999.99", 15), ("25000", 25), ("34999.99", 25), ("35000", 40),
    ],
)  # fmt: skip
def test_gmv_points_before_2022_08_03(usd: str, expected: int) -> None:
    assert gmv_points("2022-08-02", round(float(usd) * 100)) == expected


def test_gmv_of_one_thousand_dollars_is_more_under_the_new_rules() -> None:
    story = [payment(BEFORE, "settled", 1000)]
    assert points(*story, tick(at("2022-08-02 23:59:59.999")))["gmv"] == 2
    assert points(*story, tick(at("2022-08-03")))["gmv"] == 10


def test_a_score_names_the_effective_date_of_its_rules() -> None:
    assert score(quote(BEFORE), tick(at("2022-08-02 23:59:59.999")))["rulebook"] == "1970-01-01"
    assert score(quote(BEFORE), tick(at("2022-08-03")))["rulebook"] == "2022-08-03"


# bonus ---------------------------------------------------------------------------------------------------------------


def bonus(*story: Line, membership: str = "verified") -> int:
    awarded: int = points(profile(at("2022-06-01"), membership=membership), *story)["bonus"]
    return awarded


@pytest.mark.parametrize(("usd", "expected"), [("1000", 20), ("999.99", 0), ("1000.01", 20)])
def test_the_bonus_needs_gmv_of_1000_at_the_end_of_the_month_before(usd: str, expected: int) -> None:
    assert bonus(payment(BEFORE, "settled", usd), tick(NOON)) == expected


def test_the_bonus_looks_at_the_end_of_the_month_before_not_at_now() -> None:
    at_end = payment(at("2022-07-31 23:59:59.999"), "settled", 1000)
    too_late = payment(at("2022-08-01"), "settled", 1000)
    assert bonus(at_end, tick(NOON)) == 20
    assert bonus(too_late, tick(NOON)) == 0
    assert bonus(too_late, tick(at("2022-09-01"))) == 20
    assert bonus(at_end, payment(NOON, "refunded", 1000)) == 20


def test_a_new_verified_supplier_has_no_bonus() -> None:
    assert points(profile(NOON))["bonus"] == 0


def test_a_standard_supplier_has_no_bonus() -> None:
    assert bonus(payment(BEFORE, "settled", 5000), tick(NOON), membership="standard") == 0


@pytest.mark.parametrize(("now", "expected"), [("2022-06-30 23:59:59.999", 20), ("2022-07-01", 0)])
def test_before_2022_07_01_the_bonus_needs_no_gmv(now: str, expected: int) -> None:
    assert bonus(tick(at(now))) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, 0), (0.5, 0), (1, 1), (3, 1), (4, 2), (11, 2), (12, 3), (17, 3), (18, 4), (21, 4), (22, 5), (30, 5)],
)
def test_days_logged_in_give_points_before_2022_08_03(days: float, expected: int) -> None:
    result = score(profile(JULY), measure(JULY, "login-days-30d", days))
    assert (result["points"]["logins"], result["predicted"]) == (expected, expected)


@pytest.mark.parametrize(("now", "expected"), [("2022-08-02 23:59:59.999", 5), ("2022-08-03", 0)])
def test_days_logged_in_give_no_points_from_2022_08_03_on(now: str, expected: int) -> None:
    assert points(profile(JULY), measure(JULY, "login-days-30d", 30), tick(at(now)))["logins"] == expected


def test_the_assessed_score_goes_by_the_days_logged_in_as_of_the_months_end() -> None:
    measures = [measure(JULY, "login-days-30d", 22), measure(at("2022-08-01"), "login-days-30d", 1)]
    assert score(profile(JULY), *measures, tick(at("2022-08-03")))["assessed"] == {"month": "2022-07", "score": 5}


def test_the_sum_is_not_capped() -> None:
    story = [quote(NOON, id_="a"), replied(NOON + 1, "a"), payment(NOON, "settled", 99999)]
    result = score(profile(BEFORE), payment(BEFORE, "settled", 1000), *story)
    assert result["points"] == {"quotes": 20, "response": 20, "reply": 30, "gmv": 30, "logins": 0, "bonus": 20}
    assert result["predicted"] == 120


# GMV challenge -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usd", "rights"),
    [
        ("499.99", 0), ("500", 1), ("999.99", 1), ("1000", 2), ("2999.99", 2), ("3000", 5), ("7999.99", 5),
        ("8000", 10), ("14999.99", 10), ("15000", 15),
    ],
)  # fmt: skip
def test_gmv_challenge(usd: str, rights: int) -> None:
    assert ScoreRules(RULEBOOK).challenge_rights(NOON, round(float(usd) * 100)) == rights


@pytest.mark.parametrize(("when", "rights"), [("2022-07-31 23:59:59.999", 0), ("2022-08-01", 15)])
def test_gmv_challenge_begins_on_2022_08_01(when: str, rights: int) -> None:
    assert score(payment(at(when), "paid", 15000))["gmv_challenge_rights"] == rights


def test_a_refund_does_not_lower_the_gmv_challenge() -> None:
    assert score(payment(NOON, "paid", 500), payment(NOON, "refunded", 400))["gmv_challenge_rights"] == 1
