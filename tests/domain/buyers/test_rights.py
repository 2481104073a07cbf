"""The line of a supplier: labels, activities, permits, facts, quota, rewards."""

from typing import Any

import pytest

from tests.support.line_stories import (
    Line,
    certificate,
    claim,
    custom,
    done,
    lines_of,
    measure,
    member,
    order,
    paid,
    product,
    rights,
)
from tests.support.supplier_stories import DAY, at, deleted, payment, quote, replied, tick

EARLY, NOW = at("2022-05-01"), at("2022-08-20 12:00")
CLUB = claim(at("2022-07-10"), "million-club")
L1_PLUS = {"L0": None, "L1": "L1+", "L2": "L1+", "L3": "L1+", "L4": "L1+"}
OWN = L1_PLUS | {"L3": "L3", "L4": "L4"}


def test_a_line_field_by_field() -> None:
    assert rights(member(EARLY, stars=2), tick(NOW)) == {
        "supplier_id": "s",
        "at": NOW,
        "membership": "verified",
        "stars": 2,
        "growth": None,
        "labels": L1_PLUS,
        "activities": [{"activity": "rfq-targeting", "tiers": ["L2", "L3", "L4"]}],
        "permits": [],
        "facts": {"on_time_90d": None, "refund_rate_90d": None, "dispute_rate_90d": None},
        "starred_products": None,
        "gold_rfqs": {"total": 5, "used": 0, "left": 5},
        "rewards": [],
        "rulebook": "2022-08-01",
    }


@pytest.mark.parametrize(("story", "has"), [
    ([member(EARLY)], True),
    ([member(EARLY), deleted()], False),
    ([quote(EARLY)], False),
    ([measure(EARLY, "videos", 1)], True),
    ([measure(EARLY, "videos", 1), member(EARLY), deleted()], True),
    ([claim(EARLY, "million-club")], True),
    ([order(EARLY, "o", "dispatched")], True),
    ([product(EARLY, deleted=True)], True),
])  # fmt: skip
def test_who_has_a_line(story: list[Line], has: bool) -> None:
    assert (rights(*story, tick(EARLY + DAY)) is not None) is has


# ---- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "labels", "rulebook"), [
    ("2022-07-31 23:59:59.999", None, None),
    ("2022-08-01", L1_PLUS, "2022-08-01"),
])  # fmt: skip
def test_labels_begin_on_2022_08_01(now: str, labels: Any, rulebook: str | None) -> None:
    said = rights(member(EARLY, membership="standard"), tick(at(now)))
    assert (said["labels"], said["rulebook"]) == (labels, rulebook)


@pytest.mark.parametrize(("now", "labels"), [("2022-08-19 23:59:59.999", None), ("2022-08-20", L1_PLUS)])
def test_a_supplier_sees_no_labels_before_it_is_in_service(now: str, labels: Any) -> None:
    story = member(EARLY, opened_at=at("2022-08-19 08:00"))
    said = rights(story, tick(at(now)))
    assert (said["labels"], said["rulebook"]) == (labels, "2022-08-01")


@pytest.mark.parametrize(("profile", "labels"), [
    (member(at("2022-08-01"), stars=1), OWN),
    (member(at("2022-08-01"), stars=5), OWN),
    (member(at("2022-08-01"), stars=0), L1_PLUS),
    (member(at("2022-08-01"), membership="standard"), L1_PLUS),
])  # fmt: skip
def test_members_of_the_club_see_l3_and_l4(profile: Line, labels: Any) -> None:
    assert rights(member(EARLY), CLUB, profile, tick(NOW))["labels"] == labels


@pytest.mark.parametrize(("now", "labels"), [
    ("2022-08-01", OWN), ("2022-08-31 23:59:59.999", OWN), ("2022-09-01", L1_PLUS),
])  # fmt: skip
def test_the_club_is_taken_part_in_during_the_month_after_the_enrolment(now: str, labels: Any) -> None:
    assert rights(member(EARLY), CLUB, tick(at(now)))["labels"] == labels


def test_a_claim_that_was_refused_is_no_part() -> None:
    assert rights(member(EARLY), claim(at("2022-07-24"), "million-club"), tick(NOW))["labels"] == L1_PLUS


# ---- activities ------------------------------------------------------------------------------------------------------

ACTIVITIES = [
    {"activity": "coupon-500", "tiers": ["L4"]},
    {"activity": "payment-terms", "tiers": ["L3", "L4"]},
    {"activity": "rfq-targeting", "tiers": ["L2", "L3", "L4"]},
    {"activity": "first-order", "tiers": ["L1", "L2", "L3", "L4"]},
    {"activity": "check-in", "tiers": ["L0", "L1", "L2", "L3", "L4"]},
]
ENROLMENTS = [claim(at("2022-07-10"), name) for name in ("check-in", "first-order", "payment-terms", "coupon-500")]


def test_all_activities_in_their_order() -> None:
    assert rights(member(EARLY), *ENROLMENTS, tick(NOW))["activities"] == ACTIVITIES


@pytest.mark.parametrize(("now", "activities"), [
    ("2022-07-31 23:59:59.999", []),
    ("2022-08-01", ACTIVITIES),
    ("2022-08-31 23:59:59.999", ACTIVITIES),
    ("2022-09-01", [ACTIVITIES[2]]),
])  # fmt: skip
def test_activities_are_of_the_month_after_the_enrolment(now: str, activities: Any) -> None:
    assert rights(member(EARLY), *ENROLMENTS, tick(at(now)))["activities"] == activities


def test_targeting_asks_for_verified_membership_now() -> None:
    story = [member(EARLY), *ENROLMENTS, member(at("2022-08-02"), membership="standard"), tick(NOW)]
    assert rights(*story)["activities"] == [one for one in ACTIVITIES if one["activity"] != "rfq-targeting"]


# ---- permits ---------------------------------------------------------------------------------------------------------


def permits(*story: Line, now: int = NOW) -> list[str]:
    names: list[str] = rights(*story, tick(now))["permits"]
    return names


@pytest.mark.parametrize("kind", ["medical-1-2", "medical-3", "fda"])
def test_a_certificate_gives_its_permit(kind: str) -> None:
    assert permits(certificate(EARLY, kind)) == [kind]
    assert permits(certificate(EARLY, kind, status="submitted")) == []
    for bounds, held in (
        ({"valid_from": NOW}, True), ({"valid_from": NOW + 1}, False),
        ({"valid_until": NOW}, False), ({"valid_until": NOW + 1}, True),
        ({"holder": "upstream"}, False), ({"holder": "upstream", "invoice": True}, True),
    ):  # fmt: skip
        assert permits(certificate(EARLY, kind, **bounds)) == ([kind] if held else [])


AGREEMENT, LOCAL = certificate(EARLY, "warranty-agreement"), certificate(EARLY, "local-service")


@pytest.mark.parametrize(("story", "expected"), [
    ([AGREEMENT], ["remote-service"]),
    ([LOCAL], []),
    ([AGREEMENT, LOCAL], ["remote-service"]),
    ([member(EARLY, stars=0), AGREEMENT, LOCAL], ["remote-service", "local-service"]),
    ([member(EARLY, stars=0), LOCAL], []),
    ([member(EARLY, stars=1), AGREEMENT], ["remote-service", "festival-floor"]),
    ([member(EARLY, membership="standard", stars=1), AGREEMENT], ["remote-service"]),
    ([member(EARLY, membership="standard", stars=2), AGREEMENT], ["remote-service", "festival-floor"]),
    ([member(EARLY, stars=5)], []),
])  # fmt: skip
def test_permits_of_service(story: list[Line], expected: list[str]) -> None:
    assert permits(*story) == expected


@pytest.mark.parametrize(("now", "expected"), [
    ("2022-08-20 23:59:59.999", []), ("2022-08-21", ["buyer-portrait", "l1-campaigns"]),
])  # fmt: skip
def test_portrait_and_campaigns_begin_on_2022_08_21(now: str, expected: list[str]) -> None:
    assert permits(member(EARLY, stars=0), now=at(now)) == expected
    assert permits(member(EARLY, membership="standard", stars=5), now=at(now)) == []


QUALITY = certificate(EARLY, "quality-system")
SOLD = at("2022-08-01")


def orders(number: int, late: int = 0, disputed: int = 0) -> list[Line]:
    story = []
    for n in range(number):
        story.append(paid(SOLD, f"o{n}", by=SOLD + 5 * DAY))
        story.append(order(SOLD + 5 * DAY + (n < late), f"o{n}", "dispatched"))
        if n < disputed:
            story.append(order(SOLD + 6 * DAY, f"o{n}", "disputed"))
    return story


@pytest.mark.parametrize(("membership", "stars", "number", "late", "disputed", "held"), [
    ("verified", 1, 41, 2, 2, True),  # 39 of 41 in time, 2 of 41 disputed
    ("verified", 1, 40, 2, 0, False),  # 0.95 exactly
    ("verified", 1, 40, 0, 2, False),  # 0.05 exactly
    ("verified", 0, 41, 0, 0, False),
    ("standard", 1, 41, 0, 0, False),
    ("standard", 2, 41, 0, 0, True),
    ("standard", 2, 0, 0, 0, False),  # no orders are no evidence
])  # fmt: skip
def test_second_hand_clothing(membership: str, stars: int, number: int, late: int, disputed: int, held: bool) -> None:
    story = [member(EARLY, membership=membership, stars=stars), QUALITY, *orders(number, late, disputed)]
    assert ("second-hand-clothing" in permits(*story)) is held
    assert "second-hand-clothing" not in permits(*(line for line in story if line is not QUALITY))


def test_permits_stand_in_their_order() -> None:
    kinds = ("fda", "medical-3", "medical-1-2", "quality-system", "local-service", "warranty-agreement")
    story = [member(EARLY), *(certificate(EARLY, kind) for kind in kinds), *orders(1)]
    assert permits(*story, now=at("2022-08-21")) == [
        "second-hand-clothing", "medical-1-2", "medical-3", "fda", "remote-service", "local-service",
        "festival-floor", "buyer-portrait", "l1-campaigns",
    ]  # fmt: skip


# ---- facts -----------------------------------------------------------------------------------------------------------


def facts(*story: Line, now: int = NOW) -> Any:
    return rights(*story, tick(now))["facts"]


def test_facts_have_six_places() -> None:
    assert facts(*orders(3, late=1, disputed=2)) == {
        "on_time_90d": 0.666667,
        "refund_rate_90d": 0.0,
        "dispute_rate_90d": 0.666667,
    }


@pytest.mark.parametrize(("past", "rate"), [(90 * DAY - 1, 1.0), (90 * DAY, None)])
def test_on_time_goes_by_dispatch_by_and_the_others_by_paid(past: int, rate: float | None) -> None:
    story = [paid(SOLD, "o", by=SOLD + 5 * DAY), order(SOLD + DAY, "o", "dispatched"), order(SOLD, "o", "disputed")]
    assert facts(*story, now=SOLD + 5 * DAY + past)["on_time_90d"] == rate
    assert facts(*story, now=SOLD + past)["dispute_rate_90d"] == rate


def test_an_order_is_to_be_dispatched_once_its_time_has_come() -> None:
    story = [paid(SOLD, "o", by=SOLD + 5 * DAY)]
    assert facts(*story, now=SOLD + 5 * DAY - 1)["on_time_90d"] is None
    assert facts(*story, now=SOLD + 5 * DAY)["on_time_90d"] == 0.0


def test_a_refund_in_time_leaves_out_an_order_that_was_not_dispatched() -> None:
    by = SOLD + 5 * DAY
    for refunded, sent, rate in ((by, None, None), (by + 1, None, 0.0), (by, by + 1, 0.0), (by, by, 1.0)):
        story = [paid(SOLD, "o", by=by), order(refunded, "o", "refund-requested")]
        story += [] if sent is None else [order(sent, "o", "dispatched")]
        assert facts(*story)["on_time_90d"] == rate
        assert facts(*story)["refund_rate_90d"] == 1.0


def test_without_its_payment_an_order_counts_for_nothing() -> None:
    assert facts(order(SOLD, "o", "dispatched"), order(SOLD, "o", "disputed"))["dispute_rate_90d"] is None


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "published"), [("2022-09-30 23:59:59.999", False), ("2022-10-01", True)])
def test_starred_products_are_published_from_2022_10_01_on(now: str, published: bool) -> None:
    story = [
        product(EARLY, "a"), custom(EARLY, "b"), product(EARLY, "c", abilities=["overseas-stock"]),
        product(EARLY, "d", info_score=1), product(EARLY, "e"), product(EARLY + 1, "e", deleted=True),
    ]  # fmt: skip
    said = rights(*story, tick(at(now)))["starred_products"]
    assert said == ({"1": 2, "2": 0, "3": 1} if published else None)


def gold(when: int, rfq: str, grade: str | None = "gold", **more: Any) -> Line:
    line = quote(when, rfq=rfq, **more)
    assert line.value is not None
    line.value["rfq_grade"] = grade
    return line


def test_gold_rfqs_are_counted_by_month_and_never_below_zero() -> None:
    month = at("2022-09-01")
    story = [member(EARLY), gold(month - 1, "before")]
    story += [gold(month + n, f"r{n}") for n in range(6)]
    story += [gold(month + 9, "r0"), gold(month + 9, "x", "silver"), gold(month + 9, "y", kind="replied")]
    assert rights(*story)["gold_rfqs"] == {"total": 5, "used": 6, "left": 0}, "July's score is 0"
    assert rights(*story, tick(at("2022-10-01") - 1))["gold_rfqs"] == {"total": 5, "used": 6, "left": 0}
    assert rights(*story, tick(at("2022-10-01")))["gold_rfqs"]["used"] == 0


def test_the_quota_is_null_where_it_is_unlimited() -> None:
    sold = [payment(at("2022-08-10"), kind, 40_000) for kind in ("paid", "settled")]
    early = payment(at("2022-07-20"), "settled", 1000)
    asked = [quote(at("2022-08-10"), id_="q"), replied(at("2022-08-11"), "q")]
    story = [member(EARLY), early, *sold, *asked, gold(at("2022-09-04"), "r")]
    assert rights(*story)["gold_rfqs"] == {"total": None, "used": 1, "left": None}


def test_gold_rfqs_are_null_before_the_first_assessment() -> None:
    story = [member(at("2022-08-20")), gold(at("2022-08-21"), "r")]
    assert rights(*story, tick(at("2022-09-03") - 1))["gold_rfqs"] is None
    assert rights(*story, tick(at("2022-09-03")))["gold_rfqs"] == {"total": 5, "used": 0, "left": 5}


def test_a_standard_supplier_has_no_quota_below_three_stars() -> None:
    story = [member(EARLY, membership="standard", stars=2), gold(NOW, "r")]
    assert rights(*story)["gold_rfqs"] == {"total": 0, "used": 1, "left": 0}


# ---- rewards ---------------------------------------------------------------------------------------------------------

PACK = [measure(EARLY, name, 1) for name in ("strength-cards", "certificates", "certificate-products",
                                             "industry-abilities")]  # fmt: skip


def test_rewards_that_were_given_and_are_not_over() -> None:
    given = at("2022-09-05")
    story = [member(EARLY), *PACK, claim(at("2022-08-10"), "strength-pack"), claim(at("2022-07-22"), "strength-pack")]
    assert rights(*story, tick(given))["rewards"] == []
    story += [done(given, "reward", "strength-pack/2022-08"), done(given + DAY, "reward", "strength-pack/2022-07")]
    august, july = at("2022-12-06") - 1, at("2022-12-07") - 1
    both = [
        {"reward": reward, "programme": "strength-pack", "edition": edition, "valid_until": until}
        for edition, until in (("2022-07", july), ("2022-08", august))
        for reward in ("decoration-tool", "publishing-tool")
    ]
    assert rights(*story, tick(august))["rewards"] == both
    assert rights(*story, tick(august + 1))["rewards"] == both[:2]
    assert rights(*story, tick(july + 1))["rewards"] == []
    assert lines_of(*story)["participation"][0]["edition"] == "2022-07"


def test_gold_rfqs_of_a_supplier_whose_profile_was_deleted_since_are_those_of_the_month_before() -> None:
    measured = measure(EARLY, "videos", 1)
    for story in ([tick(NOW), member(EARLY), deleted(), measured], [member(EARLY), measured, tick(NOW), deleted()]):
        said = rights(*story)
        assert (said["membership"], said["gold_rfqs"]) == ("standard", {"total": 5, "used": 0, "left": 5})
