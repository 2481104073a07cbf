"""Reviews, approvals and results through a whole replay: recordings written by hand, and what must come out."""

from typing import Any

import pytest

from tests.support.tape import (
    DAY,
    START,
    Line,
    at,
    frame,
    frames,
    incident,
    incident_id,
    played,
    result,
    review,
    said,
    verdict_id,
)

BLACK = frames(0, 120, black=True)
ID = incident_id("rule", 0, "black-screen")
VERDICT = verdict_id("black-screen", 0, 120)

TWICE = [*BLACK, *frames(121, 129), *frames(130, 250, black=True)]
"""The second one closes the room, and bans for 7 days."""
SECOND = incident_id("rule", 130, "black-screen")
SECOND_VERDICT = verdict_id("black-screen", 130, 250)

MINOR = frames(0, 3, labels=["minor"])
MINOR_VERDICT = verdict_id("minor", 0, 3, "minor")

TWO_NAMES = """
[approval]
says = "What two people approve."

[approval.from.2022-07-19]
ban_days_from = 7
freeze_days_from = 60
steps = ["take-offline"]
source = "test"
"""
LONG_BANS = TWO_NAMES.replace('steps = ["take-offline"]\n', "").replace("ban_days_from = 7", "ban_days_from = 30")


def actions(out: dict[str, list[Any]], of: str) -> list[Line]:
    return [one for one in out["enforcement"] if one["action_id"] == of]


def the_line(out: dict[str, list[Any]], id_: str = ID) -> Line:
    line = incident(out, id_)
    assert line is not None
    return line


# ---- decisions -------------------------------------------------------------------------------------------------------


def test_an_appeal_changes_no_action_and_marks_the_incident() -> None:
    out = played(BLACK, review(130, VERDICT, "appealed", "h"), review(135, VERDICT, "appealed", "h"))
    assert actions(out, VERDICT) == actions(played(BLACK), VERDICT)
    line = the_line(out)
    assert (line["appealed_at"], line["decision"], line["stage"]) == (at(135), None, "violation")


def test_a_chosen_step_is_published_with_who_decided_and_when() -> None:
    out = played(BLACK, review(130, VERDICT, "upheld", choice={"step": "close"}))
    first, second = actions(out, VERDICT)
    assert (first["steps"], first["decided_by"], first["decided_at"]) == (["warn"], None, None)
    chosen = {"revision": 2, "steps": ["close"], "decided_by": "mei", "decided_at": at(130)}
    assert second == {**first, **chosen}
    line = the_line(out)
    assert (line["decision"], line["decided_at"]) == ("upheld", at(130))
    assert (line["action"]["steps"], line["action"]["revision"]) == (["close"], 2)


@pytest.mark.parametrize(
    ("choice", "days"),
    [
        ({"freeze_days": 30, "past_days": 30}, (30, 30)),
        ({"freeze_days": 90, "past_days": 180}, (90, 180)),
        ({"freeze_days": 90}, (90, 30)),
        ({"freeze_days": 29}, None),
        ({"freeze_days": 91}, None),
        ({"past_days": 29}, None),
        ({"past_days": 181}, None),
        ({"step": "close"}, None),
        ({"step": "warn", "freeze_days": 30}, None),
    ],
)
def test_days_are_chosen_within_the_offered_ranges(choice: Any, days: tuple[int, int] | None) -> None:
    out = played(MINOR, review(10, MINOR_VERDICT, "upheld", choice=choice))
    last = actions(out, MINOR_VERDICT)[-1]
    assert (last["freeze_days"], last["past_days"]) == (days or (30, 30))
    assert last["decided_by"] == ("mei" if days else None)
    refused = [(one["topic"], one["reason"]) for one in out["dead-letter"]]
    assert refused == ([] if days else [("review", "malformed")])


def test_an_overturn_withdraws_and_a_later_uphold_puts_it_back() -> None:
    overturned = review(130, VERDICT, "overturned")
    line = the_line(played(BLACK, overturned))
    assert (line["stage"], line["ended_by"], line["ended_at"]) == ("ended", "withdrawn", at(130))
    assert (line["decision"], line["action"]["status"]) == ("overturned", "withdrawn")
    line = the_line(played(BLACK, overturned, review(140, VERDICT, "upheld")))
    assert (line["stage"], line["ended_by"], line["action"]["status"]) == ("violation", None, "active")


# ---- what was done ---------------------------------------------------------------------------------------------------

FAILED_LATE = result(311, SECOND_VERDICT, "ban", "failed")
OVERTURNED = review(260, SECOND_VERDICT, "overturned")
REINSTATED = review(400, SECOND_VERDICT, "upheld")


@pytest.mark.parametrize(
    ("then", "last", "flagged"),
    [
        ([], 309, False),  # the ban is active from 250 on
        ([], 310, True),
        ([result(310, SECOND_VERDICT, "ban", "failed")], 900, False),
        ([FAILED_LATE], 311, True),
        ([FAILED_LATE], 900, True),
        ([result(311, SECOND_VERDICT, "ban")], 312, True),
        ([result(300, SECOND_VERDICT, "ban")], 359, False),
        ([result(300, SECOND_VERDICT, "ban")], 360, True),
        ([result(290, SECOND_VERDICT, "close", "failed"), result(300, SECOND_VERDICT, "close")], 359, False),
        ([result(290, SECOND_VERDICT, "close", "failed"), result(300, SECOND_VERDICT, "close")], 360, True),
        ([OVERTURNED], 900, False),
        ([OVERTURNED, REINSTATED], 459, False),
        ([OVERTURNED, REINSTATED], 460, True),
    ],
)
def test_a_room_that_is_still_live_60_seconds_after_its_end_is_flagged(
    then: list[Line], last: int, flagged: bool
) -> None:
    assert the_line(played(TWICE, frames(251, last), then), SECOND)["still_live"] is flagged


@pytest.mark.parametrize("stream", ["ended", "disconnected"])
def test_a_room_that_is_not_live_any_more_is_not_flagged(stream: str) -> None:
    for last in (309, 400):
        out = played(TWICE, frames(251, last), frames(last + 1, last + 60, stream=stream))
        assert the_line(out, SECOND)["still_live"] is False


def test_a_warning_alone_flags_nothing_and_a_chosen_close_does_once_it_is_done() -> None:
    close = review(130, VERDICT, "upheld", choice={"step": "close"})
    assert not the_line(played(BLACK, frames(121, 400)))["still_live"]
    assert not the_line(played(BLACK, frames(121, 400), close))["still_live"]
    done = result(140, VERDICT, "close", revision=2)
    assert not the_line(played(BLACK, frames(121, 199), close, done))["still_live"]
    assert the_line(played(BLACK, frames(121, 200), close, done))["still_live"]


def test_outcomes_are_part_of_the_incident() -> None:
    line = the_line(played(BLACK, result(140, VERDICT, "warn", "failed"), result(150, VERDICT, "warn")))
    assert [(one["at"], one["step"], one["outcome"], one["by"]) for one in line["outcomes"]] == [
        (at(140), "warn", "failed", "shop"),
        (at(150), "warn", "done", "shop"),
    ]
    assert line["at"] == at(150)


# ---- two names -------------------------------------------------------------------------------------------------------


def upheld(*names: str, first: float = 260, of: str = SECOND_VERDICT, **more: Any) -> list[Line]:
    """Reviews a second apart."""
    return [review(first + n, of, "upheld", name, offset=n, **more) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("reviews", "status", "approved_by"),
    [
        ([], "held", []),
        (upheld("mei"), "held", ["mei"]),
        (upheld("mei", "mei"), "held", ["mei"]),
        (upheld("mei", "li"), "active", ["mei", "li"]),
        ([*upheld("mei"), review(270, SECOND_VERDICT, "overturned"), *upheld("li", first=280)], "held", ["li"]),
        ([*upheld("mei", "li"), review(270, SECOND_VERDICT, "overturned")], "withdrawn", ["mei", "li"]),
    ],
)
def test_a_long_ban_is_held_until_two_people_have_upheld_it(
    reviews: list[Line], status: str, approved_by: list[str]
) -> None:
    out = played(TWICE, frames(251, 300), reviews, rules=TWO_NAMES)
    last = actions(out, SECOND_VERDICT)[-1]
    assert (last["status"], last["approved_by"], last["steps"]) == (status, approved_by, ["close", "ban"])
    assert the_line(out, SECOND)["action"]["status"] == status
    assert actions(out, VERDICT)[-1]["status"] == "active"  # the first one bans nobody


def test_without_the_section_nothing_is_held() -> None:
    assert actions(played(TWICE), SECOND_VERDICT)[-1]["status"] == "active"


def test_a_step_and_a_chosen_freeze_are_held_too() -> None:
    spoken = [frame(0), said(3, labels=["rights:a"])]
    held = actions(played(spoken, rules=TWO_NAMES), verdict_id("rights", 3, 3, "rights:a"))[-1]
    assert (held["status"], held["steps"]) == ("held", ["warn", "take-offline", "delete-content"])
    for days, status in ((59, "active"), (60, "held")):
        choice = upheld("mei", first=10, of=MINOR_VERDICT, choice={"freeze_days": days})
        assert actions(played(MINOR, choice, rules=LONG_BANS), MINOR_VERDICT)[-1]["status"] == status


def test_a_ban_that_is_held_is_not_flagged_until_60_seconds_after_its_second_approval() -> None:
    for last, flagged in ((900, False), (320, False), (321, True)):
        reviews = upheld("mei") if last == 900 else upheld("mei", "li")
        out = played(TWICE, frames(251, last), reviews, rules=TWO_NAMES)
        assert the_line(out, SECOND)["still_live"] is flagged


def test_a_held_ban_prolongs_no_other_ban_until_it_is_approved() -> None:
    """The third black screen bans for 15 days, the fourth for 30, which is held. The second absence bans for 7 days."""
    blacks = [one for n in range(4) for one in (*frames(n * 130, n * 130 + 120, black=True), frame(n * 130 + 125))]
    absent = [
        one for n in range(2) for one in (*frames(520 + n * 310, 820 + n * 310, face=False), frame(825 + n * 310))
    ]
    fourth, absence = verdict_id("black-screen", 390, 510), verdict_id("absence", 830, 1130)

    def ban_until(*reviews: Line) -> tuple[int, int]:
        out = played(blacks, absent, list(reviews), rules=LONG_BANS)
        found = [actions(out, each)[-1]["ban_until"] for each in (fourth, absence)]
        return tuple(round((each - START) / 1000) for each in found)  # type: ignore[return-value]

    assert ban_until() == (510 + 30 * DAY, 380 + 15 * DAY)
    both = upheld("mei", "li", first=1140, of=fourth)
    assert ban_until(both[0]) == (510 + 30 * DAY, 380 + 15 * DAY)
    assert ban_until(*both) == (510 + 30 * DAY, 510 + 30 * DAY)
