"""Corners of the incidents of a room: equal times, late messages, what is taken back, and what is bounded."""

from typing import Any

import msgspec
import pytest

from tests.support.incident_stories import (
    DAY,
    Stage,
    action,
    at,
    back,
    board,
    case,
    done,
    found,
    id_of,
    lost,
    missed,
    reviewed,
    stream,
    violated,
    warned,
)
from vigil.app.domain.incidents.stored import (
    INCIDENT,
    MOST_COMMANDS,
    MOST_ENDS,
    MOST_LOSSES,
    IncidentRecord,
    decode_main,
)

BAN = {"steps": ("close", "ban"), "ban_until": at(DAY)}


def label(name: str, when: float = 20) -> Any:
    return violated(when, 0, f"v-{name}", rule="rights", subject=f"rights:{name}")


# ---- equal times -----------------------------------------------------------------------------------------------------


def test_a_claim_of_the_moment_at_which_the_incident_ends_holds() -> None:
    assert board(violated(), stream("ended", 200), case("claim", 200)).line.claimed_by == "mei"


def test_a_snooze_of_the_moment_of_the_violation_holds() -> None:
    assert board(warned(), violated(120), case("snooze", 120, until=at(900))).line.snoozed_until == at(900)


def test_an_entry_that_was_missed_as_the_warning_begins_concerns_it() -> None:
    lines = board(warned(41, 5, rule="greeting-miss", due=60), missed(5)).lines.values()
    assert {one.kind: one.priority for one in lines} == {"rule": "high", "entry": "high"}


# ---- two things that end ---------------------------------------------------------------------------------------------


def test_a_claim_expires_while_its_incident_is_snoozed() -> None:
    story = (violated(), case("claim", 130), case("snooze", 140, until=at(1500)))
    line = board(*story, until=800).line
    assert (line.claimed_by, line.snoozed_until) == (None, at(1500))


def test_what_is_not_snoozed_any_more_is_as_of_then() -> None:
    assert board(violated(), case("snooze", 130, until=at(200)), until=300).line.at == at(200)


@pytest.mark.parametrize("when", [200, 299])
def test_an_end_of_the_room_that_is_read_late_counts_if_it_was_before_the_withdrawal(when: float) -> None:
    story = (violated(), action(), reviewed("overturned", 300), stream("ended", when))
    line = board(*story).line
    assert (line.ended_by, line.ended_at) == ("room-ended", at(when))


@pytest.mark.parametrize(
    ("story", "ended"),
    [
        ((violated(), action(), reviewed("overturned", 300), stream("ended", 300)), ("withdrawn", 300)),
        ((violated(), reviewed("overturned", 100)), ("withdrawn", 120)),  # a review with a clock that is behind
        ((lost(0), back(0, 20), stream("ended", 50)), ("room-ended", 50)),
    ],
)
def test_what_ends_at_one_moment_ends_by_the_review_else_by_the_room(story: Any, ended: tuple[str, float]) -> None:
    line = board(*story, until=400).line
    assert (line.ended_by, line.ended_at) == (ended[0], at(ended[1]))


def test_what_has_ended_is_not_flagged_when_somebody_does_something_about_it() -> None:
    story = (violated(), action(action=BAN, active_at=at(130)), stream("ended", 150), stream("live", 160))
    assert not board(*story, case("note", 300, text="x"), case("note", 310, text="y")).line.still_live


@pytest.mark.parametrize(("heard", "flagged"), [(190, False), (190.001, True)])
def test_what_is_heard_within_a_minute_is_heard(heard: float, flagged: bool) -> None:
    follows = action(action=BAN, active_at=at(130), outcomes=(done("warn", heard),))
    assert board(violated(), follows, until=900).line.still_live == flagged


def test_losses_that_are_not_remembered_one_by_one_count_for_the_first_incident_only() -> None:
    flaps = [each for n in range(MOST_LOSSES + 5) for each in (lost(20 * n), back(20 * n, 20 * n + 18))]
    lines = board(*flaps, lost(9000)).lines.values()
    assert {(one.since, one.losses) for one in lines} == {(at(0), MOST_LOSSES + 5), (at(9000), 1)}


# ---- what is read late, or again -------------------------------------------------------------------------------------


def test_what_a_stream_was_earlier_does_not_matter_when_it_is_read_later() -> None:
    story = (violated(), action(action=BAN, active_at=at(130)))
    assert board(*story, stream("live", 185), stream("disconnected", 180), until=900).line.still_live
    assert not board(*story, stream("disconnected", 185), stream("live", 180), until=900).line.still_live


def test_of_a_command_that_was_sent_twice_the_first_counts() -> None:
    story = (violated(), case("claim", 130, offset=5), case("claim", 130, "li", 3))
    assert board(*story).line.claimed_by == "li"
    assert board(*story, case("claim", 130, offset=1)).line.claimed_by == "mei"


@pytest.mark.parametrize(
    "again",
    [found("verdict-contested", 300, 30, verdict_id="v"), action(2, when=300, appealed_at=at(300))],
)
def test_the_latest_thing_that_follows_is_the_time_of_the_line(again: Any) -> None:
    story = (violated(), found("verdict-contested", 150, 30, verdict_id="v"), action())
    assert board(*story).line.at == at(150)
    assert board(*story, again).line.at == at(300)


def test_what_followed_before_its_verdict_stays_as_long_as_the_incident() -> None:
    story = (action(), violated())
    line = board(*story, case("note", 8 * DAY, text="still here"), until=9 * DAY).line
    assert line.action is not None


def test_each_command_that_waits_is_kept_over_a_crash() -> None:
    stage = Stage(wait_ms=None, crashes=iter(lambda: True, None))
    line = stage.play(case("claim", 70), case("note", 71, text="x"), warned()).board.line
    assert (line.claimed_by, len(line.notes)) == ("mei", 1)


# ---- what is taken back ----------------------------------------------------------------------------------------------


def test_a_command_about_an_incident_that_was_taken_back_is_a_dead_letter() -> None:
    """The warning is read after the violation, whose incident then is the warning's."""
    own = id_of(rule="rights", subject="rights:a")
    stage = Stage(wait_ms=2000, crashes=iter(lambda: True, None)).play(label("a"))
    assert list(stage.board.lines) == [own]
    stage.play(warned(10, rule="rights", due=20), case("claim", 30, of=own)).until(60)
    assert list(stage.board.lines) == [id_of(rule="rights")]
    assert [letter.reason for letter in stage.board.letters] == ["unknown-incident"]


# ---- forgetting ------------------------------------------------------------------------------------------------------


def test_of_two_labels_one_is_forgotten_while_the_other_goes_on() -> None:
    story = (label("a"), label("b"), reviewed("overturned", 300, 1, name="v-a"))
    stage = Stage(crashes=iter(lambda: True, None)).play(*story).until(301 + 7 * DAY)
    assert [(line.subject, line.stage) for line in stage.board.lines.values()] == [("rights:b", "violation")]
    stage.play(case("note", 302 + 7 * DAY, of=id_of(rule="rights", subject="rights:b"), text="x"))
    assert [len(line.notes) for line in stage.board.lines.values()] == [1]


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_so_many_commands_and_ends_are_remembered_and_the_latest_of_them() -> None:
    stage = Stage(crashes=iter(lambda: True, None)).play(violated())
    stage.play(*(stream("ended", 10 + number) for number in range(MOST_ENDS + 5)))
    stage.play(*(case("note", 1000 + n, offset=n, text=f"{n}") for n in range(MOST_COMMANDS + 5)))
    ends = decode_main(stage.stored[b""]).ends
    assert (len(ends), ends[-1]) == (MOST_ENDS, at(10 + MOST_ENDS + 4))
    record = msgspec.msgpack.decode(stage.stored[(INCIDENT + id_of()).encode()], type=IncidentRecord)
    assert (len(record.commands), record.commands[0].text) == (MOST_COMMANDS, "5")
