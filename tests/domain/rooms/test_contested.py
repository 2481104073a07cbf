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
    notices,
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


def with_late(stage: Stage, *late: Comment) -> Stage:
    """The stage after comments that came too late to be judged, and a restart."""
    for comment_ in late:
        stage.state.on_late(comment_, comment_.at + 3 * S, stage.collector)
    stage.crash()
    return stage


def contested_at(stage: Stage) -> list[tuple[str, int, int]]:
    """Rule, `since` and `at` of the notices about contested verdicts."""
    return [(rule or "", since, at) for _, rule, since, at, _ in notices(stage, "verdict-contested")]


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
    assert [output.topic for output in stage.outputs[-2:]] == ["notice", "found-by-room"]
    assert {output.id for output in stage.outputs[-2:]} == {notice.notice_id}


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


SPLIT = MISSED.index(entry(27 * S))
"""Up to here two entries of MISSED are made, and no verdict is published."""


@pytest.mark.parametrize("intent", ["greet-ask", "greet", None])
def test_a_reception_that_comes_late_before_the_verdict_contests_it_with_its_publication(intent: str | None) -> None:
    stage = with_late(Stage(ROOMS).play(MISSED[:SPLIT]), comment(17 * S, via="speech", intent=intent))
    assert stage.notices[-1].kind != "verdict-contested"
    stage.play(MISSED[SPLIT:])
    (verdict,) = stage.verdicts
    assert contested_at(stage) == [("greeting-miss", 17 * S, 37 * S)]
    assert stage.notices[-1].verdict_id == verdict.verdict_id
    topics = [output.topic for output in stage.outputs[-5:]]
    assert topics == ["verdict", "verdict-by-host", "found-by-room", "notice", "found-by-room"]


@pytest.mark.parametrize(("at", "expected"), [(4 * S - 1, 0), (4 * S, 1), (15 * S, 1), (16 * S - 1, 0), (16 * S, 1)])
def test_before_the_verdict_too_it_must_fall_into_the_span_of_a_counted_entry(at: int, expected: int) -> None:
    story = in_order(frames(0, 60 * S), [entry(5 * S), entry(17 * S), entry(28 * S)])
    stage = with_late(Stage(ROOMS).play(story[:25]), comment(at)).play(story[25:])
    assert len(stage.verdicts) == 1
    assert len(contested_at(stage)) == expected


def test_one_verdict_is_contested_once_by_what_came_before_it() -> None:
    late = [comment(at * S, via="speech") for at in (12, 6, 17, 6)]
    stage = with_late(Stage(ROOMS).play(MISSED[:SPLIT]), *late).play(MISSED[SPLIT:])
    assert contested_at(stage) == [("greeting-miss", 6 * S, 37 * S)]


@pytest.mark.parametrize(("at", "expected"), [(-1, 0), (0, 1), (140 * S, 1)])
def test_an_absence_too_is_contested_by_what_came_before_its_verdict(at: int, expected: int) -> None:
    stage = with_late(Stage(ROOMS).play(GONE[:150]), comment(at)).play(GONE[150:])
    assert len(stage.verdicts) == 1
    assert contested_at(stage) == [("absence", at, 300 * S)] * expected


def test_a_reception_that_was_judged_after_all_contests_nothing() -> None:
    """Its first copy waits for its order while a second one comes too late; half of a reception prevents nothing."""
    half = comment(17 * S, via="speech", intent="greet", id_="c")
    stage = Stage(ROOMS).play(MISSED[: MISSED.index(entry(16 * S)) + 1])
    with_late(stage, half, comment(17 * S, via="speech", id_="d"), half)
    stage.play([half, comment(17 * S, intent="greet", id_="d"), *MISSED[SPLIT:]])
    assert len(stage.verdicts) == 1
    assert contested_at(stage) == []


def test_a_late_reception_is_remembered_for_a_slow_room_as_long_as_a_miss_counts() -> None:
    story = in_order(frames(0, 3600 * S), [entry(at * S) for at in (5, 1800, 3500)])
    stage = Stage(ROOMS, crashes=lambda: True).play(story[:30])
    with_late(stage, comment(8 * S)).play(story[30:])
    assert contested_at(stage) == [("greeting-miss", 8 * S, 3510 * S)]


def test_late_receptions_are_bounded_and_forgotten_and_cost_a_room_without_them_nothing() -> None:
    stage = with_late(Stage(ROOMS).play(MISSED[:SPLIT]), *(comment(at) for at in range(5 * S, 10 * S)))
    assert len(stage.stored[b"u"]) < 64 * 20
    stage.play(MISSED[SPLIT:])
    stage.play(frames(61 * S, 62 * S)).crash()
    assert b"u" not in stage.stored
    without = Stage(ROOMS).play([*MISSED, *frames(61 * S, 62 * S)])
    without.crash()
    assert set(stage.stored) == set(without.stored)


def test_a_room_that_expires_forgets_its_late_receptions() -> None:
    stage = with_late(Stage(ROOMS).play(MISSED[:SPLIT]), comment(17 * S))
    assert b"u" in stage.stored
    while not stage.state.expired():
        stage.state.on_timer(stage.state.next_timer(), stage.collector)
    assert dict.fromkeys(stage.stored) == stage.state.dump_changes()


def test_a_rulebook_without_the_number_remembers_no_late_reception() -> None:
    machine = RoomMachine(rulebook_changed({"rooms": {"contested_s": 0}}, "2022-08-01"))
    stage = with_late(Stage(machine).play(MISSED[:SPLIT]), comment(17 * S))
    assert b"u" not in stage.stored
    assert contested_at(stage.play(MISSED[SPLIT:])) == []
