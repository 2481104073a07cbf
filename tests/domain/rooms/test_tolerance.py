"""A detector that flickers: a condition survives frames that do not satisfy it, as far as the rulebook tolerates."""

import pytest

from tests.support.stories import (
    MIN,
    START,
    S,
    comment,
    frame,
    frames,
    notices,
    played,
    rulebook_changed,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.rooms import FrameStatus

BLACK = {"black": True}
LABELLED = {"labels": ("minor",)}


def tolerant(tolerate_s: int = 3, share: float = 0.05) -> RoomMachine:
    numbers = {"tolerate_s": tolerate_s, "tolerate_share": share}
    return RoomMachine(rulebook_changed(dict.fromkeys(("black-screen", "absence", "minor"), numbers), "2022-08-01"))


def flickering(*bad: int, until: int = 600, first: int = 0) -> list[FrameStatus]:
    """A black frame each second, but for these."""
    return [frame(at * S, black=at not in bad) for at in range(first, until + 1)]


def test_one_bad_frame_in_a_hundred_ends_a_condition_by_default() -> None:
    assert violations(played(flickering(*range(99, 600, 100)))) == []


def test_one_bad_frame_in_a_hundred_is_tolerated_where_the_rulebook_says_so() -> None:
    stage = played(flickering(*range(99, 600, 100)), machine=tolerant())
    assert violations(stage) == [("black-screen", 0, 120 * S)]
    assert notices(stage) == [("at-risk", "black-screen", 0, 60 * S, 120 * S)]


def test_what_is_bridged_is_part_of_the_evidence() -> None:
    (verdict,) = played(flickering(99, 110, 111), machine=tolerant()).verdicts
    first, last = verdict.evidence
    assert (first.at - START, last.at - START) == (0, 120 * S)
    assert (first.code, last.code) == ("evidence.frames-bridged-first", "evidence.frames-bridged-last")
    assert first.params == last.params == {"frames": 118, "rule": "black-screen", "bridged_ms": 5000}
    assert last.note == "the last of 118 frames with a black picture, with 5000 ms bridged between them"


@pytest.mark.parametrize(("back", "expected"), [(73 * S, [("black-screen", 0, 120 * S)]), (73 * S + 1, [])])
def test_a_condition_continues_when_a_frame_satisfies_it_within_the_tolerated_time(
    back: int, expected: list[object]
) -> None:
    story = [*frames(0, 70 * S, **BLACK), frame(71 * S), *frames(back, 180 * S, **BLACK)]
    assert violations(played(story, machine=tolerant())) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.04, [("black-screen", 0, 120 * S)]), (0.0399, [])])
def test_all_that_is_bridged_is_at_most_the_share_of_the_time_since_the_start(
    share: float, expected: list[object]
) -> None:
    """Two seconds at the 80th, and two more at the 100th: four of a hundred."""
    story = flickering(79, 99, until=150)
    assert violations(played(story, machine=tolerant(share=share))) == expected


def test_a_share_of_nothing_tolerates_nothing() -> None:
    assert violations(played(flickering(99), machine=tolerant(share=0.0))) == [("black-screen", 100 * S, 220 * S)]


def test_the_risk_is_cleared_when_the_tolerated_time_has_passed() -> None:
    story = [*frames(0, 70 * S, **BLACK), *frames(71 * S, 90 * S)]
    stage = played(story, machine=tolerant())
    assert notices(stage, "risk-cleared") == [("risk-cleared", "black-screen", 0, 73 * S, None)]


def test_the_risk_is_cleared_at_that_time_without_a_frame() -> None:
    story = [*frames(0, 70 * S, **BLACK), frame(71 * S)]
    assert notices(played(story, machine=tolerant(), until=73 * S - 1), "risk-cleared") == []
    cleared = [("risk-cleared", "black-screen", 0, 73 * S, None)]
    assert notices(played(story, machine=tolerant(), until=73 * S), "risk-cleared") == cleared


def test_a_condition_of_which_too_much_would_be_bridged_ends_by_the_same_deadline() -> None:
    """The next one begins with the frame that came too late for it."""
    story = [*frames(0, 70 * S, **BLACK), frame(71 * S), *frames(72 * S, 200 * S, **BLACK)]
    machine = tolerant(share=0.01)
    assert notices(played(story[:73], machine=machine), "risk-cleared") == []
    stage = played(story, machine=machine)
    assert notices(stage, "risk-cleared") == [("risk-cleared", "black-screen", 0, 73 * S, None)]
    assert violations(stage) == [("black-screen", 72 * S, 192 * S)]


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_a_frame_that_is_not_live_ends_an_interrupted_condition_at_once(stream: str) -> None:
    story = [*frames(0, 70 * S, **BLACK), frame(71 * S), frame(72 * S, stream), *frames(73 * S, 180 * S, **BLACK)]
    stage = played(story, machine=tolerant())
    assert notices(stage, "risk-cleared")[0] == ("risk-cleared", "black-screen", 0, 72 * S, None)
    assert violations(stage) == []


def test_a_gap_in_frames_ends_an_interrupted_condition() -> None:
    story = [*frames(0, 70 * S, **BLACK), frame(71 * S), *frames(87 * S, 180 * S, **BLACK)]
    stage = played(story, machine=tolerant(tolerate_s=60, share=1.0))
    assert notices(stage, "risk-cleared") == [("risk-cleared", "black-screen", 0, 86 * S, None)]


def test_a_frame_that_does_not_satisfy_it_publishes_nothing() -> None:
    story = [*frames(0, 59 * S, **BLACK), frame(60 * S), frame(61 * S)]
    assert notices(played(story, machine=tolerant(share=1.0))) == []


def test_a_condition_that_has_given_its_violation_goes_on_over_a_bad_frame() -> None:
    assert violations(played(flickering(199), machine=tolerant())) == [("black-screen", 0, 120 * S)]


def test_a_label_may_flicker() -> None:
    story = [frame(0, **LABELLED), frame(1 * S), *frames(2 * S, 10 * S, **LABELLED)]
    assert violations(played(story, machine=tolerant(share=1.0))) == [("minor", 0, 3 * S)]
    (verdict,) = played(story, machine=tolerant(share=1.0)).verdicts
    assert verdict.evidence[1].note == "the last of 3 frames labelled 'minor', with 2000 ms bridged between them"
    assert violations(played(story)) == [("minor", 2 * S, 5 * S)]


def test_a_reception_begins_with_nothing_bridged() -> None:
    """Two seconds were bridged before it. Two of the 41 after it are no more than a twentieth; four would be."""
    gone = [frame(at * S, face=at in (100, 190)) for at in range(460)]
    (verdict,) = played(gone, comment(150 * S), machine=tolerant()).verdicts
    assert (verdict.rule, verdict.since - START, verdict.at - START) == ("absence", 150 * S, 450 * S)
    assert verdict.evidence[0].at == START
    assert verdict.evidence[0].params == {"frames": 449, "rule": "absence", "bridged_ms": 2000}


def test_a_reception_while_an_absence_is_interrupted_moves_its_start_too() -> None:
    """The gap is longer than the time since then, so the next frame without a face begins the next absence."""
    story = [*frames(0, 100 * S, face=False), frame(101 * S), *frames(102 * S, 7 * MIN, face=False)]
    assert violations(played(story, machine=tolerant())) == [("absence", 0, 300 * S)]
    stage = played(story, comment(101 * S + 500), machine=tolerant())
    assert violations(stage) == [("absence", 102 * S, 402 * S)]
