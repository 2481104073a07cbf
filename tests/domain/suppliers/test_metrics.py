"""The five metrics: every window and boundary."""

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
    result = score(*story)
    assert result["metrics"]["quotes_month"] == 0
    assert result["counts"] == {"rfqs_quoted": 0, "rfqs_in_time": 0, "rfqs_quoted_30d": 0, "rfqs_replied_30d": 0}


# response_rate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "rate"), [(12 * HOUR, 1.0), (12 * HOUR + 1, 0.0), (0, 1.0), (-1, 1.0)])
def test_response_within_exactly_12_hours_is_in_time(after: int, rate: float) -> None:
    assert metrics(quote(NOON, after=after))["response_rate"] == rate


@pytest.mark.parametrize(("after", "rate"), [(24 * HOUR, 1.0), (24 * HOUR + 1, 0.0)])
def test_response_within_24_hours_is_in_time_before_2022_08_03(after: int, rate: float) -> None:
    assert metrics(quote(at("2022-07-20"), after=after))["response_rate"] == rate


@pytest.mark.parametrize(("now", "rate"), [("2022-08-02 23:59:59.999", 1.0), ("2022-08-03 00:00", 0.0)])
def test_response_goes_by_the_rules_effective_now_not_at_the_quote(now: str, rate: float) -> None:
    assert metrics(quote(at("2022-07-20"), after=20 * HOUR), tick(at(now)))["response_rate"] == rate


def test_response_counts_the_first_quote_to_an_rfq_only() -> None:
    result = score(quote(NOON, rfq="r1", after=HOUR), quote(NOON + DAY, rfq="r1", after=30 * HOUR))
    assert (result["metrics"]["response_rate"], result["counts"]["rfqs_quoted"]) == (1.0, 1)
    assert result["counts"]["rfqs_quoted_30d"] == 1


def test_response_counts_the_first_quote_by_its_time_though_it_arrives_last() -> None:
    result = score(quote(NOON + DAY, rfq="r1", after=30 * HOUR), quote(NOON, rfq="r1", after=HOUR))
    assert (result["metrics"]["response_rate"], result["counts"]["rfqs_quoted"]) == (1.0, 1)


@pytest.mark.parametrize(("later", "rate"), [(30 * DAY - 1, 1.0), (30 * DAY, None)])
def test_response_window_is_30_days(later: int, rate: float | None) -> None:
    assert metrics(quote(NOON), tick(NOON + later))["response_rate"] == rate


def test_response_window_asks_for_the_first_quote_ever() -> None:
    result = score(quote(NOON, rfq="r1"), quote(NOON + 31 * DAY, rfq="r1"))
    assert result["metrics"]["response_rate"] is None
    assert result["counts"]["rfqs_quoted_30d"] == 1
    assert result["metrics"]["quotes_month"] == 1


def test_rates_are_rounded_to_six_places() -> None:
    story = [quote(NOON, after=HOUR), quote(NOON, after=HOUR), quote(NOON, after=13 * HOUR)]
    assert metrics(*story)["response_rate"] == 0.666667


# reply_rate ----------------------------------------------------------------------------------------------------------


def test_reply_rate_is_the_share_of_rfqs_replied_to() -> None:
    assert metrics(quote(NOON, id_="a"), quote(NOON, id_="b"), replied(NOON + 1, "a"))["reply_rate"] == 0.5


def test_two_quotes_to_one_rfq_count_once_and_a_reply_to_either_counts() -> None:
    story = [quote(NOON, id_="a", rfq="r"), quote(NOON + 1, id_="b", rfq="r"), quote(NOON, id_="c", rfq="other")]
    for answered in (["a"], ["b"], ["a", "b"]):
        result = score(*story, *(replied(NOON + 2, id_) for id_ in answered))
        assert result["metrics"]["reply_rate"] == 0.5
        assert result["counts"] == {
            "rfqs_quoted": 2,
            "rfqs_in_time": 2,
            "rfqs_quoted_30d": 2,
            "rfqs_replied_30d": 1,
        }


@pytest.mark.parametrize(("later", "rate"), [(30 * DAY - 1, 1.0), (30 * DAY, 0.0)])
def test_a_reply_to_an_older_quote_of_the_same_rfq_does_not_count(later: int, rate: float) -> None:
    story = [quote(NOON, id_="a", rfq="r"), quote(NOON + 20 * DAY, id_="b", rfq="r"), replied(NOON + 21 * DAY, "a")]
    assert metrics(*story, tick(NOON + later))["reply_rate"] == rate


@pytest.mark.parametrize(("later", "counted"), [(50 * DAY - 1, 1), (50 * DAY, 0)])
def test_an_rfq_is_in_the_reply_rate_by_its_latest_quote(later: int, counted: int) -> None:
    story = [quote(NOON, rfq="r"), quote(NOON + 20 * DAY, rfq="r")]
    assert score(*story, tick(NOON + later))["counts"]["rfqs_quoted_30d"] == counted


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


def test_gmv_month_is_paid_and_refunds_do_not_lower_it() -> None:
    story = [payment(NOON, "paid", "500"), payment(NOON, "settled", "100.10"), payment(NOON, "refunded", "0.35")]
    assert metrics(*story)["gmv_month"] == "500.00"


def test_published_gmv_is_never_below_zero_but_refunds_are_remembered() -> None:
    story = [payment(NOON, "refunded", 30)]
    assert metrics(*story)["gmv_90d"] == metrics(*story)["gmv_month"] == "0.00"
    result = metrics(*story, payment(NOON, "settled", 50), payment(NOON, "paid", 50))
    assert (result["gmv_90d"], result["gmv_month"]) == ("20.00", "50.00")


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


def test_sums_beyond_64_bits_are_published_as_the_largest_amount() -> None:
    story = [payment(NOON, "settled", "999999999999999.99") for _ in range(200)]
    chain = Chain().play(*story, tick(NOON + 15 * DAY)).crash()
    assert chain.end().scores["s"]["metrics"]["gmv_90d"] == "10000000000000000.00"


# duplicates and what is too old ---------------------------------------------------------------------------------------


def test_a_duplicate_quote_counts_once_by_the_first_to_arrive() -> None:
    result = ended(quote(NOON, id_="a", after=HOUR), quote(NOON + DAY, id_="a", rfq="other", after=HOUR))
    assert result.scores["s"]["counts"]["rfqs_quoted_30d"] == result.scores["s"]["metrics"]["quotes_month"] == 1
    assert result.counts["duplicates:quote"] == 1


def test_a_duplicate_payment_counts_once_by_kind() -> None:
    result = ended(
        payment(NOON, "settled", 9, id_="p"), payment(NOON, "settled", 9, id_="p"), payment(NOON, "paid", 9, id_="p")
    )
    assert (result.scores["s"]["metrics"]["gmv_90d"], result.scores["s"]["metrics"]["gmv_month"]) == ("9.00", "9.00")
    assert result.counts["duplicates:payment"] == 1


def test_another_supplier_may_use_the_same_ids() -> None:
    result = ended(quote(NOON, "s", id_="a"), quote(NOON, "t", id_="a")).scores
    assert [result[name]["counts"]["rfqs_quoted_30d"] for name in "st"] == [1, 1]


def test_quotes_are_remembered_for_95_days() -> None:
    repeated = [quote(NOON, id_="a"), quote(NOON + 95 * DAY - 1, id_="a")]
    assert ended(*repeated).counts["duplicates:quote"] == 1
    after_expiry = ended(quote(NOON, id_="a"), quote(NOON + 95 * DAY, id_="a"))
    assert "duplicates:quote" not in after_expiry.counts
    assert after_expiry.scores["s"]["counts"] == {
        "rfqs_quoted": 1,
        "rfqs_in_time": 1,
        "rfqs_quoted_30d": 1,
        "rfqs_replied_30d": 0,
    }


def test_rfqs_are_remembered_for_95_days() -> None:
    for later, quoted in ((95 * DAY - 1, 0), (95 * DAY, 1)):
        result = ended(quote(NOON, rfq="r"), quote(NOON + later, rfq="r"))
        assert result.scores["s"]["counts"]["rfqs_quoted"] == quoted


def test_a_duplicate_is_known_until_the_last_day_though_old_entries_are_deleted() -> None:
    story = [quote(NOON, id_="a"), payment(NOON, "settled", 9, id_="p")]
    passing = [tick(NOON + day * DAY) for day in range(1, 95)]
    result = ended(*story, *passing, quote(NOON + 95 * DAY - 1, id_="a"))
    assert result.counts["duplicates:quote"] == 1
    passing += [tick(NOON + day * DAY) for day in range(95, 125)]
    assert (
        ended(*story, *passing, payment(NOON + 125 * DAY - 1, "settled", 9, id_="p")).counts["duplicates:payment"] == 1
    )


def test_events_older_than_their_memory_have_no_effect_and_are_counted() -> None:
    result = ended(
        tick(NOON + 125 * DAY + 3 * SECOND),
        quote(NOON + 20 * DAY, "old"),
        payment(NOON, "settled", 9, "old"),
        payment(NOON + DAY, "settled", 9, "young"),
    )
    assert list(result.scores) == ["young"]
    assert result.counts["too_old"] == 2


# profiles and scores -------------------------------------------------------------------------------------------------


def test_without_a_profile_a_supplier_is_standard_without_stars_of_industry_unknown() -> None:
    result = score(payment(NOON, "paid", 1))
    assert (result["membership"], result["stars"], result["industry"]) == ("standard", 0, "unknown")


def test_a_supplier_with_an_active_profile_alone_has_a_score() -> None:
    result = score(profile(NOON, industry="toys", membership="verified", stars=4))
    assert (result["industry"], result["membership"], result["stars"]) == ("toys", "verified", 4)
    assert result["metrics"]["response_rate"] is None


def test_a_supplier_with_a_deleted_profile_alone_has_no_score() -> None:
    assert ended(profile(NOON), deleted()).scores == {}
    assert ended(deleted(), tick(NOON)).scores == {}


def test_a_supplier_that_quoted_has_a_score_though_its_profile_was_deleted() -> None:
    result = score(profile(NOON), quote(NOON + 1), deleted())
    assert (result["industry"], result["membership"], result["stars"]) == ("unknown", "standard", 0)


def test_the_profile_of_the_largest_time_is_effective_though_it_arrives_first() -> None:
    result = score(profile(NOON + 1, industry="tools"), profile(NOON, industry="toys"))
    assert result["industry"] == "tools"


def test_of_two_profiles_of_one_instant_the_last_to_arrive_is_effective() -> None:
    assert score(profile(NOON, stars=1), profile(NOON, stars=2))["stars"] == 2


def test_a_profile_older_than_the_tombstone_that_arrives_after_it_stays_deleted() -> None:
    assert ended(profile(NOON), deleted(), profile(NOON - DAY)).scores == {}


def test_an_event_ahead_of_the_watermark_is_in_the_next_score() -> None:
    story = [quote(NOON), quote(NOON + HOUR), payment(NOON + HOUR, "settled", "5.00")]
    result = Chain().play(*story).checkpoint().scores["s"]
    assert result["counts"]["rfqs_quoted_30d"] == result["counts"]["rfqs_in_time"] == 2
    assert result["metrics"]["gmv_90d"] == "5.00"


def test_now_is_the_largest_time_of_the_input_for_every_supplier() -> None:
    result = ended(quote(NOON, "s"), quote(NOON + DAY, "t")).scores
    assert [result[name]["at"] for name in "st"] == [NOON + DAY, NOON + DAY]


def test_a_supplier_without_a_profile_expires_400_days_after_its_last_event() -> None:
    kept = Chain().play(quote(NOON), tick(NOON + 400 * DAY - 1)).crash().end().scores
    assert list(kept) == ["s"]
    chain = Chain().play(quote(NOON), tick(NOON + 400 * DAY)).crash()
    assert chain.end().scores == {}
    assert not chain.shards[0].states
    assert chain.sent("supplier-score")[-1] is None


def test_a_supplier_with_an_active_profile_does_not_expire() -> None:
    assert list(Chain().play(profile(NOON), tick(NOON + 500 * DAY)).end().scores) == ["s"]
