"""The wall: what is more urgent, that time alone moves a room, and that browsers receive changes only."""

from typing import Any

import orjson
import pytest

from tests.console.test_model import action, lost, notice, risk, verdict
from tests.support.console_stories import START, ConsoleStage, simulated_console
from tests.support.stories import rulebook_with
from vigil.app.console.settings import ConsoleBounds
from vigil.app.console.views.changes import Changes, array
from vigil.app.console.views.reader import Reader
from vigil.app.console.views.text import WORDS
from vigil.app.console.views.urgency import UrgencyBand
from vigil.app.kafka.settings import Settings
from vigil.topics.reviews import Review
from vigil.topics.rooms import FrameStatus
from vigil.topics.verdicts import CommentCounts, OpenCondition, RoomStatus, WaitingEntry

S = 1000
CRITICAL, VIOLATED, AT_RISK, WATCH, CALM = UrgencyBand


def status(
    at: int = 0,
    stream: Any = "live",
    opened: tuple[tuple[str, int, int], ...] = (),
    waiting: tuple[tuple[str, int], ...] = (),
    buyers: int = 5,
    room_id: str = "r",
) -> RoomStatus:
    """A room's figures: open conditions as rule, since and due; waiting buyers as tier and due."""
    return RoomStatus(
        room_id=room_id,
        host_id="h",
        at=START + at,
        stream=stream,
        entries=1,
        received=0,
        missed=0,
        reception_seconds=None,
        buyers_now=buyers,
        engaged_buyers=0,
        comments=CommentCounts(host=0, buyer=0),
        on_air_seconds=at / S,
        absent_seconds=0,
        black_seconds=0,
        open=tuple(OpenCondition(rule=rule, since=START + since, due=START + due) for rule, since, due in opened),
        waiting=tuple(
            WaitingEntry(buyer_id=f"b{n}", buyer_tier=tier, since=START + due - 10 * S, due=START + due)  # type: ignore[arg-type]
            for n, (tier, due) in enumerate(waiting)
        ),
        verdicts=0,
    )


def rows(console: ConsoleStage, now: int) -> dict[str, dict[str, Any]]:
    """The wall as it looks at a time."""
    console.state.wall.refresh(START + now)
    return {key: orjson.loads(row) for key, row in console.state.wall.rows.since(0) if row is not None}


def band(*messages: Any, now: int = 0) -> int:
    console = ConsoleStage()
    for one in messages:
        console.take("room-status" if isinstance(one, RoomStatus) else "incident", one, tick=False)
    return int(rows(console, now)["r"]["b"])


@pytest.mark.parametrize(
    "messages, expected",
    [
        ((status(),), CALM),
        ((status(opened=(("absence", 0, 300 * S),)),), WATCH),
        ((status(opened=(("absence", -240 * S, 60 * S + 1),)),), WATCH),
        ((status(opened=(("absence", -240 * S, 60 * S),)),), CRITICAL),
        ((status(opened=(("sleeping", 0, 10 * S),)),), CRITICAL),
        ((status(opened=(("absence", 0, 300 * S),)), risk(150 * S, due=300 * S)), AT_RISK),
        ((risk(150 * S, due=300 * S),), AT_RISK),
        ((status(waiting=(("L1", 5 * S),)),), AT_RISK),
        ((status(waiting=(("L1", 5 * S + 1),)),), WATCH),
        ((status(waiting=(("L0", 2 * S),)),), CALM),
        ((status(), risk(10 * S, "greeting-miss")), AT_RISK),
        ((status(waiting=(("L0", 9 * S),)), risk(10 * S, "greeting-miss")), CRITICAL),
        ((status(), lost(0)), WATCH),
        ((status(stream="disconnected"),), WATCH),
    ],
)
def test_bands(messages: tuple[Any, ...], expected: int):
    assert band(*messages) == expected


def with_numbers(section: str, **numbers: int) -> ConsoleStage:
    return ConsoleStage(rulebook=rulebook_with(section, "2022-08-01", **numbers))


@pytest.mark.parametrize("left_ms, expected", [(30 * S + 1, WATCH), (30 * S, CRITICAL)])
def test_how_soon_is_critical_stands_in_the_rulebook(left_ms: int, expected: int):
    console = with_numbers("rooms", at_risk_from_s=30)
    console.take("room-status", status(opened=(("absence", left_ms - 300 * S, left_ms),)), tick=False)
    assert rows(console, 0)["r"]["b"] == expected


@pytest.mark.parametrize(
    "in_a_row, missed, waiting, expected",
    [
        (3, 2, 1, (CRITICAL, 9 * S)),
        (3, 2, 0, (AT_RISK, None)),
        (4, 2, 1, (AT_RISK, None)),
        (4, 2, 2, (CRITICAL, 10 * S)),
        (4, 3, 1, (CRITICAL, 9 * S)),
    ],
)
def test_how_many_misses_are_a_violation_stands_in_the_rulebook(
    in_a_row: int, missed: int, waiting: int, expected: tuple[int, int | None]
):
    """The violation is the miss of the buyer with whom there are so many in a row, if that one waits already."""
    console = with_numbers("greeting-miss", in_a_row=in_a_row)
    for number in range(missed):
        console.take("notice", notice("entry-missed", 10 * S, "greeting-miss", since=-number * S), tick=False)
    console.take("incident", risk(10 * S, "greeting-miss", since=(1 - missed) * S), tick=False)
    buyers = tuple(("L0", (9 + number) * S) for number in range(waiting))
    console.take("room-status", status(waiting=buyers), tick=False)
    (condition,) = rows(console, 0)["r"]["o"]
    assert (condition[3], condition[2]) == (expected[0], None if expected[1] is None else START + expected[1])


def test_within_a_band_what_falls_due_first_comes_first():
    console = ConsoleStage()
    for room_id, due in (("late", 50), ("soon", 10), ("mid", 30)):
        console.take("room-status", status(opened=(("absence", -200 * S, due * S),), room_id=room_id), tick=False)
    shown = rows(console, 0)
    assert sorted(shown, key=lambda name: (shown[name]["b"], shown[name]["k"])) == ["soon", "mid", "late"]


def test_time_alone_makes_a_room_critical_and_then_drops_what_ended_without_a_message():
    console = ConsoleStage().take("room-status", status(opened=(("absence", 0, 300 * S),)), tick=False)
    assert [rows(console, now * S)["r"]["b"] for now in (0, 239, 240, 300, 304)] == [
        WATCH,
        WATCH,
        CRITICAL,
        CRITICAL,
        CRITICAL,
    ]
    after = rows(console, 306 * S)["r"]
    assert after["b"] == CALM and after["o"] == []


def test_an_ended_or_forgotten_room_leaves_the_wall():
    console = ConsoleStage().take("room-status", status(), tick=False)
    assert "r" in rows(console, 0)
    console.take("room-status", status(at=S, stream="ended"), tick=False)
    assert "r" not in rows(console, 2 * S)
    console.take("room-status", status(at=2 * S), tick=False)
    assert "r" in rows(console, 3 * S)
    console.take("room-status", None, key="r", tick=False)
    assert "r" not in rows(console, 4 * S)


def test_a_room_that_says_nothing_new_is_not_sent_again():
    console = ConsoleStage().take("room-status", status(), tick=False)
    rows(console, 0)
    version = console.state.wall.rows.version
    for second in range(1, 10):  # figures go on, as every second; nothing that the wall shows
        console.take("room-status", status(at=second * S), tick=False)
        console.state.wall.refresh(START + second * S)
    assert console.state.wall.rows.since(version) == []


def test_a_count_that_changes_all_the_time_is_sent_every_ten_seconds():
    console = ConsoleStage()
    sent = 0
    for second in range(60):
        version = console.state.wall.rows.version
        console.take("room-status", status(at=second * S, buyers=second), tick=False)
        console.state.wall.refresh(START + second * S)
        sent += bool(console.state.wall.rows.since(version))
    assert sent == 6


def test_verdicts_are_sent_again_when_their_action_or_review_comes():
    console = simulated_console()
    wall = console.state.wall
    shown = [orjson.loads(row) for _, row in wall.verdicts.since(0) if row is not None]
    assert shown and all(one["t"] for one in shown)
    assert len(wall.verdicts) <= 100


def test_changes_since_a_version_bring_every_copy_up_to_date():
    changes = Changes(most_removed=3)
    copy: dict[str, bytes] = {}
    version = 0
    for number in range(200):
        key = f"k{number * 7 % 11}"
        changes.put(key, None if number % 3 == 0 else b"%d" % number)
        if number % 5 == 0:
            if version < changes.forgotten:
                copy, version = {}, 0
            for name, value in changes.since(version):
                if value is None:
                    copy.pop(name, None)
                else:
                    copy[name] = value
            version = changes.version
            assert copy == {name: value for name, value in changes.since(0) if value is not None}


def test_rows_that_went_are_sent_as_their_key():
    assert orjson.loads(array([("a", b'{"r":"a"}'), ('"<b>', None)])) == [{"r": "a"}, '"<b>']


# ---- is the wall true at all


def frame(at: int, stream: Any = "live", black: bool = False) -> FrameStatus:
    return FrameStatus(room_id="r", host_id="h", at=START + at, stream=stream, face=True, black=black)


@pytest.mark.parametrize("lag, expected", [(10 * S - 1, (0, 0)), (10 * S, (1, 10 * S))])
def test_a_room_whose_events_wait_for_their_judgement_is_reported(lag: int, expected: tuple[int, int]):
    console = ConsoleStage().take("room-status", status(at=100 * S)).take("frame-status", frame(100 * S + lag))
    assert console.state.model.behind(START + 1000 * S, 10 * S) == expected


def test_a_room_that_was_never_judged_is_behind_and_one_that_ended_or_lies_ahead_is_not():
    console = ConsoleStage().take("frame-status", frame(100 * S)).take("frame-status", frame(130 * S))
    model = console.state.model
    assert model.behind(START + 1000 * S, 10 * S) == (1, 30 * S)
    assert model.behind(START + 105 * S, 10 * S) == (0, 0)  # no later than now, whatever it says
    console.take("frame-status", frame(131 * S, "ended"))
    assert model.behind(START + 1000 * S, 10 * S) == (0, 0)


def test_stalled_workers_are_reported_while_events_come():
    console = ConsoleStage()
    now = console.state.now - START
    console.take("room-status", status(at=now - 60 * S), tick=False).take("frame-status", frame(now), tick=False)
    for _ in range(4):
        console.state.tick()
    state = console.state.data_status(Reader(WORDS["en"], console.state.zone))
    assert state == {"level": "bad", "text": "Judgement lags by 1:00 (rooms: 1). Are the workers running?"}
    console.take("room-status", status(at=now - 2 * S), tick=False)
    for _ in range(4):
        console.state.tick()
    assert console.state.data_status(Reader(WORDS["en"], console.state.zone))["level"] == "ok"


def test_a_room_that_was_evicted_does_not_count_as_waiting():
    console = (
        ConsoleStage(bounds=ConsoleBounds(rooms=1))
        .take("room-status", status(at=99 * S))
        .take("frame-status", frame(100 * S))
    )
    console.take("room-status", status(room_id="other", at=100 * S))
    console.take("frame-status", frame(200 * S))
    assert "r" not in console.state.model.rooms
    assert console.state.model.behind(START + 1000 * S, 10 * S) == (0, 0)


def test_a_longer_allowed_lateness_is_waited_for():
    console = ConsoleStage(settings=Settings(allowed_lateness_ms=60_000))
    now = console.state.now - START
    console.take("room-status", status(at=now - 62 * S), tick=False).take("frame-status", frame(now), tick=False)
    for _ in range(4):
        console.state.tick()
    assert console.state.data_status(Reader(WORDS["en"], console.state.zone))["level"] == "ok"


# ---- violations that nobody has reviewed


def violated_room(rule: str = "black-screen", black_until: int = 200 * S) -> ConsoleStage:
    """A room that has violated at 120 s, with a frame a second; black until then."""
    console = ConsoleStage()
    for at in range(0, 201 * S, S):
        console.take("frame-status", frame(at, black=at <= black_until), tick=False)
    console.take("room-status", status(at=200 * S), tick=False)
    console.take("verdict", verdict(rule, 0, 120 * S), tick=False)
    return console


def decision(of: str) -> Review:
    return Review(verdict_id="v1", host_id="h", decision=of, by="Kim", reason="seen", at=START + 201 * S)  # type: ignore[arg-type]


def test_a_condition_that_continues_after_its_verdict_stays_visible():
    row = rows(violated_room(), 200 * S)["r"]
    assert row["b"] == VIOLATED
    assert row["o"] == [["black-screen", START, None, VIOLATED, START + 120 * S]]


def test_a_condition_that_has_ended_no_longer_continues_but_the_violation_waits_for_a_review():
    row = rows(violated_room(black_until=150 * S), 200 * S)["r"]
    assert (row["b"], row["o"]) == (VIOLATED, [])


def test_frames_that_are_missing_do_not_continue_a_condition():
    console = violated_room()
    assert rows(console, 200 * S + 15 * S)["r"]["o"] != []
    console.take("room-status", status(at=215 * S), tick=False)
    assert rows(console, 200 * S + 15 * S + 1)["r"]["o"] == []


@pytest.mark.parametrize("of", ["upheld", "overturned"])
def test_a_room_leaves_the_band_once_a_reviewer_has_decided(of: str):
    console = violated_room()
    assert rows(console, 200 * S)["r"]["b"] == VIOLATED
    console.take("review", decision(of), tick=False)
    assert rows(console, 201 * S)["r"]["b"] == CALM


def test_a_withdrawn_action_needs_no_review():
    console = violated_room()
    console.take("enforcement", action(revision=2, status="withdrawn"), tick=False)
    assert rows(console, 201 * S)["r"]["b"] == CALM


def test_a_room_that_has_ended_stays_until_its_violation_is_reviewed():
    console = violated_room()
    console.take("room-status", None, key="r", tick=False)
    row = rows(console, 300 * S)["r"]
    assert (row["b"], row["o"]) == (VIOLATED, [])
    console.take("review", decision("upheld"), tick=False)
    assert rows(console, 301 * S) == {}


def test_what_is_about_to_be_violated_comes_before_what_was_and_that_before_risks():
    console = violated_room()
    critical = status(at=200 * S, opened=(("absence", 0, 230 * S),))
    console.take("room-status", critical, tick=False)
    assert rows(console, 200 * S)["r"]["b"] == CRITICAL
    assert CRITICAL < VIOLATED < AT_RISK


def test_violations_that_continue_come_first_then_the_oldest():
    def due(of: ConsoleStage) -> int:
        return int(rows(of, 200 * S)["r"]["k"])

    ended, later = violated_room(black_until=150 * S), violated_room(black_until=150 * S)
    later.take("verdict", verdict("absence", 10, 130 * S, name="v2"), tick=False)
    assert due(violated_room()) < due(ended)
    assert due(later) == due(ended)


def test_the_latest_verdicts_name_what_a_moderator_may_choose():
    console = violated_room()
    console.take("enforcement", action(steps=("warn",), choice=("warn", "close")), tick=False)
    console.state.wall.refresh(START + 200 * S)
    (shown,) = (orjson.loads(one) for _, one in console.state.wall.verdicts.since(0) if one is not None)
    assert (shown["t"], shown["q"]) == (["warn"], ["warn", "close"])
