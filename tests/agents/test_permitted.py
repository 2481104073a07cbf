"""Since when a verdict could be judged: what the specification makes everybody wait for is not Vigil's delay."""

import time
from typing import Any, NamedTuple

import pytest
from faust.types import TP

from vigil.agents.shard_manager import ShardManager, ShardRunner, WatermarkPolicy
from vigil.app.engine.watermark import SourcePosition
from vigil.topics.envelope import Output

LATENESS, IDLE = 2000, 200
T = 1_700_000_000_000


class Told(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int


class FaustSourceFeed:
    """A broker that always answers, and whose topics end where we have read."""

    def __init__(self) -> None:
        self.now = T + LATENESS - 100

    def end(self, tp: TP) -> int:
        return 0

    def answered(self, tp: TP) -> int:
        return self.now

    def handed_on(self, tp: TP) -> int:
        return 0

    passed = handed_on


class OutputCollector:
    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.counts: dict[str, int] = {}


class Shard:
    """Says a verdict as soon as its clock is above `judged`."""

    def __init__(self, judged: int, sources: int) -> None:
        self.watermark = 0
        self.event_time_order = True
        self.sources = [SourcePosition() for _ in range(sources)]
        self.collector = OutputCollector()
        self.reorder_buffer: list[Any] = []
        self._judged = judged

    def ingest(self, source_index: int, records: list[Told], wall: int | None) -> bool:
        self.sources[source_index].read_offset = records[-1].offset + 1
        return True

    def advance_watermark(self, watermark: int, most: int) -> None:
        if self.watermark <= self._judged < watermark:
            self.collector.outputs.append(Output("verdict", b"r", "id", self._judged, None, self._judged))
        self.watermark = max(watermark, self.watermark)


def world(sources: int) -> tuple[ShardManager, ShardRunner, FaustSourceFeed]:
    feed = FaustSourceFeed()
    topics = ("buyer-entry", "comment")[:sources]
    owner = ShardManager(
        feed, WatermarkPolicy(LATENESS, IDLE), {"rooms": topics}, lambda *_: None, wall=lambda: feed.now
    )  # type: ignore[arg-type]
    held = ShardRunner("rooms", 0, Shard(T, sources), [TP(topic, 0) for topic in topics], [0] * sources, feed.now)
    owner.shards["rooms", 0] = held
    return owner, held, feed


def arrives(owner: ShardManager, held: ShardRunner, source_index: int, at: int, came: int) -> None:
    """A record of the event time `at` that the broker has had since `came`."""
    held.shard.sources[source_index].max_event_time = max(held.shard.sources[source_index].max_event_time, at)
    seen = held.shard.sources[source_index].read_offset
    owner.take([Told(held.tps[source_index].topic, 0, seen, came)])


def test_a_record_that_is_fetched_late_is_our_delay() -> None:
    owner, held, feed = world(1)
    feed.now = T + LATENESS + 340
    arrives(owner, held, 0, T + LATENESS + 1, came=T + LATENESS + 40)
    assert held.permitted == {"id": T + LATENESS + 40}


def test_a_record_that_came_late_is_not() -> None:
    owner, held, feed = world(1)
    feed.now = T + LATENESS + 9000
    arrives(owner, held, 0, T + LATENESS + 1, came=feed.now - 20)
    assert held.permitted == {"id": feed.now - 20}


def test_a_backlog_counts_from_when_the_lateness_had_passed() -> None:
    owner, held, feed = world(1)
    feed.now = T + 60_000
    arrives(owner, held, 0, T + 50_000, came=T - 5000)
    assert held.permitted == {"id": T + LATENESS}


def test_a_producer_whose_clock_is_ahead_does_not_hide_our_delay_below_nothing() -> None:
    owner, held, feed = world(1)
    feed.now = T
    arrives(owner, held, 0, T + LATENESS + 5000, came=T + 70_000)
    assert held.permitted == {"id": T}  # judged as soon as it could be: no delay, and none below 0


def test_a_silent_partition_is_waited_for_as_the_specification_says() -> None:
    owner, held, feed = world(2)
    feed.now = T + LATENESS - 50
    arrives(owner, held, 1, T - 100, came=feed.now)  # and then nothing more
    feed.now = T + LATENESS + 10
    arrives(owner, held, 0, T + LATENESS + 5, came=feed.now)
    assert held.permitted == {}
    feed.now = T + LATENESS + 170
    owner.tick()
    assert held.permitted == {"id": T + LATENESS - 50 + IDLE}


def test_a_silent_partition_that_had_come_so_far_is_not_waited_for() -> None:
    owner, held, feed = world(2)
    feed.now = T + LATENESS + 20
    arrives(owner, held, 1, T + LATENESS + 1, came=feed.now)
    feed.now = T + LATENESS + 100
    arrives(owner, held, 0, T + LATENESS + 50, came=T + LATENESS + 60)
    assert held.permitted == {"id": T + LATENESS + 60}


def test_recorded_data_is_not_measured() -> None:
    owner, held, feed = world(1)
    owner._pace = WatermarkPolicy(LATENESS, IDLE, live=False)
    feed.now = T + LATENESS + 340
    arrives(owner, held, 0, T + LATENESS + 1, came=T)
    assert held.permitted == {}


def test_a_long_way_of_the_clock_is_gone_in_moments_between_which_the_worker_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner, held, feed = world(1)
    spent = [0.0]
    advance_watermark = held.shard.advance_watermark

    def slowly(watermark: int, most: int) -> None:
        spent[0] += 0.15
        advance_watermark(watermark, most)

    held.shard.advance_watermark = slowly
    held.shard.watermark = T - 3_600_000
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    arrives(owner, held, 0, T + LATENESS, came=feed.now)
    assert spent[0] < 0.5
    assert held.shard.watermark < T - 3_000_000
    for _ in range(40):
        owner.tick()
    assert held.shard.watermark == T


def test_a_time_at_which_much_falls_due_is_gone_in_moments_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a month's end every supplier of a shard has a deadline at the same instant."""
    owner, held, feed = world(1)
    spent, left = [0.0], [100]

    def slowly(watermark: int, most: int) -> bool:
        spent[0] += 0.05
        left[0] -= 1
        if left[0] <= 0:
            held.shard.watermark = watermark
        return left[0] > 0

    held.shard.advance_watermark = slowly
    held.shard.watermark = T - 1
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    arrives(owner, held, 0, T + LATENESS, came=feed.now)
    assert 0.2 <= spent[0] < 0.5
    ticks = 0
    while held.shard.watermark < T:
        owner.tick()
        ticks += 1
    assert ticks > 10


def test_many_shards_share_a_moment_and_all_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage each of thirty shards has a long way to go: all at once the worker would stand still for long."""
    owner, _, feed = world(1)
    spent = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    owner.shards.clear()
    for partition in range(30):
        shard = Shard(T, 1)
        shard.watermark = T - 600_000
        advance_watermark = shard.advance_watermark

        def slowly(watermark: int, most: int, advance_watermark: Any = advance_watermark) -> None:
            spent[0] += 0.15
            advance_watermark(watermark, most)

        shard.advance_watermark = slowly  # type: ignore[method-assign]
        shard.sources[0].max_event_time = T + LATENESS
        owner.shards["rooms", partition] = ShardRunner(
            "rooms", partition, shard, [TP("buyer-entry", partition)], [1], feed.now
        )
    looked: list[ShardRunner] = []
    move = owner._move
    owner._move = lambda held, *more: (looked.append(held), move(held, *more))  # type: ignore[method-assign]
    for _ in range(30):
        before = spent[0]
        owner.tick()
        assert spent[0] - before < 0.5
    clocks = [held.shard.watermark for held in owner.shards.values()]
    assert min(clocks) > T - 600_000
    # One that keeps up is looked at in each tick.
    prompt = owner.shards["rooms", 7]
    prompt.shard.watermark, prompt.behind = T, False
    prompt.shard.advance_watermark = Shard(T, 1).advance_watermark
    for _ in range(5):
        prompt.held = set()
        seen = len(looked)
        owner.tick()
        assert prompt in looked[seen:]
    for _ in range(300):
        owner.tick()
    assert {held.shard.watermark for held in owner.shards.values()} == {T}


def test_years_without_anything_to_do_are_gone_in_a_moment() -> None:
    owner, held, feed = world(1)
    steps = []
    advance_watermark = held.shard.advance_watermark
    held.shard.advance_watermark = lambda watermark, most: (steps.append(watermark), advance_watermark(watermark, most))
    held.shard.watermark = T - 1000 * 365 * 86_400_000
    arrives(owner, held, 0, T + LATENESS, came=feed.now)
    assert held.shard.watermark == T
    assert len(steps) < 100
