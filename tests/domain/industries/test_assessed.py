"""Assessed scores: 48 hours after a month's end, as of that end, and what they entitle to."""

from typing import Any

import pytest

from tests.support.supplier_stories import (
    DAY,
    HOUR,
    RULEBOOK,
    Chain,
    Line,
    at,
    deleted,
    ended,
    payment,
    profile,
    quote,
    replied,
    score,
    tick,
)
from vigil.app.domain.industries.assessments import Assessments
from vigil.app.domain.industries.score import ScoreRules
from vigil.app.domain.suppliers.calendar import month_from_name
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.domain.suppliers.rules import SupplierRules
from vigil.app.domain.suppliers.supplier import SupplierState
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.internal import AssessedScore, RankingEntry, SupplierTotals

JULY, AUGUST, SEPTEMBER = at("2022-07-15"), at("2022-08-15"), at("2022-09-15")
END = at("2022-09-01")


def assessed(*story: Line, supplier: str = "s") -> Any:
    return score(*story, supplier=supplier)["assessed"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [("2022-09-02 23:59:59.999", None), ("2022-09-03", {"month": "2022-08", "score": 40})],
)
def test_a_month_is_assessed_48_hours_after_its_end(now: str, expected: Any) -> None:
    assert assessed(quote(AUGUST), tick(at(now))) == expected


def test_the_assessed_score_is_published_until_the_next_one() -> None:
    assert assessed(quote(AUGUST), tick(at("2022-10-02 23:59:59.999"))) == {"month": "2022-08", "score": 40}
    assert assessed(quote(AUGUST), tick(at("2022-10-03"))) == {"month": "2022-09", "score": 0}


def test_a_supplier_without_events_for_a_century_is_assessed_month_by_month() -> None:
    result = assessed(profile(JULY), quote(AUGUST), quote(at("2122-08-15")))
    assert result == {"month": "2122-07", "score": 0}


def test_months_are_ranked_when_they_are_due_and_expire_oldest_first() -> None:
    due: dict[str, int] = {}
    rules, collector = SupplierRules(RULEBOOK), OutputCollector()
    months = Assessments(rules, ScoreRules(RULEBOOK), {}, due)

    def ranked() -> list[str]:
        return [output.body.month for output in collector.outputs]  # type: ignore[union-attr]

    def add(month: str, watermark: int) -> None:
        entry = RankingEntry(
            supplier_id="s",
            industry="shoes",
            membership="standard",
            stars=0,
            at=watermark,
            month=month,
            totals=SupplierTotals(**dict.fromkeys(SupplierTotals.__struct_fields__, 0)),
            moved_to=None,
            assessed=None,
        )
        months.add(entry, month, watermark)

    add("2022-10", SEPTEMBER + 1)
    add("2022-09", SEPTEMBER + 2)
    add("2022-08", SEPTEMBER)
    add("2022-09", SEPTEMBER + 3)  # what is due already does not wait longer
    while due:
        assert months.next_timer() == min(due.values())
        months.on_timer(months.next_timer(), collector)
    assert ranked() == ["2022-08", "2022-10", "2022-09"]
    for month in ("2022-08", "2022-09", "2022-10"):
        assert months.next_timer() == rules.assessed_at(month_from_name(month) + 2)
        assert months
        months.on_timer(months.next_timer(), collector)
    assert not months
    assert months.next_timer() == MAX_TIME
    for _ in range(2):
        add("2022-10", SEPTEMBER)
        months.on_end_of_input(collector)
        add("2022-10", SEPTEMBER + 1)
    months.on_timer(months.next_timer(), collector)
    assert ranked()[3:] == ["2022-10"] * 2


def test_48_hours_are_hours_also_where_clocks_change() -> None:
    october = quote(at("2022-10-15"))
    assert assessed(october, tick(at("2022-11-02 23:59:59.999"))) is None
    assert assessed(october, tick(at("2022-11-03"))) == {"month": "2022-10", "score": 40}


@pytest.mark.parametrize(("settled", "expected"), [("2022-08-31 23:59:59.999", 10), ("2022-09-01", 0)])
def test_events_before_the_months_end_count(settled: str, expected: int) -> None:
    result = assessed(profile(JULY, membership="standard"), payment(at(settled), "settled", 1000), tick(SEPTEMBER))
    assert result["score"] == expected


def test_a_reply_after_the_months_end_does_not_count() -> None:
    assert assessed(quote(AUGUST, id_="a"), replied(END - 1, "a"), tick(SEPTEMBER))["score"] == 70
    assert assessed(quote(AUGUST, id_="a"), replied(END, "a"), tick(SEPTEMBER))["score"] == 40


def test_windows_are_those_of_the_months_end() -> None:
    edge = END - 1 - 30 * DAY
    assert assessed(quote(edge + 1, after=0), tick(SEPTEMBER))["score"] == 40
    assert assessed(quote(edge, after=0), tick(SEPTEMBER))["score"] == 20


def test_what_arrives_after_the_assessment_but_happened_before_the_end_counts() -> None:
    story = [quote(AUGUST), tick(at("2022-09-04")), payment(AUGUST, "settled", 1000), tick(SEPTEMBER)]
    assert assessed(*story) == {"month": "2022-08", "score": 50}


def test_what_arrives_after_the_assessment_and_left_the_window_by_the_months_end_does_not_count() -> None:
    edge = END - 1 - 30 * DAY
    late = [quote(AUGUST, "s", after=13 * HOUR), tick(at("2022-09-04"))]
    assert assessed(*late, quote(edge, after=0), tick(SEPTEMBER))["score"] == 20
    assert assessed(*late, quote(edge + 1, after=0), tick(SEPTEMBER))["score"] == 40


def test_suppliers_without_any_event_before_the_end_are_not_assessed() -> None:
    assert assessed(quote(END), tick(SEPTEMBER)) is None
    assert assessed(profile(END), tick(SEPTEMBER)) is None
    assert assessed(profile(END - 1), tick(SEPTEMBER)) == {"month": "2022-08", "score": 0}


def test_ranks_are_those_of_the_months_end() -> None:
    story = [quote(AUGUST, "a"), quote(AUGUST, "b", after=20 * HOUR), quote(AUGUST + 1, "b", after=20 * HOUR)]
    result = ended(*story, quote(SEPTEMBER, "a"), quote(SEPTEMBER, "a"), tick(SEPTEMBER)).scores
    assert result["a"]["assessed"]["score"] == 19 + 20
    assert result["b"]["assessed"]["score"] == 20 + 0
    assert result["a"]["points"]["quotes"] == 20


def test_july_is_assessed_by_the_rules_effective_at_its_end() -> None:
    story = [quote(JULY, after=20 * HOUR, id_="a"), replied(JULY, "a"), payment(JULY, "settled", 1000)]
    assert assessed(*story, tick(at("2022-08-10"))) == {"month": "2022-07", "score": 20 + 20 + 15 + 2}


@pytest.mark.parametrize(("usd", "bonus"), [("1000", 20), ("999.99", 0)])
def test_the_bonus_of_august_depends_on_the_gmv_at_the_end_of_july(usd: str, bonus: int) -> None:
    story = [profile(JULY), payment(JULY, "settled", usd), payment(AUGUST, "refunded", usd), tick(SEPTEMBER)]
    assert assessed(*story) == {"month": "2022-08", "score": bonus}


def test_the_bonus_looks_back_over_90_days_before_the_end_of_the_month_before() -> None:
    july_end = at("2022-08-01") - 1
    inside, outside = july_end - 90 * DAY + 1, july_end - 90 * DAY
    for when, expected in ((inside, 20), (outside, 0)):
        story = [profile(at("2022-04-01")), payment(when, "settled", 1000), tick(at("2022-09-03"))]
        assert assessed(*story)["score"] == expected


# profiles and industries ---------------------------------------------------------------------------------------------


def test_membership_is_that_of_the_months_end() -> None:
    story = [payment(JULY, "settled", 1000), profile(JULY, membership="standard"), profile(END, membership="verified")]
    assert assessed(*story, tick(SEPTEMBER))["score"] == 10
    upgraded = [payment(JULY, "settled", 1000), profile(END - 1), profile(END, membership="standard")]
    assert assessed(*upgraded, tick(SEPTEMBER))["score"] == 30


def test_a_supplier_is_ranked_in_the_industry_of_the_months_end_and_keeps_its_score_when_it_moves() -> None:
    story = [
        profile(JULY, "a", "toys", "standard"),
        profile(JULY, "b", "toys", "standard"),
        quote(AUGUST, "a"),
        quote(AUGUST, "b"),
        quote(AUGUST, "b"),
        profile(END, "a", "tools", "standard"),
        tick(SEPTEMBER),
    ]
    result = ended(*story).scores
    assert (result["a"]["industry"], result["a"]["assessed"]) == ("tools", {"month": "2022-08", "score": 19 + 20})
    moved_after = ended(*story, profile(SEPTEMBER, "b", "tools", "standard")).scores
    assert (moved_after["b"]["industry"], moved_after["b"]["assessed"]["score"]) == ("tools", 40)


def test_a_profile_that_arrives_late_moves_the_assessment_to_another_industry() -> None:
    story = [
        profile(JULY, "a", "toys", "standard"),
        profile(JULY, "b", "toys", "standard"),
        quote(AUGUST, "a"),
        quote(AUGUST, "b"),
        quote(AUGUST, "b"),
        tick(SEPTEMBER),
    ]
    assert ended(*story).scores["a"]["assessed"]["score"] == 39
    result = ended(*story, profile(AUGUST, "b", "tools", "standard"), tick(SEPTEMBER + DAY)).scores
    assert [result[name]["assessed"]["score"] for name in "ab"] == [40, 40]


def test_an_assessment_is_kept_though_the_profile_is_deleted() -> None:
    result = score(profile(JULY), quote(AUGUST), tick(SEPTEMBER), deleted(), tick(SEPTEMBER + DAY))
    assert (result["industry"], result["assessed"]) == ("unknown", {"month": "2022-08", "score": 40})


def test_a_supplier_whose_profile_comes_back_after_the_assessment_is_assessed() -> None:
    result = assessed(profile(JULY), deleted(), tick(SEPTEMBER), profile(SEPTEMBER), tick(SEPTEMBER + DAY))
    assert result == {"month": "2022-08", "score": 0}


def assessed_score(month: str = "2022-08", industry: str = "toys", score: int = 70) -> AssessedScore:
    return AssessedScore(
        supplier_id="s", industry=industry, month=month, score=score, membership="standard", stars=0, at=END - 1
    )


@pytest.mark.parametrize(
    ("stories", "expected"),
    [
        ([assessed_score()], ("2022-08", 70)),
        ([assessed_score(), assessed_score(score=60)], ("2022-08", 60)),
        ([assessed_score(), assessed_score(industry="tools", score=60)], ("2022-08", 70)),  # it is not ranked there
        ([assessed_score("2022-07")], ("2022-07", 70)),  # it was on its way when August's entry was sent
        ([assessed_score(), assessed_score("2022-07", score=60)], ("2022-08", 70)),
    ],
)
def test_the_latest_assessed_score_of_the_right_industry_counts(
    stories: list[AssessedScore], expected: tuple[str, int]
) -> None:
    chain = Chain().play(profile(JULY, industry="toys"), tick(SEPTEMBER))
    state, collector = chain.shards[0].states.get("s"), OutputCollector()
    assert isinstance(state, SupplierState)
    state._main.assessed = None
    for each in stories:
        state.apply(each, SEPTEMBER, collector)
    entry = collector.outputs[-1].body
    assert isinstance(entry, RankingEntry)
    assert entry.assessed is not None
    assert (entry.assessed.month, entry.assessed.score) == expected


def test_an_assessed_score_of_an_unknown_supplier_has_no_effect() -> None:
    state, collector = SupplierMachine(RULEBOOK).load("s", {}), OutputCollector()
    state.apply(assessed_score(), SEPTEMBER, collector)
    assert (collector.outputs, collector.counts) == ([], {"stale_standings": 1})
    assert state.expired()


# entitlements --------------------------------------------------------------------------------------------------------


def fixed(points: int, membership: Any, stars: int, submitted: int = 0) -> AssessedScore:
    return AssessedScore(
        supplier_id="s",
        industry="toys",
        month="2022-08",
        score=points,
        membership=membership,
        stars=stars,
        at=END - 1,
        submitted=submitted,
    )


BANDS = [
    # score, gold verified, gold standard, pins, free passes, silver, stars
    (0, 5, 3, 0, 0, False, 0),
    (59, 5, 3, 0, 0, False, 0),
    (60, 15, 5, 5, 5, True, 0),
    (79, 15, 5, 5, 5, True, 0),
    (80, None, 15, 10, 10, True, 3),
    (89, None, 15, 10, 10, True, 3),
    (90, None, 15, 10, 10, True, 5),
    (120, None, 15, 10, 10, True, 5),
]


@pytest.mark.parametrize(("points", "verified", "standard", "pins", "free", "silver", "stars"), BANDS)
def test_entitlements_by_score(
    points: int, verified: int | None, standard: int, pins: int, free: int, silver: bool, stars: int
) -> None:
    rules = ScoreRules(RULEBOOK)
    for membership, own_stars, gold in (("verified", 0, verified), ("standard", 3, standard), ("standard", 2, 0)):
        result = rules.entitlements(END - 1, fixed(points, membership, own_stars))
        assert result is not None
        assert (result.gold_rfqs, result.pinned_quotes, result.free_pass_quotes) == (gold, pins, free)
        assert (result.silver_early, result.star_points, result.quote_rights) == (silver, stars, None)


EARLIER_BANDS = [
    # score, submitted, gold verified, silver, quote rights, free passes, stars
    (0, 200, 5, False, 0, 0, 0),
    (39, 0, 5, False, 0, 0, 0),
    (40, 0, 15, False, 5, 0, 0),
    (59, 0, 15, False, 5, 0, 0),
    (60, 0, 15, False, 10, 5, 0),
    (69, 0, 15, False, 10, 5, 0),
    (70, 0, 15, True, 20, 10, 0),
    (79, 0, 15, True, 20, 10, 0),
    (80, 200, 15, True, 30, 15, 3),
    (89, 200, 15, True, 30, 15, 3),
    (90, 29, None, True, 30, None, 5),
    (90, 31, None, True, 31, None, 5),
    (90, 100, None, True, 100, None, 5),
    (120, 101, None, True, 100, None, 5),
]


@pytest.mark.parametrize(("points", "submitted", "verified", "silver", "rights", "free", "stars"), EARLIER_BANDS)
def test_a_month_before_august_2022_entitles_by_the_earlier_table(
    points: int, submitted: int, verified: int | None, silver: bool, rights: int, free: int | None, stars: int
) -> None:
    rules = ScoreRules(RULEBOOK)
    for membership, gold in (("verified", verified), ("standard", 0)):
        result = rules.entitlements(at("2022-08-01") - 1, fixed(points, membership, 5, submitted))
        assert result is not None
        assert (result.gold_rfqs, result.pinned_quotes, result.free_pass_quotes) == (gold, 0, free)
        assert (result.silver_early, result.star_points, result.quote_rights) == (silver, stars, rights)


def test_entitlements_are_null_before_the_first_assessment() -> None:
    assert score(quote(END), tick(SEPTEMBER))["entitlements"] is None


def test_july_entitles_by_the_earlier_table_until_august_is_assessed() -> None:
    story = [profile(at("2022-07-01"), membership="verified"), quote(JULY)]
    july = {
        "gold_rfqs": 15,
        "pinned_quotes": 0,
        "free_pass_quotes": 0,
        "quote_rights": 5,
        "silver_early": False,
        "star_points": 0,
    }
    assert score(*story, tick(at("2022-08-02 23:59:59.999")))["entitlements"] is None
    assert score(*story, tick(at("2022-08-03")))["entitlements"] == july, "20 by quotes, 20 by response, 0 by bonus"
    assert score(*story, tick(at("2022-09-02 23:59:59.999")))["entitlements"] == july
    after = score(*story, tick(at("2022-09-03")))["entitlements"]
    assert (after["gold_rfqs"], after["quote_rights"]) == (5, None)


def test_entitlements_go_by_the_profile_as_of_the_months_end() -> None:
    story = [profile(AUGUST, membership="standard", stars=3), tick(SEPTEMBER)]
    assert score(*story)["entitlements"]["gold_rfqs"] == 3
    assert score(*story, profile(SEPTEMBER, membership="verified"))["entitlements"]["gold_rfqs"] == 3
    below = [profile(AUGUST, membership="standard", stars=2), profile(SEPTEMBER, membership="standard", stars=5)]
    assert score(*below, tick(SEPTEMBER))["entitlements"]["gold_rfqs"] == 0


def test_a_month_expires_when_the_second_month_after_it_is_assessed() -> None:
    chain = Chain().play(quote(AUGUST), tick(at("2022-11-02 23:59"))).checkpoint()
    industry = chain.shards[1].states.get("unknown")
    assert industry is not None
    stored = chain.crash().shards[1].store.chunks["unknown"]
    assert any(name.startswith(b"m2022-08/") for name in stored)
    stored = chain.play(tick(at("2022-11-03 00:01"))).crash().shards[1].store.chunks["unknown"]
    assert not any(name.startswith(b"m2022-08/") for name in stored)
