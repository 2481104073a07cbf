"""The duties that no request opens: declarations, rewards, the recruitment, contacts."""

from hashlib import sha256
from typing import Any

import pytest

from tests.support.line_stories import Line, ask, certificate, claim, done, epr, lines_of, measure, member
from tests.support.supplier_stories import DAY, at, tick

EARLY = at("2022-05-01")


def duties(*story: Line, duty: str) -> dict[str, Any]:
    return {line["ref"]: line for line in lines_of(*story)["obligation"] if line["duty"] == duty}


def declarations(*story: Line) -> dict[str, Any]:
    return duties(*story, duty="epr-declaration")


# ---- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "category", "refs"),
    [
        ("DE", "eee", ["2022-06", "2022-07"]),
        ("DE", "battery", ["2022-06", "2022-07"]),
        ("DE", "packaging", []),
        ("FR", "eee", ["2022-H1"]),
        ("FR", "paper", []),
    ],
)
def test_the_first_periods_are_those_that_end_with_june(country: str, category: str, refs: list[str]) -> None:
    said = declarations(epr(EARLY, country, category), tick(at("2022-08-01")))
    assert sorted(said) == [f"{country}/{category}/{ref}" for ref in refs]


YEARLY = [("DE", "packaging")] + [
    ("FR", name) for name in ("packaging", "battery", "furniture", "tyre", "textile", "paper")
]


@pytest.mark.parametrize(("country", "category"), YEARLY)
def test_others_are_declared_by_the_year(country: str, category: str) -> None:
    assert declarations(epr(EARLY, country, category), tick(at("2023-01-01") - 1)) == {}
    said = declarations(epr(EARLY, country, category), tick(at("2023-01-01")))[f"{country}/{category}/2022"]
    assert (said["since"], said["due"]) == (at("2023-01-01"), at("2023-02-01") - 1)


def test_a_declaration_field_by_field() -> None:
    said = declarations(epr(EARLY, "FR", "eee"), tick(at("2022-07-01")))["FR/eee/2022-H1"]
    since, due = at("2022-07-01"), at("2022-08-01") - 1
    assert said == {
        "obligation_id": sha256(b"epr-declaration|s|FR/eee/2022-H1").hexdigest()[:32],
        "duty": "epr-declaration",
        "owed_by": "supplier",
        "supplier_id": "s",
        "ref": "FR/eee/2022-H1",
        "at": since,
        "status": "open",
        "reason": None,
        "since": since,
        "warn_at": since + (31 * DAY - 1) // 2,
        "due": due,
        "done_at": None,
        "compensation_usd": None,
        "order_id": None,
        "product_id": None,
        "buyer_id": None,
        "rulebook": "2022-07-01",
    }


@pytest.mark.parametrize(
    ("more", "opened"),
    [
        ({"valid_until": at("2022-07-01")}, True),
        ({"valid_until": at("2022-07-01") - 1}, False),
        ({"valid_from": at("2022-07-01") - 1}, True),
        ({"valid_from": at("2022-07-01")}, False),
        ({"holder": "upstream"}, False),
        ({"holder": "upstream", "invoice": True}, True),
        ({"status": "submitted"}, False),
    ],
)
def test_a_certificate_must_be_in_force_at_the_end_of_the_period(more: dict[str, Any], opened: bool) -> None:
    said = declarations(epr(EARLY, "DE", "eee", **more), tick(at("2022-07-15")))
    assert ("DE/eee/2022-06" in said) is opened


def test_a_withdrawn_certificate_keeps_its_earlier_declarations() -> None:
    story = [epr(EARLY, "DE", "eee"), epr(at("2022-07-10"), "DE", "eee", status="withdrawn"), tick(at("2022-08-05"))]
    assert list(declarations(*story)) == ["DE/eee/2022-06"]


@pytest.mark.parametrize(
    ("when", "status", "since"),
    [
        ("2022-06-20", "met", "2022-07-01"),
        ("2022-07-31 23:59:59.999", "met", "2022-07-31 23:59:59.999"),
        ("2022-08-01", "breached", "2022-07-31 23:59:59.999"),
    ],
)
def test_a_declaration_is_closed_by_done(when: str, status: str, since: str) -> None:
    story = [epr(EARLY, "FR", "eee"), done(at(when), "epr-declaration", "FR/eee/2022-H1"), tick(at("2022-08-02"))]
    said = declarations(*story)["FR/eee/2022-H1"]
    assert (said["status"], said["at"], said["done_at"]) == (status, at(since), at(when))


# ---- contacts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2022-07-11 00:00", "2022-07-15"),  # Monday → Thursday
        ("2022-07-13 23:59", "2022-07-19"),  # Wednesday → Monday
        ("2022-07-15 12:00", "2022-07-21"),  # Friday → Wednesday
        ("2022-07-16 12:00", "2022-07-21"),  # Saturday
        ("2022-07-17 12:00", "2022-07-21"),  # Sunday
        ("2022-11-04 12:00", "2022-11-10"),  # the clocks change on the 6th
    ],
)
def test_a_contact_is_due_at_the_end_of_the_third_working_day_after_that_day(asked: str, due: str) -> None:
    said = duties(ask(at(asked), "upgrade-contact", "u"), duty="upgrade-contact")["u"]
    assert (said["since"], said["due"], said["owed_by"]) == (at(asked), at(due) - 1, "marketplace")
    assert said["warn_at"] == at(asked) + (at(due) - 1 - at(asked)) // 2


def test_the_first_ask_and_the_first_done_by_time_count() -> None:
    noon = at("2022-07-11 12:00")
    story = [
        ask(noon + 5, "upgrade-contact", "u"),
        ask(noon, "upgrade-contact", "u"),
        done(noon + 9, "upgrade-contact", "u"),
        done(noon + 7, "upgrade-contact", "u"),
    ]
    said = duties(*story, duty="upgrade-contact")["u"]
    assert (said["since"], said["status"], said["done_at"]) == (noon, "met", noon + 7)


def test_a_ref_that_was_first_asked_before_july_has_no_line() -> None:
    first = ask(at("2022-07-01") - 1, "upgrade-contact", "u")
    assert duties(first, ask(at("2022-07-20"), "upgrade-contact", "u"), duty="upgrade-contact") == {}
    assert list(duties(ask(at("2022-07-01"), "upgrade-contact", "u"), duty="upgrade-contact")) == ["u"]


def test_what_is_asked_of_another_duty_has_no_effect() -> None:
    when = at("2022-07-20")
    refs = {"reward": "trial-tools/2022-07-28", "recruit-live": "recruit", "service-answer": "q"}
    story = [ask(when, duty, ref) for duty, ref in refs.items()] + [done(when, "service-answer", "q")]
    assert lines_of(*story)["obligation"] == []


# ---- recruitment -----------------------------------------------------------------------------------------------------

CLAIM = at("2022-07-28 09:00")


def test_a_place_opens_materials_and_these_open_live() -> None:
    story = [claim(CLAIM, "recruit")]
    materials = duties(*story, duty="recruit-materials")["recruit"]
    assert (materials["since"], materials["due"]) == (CLAIM, at("2022-08-03") - 1)  # Thursday → Tuesday
    assert (materials["owed_by"], materials["status"]) == ("supplier", "open")
    assert duties(*story, duty="recruit-live") == {}
    sent = at("2022-08-01 10:00")
    live = duties(*story, done(sent, "recruit-materials", "recruit"), duty="recruit-live")["recruit"]
    assert (live["since"], live["due"], live["owed_by"]) == (sent, sent + 14 * DAY, "marketplace")
    closed = [done(sent, "recruit-materials", "recruit"), done(sent + 14 * DAY, "recruit-live", "recruit")]
    assert duties(*story, *closed, duty="recruit-live")["recruit"]["status"] == "met"


def test_without_a_place_nothing_is_due() -> None:
    assert (
        lines_of(claim(at("2022-07-31"), "recruit"), done(at("2022-08-01"), "recruit-materials", "recruit"))[
            "obligation"
        ]
        == []
    )


# ---- rewards ---------------------------------------------------------------------------------------------------------

PACK = ("strength-cards", "certificates", "certificate-products", "industry-abilities")


def pack(when: int) -> list[Line]:
    return [member(EARLY), *(measure(EARLY, name, 1) for name in PACK), claim(when, "strength-pack")]


def test_the_reward_of_a_pack_is_due_on_the_10th_of_the_next_month() -> None:
    when = at("2022-08-15 12:00")
    said = duties(*pack(when), duty="reward")["strength-pack/2022-08"]
    assert (said["since"], said["due"], said["owed_by"]) == (when, at("2022-09-11") - 1, "marketplace")
    assert (said["order_id"], said["product_id"], said["buyer_id"]) == (None, None, None)


@pytest.mark.parametrize(("past", "remembered"), [(-1, True), (0, False)])
def test_a_duty_is_forgotten_400_days_after_it_was_due_though_its_programme_is_before(
    past: int, remembered: bool
) -> None:
    due = at("2022-09-11") - 1
    story = lines_of(*pack(at("2022-08-15")), tick(due + 400 * DAY + past))
    rewards = [line for line in story["obligation"] if line["duty"] == "reward"]
    assert (bool(rewards), story["participation"]) == (remembered, [])
    place = lines_of(claim(CLAIM, "recruit"), tick(at("2022-08-03") - 1 + 400 * DAY + past))["obligation"]
    assert bool(place) is remembered


def test_what_gives_no_reward_owes_none() -> None:
    assert duties(member(EARLY), claim(at("2022-08-10"), "million-club"), duty="reward") == {}
    assert duties(*pack(at("2022-08-15"))[:-2], claim(at("2022-08-15"), "strength-pack"), duty="reward") == {}


def test_the_reward_of_a_challenge_is_owed_from_its_last_instant_on() -> None:
    story = [member(EARLY, stars=0), measure(EARLY, "trade-power", 60), claim(at("2022-08-20"), "stars-2-trade")]
    end = at("2022-09-03") - 1
    assert duties(*story, tick(end - 1), duty="reward") == {}
    said = duties(*story, tick(end), duty="reward")["stars-2-trade/2022-08-05"]
    assert (said["since"], said["due"]) == (end, at("2022-09-11") - 1)


def test_a_certificate_of_another_kind_is_not_declared() -> None:
    assert declarations(certificate(EARLY, "quality-system"), tick(at("2022-08-01"))) == {}
