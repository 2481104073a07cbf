"""verdict-contested: a reception that came too late to be judged speaks against what it would have prevented."""

import pytest

from tests.support.stories import (
    MIN,
    ROOM,
    ROOMS,
    START,
    S,
    Stage,
    buyer_comment,
    comment,
    entry,
    frames,
    in_order,
    rulebook_changed,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.rooms import Comment
from vigil.topics.verdicts import Notice, identity

MISSED = in_order(frames(0, 60 * S), [entry(at * S) for at in (5, 16, 27)])
"""Violated at 37 s."""
GONE = frames(0, 310 * S, face=False)
"""Violated at 300 s, published by the frame at 300 s."""


def contested(stage: Stage, late: Comment, now: int) -> list[Notice]:
    """The notices that a late comment gives at the clock's time `now`."""
    before = len(stage.notices)
    stage.crash()
    stage.state.on_late(late, START + now, stage.collector)
    return stage.notices[before:]


def missed() -> Stage:
    return Stage(ROOMS).play(MISSED)


def test_the_notice_has_every_field() -> None:
    stage = missed()
    (verdict,) = stage.verdicts
    (notice,) = contested(stage, comment(17 * S, via="speech", intent="greet"), 40 * S)
    assert (notice.kind, notice.rule, notice.verdict_id) == ("verdict-contested", "greeting-miss", verdict.verdict_id)
    assert (notice.room_id, notice.host_id, notice.buyer_id) == ("room-1", "host-1", None)
    assert (notice.since - START, notice.at - START) == (17 * S, 40 * S)
    assert (notice.priority, notice.due) == ("normal", None)
    parts = ("verdict-contested", "greeting-miss", verdict.verdict_id, ROOM, notice.since, notice.at)
    assert notice.notice_id == identity(*parts)
    assert stage.outputs[-1].topic == "notice"
    assert stage.outputs[-1].id == notice.notice_id


@pytest.mark.parametrize(("at", "expected"), [(4 * S - 1, 0), (4 * S, 1), (15 * S, 1), (37 * S, 1), (37 * S + 1, 0)])
def test_it_must_fall_into_the_span_of_a_counted_entry(at: int, expected: int) -> None:
    assert len(contested(missed(), comment(at), 40 * S)) == expected


def test_between_the_spans_of_two_entries_nothing_is_contested() -> None:
    stage = Stage(ROOMS).play(in_order(frames(0, 90 * S), [entry(at * S) for at in (5, 30, 50)]))
    assert contested(stage, comment(20 * S), 80 * S) == []


@pytest.mark.parametrize(
    "late",
    [
        comment(17 * S, intent="chat"),
        comment(17 * S, via="auto"),
        comment(17 * S, text="\u200b"),
        buyer_comment(17 * S),
        entry(17 * S),
    ],
)
def test_what_is_no_reception_contests_nothing(late: Comment) -> None:
    assert contested(missed(), late, 40 * S) == []


@pytest.mark.parametrize(("at", "expected"), [(-1, 0), (0, 1), (299 * S, 1), (300 * S, 1), (300 * S + 1, 0)])
def test_an_absence_is_contested_from_its_start_to_the_frame_that_published_it(at: int, expected: int) -> None:
    assert len(contested(Stage(ROOMS).play(GONE), comment(at), 305 * S)) == expected


def test_a_comment_that_was_judged_in_time_contests_nothing() -> None:
    stage = Stage(ROOMS).play(in_order(MISSED, [comment(4 * S - 1, id_="c"), comment(50 * S, id_="d")]))
    assert len(stage.verdicts) == 1
    assert contested(stage, comment(17 * S, id_="d"), 55 * S) == []
    assert len(contested(stage, comment(17 * S, id_="e"), 55 * S)) == 1


@pytest.mark.parametrize(("now", "expected"), [(37 * S + 10 * MIN - 1, 1), (37 * S + 10 * MIN, 0)])
def test_only_violations_of_the_last_ten_minutes_are_contested(now: int, expected: int) -> None:
    assert len(contested(missed(), comment(17 * S), now)) == expected


def test_a_comment_contests_each_verdict_that_it_speaks_against() -> None:
    gone = frames(0, 310 * S, face=False)
    stage = Stage(ROOMS).play(in_order(gone, [entry(at * S) for at in (5, 6, 7, 8, 9, 10)]))
    assert [(verdict.rule, verdict.at - START) for verdict in stage.verdicts] == [
        ("greeting-miss", 17 * S),
        ("greeting-miss", 20 * S),
        ("absence", 300 * S),
    ]
    notices = contested(stage, comment(12 * S), 310 * S)
    assert [notice.verdict_id for notice in notices] == [verdict.verdict_id for verdict in stage.verdicts]


def test_other_rules_are_not_contested() -> None:
    stage = Stage(ROOMS).play(frames(0, 130 * S, black=True))
    assert len(stage.verdicts) == 1
    assert contested(stage, comment(50 * S), 130 * S) == []


def test_what_cannot_be_contested_any_more_is_forgotten() -> None:
    entries = [entry(at * S) for at in range(0, 3600, 5)]
    stage = Stage(ROOMS).play(in_order(frames(0, 3600 * S), entries))
    stage.store()
    remembered = [name for name in stage.stored if name.startswith(b"v")]
    assert len(stage.verdicts) > 200
    assert len(remembered) == 10 * 60 // 15


def test_a_rulebook_without_the_number_contests_nothing() -> None:
    machine = RoomMachine(rulebook_changed({"rooms": {"contested_s": 0}}, "2022-08-01"))
    assert contested(Stage(machine).play(MISSED), comment(17 * S), 40 * S) == []


def test_a_candidate_contests_nothing() -> None:
    stage = Stage(RoomMachine(rulebook_changed({}), shadow=True)).play(MISSED)
    assert contested(stage, comment(17 * S), 40 * S) == []
