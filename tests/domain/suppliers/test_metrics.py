"""The five metrics of spec: every window and boundary by name."""

import pytest

from tests.support.supplier_stories import (
    DAY,
    HOUR,
    SECOND,
    Chain,
    at,
    deleted,
    ended,
    metrics,
    payment,
    profile,
    quote,
    replied,
    score,
    tick,
)  # fmt: skip

NOON = at("2022-08-20 12:00")


# quotes_month --------------------------------------------------------------------------------------------------------


def test_quotes_month_counts_distinct_rfqs() -> None:
    story = [quote(NOON, rfq="r1"), quote(NOON + 1, rfq="r1"), quote(NOON + 2, rfq="r2")]
    assert metrics(*story)["quotes_month"] == 2


@pytest.mark.parametrize(("now", "expected"), [("2022-08-31 23:59:59.999", 1), ("2022-09-01 00:00", 0)])
def test_quotes_month_ends_at_midnight_in_los_angeles(now: str, expected: int) -> None:
    assert metrics(quote(NOON), tick(at(now)))["quotes_month"] == expected


@pytest.mark.parametrize(("quoted", "expected"), [("2022-07-31 23:59:59.999", 0), ("2022-08-01 00:00", 1)])
def test_quotes_month_begins_at_midnight_in_los_angeles(quoted: str, expected: int) -> None:
    assert metrics(quote(at(quoted)), tick(NOON))["quotes_month"] == expected


def test_quotes_month_counts_an_rfq_again_in_the_next_month() -> None:
    assert metrics(quote(NOON, rfq="r1"), quote(at("2022-09-02"), rfq="r1"))["quotes_month"] == 1


def test_replies_rejections_and_pin_requests_are_no_quotes() -> None:
    story = [quote(NOON, kind=kind, id_="q") for kind in ("replied", "rejected", "pinned")]
    told = score(*story)
    assert told["metrics"]["quotes_month"] == 0
    assert told["counts"] == {"rfqs_quoted": 0, "rfqs_in_time": 0, "quotes": 0, "quotes_replied": 0}


# response_rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "rate"), [(12 * HOUR, 1.0), (12 * HOUR + 1, 0.0), (0, 1.0), (-1, 1.0)])
def test_response_within_exactly_12_hours_is_in_time(after: int, rate: float) -> None:
    assert metrics(quote(NOON, after=after))["response_rate"] == rate


@pytest.mark.parametrize(("after", "rate"), [(24 * HOUR, 1.0), (24 * HOUR + 1, 0.0)])
def test_response_within_24_hours_is_in_time_before_2022_08_03(after: int, rate: float) -> None:
    assert metrics(quote(at("2022-07-20"), after=after))["response_rate"] == rate


@pytest.mark.parametrize(("now", "rate"), [("2022-08-02 23:59:59.999", 1.0), ("2022-08-03 00:00", 0.0)])
def test_response_goes_by_the_rules_in_force_now_not_at_the_quote(now: str, rate: float) -> None:
    assert metrics(quote(at("2022-07-20"), after=20 * HOUR), tick(at(now)))["response_rate"] == rate


def test_response_counts_the_first_quote_to_an_rfq_only() -> None:
    told = score(quote(NOON, rfq="r1", after=HOUR), quote(NOON + DAY, rfq="r1", after=30 * HOUR))
    assert (told["metrics"]["response_rate"], told["counts"]["rfqs_quoted"], told["counts"]["quotes"]) == (1.0, 1, 2)


def test_response_counts_the_first_quote_by_its_time_though_it_arrives_last() -> None:
    told = score(quote(NOON + DAY, rfq="r1", after=30 * HOUR), quote(NOON, rfq="r1", after=HOUR))
    assert (told["metrics"]["response_rate"], told["counts"]["rfqs_quoted"]) == (1.0, 1)


@pytest.mark.parametrize(("later", "rate"), [(30 * DAY - 1, 1.0), (30 * DAY, None)])
def test_response_window_is_30_days(later: int, rate: float | None) -> None:
    assert metrics(quote(NOON), tick(NOON + later))["response_rate"] == rate


def test_response_window_asks_for_the_first_quote_ever() -> None:
    told = score(quote(NOON, rfq="r1"), quote(NOON + 31 * DAY, rfq="r1"))
    assert told["metrics"]["response_rate"] is None
    assert told["counts"]["quotes"] == 1
    assert told["metrics"]["quotes_month"] == 1


def test_rates_are_rounded_to_six_places() -> None:
    story = [quote(NOON, after=HOUR), quote(NOON, after=HOUR), quote(NOON, after=13 * HOUR)]
    assert metrics(*story)["response_rate"] == 0.666667


# reply_rate ----------------------------------------------------------------------------------------------------------


def test_reply_rate_is_the_share_of_quotes_replied_to() -> None:
    assert metrics(quote(NOON, id_="a"), quote(NOON, id_="b"), replied(NOON + 1, "a"))["reply_rate"] == 0.5


def test_reply_rate_is_null_without_quotes() -> None:
    assert metrics(replied(NOON, "a"))["reply_rate"] is None


@pytest.mark.parametrize(("later", "rate"), [(30 * DAY - 1, 1.0), (30 * DAY, None)])
def test_reply_window_is_30_days_from_the_quote(later: int, rate: float | None) -> None:
    assert metrics(quote(NOON, id_="a"), replied(NOON + DAY, "a"), tick(NOON + later))["reply_rate"] == rate


def test_a_reply_that_arrives_before_its_quote_counts() -> None:
    assert metrics(replied(NOON + 1, "a"), quote(NOON, id_="a"))["reply_rate"] == 1.0


# gmv -----------------------------------------------------------------------------------------------------------------


def test_gmv_90d_is_settled_minus_refunded() -> None:
    story = [payment(NOON, "paid", "500"), payment(NOON, "settled", "100.10"), payment(NOON, "refunded", 0.35)]
    assert metrics(*story)["gmv_90d"] == "99.75"


def test_gmv_month_is_paid_minus_refunded() -> None:
    story = [payment(NOON, "paid", "500"), payment(NOON, "settled", "100.10"), payment(NOON, "refunded", "0.35")]
    assert metrics(*story)["gmv_month"] == "499.65"


def test_gmv_is_never_below_zero_but_remembers_what_went_back() -> None:
    story = [payment(NOON, "refunded", 30)]
    assert metrics(*story)["gmv_90d"] == metrics(*story)["gmv_month"] == "0.00"
    told = metrics(*story, payment(NOON, "settled", 50), payment(NOON, "paid", 50))
    assert (told["gmv_90d"], told["gmv_month"]) == ("20.00", "20.00")


def test_gmv_counts_payments_linked_to_an_rfq_only() -> None:
    story = [payment(NOON, "settled", 9, rfq=None), payment(NOON, "paid", 9, rfq=None)]
    assert (metrics(*story)["gmv_90d"], metrics(*story)["gmv_month"]) == ("0.00", "0.00")


def test_a_refund_is_linked_by_its_own_rfq() -> None:
    story = [payment(NOON, "settled", 9, id_="p"), payment(NOON, "refunded", 4, id_="p", rfq=None)]
    assert metrics(*story)["gmv_90d"] == "9.00"


@pytest.mark.parametrize(("later", "expected"), [(90 * DAY - 1, "9.00"), (90 * DAY, "0.00")])
def test_gmv_window_is_90_days(later: int, expected: str) -> None:
    assert metrics(payment(NOON, "settled", 9), tick(NOON + later))["gmv_90d"] == expected


@pytest.mark.parametrize(("now", "expected"), [("2022-08-31 23:59:59.999", "9.00"), ("2022-09-01", "0.00")])
def test_gmv_month_ends_at_midnight(now: str, expected: str) -> None:
    assert metrics(payment(NOON, "paid", 9), tick(at(now)))["gmv_month"] == expected


def test_sums_beyond_64_bits_are_told_up_to_the_most() -> None:
    story = [payment(NOON, "settled", "999999999999999.99") for _ in range(200)]
    chain = Chain().play(*story, tick(NOON + 15 * DAY)).crash()
    assert chain.end().scores["s"]["metrics"]["gmv_90d"] == "10000000000000000.00"


# duplicates and what is too old ---------------------------------------------------------------------------------------


def test_a_duplicate_quote_counts_once_and_the_first_to_arrive_stands() -> None:
    told = ended(quote(NOON, id_="a", after=HOUR), quote(NOON + DAY, id_="a", rfq="other", after=HOUR))
    assert told.scores["s"]["counts"]["quotes"] == told.scores["s"]["metrics"]["quotes_month"] == 1
    assert told.counts["duplicates:quote"] == 1


def test_a_duplicate_payment_counts_once_by_kind() -> None:
    told = ended(
        payment(NOON, "settled", 9, id_="p"), payment(NOON, "settled", 9, id_="p"), payment(NOON, "paid", 9, id_="p")
    )
    assert (told.scores["s"]["metrics"]["gmv_90d"], told.scores["s"]["metrics"]["gmv_month"]) == ("9.00", "9.00")
    assert told.counts["duplicates:payment"] == 1


def test_another_supplier_may_use_the_same_ids() -> None:
    told = ended(quote(NOON, "s", id_="a"), quote(NOON, "t", id_="a")).scores
    assert [told[name]["counts"]["quotes"] for name in "st"] == [1, 1]


def test_quotes_are_remembered_for_95_days() -> None:
    again = [quote(NOON, id_="a"), quote(NOON + 95 * DAY - 1, id_="a")]
    assert ended(*again).counts["duplicates:quote"] == 1
    anew = ended(quote(NOON, id_="a"), quote(NOON + 95 * DAY, id_="a"))
    assert "duplicates:quote" not in anew.counts
    assert anew.scores["s"]["counts"] == {"rfqs_quoted": 1, "rfqs_in_time": 1, "quotes": 1, "quotes_replied": 0}


def test_that_an_rfq_was_quoted_on_is_remembered_for_95_days() -> None:
    for later, quoted in ((95 * DAY - 1, 0), (95 * DAY, 1)):
        told = ended(quote(NOON, rfq="r"), quote(NOON + later, rfq="r"))
        assert told.scores["s"]["counts"]["rfqs_quoted"] == quoted


def test_a_duplicate_is_known_until_the_last_day_though_old_entries_are_deleted() -> None:
    story = [quote(NOON, id_="a"), payment(NOON, "settled", 9, id_="p")]
    passing = [tick(NOON + day * DAY) for day in range(1, 95)]
    told = ended(*story, *passing, quote(NOON + 95 * DAY - 1, id_="a"))
    assert told.counts["duplicates:quote"] == 1
    passing += [tick(NOON + day * DAY) for day in range(95, 125)]
    assert (
        ended(*story, *passing, payment(NOON + 125 * DAY - 1, "settled", 9, id_="p")).counts["duplicates:payment"] == 1
    )


def test_what_arrives_older_than_remembered_has_no_effect_and_is_counted() -> None:
    told = ended(
        tick(NOON + 125 * DAY + 3 * SECOND),
        quote(NOON + 20 * DAY, "old"),
        payment(NOON, "settled", 9, "old"),
        payment(NOON + DAY, "settled", 9, "young"),
    )
    assert list(told.scores) == ["young"]
    assert told.counts["too_old"] == 2


# lines ---------------------------------------------------------------------------------------------------------------


def test_without_a_profile_a_supplier_is_standard_without_stars_of_industry_unknown() -> None:
    told = score(payment(NOON, "paid", 1))
    assert (told["membership"], told["stars"], told["industry"]) == ("standard", 0, "unknown")


def test_a_living_profile_alone_gives_a_line() -> None:
    told = score(profile(NOON, industry="toys", membership="verified", stars=4))
    assert (told["industry"], told["membership"], told["stars"]) == ("toys", "verified", 4)
    assert told["metrics"]["response_rate"] is None


def test_a_deleted_profile_alone_gives_no_line() -> None:
    assert ended(profile(NOON), deleted()).scores == {}
    assert ended(deleted(), tick(NOON)).scores == {}


def test_a_supplier_whose_profile_was_deleted_but_quoted_has_a_line() -> None:
    told = score(profile(NOON), quote(NOON + 1), deleted())
    assert (told["industry"], told["membership"], told["stars"]) == ("unknown", "standard", 0)


def test_the_profile_of_the_largest_time_is_in_force_though_it_arrives_first() -> None:
    told = score(profile(NOON + 1, industry="tools"), profile(NOON, industry="toys"))
    assert told["industry"] == "tools"


def test_of_two_profiles_of_one_instant_the_last_to_arrive_is_in_force() -> None:
    assert score(profile(NOON, stars=1), profile(NOON, stars=2))["stars"] == 2


def test_a_profile_older_than_the_tombstone_that_arrives_after_it_stays_deleted() -> None:
    assert ended(profile(NOON), deleted(), profile(NOON - DAY)).scores == {}


def test_what_has_arrived_is_in_the_next_line_though_the_clock_lags_behind_it() -> None:
    story = [quote(NOON), quote(NOON + HOUR), payment(NOON + HOUR, "settled", "5.00")]
    told = Chain().play(*story).checkpoint().scores["s"]
    assert told["counts"]["quotes"] == told["counts"]["rfqs_in_time"] == 2
    assert told["metrics"]["gmv_90d"] == "5.00"


def test_now_is_the_largest_time_of_the_input_for_every_supplier() -> None:
    told = ended(quote(NOON, "s"), quote(NOON + DAY, "t")).scores
    assert [told[name]["at"] for name in "st"] == [NOON + DAY, NOON + DAY]


def test_a_supplier_without_a_profile_is_forgotten_400_days_after_the_last_heard_of_it() -> None:
    kept = Chain().play(quote(NOON), tick(NOON + 400 * DAY - 1)).crash().end().scores
    assert list(kept) == ["s"]
    chain = Chain().play(quote(NOON), tick(NOON + 400 * DAY)).crash()
    assert chain.end().scores == {}
    assert not chain.shards[0].keys
    assert chain.sent("supplier-score")[-1] is None


def test_a_supplier_with_a_living_profile_is_not_forgotten() -> None:
    assert list(Chain().play(profile(NOON), tick(NOON + 500 * DAY)).end().scores) == ["s"]
