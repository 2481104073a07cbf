"""Incidents through a whole replay: recordings written by hand, each with what the specification says must come out."""

from typing import Any

import pytest

from tests.support.tape import (
    DAY,
    Line,
    at,
    case,
    clock,
    entry,
    frame,
    frames,
    in_order,
    incident,
    incident_id,
    played,
    result,
    review,
    said,
    verdict_id,
)

BLACK = frames(0, 120, black=True)
"""At risk at 60 s, a violation at 120 s."""
ID = incident_id("rule", 0, "black-screen")
VERDICT = verdict_id("black-screen", 0, 120)
END = frame(130, stream="ended")


def the_line(*parts: Line | list[Line], id_: str = ID, until: float | None = None) -> Line:
    found = incident(played(*parts, until=until), id_)
    assert found is not None
    return found


def ended(line: Line) -> tuple[str, str | None, int | None]:
    return line["stage"], line["ended_by"], line["ended_at"]


# ---- what opens, updates and ends each kind --------------------------------------------------------------------------


def test_a_violation_from_its_warning_to_the_end_of_its_room() -> None:
    expected = {
        "incident_id": ID, "kind": "rule", "room_id": "r", "host_id": "h", "rule": "black-screen",
        "family": "low-quality", "subject": None, "buyer_id": None, "severity": "critical", "stage": "violation",
        "since": at(0), "at_risk_at": at(60), "due": at(120), "violated_at": at(120), "ended_at": None,
        "ended_by": None, "verdict_id": VERDICT, "decision": None, "contested": False, "appealed_at": None,
        "action": {
            "steps": ["warn"], "choice": ["warn", "close"], "count": 1, "ban_until": None, "status": "active",
            "revision": 1,
        },
        "priority": "normal", "losses": 0, "outcomes": [], "still_live": False, "media_uri": None, "claimed_by": None,
        "claimed_at": None, "first_claimed_at": None, "decided_at": None, "snoozed_until": None, "notes": [],
        "commands": [], "at": at(120),
    }  # fmt: skip
    assert the_line(BLACK) == expected
    over = {"stage": "ended", "ended_at": at(130), "ended_by": "room-ended", "at": at(130)}
    assert the_line(BLACK, END) == {**expected, **over}


@pytest.mark.parametrize(
    ("then", "when"),
    [
        (frames(71, 80), 71),  # not black any more
        ([frame(71, stream="ended")], 71),
        ([frame(71, stream="disconnected")], 71),
        (frames(100, 101, black=True), 85),  # no frame for 15 s
    ],
)
def test_a_warning_without_a_violation_is_cleared(then: list[Line], when: float) -> None:
    line = the_line(BLACK[:71], then)
    assert (*ended(line), line["severity"], line["due"]) == ("ended", "cleared", at(when), "warning", at(120))


def test_a_warning_about_receptions_is_cleared_when_its_room_is_forgotten() -> None:
    story = [frame(0), entry(1, "a"), entry(2, "b"), frame(14), clock(14 + DAY)]
    line = the_line(story, id_=incident_id("rule", 1, "greeting-miss"))
    assert (*ended(line), line["at_risk_at"], line["due"]) == ("ended", "cleared", at(14 + DAY), at(12), None)


def test_a_violation_ends_when_its_room_is_forgotten() -> None:
    assert ended(the_line(BLACK, until=120 + DAY)) == ("ended", "room-ended", at(120 + DAY))


def test_each_label_of_a_comment_has_an_incident_of_its_own() -> None:
    story = [frame(0), said(3, labels=["rights:a", "rights:b"], media_uri="clip")]
    for name in ("rights:a", "rights:b"):
        line = the_line(story, id_=incident_id("rule", 3, "rights", name))
        assert (line["subject"], line["stage"], line["at_risk_at"]) == (name, "violation", None)
        assert (line["severity"], line["media_uri"]) == ("critical", "clip")


TWO_MINUTES = """
[rights.from.2022-08-01]
lasts_s = 60
again_s = 3600
source = "test"
"""


def test_the_warning_of_labels_becomes_the_incident_of_the_first_one() -> None:
    out = played(frames(0, 60, labels=["rights:b", "rights:a"]), rules=TWO_MINUTES)
    first, second = (incident(out, incident_id("rule", 0, "rights", name)) for name in (None, "rights:b"))
    assert first is not None and second is not None and len(out["incident"]) == 2
    assert (first["subject"], first["at_risk_at"]) == ("rights:a", at(30))
    assert (second["subject"], second["at_risk_at"]) == ("rights:b", None)


@pytest.mark.parametrize(
    ("then", "losses", "end"),
    [
        ([], 1, ("at-risk", None, None)),
        (frames(30, 59), 1, ("at-risk", None, None)),
        (frames(30, 60), 1, ("ended", "steady", at(60))),
        ([*frames(30, 44), *frames(60, 89)], 2, ("at-risk", None, None)),  # lost again at 59, back at 60
        ([*frames(30, 44), *frames(60, 90)], 2, ("ended", "steady", at(90))),
        ([*frames(30, 45), frame(61)], 1, ("ended", "steady", at(60))),  # lost again at 60: one of its own
        ([*frames(30, 40), frame(41, stream="ended")], 1, ("ended", "room-ended", at(41))),
    ],
)
def test_a_flapping_signal_is_one_incident(then: list[Line], losses: int, end: Any) -> None:
    line = the_line(frames(0, 5), then, id_=incident_id("signal", 5), until=5 + 15 if not then else None)
    assert (line["kind"], line["rule"], line["losses"], line["at_risk_at"]) == ("signal", None, losses, at(20))
    assert ended(line) == end


@pytest.mark.parametrize(("tier", "shown"), [(None, 0), ("L0", 0), ("L1", 1), ("L4", 1)])
def test_a_missed_buyer_of_l1_or_above_is_an_incident_for_a_minute(tier: str | None, shown: int) -> None:
    story = [*frames(0, 71), entry(2, "bo", tier)]
    assert len(played(story)["incident"]) == shown
    if shown:
        id_ = incident_id("entry", 2, "greeting-miss", buyer="bo")
        line = the_line(story, frame(71.999), id_=id_)
        assert (line["buyer_id"], line["priority"], *ended(line)) == ("bo", "high", "at-risk", None, None)
        assert ended(the_line(story, frame(72), id_=id_)) == ("ended", "passed", at(72))


def test_a_violation_that_concerns_a_buyer_of_l1_is_of_high_priority() -> None:
    id_ = incident_id("rule", 1, "greeting-miss")
    entries = [entry(1, "a"), entry(2, "b", "L0"), entry(3, "c")]
    assert the_line(frames(0, 20), entries, id_=id_)["priority"] == "normal"
    assert the_line(frames(0, 20), entries[:2], entry(3, "c", "L1"), id_=id_)["priority"] == "high"


def test_a_reception_that_comes_late_contests_a_verdict() -> None:
    id_ = incident_id("rule", 1, "greeting-miss")
    entries = [entry(1, "a"), entry(1.5, "b"), entry(1.8, "c")]
    early, late = frames(0, 0), frames(2, 30)
    assert incident(in_order(*early, *entries, *late, said(5)), id_)["contested"]  # type: ignore[index]
    assert not incident(in_order(*early, *entries, *late, said(15)), id_)["contested"]  # type: ignore[index]


# ---- commands --------------------------------------------------------------------------------------------------------


def log(line: Line) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["by"], one["effect"]) for one in line["commands"]]


def test_the_first_claim_holds_by_time_and_then_by_offset() -> None:
    line = the_line(BLACK, case(125, "claim", ID, "li", 9), case(125, "claim", ID, "mei", 8))
    assert (line["claimed_by"], line["claimed_at"], line["first_claimed_at"]) == ("mei", at(125), at(125))
    assert log(line) == [("claim", "mei", "done"), ("claim", "li", "lost")]
    line = the_line(BLACK, case(125, "claim", ID, "li", 9), case(125.001, "claim", ID, "mei", 8))
    assert line["claimed_by"] == "li"


@pytest.mark.parametrize(("until", "who"), [(724.999, "mei"), (725, None)])
def test_a_claim_expires_600_seconds_after_the_last_command_of_its_owner(until: float, who: str | None) -> None:
    claim, note = case(125, "claim", ID), case(724.999, "note", ID, text="looking")
    assert the_line(BLACK, claim, until=until)["claimed_by"] == who
    assert the_line(BLACK, claim, note, until=until)["claimed_by"] == "mei"
    others = case(700, "note", ID, "li", text="so do I")
    assert the_line(BLACK, claim, others, until=until)["claimed_by"] == who


def test_only_its_owner_releases_a_claim() -> None:
    claim = case(125, "claim", ID)
    line = the_line(BLACK, claim, case(126, "release", ID, "li"))
    assert (line["claimed_by"], log(line)[1]) == ("mei", ("release", "li", "lost"))
    line = the_line(BLACK, claim, case(126, "release", ID), case(127, "claim", ID, "li"))
    assert (line["claimed_by"], line["claimed_at"], line["first_claimed_at"]) == ("li", at(127), at(125))


def test_the_end_of_an_incident_ends_its_claim() -> None:
    assert the_line(BLACK, case(125, "claim", ID), END)["claimed_by"] is None


def test_a_claim_that_an_overturn_has_ended_stays_so_when_the_verdict_is_upheld_again() -> None:
    story = [*BLACK, case(125, "claim", ID), review(130, VERDICT, "overturned"), review(140, VERDICT, "upheld")]
    line = the_line(story)
    assert (line["stage"], line["claimed_by"]) == ("violation", None)
    assert the_line(story, case(135, "claim", ID, "li"))["claimed_by"] == "li"
    late = (END, case(140, "claim", ID), review(150, VERDICT, "overturned"))
    assert the_line(BLACK, *late)["claimed_by"] == "mei"  # it had ended before, with its room


@pytest.mark.parametrize(("longer", "letters"), [(0, 0), (1, 1)])
def test_a_snooze_lasts_a_day_at_most(longer: int, letters: int) -> None:
    out = played(BLACK[:71], case(70, "snooze", ID, until=at(70 + DAY) + longer))
    assert [one["reason"] for one in out["dead-letter"]] == ["malformed"] * letters


@pytest.mark.parametrize(
    ("then", "until", "snoozed"),
    [
        ([], 199.999, True),
        ([], 200, False),
        ([case(140, "unsnooze", ID, "li")], None, False),
        ([review(140, VERDICT, "upheld", choice={"step": "close"})], None, False),
        ([review(140, VERDICT, "appealed")], None, True),
        ([result(140, VERDICT, "warn")], None, True),
    ],
)
def test_a_snooze_ends_at_its_time_or_when_the_action_is_revised(
    then: list[Line], until: float | None, snoozed: bool
) -> None:
    line = the_line(BLACK, case(130, "snooze", ID, until=at(200)), then, until=until)
    assert line["snoozed_until"] == (at(200) if snoozed else None)


def test_a_snoozed_warning_that_becomes_a_violation_is_snoozed_no_more() -> None:
    snooze = case(70, "snooze", ID, until=at(70 + DAY))
    assert the_line(BLACK[:120], snooze)["snoozed_until"] == at(70 + DAY)
    assert the_line(BLACK, snooze)["snoozed_until"] is None


def test_notes_have_1024_characters_and_the_last_twenty_are_shown() -> None:
    notes = [case(130 + n, "note", ID, text=f"{n:01024}") for n in range(21)]
    line = the_line(BLACK, notes)
    assert [int(one["text"]) for one in line["notes"]] == list(range(1, 21))
    out = played(BLACK, case(130, "note", ID, text="x" * 1025))
    assert [one["reason"] for one in out["dead-letter"]] == ["malformed"]


def test_a_command_about_what_is_not_there_is_a_dead_letter() -> None:
    out = played(BLACK, case(130, "claim", "nothing"))
    assert [(one["topic"], one["reason"]) for one in out["dead-letter"]] == [("case", "unknown-incident")]


# ---- forgetting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("until", "lines"), [(130 + 7 * DAY - 0.001, 1), (130 + 7 * DAY, 0)])
def test_an_incident_is_forgotten_seven_days_after_its_end(until: float, lines: int) -> None:
    assert len([one for one in played(BLACK, END, until=until)["incident"] if one["room_id"] == "r"]) == lines


def test_the_lines_are_in_order_of_their_keys() -> None:
    out = played(BLACK, END, frames(140, 150), entry(141, "a", "L1"), frames(151, 160), frame(200))
    ids = [one["incident_id"] for one in out["incident"]]
    assert len(ids) == 3 and ids == sorted(ids)
