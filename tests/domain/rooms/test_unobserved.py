"""What a room does about its records in other partitions: what was not observed is not judged."""

import json
from base64 import b64decode
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.room_strategies import stories
from tests.support.stories import (
    HOST,
    MIN,
    ROOM,
    ROOMS,
    RULEBOOK,
    START,
    S,
    Stage,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    in_order,
    notices,
    played,
    unobserved,
    violations,
)
from vigil.app.domain.rooms.shadow import ShadowedRoomMachine
from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shards import make_shard
from vigil.app.engine.snapshot import Snapshot
from vigil.topics.fields import InvalidEvent
from vigil.topics.internal import UnobservedSecond
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent
from vigil.topics.verdicts import Notice

CHECKPOINT = Path(__file__).with_name("checkpoint_of_three_sources.json")

TOPICS = ("buyer-entry", "comment", "frame-status")
PUBLISHED = ("verdict", "notice", "verdict-by-host", "found-by-room")

MISSED = [entry(at * S) for at in (5, 16, 27)]
"""Without reception a violation at 37 s."""


def late(stage: Stage, second: UnobservedSecond, now: int) -> list[Any]:
    """What a second gives of which a room learns at the clock's time `now`."""
    before = len(stage.outputs)
    stage.collector.now = second.at
    stage.state.apply(second, START + now, stage.collector)
    stage.crash()
    return [output.body for output in stage.outputs[before:] if output.topic != "found-by-room"]


def missed(stage: Stage) -> list[int]:
    """The entries that were missed, by their seconds."""
    return [since // S for kind, _, since, _, _ in notices(stage) if kind == "entry-missed"]


# ---- a host's comment ------------------------------------------------------------------------------------------------


def test_whom_a_lost_comment_may_have_received_is_neither_received_nor_missed() -> None:
    stage = played(frames(0, 60 * S), MISSED, unobserved("comment", 20))
    assert violations(stage) == []
    assert missed(stage) == [5, 27]
    figures = stage.status(60 * S)
    assert (figures.entries, figures.received, figures.missed) == (3, 0, 2)
    assert stage.collector.counts["voided:entry"] == 1


@pytest.mark.parametrize(
    "second, judged",
    [(14, True), (15, False), (26, False), (27, True)],
    ids=["before early_s", "in the second of early_s", "in the second of the deadline", "after the deadline"],
)
def test_an_entry_is_voided_where_its_span_and_the_second_overlap(second: int, judged: bool) -> None:
    """The span of an entry at 16.5 s is from 15.5 s to 26.5 s; the comment is somewhere in its second."""
    stage = played(frames(0, 60 * S), entry(16 * S + 500), unobserved("comment", second))
    assert missed(stage) == [16] * judged


@pytest.mark.parametrize("at, judged", [(16 * S + 999, False), (17 * S, True)])
def test_the_second_counts_to_its_last_ms(at: int, judged: bool) -> None:
    stage = played(frames(0, 60 * S), entry(at), unobserved("comment", 15))
    assert bool(notices(stage, "entry-missed")) is judged


def test_a_voided_entry_ends_the_row_of_misses() -> None:
    entries = [entry(at * S) for at in (5, 16, 27, 38, 49)]
    stage = played(frames(0, 90 * S), entries, unobserved("comment", 28), until=90 * S)
    assert missed(stage) == [5, 16, 38, 49]
    assert violations(stage) == []
    assert [kind for kind, *_ in notices(stage) if kind != "entry-missed"] == ["at-risk", "risk-cleared", "at-risk"]


def test_misses_outside_the_lost_second_count() -> None:
    entries = [entry(at * S) for at in (5, 30, 45, 60)]
    stage = played(frames(0, 90 * S), entries, unobserved("comment", 20), until=90 * S)
    assert violations(stage) == [("greeting-miss", 5 * S, 55 * S)]


def test_who_is_received_by_an_observed_comment_is_received() -> None:
    stage = played(frames(0, 60 * S), MISSED, unobserved("comment", 20), comment(22 * S))
    assert stage.status(60 * S).received == 1
    assert "voided:entry" not in stage.collector.counts


def test_an_absence_counts_from_the_end_of_the_second_on() -> None:
    gone = frames(0, 600 * S, face=False)
    assert violations(played(gone)) == [("absence", 0, 300 * S)]
    assert violations(played(gone, unobserved("comment", 100))) == [("absence", 101 * S - 1, 401 * S - 1)]


def test_a_lost_comment_of_the_publishing_frames_time_contests_the_absence() -> None:
    stage = played(frames(0, 310 * S, face=False), unobserved("comment", 300))
    assert [rule for rule, *_ in violations(stage)] == ["absence"]
    assert [kind for kind, *_ in notices(stage, "verdict-contested")] == ["verdict-contested"]


def test_other_conditions_go_on() -> None:
    assert violations(played(frames(0, 130 * S, black=True), unobserved("comment", 60))) == [
        ("black-screen", 0, 120 * S)
    ]


@pytest.mark.parametrize("second, contested", [(2, 0), (3, 0), (4, 1), (37, 1), (38, 0)])
def test_one_that_is_known_late_contests_what_was_published(second: int, contested: int) -> None:
    stage = Stage(ROOMS).play(in_order(frames(0, 60 * S), MISSED))
    published_ = late(stage, unobserved("comment", second), 60 * S)
    assert [notice.kind for notice in published_] == ["verdict-contested"] * contested


def test_one_that_is_known_late_restarts_no_absence_that_began_later() -> None:
    stage = Stage(ROOMS).play(frames(100 * S, 200 * S, face=False))
    late(stage, unobserved("comment", 50), 200 * S)
    assert violations(stage.play(frames(201 * S, 400 * S, face=False))) == [("absence", 100 * S, 400 * S)]


def test_a_candidate_rulebook_does_not_judge_it_either() -> None:
    machine = ShadowedRoomMachine(RULEBOOK, RULEBOOK)
    stage = played(frames(0, 60 * S), MISSED, unobserved("comment", 20), machine=machine)
    assert [output for output in stage.outputs if output.topic.startswith("verdict")] == []


# ---- a buyer's entry -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second, verdicts", [(4, 1), (5, 0), (20, 0), (27, 0)])
def test_misses_on_both_sides_of_a_lost_entry_are_not_consecutive(second: int, verdicts: int) -> None:
    stage = played(frames(0, 60 * S), MISSED, unobserved("buyer-entry", second), until=60 * S)
    assert missed(stage) == [5, 16, 27]
    assert len(violations(stage)) == verdicts


def test_after_a_lost_entry_misses_count_from_one() -> None:
    entries = [entry(at * S) for at in (5, 16, 30, 45, 60)]
    stage = played(frames(0, 90 * S), entries, unobserved("buyer-entry", 20), until=90 * S)
    assert violations(stage) == [("greeting-miss", 30 * S, 70 * S)]


def test_a_standing_warning_is_cleared_by_a_lost_entry() -> None:
    entries = [entry(at * S) for at in (5, 16)]
    stage = played(frames(0, 60 * S), entries, unobserved("buyer-entry", 30), until=60 * S)
    assert notices(stage, "at-risk", "risk-cleared")[-1][:4] == ("risk-cleared", "greeting-miss", 5 * S, 30 * S)


@pytest.mark.parametrize("topic", ["buyer-entry", "frame-status"])
@pytest.mark.parametrize("second, verdicts", [(4, 1), (5, 0)])
def test_one_that_is_known_late_takes_back_misses_of_entries_up_to_it(topic: Any, second: int, verdicts: int) -> None:
    stage = Stage(ROOMS).play(in_order(frames(0, 28 * S), MISSED))
    late(stage, unobserved(topic, second), 28 * S)
    assert len(violations(stage.play(frames(29 * S, 60 * S)))) == verdicts


# ---- a frame ---------------------------------------------------------------------------------------------------------


def test_no_condition_runs_through_a_lost_frame() -> None:
    black = frames(0, 200 * S, black=True)
    assert violations(played(black)) == [("black-screen", 0, 120 * S)]
    stage = played(black, unobserved("frame-status", 60))
    assert violations(stage) == [("black-screen", 61 * S, 181 * S)]


def test_the_end_of_a_warned_condition_is_published() -> None:
    stage = played(frames(0, 110 * S, black=True), unobserved("frame-status", 100))
    assert notices(stage, "at-risk", "risk-cleared")[-1][:4] == ("risk-cleared", "black-screen", 0, 100 * S)


@pytest.mark.parametrize("crashes", [True, False])
def test_no_condition_begins_within_the_second(crashes: bool) -> None:
    labelled = [frame(0), *(frame(at, labels=("minor",), black=True) for at in range(1100, 200 * S, 250))]
    stage = Stage(ROOMS, crashes=lambda: crashes).play(in_order(labelled, unobserved("frame-status", 1)))
    assert violations(stage) == [("minor", 2100, 5100), ("black-screen", 2100, 122_100)]


def test_what_was_violated_before_a_lost_frame_is_not_violated_again_after_it() -> None:
    """Nobody knows whether it has ended: it may be one and the same."""
    black = frames(0, 400 * S, black=True, labels=("minor",))
    once = [("minor", 0, 3 * S), ("black-screen", 0, 120 * S)]
    assert violations(played(black, unobserved("frame-status", 150))) == once


@pytest.mark.parametrize("label", [None, "minor"])
def test_what_began_behind_a_frame_that_is_known_late_goes_on(label: str | None) -> None:
    shown: dict[str, Any] = {"labels": (label,)} if label else {"activity": "sleeping"}
    stage = Stage(ROOMS).play([frame(0), *frames(5 * S, 7 * S, **shown)])
    late(stage, unobserved("frame-status", 4), 7 * S)
    stage.play(frames(8 * S, 30 * S, **shown))
    assert [since for _, since, _ in violations(stage)] == [5 * S]


def test_one_that_is_known_late_ends_what_began_before_it() -> None:
    stage = Stage(ROOMS).play(frames(0, 7 * S, activity="sleeping"))
    stage.state.apply(unobserved("frame-status", 4), START + 7 * S, stage.collector)
    assert stage.status(7 * S).stream == "live"  # by a later frame
    stage.play(frames(8 * S, 30 * S, activity="sleeping"))
    assert violations(stage) == [("sleeping", 8 * S, 18 * S)]


def test_until_the_next_frame_nobody_knows_whether_the_room_is_live() -> None:
    stage = played(frames(0, 10 * S), MISSED, unobserved("frame-status", 11), until=60 * S)
    assert violations(stage) == []
    figures = stage.status(60 * S)
    assert figures.stream is None
    assert figures.entries == 1  # the one before
    assert figures.on_air_seconds == 10
    assert notices(stage) == []  # frames are sent: the signal is not lost


def test_entries_are_judged_again_from_the_next_frame_on() -> None:
    entries = [entry(at * S) for at in (20, 35, 50)]
    stage = played(frames(0, 10 * S), unobserved("frame-status", 11), frames(12 * S, 80 * S), entries, until=80 * S)
    assert violations(stage) == [("greeting-miss", 20 * S, 60 * S)]


def test_a_lost_frame_ends_a_lost_signal() -> None:
    stage = played(frame(0), unobserved("frame-status", 20), until=2 * MIN)
    assert [(kind, at) for kind, _, _, at, _ in notices(stage)] == [("signal-lost", 15 * S), ("signal-back", 20 * S)]


def test_an_ended_room_is_forgotten_at_its_time() -> None:
    stage = played(frame(0), frame(S, "ended"), unobserved("frame-status", 5), until=61 * MIN)
    assert stage.outputs[-1].topic == "room-status"
    assert stage.outputs[-1].body is None


# ---- any -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", TOPICS)
def test_a_room_begins_with_what_is_observed(topic: Any) -> None:
    stage = Stage(ROOMS).play([unobserved(topic, 1)])
    assert stage.state.expired()
    stage.play(in_order(frames(2 * S, 60 * S), MISSED))
    assert len(violations(stage)) == 1


@pytest.mark.parametrize("topic", TOPICS)
def test_one_that_is_known_late_does_not_set_the_room_back(topic: Any) -> None:
    stage = Stage(ROOMS).play(frames(0, 10 * S))
    late(stage, unobserved(topic, 1), 12 * S)
    assert stage.state.last_at == START + 12 * S  # type: ignore[attr-defined]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_second_counts_once_however_often_it_is_published(topic: Any) -> None:
    story: Iterable[Any] = [frames(0, 400 * S, black=True, face=False), MISSED, unobserved(topic, 20)]
    once, twice = played(*story), played(*story, unobserved(topic, 20))
    assert twice.outputs == once.outputs


@settings(max_examples=examples(60), deadline=None)
@given(
    stories(most=25),
    st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 400)), max_size=6),
    st.lists(st.booleans(), min_size=1, max_size=10),
)
def test_restarts_and_the_short_way_change_nothing(
    story: list[RoomEvent], lost: list[tuple[Any, int]], crashes: list[bool]
) -> None:
    events = in_order(story, [unobserved(topic, second) for topic, second in lost])
    turns = cycle(crashes)
    plain = Stage(ROOMS).play(events)
    restarted = Stage(ROOMS, crashes=lambda: next(turns)).play(events)
    assert restarted.outputs == plain.outputs
    until = (events[-1].at if events else START) - START
    assert restarted.until(until).status(until) == plain.until(until).status(until)


@settings(max_examples=examples(60), deadline=None)
@given(stories(most=25), st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 400)), min_size=1, max_size=6))
def test_no_verdict_rests_on_what_was_not_observed(story: list[RoomEvent], lost: list[tuple[Any, int]]) -> None:
    seconds = [unobserved(topic, second) for topic, second in lost]
    for verdict in Stage(ROOMS).play(in_order(story, seconds)).until(60 * MIN).verdicts:
        times = [item.at for item in verdict.evidence]
        for second in seconds:
            entries = verdict.rule == "greeting-miss"
            frames_ = verdict.evidence[0].topic == "frame-status"
            if second.topic == "frame-status" and frames_:
                assert not overlap(second, verdict.since, verdict.at)
            if second.topic == "comment" and verdict.rule == "absence":
                assert not overlap(second, verdict.since + 1, verdict.at)
            if second.topic != "buyer-entry" and entries:
                assert not any(overlap(second, at - 1 * S, at + 10 * S) for at in times)
            if second.topic != "comment" and entries:
                assert not overlap(second, times[0], times[-1])


def overlap(second: UnobservedSecond, first: int, last: int) -> bool:
    return first <= second.last and second.at <= last


@settings(max_examples=examples(60), deadline=None)
@given(
    stories(most=25),
    st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(0, 400)), min_size=1, max_size=6),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(0, 30),
)
def test_batches_and_restarts_of_the_shard_change_nothing(
    story: list[RoomEvent], lost: list[tuple[Any, int]], sizes: list[int], crash: int
) -> None:
    events = in_order(story, [unobserved(topic, second) for topic, second in lost])
    expected = [(output.topic, output.id) for output in Stage(ROOMS).play(events).until(60 * MIN).outputs]
    assert shard_says(events, sizes, crash) == sorted(expected)


def shard_says(events: list[Any], sizes: list[int], crash: int) -> list[tuple[str, str]]:
    """What a shard publishes of events in order, in batches, that is killed after batch number `crash`."""
    log: list[ChangelogRecord] = []
    said: list[tuple[str, str]] = []

    def write(snapshot: Snapshot) -> None:
        log.extend(snapshot.changelog())
        shard.confirm(snapshot)
        said.extend((output.topic, output.id) for output in snapshot.outputs if output.topic in PUBLISHED)

    def restarted() -> Any:
        store = ChangelogStore()
        store.read(log)
        store.finalize_restore()
        return make_shard(ROOMS, 2000, partition=0, store=store)

    shard = restarted()
    write(shard.acquire())
    sources: list[list[Record]] = [[] for _ in ROOMS.topics]
    left, turn = list(events), 0
    while left:
        size = sizes[turn % len(sizes)]
        batch, left = left[:size], left[size:]
        for event in batch:
            index = (BuyerEntry, Comment, FrameStatus, UnobservedSecond).index(type(event))
            record = Record(event.room_id.encode(), msgspec.json.encode(event), len(sources[index]))
            sources[index].append(record)
            shard.ingest(index, [record])
        shard.advance_watermark(batch[-1].at - 1000)
        write(shard.snapshot())
        if turn == crash:
            shard = restarted()
            write(shard.acquire())
            for index, source in enumerate(shard.sources):
                shard.ingest(index, sources[index][source.committed_offset :])
        turn += 1
    shard.advance_watermark(START + 60 * MIN + 1)
    write(shard.snapshot())
    return sorted(set(said))


# ---- what is published about it --------------------------------------------------------------------------------------


def published(*events: RoomEvent) -> list[tuple[str, str, int]]:
    """Key, topic and second of what is published of misrouted events."""
    collector = OutputCollector()
    for event in events:
        ROOMS.on_misrouted(event, collector)
    assert {output.topic for output in collector.outputs} <= {"misrouted-by-room"}
    return [
        (output.key.decode(), output.body.topic, output.body.at - START)
        for output in collector.outputs
        if output.key and isinstance(output.body, UnobservedSecond)
    ]


def test_the_second_of_what_changes_a_judgement_is_published() -> None:
    assert published(entry(1999), comment(2000), frame(3001)) == [
        (ROOM, "buyer-entry", 1 * S),
        (ROOM, "comment", 2 * S),
        (ROOM, "frame-status", 3 * S),
    ]


def test_comments_that_receive_nobody_are_not() -> None:
    assert published(buyer_comment(0), comment(0, via="auto"), comment(0, intent="chat"), comment(0, "\u200b")) == []


@pytest.mark.parametrize("key", [f'"{ROOM}"'.encode(), ROOM.encode("utf-16-le"), HOST.encode(), None])
@pytest.mark.parametrize("source_index, event", [(0, entry(1000)), (1, comment(1000)), (2, frame(1000))])
def test_an_event_under_another_key_is_not_judged_and_its_room_knows(
    source_index: int, event: RoomEvent, key: bytes | None
) -> None:
    record = Record(key, msgspec.json.encode(event))
    with pytest.raises(InvalidEvent) as invalid:
        ROOMS.decode(source_index, record, 0, lambda record: (0, 0), lambda field, number: None)
    assert invalid.value.reason == "malformed"
    assert published(invalid.value.event) == published(event) != []


def test_a_room_a_topic_and_a_second_give_one_message() -> None:
    flood = [comment(at, room=room) for at in range(0, 3000, 10) for room in ("a", "b")]
    assert len(published(*flood)) == 6


def test_its_identity_is_that_of_the_second() -> None:
    collector = OutputCollector()
    ROOMS.on_misrouted(comment(1500), collector)
    (output,) = collector.outputs
    assert (output.id, output.at) == (f"{ROOM}/comment/{START + 1000}", START + 1000)


def test_the_own_shard_reads_it_by_its_key() -> None:
    value = msgspec.json.encode(unobserved("comment", 1))
    record = Record(ROOM.encode(), value)
    event = ROOMS.decode(3, record, 0, lambda record: (0, 0), lambda field, number: None)
    assert event == unobserved("comment", 1)
    assert (ROOMS.key_of(event), ROOMS.dedup_key(event)) == (ROOM, None)
    with pytest.raises(InvalidEvent):
        ROOMS.decode(3, Record(HOST.encode(), value), 0, lambda record: (0, 0), lambda field, number: None)


class Record(msgspec.Struct):
    """A record of a source."""

    key: bytes | None
    value: bytes
    offset: int = 0


# ---- state of earlier versions ---------------------------------------------------------------------------------------


def test_a_checkpoint_of_three_sources_goes_on_with_a_fourth_from_its_beginning() -> None:
    """Stored by a version that did not read `misrouted-by-room`: frames up to 30 s, entries at 5, 16 and 27 s."""
    store = ChangelogStore()
    for key, value, headers in json.loads(CHECKPOINT.read_text()):
        record = ChangelogRecord(
            b64decode(key), value and b64decode(value), tuple((n, b64decode(v)) for n, v in headers)
        )
        store.read([record])
    store.finalize_restore()
    shard = make_shard(ROOMS, 2000, partition=0, store=store, topics=ROOMS.topics)
    shard.confirm(shard.acquire())
    assert [source.committed_offset for source in shard.sources] == [3, 0, 28, 0, 0]
    assert [source.stored_read_offset for source in shard.sources] == [3, 0, 31, 0, 0]
    lost = msgspec.json.encode(unobserved("comment", 20))
    assert shard.ingest(3, [Record(ROOM.encode(), lost)], START + 31 * S)
    for number, one in enumerate(frames(28 * S, 60 * S), start=28):
        shard.ingest(2, [Record(ROOM.encode(), msgspec.json.encode(one), number)], START + 61 * S)
    shard.advance_watermark(START + 60 * S)
    assert [output.body.kind for output in shard.collector.outputs if isinstance(output.body, Notice)] == [
        "entry-missed"  # at 37 s: the one at 16 s is voided
    ]
    assert [source.committed_offset for source in shard.snapshot().marker.sources] == [3, 0, 60, 1, 0]
