"""Rooms on a shard: arrival order within the lateness and the cuts of batches change nothing that is said."""

from itertools import groupby
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.room_strategies import stories
from tests.support.stories import HOUR, MIN, ROOMS, START, Stage, comment, frame, rulebook_changed
from vigil.app.domain.rooms import RoomMachine
from vigil.app.engine.shards import make_shard
from vigil.topics.envelope import Output
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent

LATENESS = 2000
RANKS = (BuyerEntry, Comment, FrameStatus)


class Message(NamedTuple):
    offset: int
    key: bytes
    value: bytes


def in_room(event: RoomEvent, room: str, number: int) -> RoomEvent:
    """The event moved to a room, its id (where it has one) made its own."""
    changes: dict[str, Any] = {"room_id": room}
    if isinstance(event, Comment):
        changes["comment_id"] = f"{room}-{number}"
    return msgspec.structs.replace(event, **changes)


TOLERANT = RoomMachine(
    rulebook_changed(
        {
            "black-screen": {"lasts_s": 20, "tolerate_s": 5, "tolerate_share": 0.5},
            "absence": {"lasts_s": 30, "tolerate_s": 9, "tolerate_share": 0.5},
            "minor": {"tolerate_s": 3, "tolerate_share": 1.0},
            "rooms": {"at_risk_from_s": 20},
        },
        "2022-08-01",
    )
)


def arrive(
    events: list[RoomEvent], sizes: list[int], machine: RoomMachine = ROOMS
) -> tuple[list[Output], dict[str, Any]]:
    """What a shard says of events in order of arrival, fed in batches of these sizes; and the rooms' last figures."""
    shard = make_shard(machine, LATENESS)
    offsets = [0, 0, 0]
    said: list[Output] = []
    left, turn = list(events), 0
    while left:
        size = sizes[turn % len(sizes)]
        turn += 1
        batch, left = left[:size], left[size:]
        for source_index, run in groupby(batch, key=lambda event: RANKS.index(type(event))):
            messages = []
            for event in run:
                messages.append(Message(offsets[source_index], event.room_id.encode(), msgspec.json.encode(event)))
                offsets[source_index] += 1
            shard.ingest(source_index, messages)
        shard.advance_watermark(min(source.max_event_time for source in shard.sources) - LATENESS)
    until = max(event.at for event in events)
    shard.end_of_input(until)
    said = shard.collector.outputs
    return said, {output.key.decode(): output.body for output in shard.final_outputs(until) if output.key}


@settings(max_examples=examples(80), deadline=None)
@given(
    st.lists(stories(most=25), min_size=1, max_size=3),
    st.lists(st.integers(0, LATENESS), min_size=1, max_size=30),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.sampled_from([ROOMS, TOLERANT]),
)
def test_arrival_and_batches_change_nothing(
    stories: list[list[RoomEvent]], delays: list[int], sizes: list[int], machine: RoomMachine
) -> None:
    events = [in_room(event, f"room-{n}", k) for n, story in enumerate(stories) for k, event in enumerate(story)]
    late = [delays[number % len(delays)] for number in range(len(events))]
    arrived = [event for _, event in sorted(zip(late, events, strict=True), key=lambda pair: pair[1].at + pair[0])]
    said, figures = arrive(arrived, sizes, machine)
    until = max(event.at for event in events) - START
    expected: list[Output] = []
    for room in {event.room_id for event in events}:
        # Of one time and topic, what arrived first is judged first.
        own = sorted((e for e in arrived if e.room_id == room), key=lambda e: (e.at, RANKS.index(type(e))))
        stage = Stage(machine, key=room).play(own).until(until)
        expected += stage.outputs
        if stage.state.expired():
            assert room not in figures
        else:
            assert figures[room] == stage.status(until)
    assert sorted(said, key=repr) == sorted(expected, key=repr)
    assert arrive(arrived, [1], machine)[0] == said


@pytest.mark.parametrize("sizes", [[1], [9]], ids=["one by one", "all at once"])
@pytest.mark.parametrize("later, comments", [(HOUR, 1), (HOUR + 1, 2)])
def test_a_comment_id_is_remembered_for_an_hour_however_batched(sizes: list[int], later: int, comments: int) -> None:
    events: list[RoomEvent] = [
        frame(0),
        comment(1, id_="c"),
        *(frame(minutes * MIN, "disconnected") for minutes in (20, 40, 59)),
        comment(1 + later, id_="c"),
    ]
    _, figures = arrive(events, sizes)
    assert figures["room-1"].comments.host == comments


@pytest.mark.parametrize("sizes", [[1], [9]], ids=["one by one", "all at once"])
def test_an_expired_room_has_no_comment_ids_however_batched(sizes: list[int]) -> None:
    events: list[RoomEvent] = [frame(0), frame(1, "ended"), comment(30 * MIN, id_="c"), comment(61 * MIN, id_="c")]
    _, figures = arrive(events, sizes)
    assert figures["room-1"].comments.host == 1
    assert figures["room-1"].stream is None
