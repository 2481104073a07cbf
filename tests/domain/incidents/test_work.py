"""What people do about incidents: claims, snoozes, notes, and commands whose incident is not known."""

import base64
import re
from typing import Any

import orjson
import pytest

from tests.support.incident_stories import (
    DAY,
    RULEBOOK,
    START,
    Stage,
    action,
    at,
    board,
    case,
    cleared,
    id_of,
    lost,
    reviewed,
    stream,
    violated,
    warned,
)
from vigil.app.domain.incidents.metrics import IncidentGauges
from vigil.topics.envelope import encode_body
from vigil.topics.fields import InvalidEvent
from vigil.topics.incidents import IncidentStatus, decode_case


def claim(line: IncidentStatus) -> tuple[str | None, float | None, float | None]:
    """Who works on it since when, and when somebody did first, in seconds after START."""
    times = (None if when is None else (when - START) / 1000 for when in (line.claimed_at, line.first_claimed_at))
    return line.claimed_by, *times  # type: ignore[return-value]


# ---- claims ----------------------------------------------------------------------------------------------------------


def test_a_claim_holds() -> None:
    line = board(warned(), case("claim", 70)).line
    assert claim(line) == ("mei", 70, 70)
    assert line.at == at(70)


def test_of_two_claims_the_first_by_time_and_offset_holds_whatever_their_order() -> None:
    first, second, third = case("claim", 70), case("claim", 70, "li", 1), case("claim", 71, "wu", 2)
    for story in ((first, second, third), (third, second, first)):
        assert claim(board(warned(), *story).line) == ("mei", 70, 70)


def test_a_release_frees_it_for_the_next_claim() -> None:
    story = (warned(), case("claim", 70), case("release", 80))
    assert claim(board(*story).line) == (None, None, 70)
    assert claim(board(*story, case("claim", 90, "li")).line) == ("li", 90, 70)


def test_nobody_releases_what_another_one_has_claimed() -> None:
    assert claim(board(warned(), case("claim", 70), case("release", 80, "li")).line) == ("mei", 70, 70)


@pytest.mark.parametrize(("now", "who"), [(669.999, "mei"), (670, None)])
def test_a_claim_expires_ten_minutes_after_the_last_command_of_its_owner(now: float, who: str | None) -> None:
    assert board(violated(), case("claim", 70), until=now).line.claimed_by == who
    later = (case("claim", 70), case("note", 100, text="looking"))
    assert board(violated(), *later, until=now + 30).line.claimed_by == who
    others = (case("claim", 70), case("note", 100, "li", text="so do I"), case("claim", 101, "li"))
    assert board(violated(), *others, until=now).line.claimed_by == who


def test_what_expires_is_as_of_then() -> None:
    assert board(violated(), case("claim", 70), until=700).line.at == at(670)


@pytest.mark.parametrize(("when", "who"), [(669.999, "mei"), (670, "li")])
def test_another_claim_counts_once_the_first_has_expired(when: float, who: str) -> None:
    assert board(violated(), case("claim", 70), case("claim", when, "li")).line.claimed_by == who


def test_the_end_of_the_incident_ends_the_claim() -> None:
    assert claim(board(warned(), case("claim", 70), cleared(90)).line) == (None, None, 70)


def test_each_end_of_the_incident_ends_the_claims_from_before() -> None:
    """An overturn, another uphold, and the end of the room: the claim from before the overturn holds until that."""
    again = reviewed("upheld", 260, 3, withdrawn_at=at(250))
    story = (violated(), action(), case("claim", 240), again, case("claim", 270, "li"), stream("ended", 300))
    assert [one.effect for one in board(*story).line.commands] == ["done", "done"]
    assert claim(board(*story).line) == (None, None, 240)


def test_an_incident_that_has_ended_can_be_claimed() -> None:
    """An appeal is worked on after the room has ended."""
    story = (violated(), stream("ended", 200), action(2, when=300, appealed_at=at(300)))
    assert claim(board(*story, case("claim", 310)).line) == ("mei", 310, 310)


def test_each_incident_is_claimed_by_itself() -> None:
    other = id_of(since=200)
    shown = board(warned(), warned(260, 200, 320), case("claim", 270, of=other))
    assert {id_: line.claimed_by for id_, line in shown.lines.items()} == {id_of(): None, other: "mei"}


def test_what_has_no_effect_is_lost_in_the_log_of_commands() -> None:
    story = (case("claim", 130), case("claim", 131, "li"), case("release", 132, "li"), case("claim", 133))
    shown = board(violated(), *story)
    log = [(one.kind, one.by, one.effect) for one in shown.line.commands]
    assert log == [
        ("claim", "mei", "done"),
        ("claim", "li", "lost"),
        ("release", "li", "lost"),
        ("claim", "mei", "done"),
    ]
    assert shown.counts == {"look:critical:10": 1, "case:claim:done": 2, "case:claim:lost": 1, "case:release:lost": 1}


def test_the_last_twenty_commands_are_in_the_log() -> None:
    story = [case("note", 130 + n, offset=n, text=f"{n}") for n in range(25)]
    assert [one.at for one in board(violated(), *story).line.commands] == [at(135 + n) for n in range(20)]


def test_a_claim_is_lost_once_an_earlier_one_is_read() -> None:
    first, second = case("claim", 130, "li"), case("claim", 131)
    assert board(violated(), second).line.commands[0].effect == "done"
    assert [one.effect for one in board(violated(), second, first).line.commands] == ["done", "lost"]


# ---- snoozes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "until"), [(199.999, at(200)), (200, None)])
def test_a_snooze_ends_at_its_time(now: float, until: int | None) -> None:
    assert board(violated(), case("snooze", 130, until=at(200)), until=now).line.snoozed_until == until


def test_a_snooze_can_be_taken_back_and_made_longer() -> None:
    story = (violated(), case("snooze", 130, until=at(200)))
    assert board(*story, case("unsnooze", 140)).line.snoozed_until is None
    assert board(*story, case("snooze", 140, until=at(900))).line.snoozed_until == at(900)


def test_a_snooze_ends_when_the_warning_becomes_a_violation() -> None:
    snoozed = case("snooze", 70, until=at(900))
    assert board(warned(), snoozed).line.snoozed_until == at(900)
    for story in ((warned(), snoozed, violated()), (warned(), violated(), snoozed)):
        assert board(*story).line.snoozed_until is None


def test_a_snooze_ends_when_a_decision_changes_the_action() -> None:
    snoozed = case("snooze", 130, until=at(900))
    assert board(violated(), action(), snoozed).line.snoozed_until == at(900)
    assert board(violated(), action(), snoozed, reviewed("upheld", 140)).line.snoozed_until is None
    assert board(violated(), reviewed("upheld", 125), snoozed).line.snoozed_until == at(900)


@pytest.mark.parametrize(("revised_at", "until"), [(129, at(900)), (140, None)])
def test_a_snooze_ends_when_another_verdict_or_its_review_changes_the_action(revised_at: float, until: Any) -> None:
    snoozed = case("snooze", 130, until=at(900))
    revised = action(2, when=120, action={"count": 2}, revised_at=at(revised_at))
    for story in ((snoozed, revised), (revised, snoozed)):
        assert board(violated(), action(), *story).line.snoozed_until == until


# ---- notes -----------------------------------------------------------------------------------------------------------


def test_the_last_twenty_notes_are_shown_in_order() -> None:
    notes = [case("note", 130 + n, offset=n, text=f"{n}") for n in range(25)]
    line = board(violated(), *reversed(notes)).line
    assert [note.text for note in line.notes] == [f"{n}" for n in range(5, 25)]
    assert (line.notes[0].by, line.notes[0].at) == ("mei", at(135))


def test_a_note_that_is_sent_twice_is_shown_once() -> None:
    twice = (case("note", 130, text="x"), case("note", 130, offset=9, text="x"))
    shown = board(violated(), *twice)
    assert len(shown.line.notes) == 1
    assert {name: number for name, number in shown.counts.items() if name.startswith("case")} == {
        "case:note:done": 1,
        "case:note:repeated": 1,
    }


# ---- unknown incidents -----------------------------------------------------------------------------------------------


def test_a_command_waits_for_its_incident() -> None:
    shown = board(case("claim", 70), warned())
    assert claim(shown.line) == ("mei", 70, 70)
    assert shown.letters == []


@pytest.mark.parametrize(("now", "rejected"), [(1.999, 0), (2, 1)])
def test_a_command_about_an_unknown_incident_is_a_dead_letter(now: float, rejected: int) -> None:
    shown = Stage(wait_ms=2000, crashes=iter(lambda: True, None)).play(case("claim", 0, of="x")).until(now).board
    assert len(shown.letters) == rejected
    if rejected:
        (letter,) = shown.letters
        assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("case", 0, 0, "unknown-incident")
        assert letter.detail == "no incident 'x' of the room 'room' is known"
        assert base64.b64decode(letter.value or "") == b"as it came"


def test_without_a_deadline_it_is_rejected_at_the_end_of_the_input() -> None:
    stage = Stage(wait_ms=None).play(case("claim", 0, of="x")).until(DAY)
    assert stage.board.letters == []
    assert len(stage.end().board.letters) == 1


def test_a_forgotten_incident_is_not_known() -> None:
    stage = Stage().play(violated(), stream("ended", 200)).until(200 + 7 * DAY)
    stage.state = stage.machine.load("room", {})
    shown = stage.play(case("claim", 300 + 7 * DAY)).until(400 + 7 * DAY).board
    assert [letter.reason for letter in shown.letters] == ["unknown-incident"]


# ---- what is measured ------------------------------------------------------------------------------------------------


def test_the_first_look_and_the_first_decision_are_counted_once() -> None:
    story = (warned(), case("claim", 72), case("release", 73), case("claim", 90, "li"), violated())
    counts = board(*story, reviewed("upheld", 150), reviewed("overturned", 160, 3)).counts
    assert {name: number for name, number in counts.items() if not name.startswith("case")} == {
        "look:warning:12": 1,
        "decision:critical:30": 1,
    }


def test_a_first_look_counts_from_the_violation_if_nobody_had_looked_before() -> None:
    looked_before = board(warned(60), case("claim", 119), violated(120)).counts
    looked_at_once = board(warned(60), violated(120), case("claim", 120)).counts
    looked_later = board(warned(60), violated(120), case("claim", 131)).counts
    assert [name for counts in (looked_before, looked_at_once, looked_later) for name in counts if "look" in name] == [
        "look:warning:59", "look:critical:0", "look:critical:11",
    ]  # fmt: skip


def unseen(one: IncidentStatus, seconds: float) -> list[str]:
    """The severities of incidents that nobody has looked at for long, at a time."""
    gauges = IncidentGauges(RULEBOOK)
    gauges.update("incident", one.incident_id, encode_body(one))
    found = [sample for sample in gauges.samples(at(seconds)) if sample.metric == "vigil_incidents_unseen"]
    return [sample.labels[0] for sample in found]


def test_what_nobody_has_looked_at_for_a_minute_is_counted() -> None:
    open_ = board(warned(60), violated(120)).line
    assert (unseen(open_, 180), unseen(open_, 180.001)) == ([], ["critical"])
    assert unseen(board(warned(60)).line, 200) == ["warning"]
    for story in ((case("claim", 130),), (case("snooze", 130, until=at(900)),), (reviewed("upheld", 130),)):
        assert unseen(board(warned(60), violated(120), *story).line, 800) == []
    assert unseen(board(lost(0)).line, 800) == []


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "snooze"}, "missing required field `until`"),
        ({"kind": "snooze", "until": START}, "at most 24 h later"),
        ({"kind": "snooze", "until": START + DAY * 1000 + 1}, "at most 24 h later"),
        ({"kind": "note"}, "missing required field `text`"),
        ({"kind": "note", "text": "x" * 1025}, "<= 1024"),
        ({"kind": "ban"}, "Invalid enum value 'ban'"),
        ({"by": ""}, ">= 1"),
    ],
)
def test_what_is_no_command_is_refused(fields: dict[str, Any], why: str) -> None:
    value = {"incident_id": "i", "room_id": "room", "kind": "claim", "by": "mei", "at": START, **fields}
    with pytest.raises(InvalidEvent, match=re.escape(why)):
        decode_case(b"room", orjson.dumps(value))
    with pytest.raises(InvalidEvent, match="is not the room_id"):
        decode_case(b"other", orjson.dumps({**value, "kind": "release", "by": "mei"}))


def test_a_snooze_of_a_whole_day_is_one() -> None:
    value = {"incident_id": "i", "room_id": "room", "kind": "snooze", "by": "mei", "at": START}
    assert decode_case(b"room", orjson.dumps({**value, "until": START + DAY * 1000})).kind == "snooze"
