"""Participations: windows, who may enter, tasks, rewards, statuses."""

from typing import Any

import pytest

from tests.support.line_stories import Line, claim, done, lines_of, measure, member, participation
from tests.support.supplier_stories import DAY, HOUR, at, quote, tick

EARLY = at("2022-05-01")
VERIFIED = member(EARLY)
PACK = ("strength-cards", "certificates", "certificate-products", "industry-abilities")


def end(day: str) -> int:
    return at(day) + DAY - 1


# ---- windows and editions --------------------------------------------------------------------------------------------

MONTHLY = ("million-club", "coupon-500", "payment-terms", "first-order", "check-in")
PACKS = ("strength-pack", "resources-pack")
WINDOWS = [
    *[(name, "2022-08", at("2022-08-07"), end("2022-08-23"), "2022-07-01") for name in MONTHLY],
    *[(name, "2022-07", at("2022-07-07"), end("2022-07-23"), "2022-07-01") for name in MONTHLY],
    *[(name, "2022-07", at("2022-07-21"), end("2022-07-31"), "2022-07-21") for name in PACKS],
    *[(name, "2022-08", at("2022-08-01"), end("2022-08-31"), "2022-07-21") for name in PACKS],
    *[(name, "2022-09", at("2022-09-01"), end("2022-09-30"), "2022-07-21") for name in PACKS],
    ("recruit", "2022-07-28", at("2022-07-28"), end("2022-07-30"), "2022-07-28"),
    ("trial-tools", "2022-07-28", at("2022-07-28"), end("2022-07-28"), "2022-07-28"),
]
STARS_2 = [(name, "2022-08-05", at("2022-08-05"), end("2022-09-02"), "2022-08-05") for name in
           ("stars-2-trade", "stars-2-level")]  # fmt: skip


@pytest.mark.parametrize(("programme", "edition", "opens", "closes", "rulebook"), [*WINDOWS, *STARS_2])
def test_a_claim_is_accepted_on_the_first_and_last_instant_only(
    programme: str, edition: str, opens: int, closes: int, rulebook: str
) -> None:
    profile = member(EARLY, stars=0 if programme.startswith("stars-2") else 1)
    later = tick(closes + DAY)
    for when in (opens, closes):
        said = participation(profile, claim(when, programme), later, programme=programme, edition=edition)
        assert (said["claimed_at"], said["opens"], said["closes"]) == (when, opens, closes)
        assert said["rulebook"] == rulebook
    for when in (opens - 1, closes + 1):
        story = lines_of(profile, claim(when, programme), later)["participation"]
        found = [line for line in story if line["edition"] == edition]
        assert all((line["status"], line["reason"], line["at"]) == ("refused", "closed", when) for line in found)
    if edition.count("-") == 2:
        assert len(found) == 1, "a claim of the only edition, outside of its window"


@pytest.mark.parametrize(
    ("programme", "when", "edition"),
    [
        ("million-club", "2022-06-10", None),
        ("million-club", "2022-07-01", "2022-07"),
        ("million-club", "2022-07-31 23:59:59.999", "2022-07"),
        ("strength-pack", "2022-06-30 23:59:59.999", None),
        ("strength-pack", "2022-07-01", "2022-07"),
        ("recruit", "2022-01-01", "2022-07-28"),
        ("stars-2-level", "2023-01-01", "2022-08-05"),
    ],
)
def test_the_edition_of_a_claim(programme: str, when: str, edition: str | None) -> None:
    said = lines_of(VERIFIED, claim(at(when), programme))["participation"]
    assert [line["edition"] for line in said] == ([edition] if edition else [])
    assert all(line["reason"] == "closed" for line in said)


def test_a_refused_line_field_by_field() -> None:
    when = at("2022-08-06")
    assert participation(VERIFIED, claim(when, "million-club"), programme="million-club") == {
        "programme": "million-club",
        "edition": "2022-08",
        "supplier_id": "s",
        "at": when,
        "status": "refused",
        "reason": "closed",
        "claimed_at": None,
        "opens": at("2022-08-07"),
        "closes": end("2022-08-23"),
        "tasks": [],
        "completed_at": None,
        "place": None,
        "rewards": [],
        "reward_by": None,
        "rulebook": "2022-07-01",
    }


# ---- who may enter ---------------------------------------------------------------------------------------------------

OPENING = {"opened_at": at("2022-08-09"), "signed_at": EARLY}
ENTRY = [
    # programme, membership, stars, growth, accepted
    ("million-club", "verified", 1, {}, True),
    ("million-club", "verified", 5, {}, True),
    ("million-club", "verified", 0, {}, False),
    ("million-club", "standard", 5, {}, False),
    ("coupon-500", "verified", 0, {}, False),
    ("payment-terms", "verified", 0, {}, False),
    ("payment-terms", "standard", 1, {}, False),
    ("first-order", "verified", 0, {}, True),
    ("first-order", "standard", 5, {}, False),
    ("check-in", "verified", 0, {}, True),
    ("check-in", "standard", 5, {}, False),
    ("first-order", "verified", 0, OPENING, True),
    ("strength-pack", "verified", 0, {}, True),
    ("strength-pack", "standard", 5, {}, False),
    ("strength-pack", "verified", 0, OPENING, False),
    ("resources-pack", "verified", 0, {}, True),
    ("resources-pack", "verified", 0, OPENING, False),
    ("stars-2-trade", "verified", 0, {}, True),
    ("stars-2-trade", "verified", 1, {}, False),
    ("stars-2-trade", "standard", 0, {}, False),
    ("stars-2-trade", "verified", 0, OPENING, False),
    ("stars-2-level", "verified", 0, {}, True),
    ("stars-2-level", "verified", 1, {}, False),
]


@pytest.mark.parametrize(("programme", "membership", "stars", "growth", "accepted"), ENTRY)
def test_who_may_enter(programme: str, membership: str, stars: int, growth: dict[str, Any], accepted: bool) -> None:
    when = at("2022-08-10 10:00")
    said = participation(member(EARLY, "s", membership, stars, **growth), claim(when, programme), programme=programme)
    assert (said["status"] != "refused") is accepted
    if not accepted:
        assert (said["reason"], said["at"]) == ("not-eligible", when)


@pytest.mark.parametrize(("opened", "status"), [("2022-07-27 23:00", "completed"), ("2022-07-28", "refused")])
def test_recruit_is_for_those_in_service(opened: str, status: str) -> None:
    profile = member(EARLY, membership="standard", stars=0, opened_at=at(opened))
    assert participation(profile, claim(at("2022-07-28 09:00"), "recruit"), programme="recruit")["status"] == status
    assert participation(claim(at("2022-07-28 09:00"), "recruit"), programme="recruit")["status"] == "completed"


def test_anyone_may_try_tools() -> None:
    profile = member(EARLY, membership="standard", stars=0, signed_at=EARLY)
    when = at("2022-07-28 09:00")
    assert participation(profile, claim(when, "trial-tools"), programme="trial-tools") == {
        "programme": "trial-tools",
        "edition": "2022-07-28",
        "supplier_id": "s",
        "at": when,
        "status": "completed",
        "reason": None,
        "claimed_at": when,
        "opens": at("2022-07-28"),
        "closes": end("2022-07-28"),
        "tasks": [],
        "completed_at": when,
        "place": None,
        "rewards": [],
        "reward_by": None,
        "rulebook": "2022-07-28",
    }


def test_the_first_claim_that_may_enter_counts() -> None:
    when = at("2022-08-10")
    story = [
        member(EARLY, stars=0),
        claim(when, "million-club"),
        member(when + 5, stars=1),
        claim(when + 5, "million-club"),
        claim(when + 9, "million-club"),
    ]
    assert participation(*story, programme="million-club")["claimed_at"] == when + 5
    assert participation(*reversed(story), programme="million-club")["claimed_at"] == when + 5


def test_the_latest_claim_names_the_reason() -> None:
    first, later = claim(at("2022-08-10"), "million-club"), claim(at("2022-08-24"), "million-club")
    assert participation(first, later, programme="million-club")["reason"] == "closed"
    early = claim(at("2022-08-01"), "million-club")
    said = participation(early, first, programme="million-club")
    assert (said["reason"], said["at"]) == ("not-eligible", at("2022-08-10"))


@pytest.mark.parametrize(("changed", "status"), [("2022-08-05 23:59:59.999", "refused"), ("2022-08-06", "claimed")])
def test_the_challenge_goes_by_the_list_of_2022_08_05(changed: str, status: str) -> None:
    story = [member(EARLY, stars=0), member(at(changed), stars=1), claim(at("2022-08-10"), "stars-2-trade")]
    assert participation(*story, programme="stars-2-trade")["status"] == status


def test_the_list_is_waited_for_as_far_as_now() -> None:
    story = [member(EARLY, stars=0), claim(at("2022-08-05 10:00"), "stars-2-trade")]
    assert participation(*story, programme="stars-2-trade")["status"] == "claimed"
    said = participation(*story, member(at("2022-08-05 20:00"), stars=1), programme="stars-2-trade")
    assert (said["status"], said["reason"]) == ("refused", "not-eligible")


# ---- tasks, once -----------------------------------------------------------------------------------------------------

CLAIMED = at("2022-08-10 12:00")


def strength(*story: Line) -> Any:
    return participation(VERIFIED, claim(CLAIMED, "strength-pack"), *story, programme="strength-pack")


def others(when: int = EARLY) -> list[Line]:
    return [measure(when, name, 1) for name in PACK[1:]]


def test_tasks_stand_in_their_order() -> None:
    said = strength()
    assert said["tasks"] == [{"task": name, "value": 0, "needs": 1, "done_at": None} for name in PACK]
    assert (said["status"], said["at"], said["completed_at"]) == ("claimed", CLAIMED, None)
    assert (said["rewards"], said["reward_by"]) == ([], None)


CARDS = [
    # measures of strength-cards, done_at
    ([(EARLY, 1)], CLAIMED),
    ([(CLAIMED, 1)], CLAIMED),
    ([(CLAIMED + 5, 1)], CLAIMED + 5),
    ([(EARLY, 1), (CLAIMED, 0)], None),
    ([(EARLY, 1), (CLAIMED + 1, 0)], CLAIMED),
    ([(CLAIMED + 5, 1), (CLAIMED + 6, 0)], CLAIMED + 5),
    ([(CLAIMED + 5, 0.5), (CLAIMED + 6, 3)], CLAIMED + 6),
    ([(end("2022-08-31"), 1)], end("2022-08-31")),
    ([(end("2022-08-31") + 1, 1)], None),
]


@pytest.mark.parametrize(("cards", "done_at"), CARDS)
def test_a_task_is_done_at_the_first_instant_from_the_claim_on_at_which_it_holds(
    cards: list[tuple[int, float]], done_at: int | None
) -> None:
    said = strength(*others(), *(measure(when, "strength-cards", value) for when, value in cards))
    assert said["tasks"][0]["done_at"] == done_at
    if done_at is None:
        assert said["status"] in ("claimed", "failed")
    else:
        assert (said["status"], said["at"], said["completed_at"]) == ("completed", done_at, done_at)
        assert said["reward_by"] == end("2022-09-10")
        names = ["publishing-tool", "decoration-tool"]
        assert said["rewards"] == [{"reward": name, "valid_until": None} for name in names]


@pytest.mark.parametrize(
    ("now", "status", "since"),
    [(end("2022-08-31") - 1, "claimed", CLAIMED), (end("2022-08-31"), "failed", end("2022-08-31"))],
)
def test_a_pack_fails_at_the_windows_end(now: int, status: str, since: int) -> None:
    said = strength(*others(), tick(now))
    assert (said["status"], said["at"], said["completed_at"]) == (status, since, None)
    assert [task["done_at"] for task in said["tasks"]] == [None, CLAIMED, CLAIMED, CLAIMED]


def test_the_value_is_that_of_the_windows_end() -> None:
    said = strength(measure(CLAIMED, "certificates", 7), measure(at("2022-09-05"), "certificates", 9))
    assert [task["value"] for task in said["tasks"]] == [0, 7, 0, 0]


def gold(when: int, rfq: str, grade: str | None = "gold", **more: Any) -> Line:
    line = quote(when, rfq=rfq, **more)
    assert line.value is not None
    line.value["rfq_grade"] = grade
    return line


JULY = at("2022-07-21 09:00")


def resources(*story: Line) -> Any:
    return participation(VERIFIED, claim(JULY, "resources-pack"), *story, programme="resources-pack")


def test_the_pack_of_resources() -> None:
    golds = [gold(at("2022-07-01") + n * HOUR, f"r{n}") for n in range(5)]
    story = [
        claim(at("2022-07-10"), "first-order"),
        *golds,
        measure(EARLY, "showcase-share", 1),
        claim(at("2022-07-22"), "million-club"),
    ]
    said = resources(*story, gold(at("2022-07-30"), "r0"))
    assert said["tasks"] == [
        {"task": "first-order", "value": 1, "needs": 1, "done_at": JULY},
        {"task": "gold-rfqs", "value": 5, "needs": 6, "done_at": None},
        {"task": "showcase-share", "value": 1, "needs": 1, "done_at": JULY},
        {"task": "million-club", "value": 1, "needs": 1, "done_at": at("2022-07-22")},
    ]
    said = resources(*story, gold(at("2022-07-25"), "r9"))
    assert said["tasks"][1] == {"task": "gold-rfqs", "value": 6, "needs": 6, "done_at": at("2022-07-25")}
    assert (said["status"], said["completed_at"]) == ("completed", at("2022-07-25"))
    assert [one["reward"] for one in said["rewards"]] == ["rfq-tool", "ads-tool"]
    assert said["reward_by"] == end("2022-08-10")


def test_gold_is_known_by_the_quotes_of_the_month() -> None:
    first, last = at("2022-07-01"), end("2022-07-31")
    for when, counts in ((first - 1, 0), (first, 1), (last, 1), (last + 1, 0)):
        assert resources(gold(when, "r"), tick(last + 9))["tasks"][1]["value"] == counts
    silver = [gold(JULY, "r", "silver"), gold(JULY + 1, "r", None), gold(JULY + 2, "t", kind="replied")]
    assert resources(*silver)["tasks"][1]["value"] == 0


def test_an_enrolment_of_another_month_or_a_refused_one_is_no_task() -> None:
    assert resources(claim(at("2022-06-10"), "first-order"))["tasks"][0]["value"] == 0
    assert resources(claim(at("2022-07-24"), "first-order"))["tasks"][0] == {
        "task": "first-order",
        "value": 0,
        "needs": 1,
        "done_at": None,
    }


# ---- tasks, at the last instant --------------------------------------------------------------------------------------

LAST = end("2022-09-02")


def trade(*story: Line) -> Any:
    first = [member(EARLY, stars=0), claim(CLAIMED, "stars-2-trade")]
    return participation(*first, *story, programme="stars-2-trade")


POWER = [
    # measures of trade-power, done_at
    ([(EARLY, 60)], CLAIMED),
    ([(EARLY, 60), (CLAIMED + 5, 61)], CLAIMED),
    ([(CLAIMED + 5, 60)], CLAIMED + 5),
    ([(EARLY, 60), (CLAIMED + 5, 59.9), (CLAIMED + 7, 60)], CLAIMED + 7),
    ([(EARLY, 60), (LAST, 59)], None),
    ([(LAST, 60)], LAST),
    ([(LAST + 1, 60)], None),
    ([(EARLY, 60), (LAST + 1, 0)], CLAIMED),
]


@pytest.mark.parametrize(("power", "done_at"), POWER)
def test_a_challenge_must_hold_at_the_last_instant(power: list[tuple[int, float]], done_at: int | None) -> None:
    measures = [measure(when, "trade-power", value) for when, value in power]
    said = trade(*measures, tick(LAST + 2))
    assert said["tasks"][0]["done_at"] == done_at
    assert (said["status"], said["at"]) == ("failed" if done_at is None else "completed", LAST)
    assert said["completed_at"] == done_at
    if done_at is not None:
        names = ["publishing-tool", "decoration-tool", "ads-tool", "verified-zone-october"]
        assert [one["reward"] for one in said["rewards"]] == names
        assert said["reward_by"] == end("2022-09-10")


def test_before_the_last_instant_nothing_is_completed() -> None:
    said = trade(measure(EARLY, "trade-power", 70), tick(LAST - 1))
    assert (said["status"], said["at"], said["completed_at"]) == ("claimed", CLAIMED, None)
    assert said["tasks"] == [{"task": "trade-power", "value": 70, "needs": 60, "done_at": CLAIMED}]
    assert trade(measure(EARLY, "trade-power", 70), tick(LAST))["status"] == "completed"


# ---- rewards ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "until"),
    [("2022-09-05 10:00", "2022-12-05"), ("2022-11-30 10:00", "2023-02-28"), ("2022-08-01", "2022-11-01")],
)
def test_a_reward_is_good_for_three_months_after_its_day(given: str, until: str) -> None:
    story = [*others(), measure(EARLY, "strength-cards", 1), done(at(given), "reward", "strength-pack/2022-08")]
    said = strength(*story, tick(at("2022-09-05")))
    assert {one["valid_until"] for one in said["rewards"]} == {end(until)}


# ---- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("past", "lines"), [(-1, 1), (0, 0)])
def test_a_participation_is_forgotten_400_days_after_its_window(past: int, lines: int) -> None:
    now = end("2022-08-23") + 400 * DAY + past
    story = lines_of(VERIFIED, claim(at("2022-08-10"), "million-club"), tick(now))["participation"]
    assert len(story) == lines


@pytest.mark.parametrize(("past", "lines"), [(-1, 1), (0, 0)])
def test_or_400_days_after_the_end_of_its_rewards(past: int, lines: int) -> None:
    given = at("2022-09-05")
    story = [*others(), measure(EARLY, "strength-cards", 1), done(given, "reward", "strength-pack/2022-08")]
    now = end("2022-12-05") + 400 * DAY + past
    assert (strength(*story, tick(now)) is not None) is bool(lines)
