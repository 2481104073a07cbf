"""Goods that need a permit: a label of a room is judged where the permits of its host are known (9, *In rooms*)."""

import json
from typing import Any

import pytest

from tests.support.line_stories import certificate, member, recorded
from tests.support.supplier_stories import DAY, RULEBOOK, Line, at
from vigil.app.runtime.replay import json_line, replay

START = at("2022-08-10 12:00")


def frame(when: int, *labels: str) -> Line:
    value = {"room_id": "room", "host_id": "s", "at": when, "stream": "live", "face": True, "black": False}
    return Line("frame-status", "room", {**value, "labels": list(labels)})


def said(when: int, *labels: str, id_: str = "c") -> Line:
    value = {"room_id": "room", "host_id": "s", "at": when, "comment_id": id_, "author_id": "s", "author_role": "host"}
    return Line("comment", "room", {**value, "text": "look at this", "labels": list(labels)})


def shown(label: str, seconds: int = 3) -> list[Line]:
    """Frames of a room, `seconds` with the label."""
    return [frame(START + 1000 * n, *([label] if n <= seconds else [])) for n in range(seconds + 3)]


def outcome(*story: Line) -> dict[str, list[Any]]:
    outputs = replay(recorded(story), RULEBOOK)
    topics = ("verdict", "enforcement", "room-status", "notice", "supplier-rights")
    return {topic: [json.loads(json_line(output)) for output in outputs[topic]] for topic in topics}


def test_without_the_permit_it_is_a_verdict_with_its_action() -> None:
    found = outcome(*shown("restricted:medical-3"))
    (verdict,) = found["verdict"]
    assert (verdict["rule"], verdict["subject"]) == ("prohibited-goods", "restricted:medical-3")
    assert (verdict["since"], verdict["at"]) == (START, START + 3000)
    assert [action["action_id"] for action in found["enforcement"]] == [verdict["verdict_id"]]
    assert found["supplier-rights"] == [], "a supplier of which nothing else is known has no line"


def test_a_room_does_not_count_it_and_nothing_reports_it_before() -> None:
    found = outcome(*shown("restricted:medical-3", 2))
    assert found["verdict"] == found["notice"] == []
    assert found["room-status"][0]["open"] == []
    assert outcome(*shown("restricted:medical-3"))["room-status"][0]["verdicts"] == 0
    assert outcome(*shown("prohibited:medicine"))["room-status"][0]["verdicts"] == 1


def test_events_of_weeks_later_do_not_make_a_replay_forget_it() -> None:
    later = certificate(START + 30 * DAY, "medical-3")
    assert len(outcome(*shown("restricted:medical-3"), later)["verdict"]) == 1


def test_with_the_permit_it_is_none() -> None:
    assert outcome(certificate(START - DAY, "medical-3"), *shown("restricted:medical-3"))["verdict"] == []


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_permit_counts_as_of_the_beginning_whenever_it_arrives(order: str) -> None:
    held, late = certificate(START, "medical-3"), certificate(START + 1, "medical-3")
    for permit, verdicts in ((held, 0), (late, 1)):
        story = (
            [permit, *shown("restricted:medical-3")] if order == "before" else [*shown("restricted:medical-3"), permit]
        )
        assert len(outcome(*story)["verdict"]) == verdicts


def test_a_permit_that_has_ended_is_not_held() -> None:
    ended = certificate(START - DAY, "medical-3", valid_until=START)
    assert len(outcome(ended, *shown("restricted:medical-3"))["verdict"]) == 1
    running = certificate(START - DAY, "medical-3", valid_until=START + 1)
    assert outcome(running, *shown("restricted:medical-3"))["verdict"] == []


@pytest.mark.parametrize("label", ["restricted:spaceships", "restricted:", "restricted"])
def test_an_unknown_permit_is_never_held(label: str) -> None:
    verdicts = outcome(member(START - DAY, stars=5), *shown(label))["verdict"]
    assert len(verdicts) == (0 if label == "restricted" else 1)
    if label == "restricted:":
        assert verdicts[0]["subject"] == "restricted:unspecified"


def test_a_comment_is_referred_at_once_and_once_an_hour() -> None:
    hour = 3_600_000
    story = [
        frame(START - 1000),
        said(START, "restricted:fda", id_="1"),
        said(START + hour - 1, "restricted:fda", id_="2"),
    ]
    assert [verdict["at"] for verdict in outcome(*story)["verdict"]] == [START]
    story.append(said(START + hour, "restricted:fda", id_="3"))
    assert [verdict["at"] for verdict in outcome(*story)["verdict"]] == [START, START + hour]


def test_the_hour_runs_from_the_referral_whatever_becomes_of_it() -> None:
    expired = certificate(START - DAY, "fda", valid_until=START + 60_000)
    story = [
        expired,
        frame(START - 1000),
        said(START, "restricted:fda", id_="1"),
        said(START + 120_000, "restricted:fda", id_="2"),
    ]
    assert outcome(*story)["verdict"] == []


def test_second_hand_clothing_needs_stars_and_evidence() -> None:
    verified = member(START - DAY, stars=1)
    certified = certificate(START - DAY, "quality-system")
    assert len(outcome(verified, certified, *shown("restricted:second-hand-clothing"))["verdict"]) == 1, "no orders"
