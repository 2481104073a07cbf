"""absence: five minutes without a visible face and without reception of any kind; a reception restarts it."""

import pytest

from tests.support.stories import (
    FIRST_DAY,
    MIDNIGHT,
    MIN,
    START,
    S,
    buyer_comment,
    comment,
    frame,
    frames,
    notices,
    played,
    rulebook_with,
    violations,
)
from vigil.app.domain.rooms import RoomMachine

FIVE_MIN = 5 * MIN
GONE = {"face": False}


def test_a_reception_restarts_the_absence() -> None:
    story = [*frames(0, 500 * S, **GONE), comment(100 * S + 300)]
    assert violations(played(story)) == [("absence", 100 * S + 300, 400 * S + 300)]


@pytest.mark.parametrize("said", [comment(100 * S, intent="chat"), comment(100 * S, text=" "), buyer_comment(100 * S)])
def test_what_is_no_reception_does_not_restart_the_absence(said: object) -> None:
    assert violations(played(frames(0, 300 * S, **GONE), [said])) == [("absence", 0, FIVE_MIN)]  # type: ignore[list-item]


def test_speech_is_a_reception() -> None:
    assert violations(played(frames(0, 300 * S, **GONE), comment(100 * S, via="speech"))) == []


def test_a_reception_before_the_frame_that_would_publish_prevents_the_violation() -> None:
    late = [*frames(0, 299 * S, **GONE), frame(310 * S, **GONE)]
    assert violations(played(late)) == [("absence", 0, FIVE_MIN)]
    assert violations(played(late, comment(305 * S))) == []


def test_a_reception_at_the_time_of_that_frame_comes_before_it() -> None:
    assert violations(played(frames(0, 300 * S, **GONE), comment(300 * S))) == []


def test_a_reception_after_a_violation_begins_the_next() -> None:
    stage = played(frames(0, 1000 * S, **GONE), comment(400 * S))
    assert violations(stage) == [("absence", 0, FIVE_MIN), ("absence", 400 * S, 700 * S)]


def test_receptions_in_time_prevent_it_again_and_again() -> None:
    said = [comment(at) for at in range(100 * S, 2000 * S, 299 * S)]
    assert violations(played(frames(0, 2000 * S, **GONE), said)) == []


def test_a_reception_before_the_first_frame_without_a_face_changes_nothing() -> None:
    story = [frame(0), comment(9 * S), *frames(10 * S, 310 * S, **GONE)]
    assert violations(played(story)) == [("absence", 10 * S, 310 * S)]


def test_a_reception_at_the_time_of_the_first_frame_without_a_face_changes_nothing() -> None:
    stage = played(frame(0), frames(10 * S, 310 * S, **GONE), comment(10 * S))
    assert violations(stage) == [("absence", 10 * S, 310 * S)]


def test_a_face_ends_the_condition() -> None:
    story = [*frames(0, 299 * S, **GONE), frame(300 * S), *frames(301 * S, 500 * S, **GONE)]
    assert violations(played(story)) == []


def test_the_evidence_is_the_first_frame_without_a_face_and_the_one_that_published() -> None:
    (verdict,) = played(frame(0), frames(10 * S, 500 * S, **GONE), comment(100 * S + 300)).verdicts
    first, last = verdict.evidence
    assert (first.at - START, last.at - START) == (10 * S, 401 * S)
    assert first.note == "the first of 392 frames in a row without a visible face"
    assert last.note == "the last of 392 frames in a row without a visible face"


def test_a_reception_clears_the_risk_and_the_restarted_condition_has_its_own() -> None:
    stage = played(frames(0, 400 * S, **GONE), comment(200 * S))
    assert notices(stage) == [
        ("at-risk", "absence", 0, 150 * S, FIVE_MIN),
        ("risk-cleared", "absence", 0, 200 * S, None),
        ("at-risk", "absence", 200 * S, 350 * S, 500 * S),
    ]


def test_a_reception_after_the_violation_clears_nothing() -> None:
    stage = played(frames(0, 310 * S, **GONE), comment(305 * S))
    assert notices(stage) == [("at-risk", "absence", 0, 150 * S, FIVE_MIN)]


def test_a_reception_before_half_of_the_time_clears_nothing() -> None:
    assert notices(played(frames(0, 200 * S, **GONE), comment(149 * S))) == []


def test_a_reception_after_a_gap_has_no_condition_to_restart() -> None:
    story = [*frames(0, 20 * S, **GONE), comment(40 * S), *frames(50 * S, 349 * S, **GONE)]
    assert violations(played(story)) == []
    assert violations(played(story, frame(350 * S, **GONE))) == [("absence", 50 * S, 350 * S)]


def test_a_restarted_condition_is_judged_by_the_limits_of_the_reception() -> None:
    machine = RoomMachine(rulebook_with("absence", lasts_s=60))
    story = [*frames(MIDNIGHT - 100 * S, MIDNIGHT + 190 * S, **GONE)]
    assert violations(played(story, machine=machine)) == []
    stage = played(story, comment(MIDNIGHT + 7), machine=machine)
    assert violations(stage) == [("absence", MIDNIGHT + 7, MIDNIGHT + 7 + 60 * S)]


def test_a_reception_after_the_first_day_of_the_rule_starts_a_condition_that_is_judged() -> None:
    story = frames(FIRST_DAY - 10 * S, FIRST_DAY + 400 * S, **GONE)
    assert violations(played(story)) == []
    assert violations(played(story, comment(FIRST_DAY - 1))) == []
    assert violations(played(story, comment(FIRST_DAY))) == [("absence", FIRST_DAY, FIRST_DAY + FIVE_MIN)]
