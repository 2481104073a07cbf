"""A room's figures, as they stand at a time."""

import pytest

from tests.support.published import published
from tests.support.stories import (
    MIDNIGHT,
    MIN,
    ROOMS,
    START,
    S,
    Stage,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    in_order,
    played,
    rulebook_with,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.verdicts import CommentCounts, OpenCondition, ReceptionSeconds, WaitingEntry


def test_a_room_that_only_heard_a_buyer() -> None:
    status = played(buyer_comment(0, "ann")).status(1 * S)
    assert (status.room_id, status.host_id, status.at, status.stream) == ("room-1", "host-1", START + 1 * S, None)
    assert (status.entries, status.received, status.missed, status.verdicts) == (0, 0, 0, 0)
    assert status.reception_seconds is None
    assert (status.buyers_now, status.engaged_buyers, status.comments) == (1, 0, CommentCounts(host=0, buyer=1))
    assert (status.on_air_seconds, status.absent_seconds, status.black_seconds) == (0, 0, 0)
    assert (status.open, status.waiting) == ((), ())


def test_entries_received_and_missed() -> None:
    story = [entry(1 * S), comment(2 * S), entry(3 * S + 1), entry(20 * S)]
    status = played(frames(0, 25 * S), story).status(25 * S)
    assert (status.entries, status.received, status.missed) == (3, 1, 1)
    assert status.waiting == (
        WaitingEntry(buyer_id="buyer@20000", buyer_tier=None, since=START + 20 * S, due=START + 30 * S),
    )


def test_a_later_status_has_what_came_since() -> None:
    stage = Stage(ROOMS).play(in_order(frames(0, 4 * S), entry(1 * S), comment(2 * S)))
    before = stage.status(4 * S)
    after = stage.play(in_order(frames(5 * S, 10 * S), entry(6 * S), comment(9 * S))).status(10 * S)
    assert (before.received, after.received) == (1, 2)
    assert before.reception_seconds == ReceptionSeconds(p50=1.0, p95=1.0)
    assert after.reception_seconds == ReceptionSeconds(p50=1.0, p95=3.0)


@pytest.mark.parametrize(
    ("waits", "p50", "p95"),
    [
        ([4000], 4.0, 4.0),
        ([1000, 2000], 1.0, 2.0),
        ([1000, 2000, 3000], 2.0, 3.0),
        ([3001, 1, 2], 0.002, 3.001),
        (list(range(1, 21)), 0.010, 0.019),  # of twenty, the nineteenth
        (list(range(1, 22)), 0.011, 0.020),  # of twenty-one, the twentieth: 19.95 rounded up
        (list(range(100, 9000, 7)), 4.545, 8.556),
        ([0] * 94 + [10_000] * 6, 0.0, 10.0),
        ([0] * 95 + [10_000] * 5, 0.0, 0.0),
    ],
)
def test_percentiles_of_the_time_to_reception_are_by_nearest_rank(waits: list[int], p50: float, p95: float) -> None:
    story = []
    for number, wait in enumerate(waits):
        at = number * 20 * S
        story += [entry(at, f"buyer-{number}"), comment(at + wait, id_=f"c{number}")]
    stage = played(frame(-1), story)
    assert stage.status(len(waits) * 20 * S).reception_seconds == ReceptionSeconds(p50=p50, p95=p95)


def test_present_is_who_entered_or_spoke_within_five_minutes() -> None:
    stage = played(entry(0, "ann"), buyer_comment(60 * S, "bob"), entry(90 * S, "bob"), comment(91 * S))
    assert stage.status(5 * MIN - 1).buyers_now == 2
    assert stage.status(5 * MIN).buyers_now == 1
    assert stage.status(90 * S + 5 * MIN - 1).buyers_now == 1
    assert stage.status(90 * S + 5 * MIN).buyers_now == 0


def test_many_buyers_are_present() -> None:
    story = [entry(number * S, f"buyer-{number % 1500}") for number in range(2000)]
    stage = played(story)
    assert stage.status(1999 * S).buyers_now == 300
    assert stage.status(1999 * S + 299 * S).buyers_now == 1


def test_engaged_is_who_said_three_things_or_more() -> None:
    said = [buyer_comment(number * S, buyer, id_=f"c{number}") for number, buyer in enumerate("aababcbbd")]
    status = played(frame(0), said).status(10 * S)
    assert (status.engaged_buyers, status.comments) == (2, CommentCounts(host=0, buyer=9))


def test_engagement_outlasts_presence_and_chunks() -> None:
    said = [buyer_comment(number * S, f"buyer-{number % 200}", id_=f"c{number}") for number in range(599)]
    assert played(said).status(5000 * S).engaged_buyers == 199


def test_comments_are_counted_in_a_room_that_is_not_live() -> None:
    story = [comment(0), buyer_comment(1), frame(2, "disconnected"), comment(3), buyer_comment(4)]
    assert played(story).status(5).comments == CommentCounts(host=2, buyer=2)


def test_a_live_frame_counts_for_the_time_to_the_next() -> None:
    story = [
        frame(0),
        frame(1500, face=False),
        frame(3500, black=True),
        frame(6500, "disconnected", face=False, black=True),
        frame(7500, face=False, black=True),
        frame(9500),
    ]
    status = played(story).status(20 * S)
    assert status.on_air_seconds == 1.5 + 2 + 3 + 2
    assert status.absent_seconds == 2 + 2
    assert status.black_seconds == 3 + 2


def test_a_frame_before_a_gap_counts_for_no_time() -> None:
    assert played(frame(0), frame(15 * S)).status(30 * S).on_air_seconds == 15
    assert played(frame(0), frame(15 * S + 1)).status(30 * S).on_air_seconds == 0


def test_open_lists_the_active_conditions_without_a_violation() -> None:
    story = [
        frame(0),
        *frames(1 * S, 3 * S, black=True, labels=("rights:b", "rights:a")),
        *frames(4 * S, 6 * S, black=True, face=False, labels=("rights:b", "rights:a")),
    ]

    def condition(rule: str, since: int, lasts: int) -> OpenCondition:
        return OpenCondition(rule=rule, since=START + since, due=START + since + lasts)

    stage = Stage(ROOMS)
    assert stage.play(in_order(story[:4])).status(4 * S).open == (
        condition("rights", 1 * S, 3 * S),
        condition("rights", 1 * S, 3 * S),
        condition("black-screen", 1 * S, 120 * S),
    )
    assert stage.play(in_order(story[4:])).status(6 * S).open == (
        condition("black-screen", 1 * S, 120 * S),
        condition("absence", 4 * S, 300 * S),
    )
    assert stage.status(6 * S).verdicts == 2


def test_waiting_lists_so_many_entries_at_most() -> None:
    machine = RoomMachine(rulebook_with("rooms", "2022-08-01", waiting_shown=3))
    status = played(frame(0), [entry(number) for number in range(1, 9)], machine=machine).status(1 * S)
    assert [waiting.since - START for waiting in status.waiting] == [1, 2, 3]
    assert status.entries == 8


def test_presence_and_engagement_follow_the_effective_limits() -> None:
    at = MIDNIGHT
    machine = RoomMachine(rulebook_with("rooms", presence_s=60, engaged_comments=5))
    said = [buyer_comment(at - 200 * S + number * S, "ann", id_=f"c{number}") for number in range(4)]
    stage = played(said, machine=machine)
    assert (stage.status(at - 1).buyers_now, stage.status(at - 1).engaged_buyers) == (1, 1)
    stage = played(said, entry(at, "bob"), machine=machine)
    assert (stage.status(at + 1).buyers_now, stage.status(at + 1).engaged_buyers) == (1, 0)
    assert stage.status(at + 60 * S - 1).buyers_now == 1
    assert stage.status(at + 60 * S).buyers_now == 0


# Published -----------------------------------------------------------------------------------------------------


def statuses(stage: Stage, at: int) -> list[int]:
    return [output.at - START for output in published(stage.state, START + at)]


def test_a_status_is_published_once_a_second_at_most() -> None:
    stage = Stage(ROOMS).play([frame(0)])
    assert stage.state.has_deferred_output()
    assert statuses(stage, 2 * S) == [2 * S]
    assert not stage.state.has_deferred_output()
    assert statuses(stage, 60 * S) == []  # nothing changed
    stage.play([frame(2 * S + 100)])
    assert statuses(stage, 3 * S - 1) == []
    assert stage.state.has_deferred_output()
    stage.crash()
    assert stage.state.has_deferred_output()
    assert statuses(stage, 3 * S) == [3 * S]
    assert not stage.state.has_deferred_output()
    stage.crash()
    assert not stage.state.has_deferred_output()


def test_a_status_is_that_of_its_time_and_keyed_by_room() -> None:
    stage = played(frame(0))
    (output,) = stage.state.pending_outputs(START + 5 * S, final=True)
    assert (output.topic, output.key, output.id) == ("room-status", b"room-1", f"room-1@{START + 5 * S}")
    assert output.at == START + 5 * S
    (again,) = stage.state.pending_outputs(START + 5 * S, final=True)
    assert again == output


def test_a_state_that_no_event_reached_has_no_status() -> None:
    stage = Stage(ROOMS)
    assert list(stage.state.pending_outputs(START, True)) == []
    assert stage.state.expired()
    assert not stage.state.has_deferred_output()
