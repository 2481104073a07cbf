"""What came of an action: its outcomes go to the incident, once, in any order; of an unknown action it is refused."""

import orjson
import pytest

from tests.domain.hosts.test_decisions import TWO
from tests.support.host_stories import DAY, START, Played, Stage, played, review, verdict
from vigil.app.domain.hosts.reviews import ReceivedResult
from vigil.topics.fields import InvalidEvent
from vigil.topics.incidents import StepOutcome
from vigil.topics.internal import ActionInRoom
from vigil.topics.reviews import EnforcementResult, decode_result


def result(action_id: str, at: int, step: str = "close", outcome: str = "done") -> ReceivedResult:
    """A result `at` ms after START."""
    sent = EnforcementResult(
        action_id=action_id,
        revision=1,
        host_id="host",
        step=step,  # type: ignore[arg-type]
        outcome=outcome,  # type: ignore[arg-type]
        by="shop",
        at=START + at,
    )
    return ReceivedResult(sent, 3, 7, b"host", b"as it came")


def in_room(stage: Stage) -> ActionInRoom:
    """What the room was informed of last."""
    found = [output.body for output in stage.collector.outputs if isinstance(output.body, ActionInRoom)]
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    return found[-1]


def stage_of(*story: object) -> Stage:
    return Stage(crashes=iter(lambda: True, None)).play(*story)  # type: ignore[arg-type]


def test_outcomes_are_shown_in_order_of_time_and_the_latest_is_the_time_of_all() -> None:
    first, second = result("a", 5, outcome="failed"), result("a", 9)
    for story in ((first, second), (second, first, second)):
        shown = in_room(stage_of(verdict("sleeping", 0, "a"), *story))
        assert [(one.at - START, one.step, one.outcome) for one in shown.outcomes] == [
            (5, "close", "failed"),
            (9, "close", "done"),
        ]
        assert shown.at == START + 9
    assert isinstance(shown.outcomes[0], StepOutcome)


def test_the_room_learns_since_when_its_action_is_active() -> None:
    story = (verdict("sleeping", 0, "a"), review("a", 10), review("a", 20, "upheld", 1))
    assert [in_room(stage_of(*story[:number])).active_at for number in (1, 2, 3)] == [START, None, START + 20]


def test_an_action_that_two_people_approve_is_active_since_the_second() -> None:
    story = (verdict("rights", 0, "a"), review("a", 10, "upheld", by="mei"), review("a", 20, "upheld", 1, by="li"))
    active = [
        in_room(Stage(TWO, crashes=iter(lambda: True, None)).play(*story[:number])).active_at for number in (1, 2, 3)
    ]
    assert active == [None, None, START + 20]


def test_an_earlier_appeal_that_is_read_later_changes_nothing() -> None:
    story = (verdict("sleeping", 0, "a"), review("a", 30, "appealed"))
    stage = stage_of(*story, review("a", 20, "appealed", 1))
    assert (in_room(stage).appealed_at, in_room(stage).number) == (START + 30, in_room(stage_of(*story)).number)


def test_a_result_changes_no_action() -> None:
    story = (verdict("sleeping", 0, "a"), result("a", 5))
    shown: Played = played(*story)
    assert shown.actions == played(story[0]).actions
    assert shown.letters == []


def test_a_result_that_comes_before_its_verdict_waits_for_it() -> None:
    stage = stage_of(result("a", 0), review("a", 0, "upheld"), verdict("sleeping", 0, "a"))
    assert stage.result.letters == []
    assert len(in_room(stage).outcomes) == 1


def test_a_result_of_an_unknown_action_is_a_dead_letter() -> None:
    stage = stage_of(result("nobody's", 0)).advance(START + DAY)
    (letter,) = stage.result.letters
    assert (letter.topic, letter.offset, letter.reason) == ("enforcement-result", 7, "unknown-verdict")
    assert letter.detail == "no verdict \"nobody's\" of the host 'host' is known"


def test_the_last_twenty_outcomes_are_kept() -> None:
    stage = stage_of(verdict("sleeping", 0, "a"), *(result("a", n) for n in range(25)))
    assert [one.at - START for one in in_room(stage).outcomes] == list(range(5, 25))


def test_a_result_is_keyed_by_its_host() -> None:
    value = {
        "action_id": "a",
        "revision": 1,
        "host_id": "host",
        "step": "ban",
        "outcome": "done",
        "by": "x",
        "at": START,
    }
    assert decode_result(b"host", orjson.dumps(value)).detail is None
    with pytest.raises(InvalidEvent, match="is not the host_id"):
        decode_result(b"other", orjson.dumps(value))
