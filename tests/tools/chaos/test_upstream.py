"""Upstream is silent or sends wrong data: a live worker reports it, and it is never a violation."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from tests.support.fakes import FakeMembership, FakeSourceFeed, Fetched, batch
from tests.support.stories import MIN, ROOM, RULEBOOK, START, S, buyer_comment, frame, frames
from vigil.agents.ports import TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardId, ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms.machine import ROOM_SOURCES
from vigil.app.engine.shards import make_shard
from vigil.app.kafka.settings import Settings
from vigil.topics.envelope import DeadLetter
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, RoomEvent
from vigil.topics.verdicts import Notice, Verdict

HOUR = 60 * MIN
TPS = tuple(TopicPartition(topic, 0) for topic in ROOM_SOURCES)


class Live:
    """A room shard of a live worker with its feed and a wall clock, in memory; times are ms after START."""

    def __init__(self) -> None:
        self.now = START
        self.feed = FakeSourceFeed(*ROOM_SOURCES)
        self.shard = make_shard(RoomMachine(RULEBOOK), Settings().allowed_lateness_ms, partition=0)
        environment = ShardEnvironment(self.feed, WatermarkPolicy(), wall_ms=lambda: self.now)
        self.manager = ShardManager(
            FakeMembership(TPS, []), environment, {"rooms": ROOM_SOURCES}, lambda subject, partition: self.shard
        )
        self.manager.shards["rooms", 0] = ShardRunner(
            ShardId("rooms", 0), self.shard, TPS, dict.fromkeys(TPS, 0), environment
        )

    def run(self, until: int, arrivals: Iterable[tuple[int, RoomEvent]] = ()) -> None:
        """Advance the wall clock to `until`, with events arriving at their times."""
        coming = sorted(arrivals, key=lambda arrival: arrival[0])
        while self.now < START + until:
            self.now += 50
            while coming and START + coming[0][0] <= self.now:
                self.arrive(coming.pop(0)[1])
            self.feed.answer_all(self.now)
            self.manager.tick()

    def arrive(self, event: RoomEvent) -> None:
        topic = ROOM_TOPICS[0 if isinstance(event, BuyerEntry) else 1 if isinstance(event, Comment) else 2]
        self._ingest(topic, event.room_id.encode(), msgspec.json.encode(event))

    def rubbish(self, topic: str) -> None:
        """Let invalid messages arrive."""
        self._ingest(topic, b"", b"rubbish")

    def _ingest(self, topic: str, key: bytes, value: bytes) -> None:
        tp = TopicPartition(topic, 0)
        offset = self.feed.reported_ends[tp]
        self.feed.reported_ends[tp] = self.feed.delivered[tp] = offset + 1
        self.feed.answer_all(self.now)
        self.manager.ingest(batch([Fetched(topic, 0, offset, self.now, key, value)]))

    def published(self, kind: type) -> list[Any]:
        """Return the published messages of that type, without the verdicts for host shards."""
        outputs = self.shard.collector.outputs
        return [out.body for out in outputs if isinstance(out.body, kind) and out.topic != "verdict-by-host"]

    def notices(self, room: str = ROOM) -> list[tuple[str, int]]:
        """Return kind and time of the notices of a room, in order of time and kind."""
        found = [(notice.at - START, notice.kind) for notice in self.published(Notice) if notice.room_id == room]
        return [(kind, at) for at, kind in sorted(found)]

    @property
    def clock(self) -> int:
        return self.shard.watermark - START


def timely(events: Iterable[RoomEvent]) -> list[tuple[int, RoomEvent]]:
    """Return events that arrive at their event times."""
    return [(event.at - START, event) for event in events]


def test_a_room_without_frames_has_lost_its_signal_and_no_violation() -> None:
    live = Live()
    live.run(10 * MIN, timely(frames(0, 60 * S, black=True, face=False)))
    assert live.notices() == [("at-risk", 60 * S), ("risk-cleared", 75 * S), ("signal-lost", 75 * S)]
    assert live.published(Verdict) == []


@pytest.mark.ci
def test_topics_without_events_for_hours_do_not_delay_verdicts() -> None:
    """With frames only, and idle comments and entries, black-screen is judged on time."""
    live = Live()
    live.run(3 * HOUR)
    first = 3 * HOUR
    live.run(first + 125 * S, timely(frames(first, first + 130 * S, black=True)))
    assert [(verdict.rule, verdict.at - START) for verdict in live.published(Verdict)] == [
        ("black-screen", first + 120 * S)
    ]


def test_a_frozen_clock_of_one_room_affects_only_that_room() -> None:
    """Its frames repeat one event time: they are late once other rooms continue, and its signal is lost."""
    live = Live()
    good = timely(frames(0, 5 * MIN, room="neighbour", black=True))
    frozen = timely(frames(0, 30 * S, black=True)) + [
        (at, frame(30 * S, black=True)) for at in range(31 * S, 300 * S, S)
    ]
    live.run(5 * MIN, good + frozen)
    assert ("signal-lost", 45 * S) in live.notices()
    assert [(verdict.room_id, verdict.rule) for verdict in live.published(Verdict)] == [("neighbour", "black-screen")]
    letters = live.published(DeadLetter)
    assert len(letters) > 200
    assert {(letter.topic, letter.reason) for letter in letters} == {("frame-status", "late")}


@pytest.mark.ci
def test_a_frozen_clock_of_a_partition_makes_its_events_late_without_violations() -> None:
    live = Live()
    frozen = timely(frames(0, 30 * S, black=True)) + [
        (at, frame(30 * S, black=True)) for at in range(30 * S, HOUR, 100)
    ]
    live.run(HOUR - S, frozen)
    assert HOUR - 4 * S < live.clock < HOUR - 2 * S, "the events of this time would have arrived by now"
    assert live.published(Verdict) == []
    assert {letter.reason for letter in live.published(DeadLetter)} == {"late"}
    assert live.notices() == [("signal-lost", 45 * S)]


def test_a_producer_of_invalid_messages_counts_as_idle() -> None:
    """Its messages are rejected and do not hold the watermark back: frames are judged as if other topics were idle."""
    live = Live()
    for event in frames(1 * S, 130 * S, black=True):
        live.run(event.at - START, [(event.at - START, event)])
        for _ in range(9):
            live.rubbish("comment")
            live.rubbish("buyer-entry")
            live.run(live.now - START + 100)
    assert [(verdict.rule, verdict.at - START) for verdict in live.published(Verdict)] == [("black-screen", 121 * S)]
    assert len(live.published(DeadLetter)) > 2000
    assert {letter.reason for letter in live.published(DeadLetter)} == {"malformed"}
    assert min(letter.at for letter in live.published(DeadLetter)) >= START - 2 * S  # before the watermark advanced
    assert live.clock > 120 * S


@pytest.mark.parametrize("others", [True, False], ids=["beside talk", "all other sources idle"])
@pytest.mark.parametrize("ahead", [61 * S, 8 * HOUR, 25 * HOUR])
def test_one_event_from_the_future_is_rejected_and_everything_else_is_as_without_it(ahead: int, others: bool) -> None:
    talk = [buyer_comment(at, id_=f"c{at}") for at in range(0, 5 * MIN, 100)] if others else []
    results = []
    for faulty in ([], [(60 * S, frame(60 * S + ahead, room="liar"))]):
        live = Live()
        live.run(5 * MIN, [*timely(frames(0, 5 * MIN, black=True)), *timely(talk), *faulty])
        letters = [(letter.topic, letter.reason) for letter in live.published(DeadLetter)]
        assert letters == [("frame-status", "future")] * len(faulty)
        results.append((live.clock, live.published(Verdict), live.notices()))
    assert results[0] == results[1]
    assert [verdict.rule for verdict in results[0][1]] == ["black-screen"]


def test_events_after_a_jump_back_are_late_and_have_no_effect() -> None:
    live = Live()
    steady = frames(0, 130 * S, black=True)
    back = [(100 * S + at, frame(at, black=False)) for at in range(0, 20 * S, S)]
    live.run(135 * S, [*timely(steady), *back])
    assert [(verdict.rule, verdict.at - START) for verdict in live.published(Verdict)] == [("black-screen", 120 * S)]
    assert len(live.published(DeadLetter)) == 20
