"""The earliest time at which a verdict could be judged: what the specification makes everybody wait for is not Vigil's
delay."""

import time
from typing import Any, NamedTuple

import pytest

from tests.support.fakes import FakeMembership, FakeSourceFeed, batch
from vigil.agents.ports import TopicPartition
from vigil.agents.shard_manager import TIME_SLICE_S, ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardId, ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.agents.steps import Step
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import SourcePosition
from vigil.topics.envelope import Output

LATENESS, IDLE = 2000, 200
T = 1_700_000_000_000


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None


class Shard:
    """Publishes a verdict as soon as its watermark is above `judged`."""

    event_time_order = True

    def __init__(self, judged: int, sources: int) -> None:
        self.watermark = 0
        self.sources = [SourcePosition() for _ in range(sources)]
        self.collector = OutputCollector()
        self.reorder_buffer: list[Any] = []
        self.lateness = (LATENESS,) * sources
        self.awaited = (True,) * sources
        self._judged = judged

    def ingest(self, source_index: int, records: list[Record], wall: int | None) -> bool:
        self.sources[source_index].read_offset = records[-1].offset + 1
        return True

    def ready(self, records: list[Record]) -> int:
        return len(records)

    def first_mover(self, source_index: int, buffered: int, before: int) -> None:
        return None

    def advance_watermark(self, watermark: int, limit: int) -> bool:
        if self.watermark <= self._judged < watermark:
            self.collector.outputs.append(Output("verdict", b"r", "id", self._judged, None, self._judged))
        self.watermark = max(watermark, self.watermark)
        return False


class Stage:
    """A broker that always answers, one shard whose sources end where it has read, and a wall clock."""

    def __init__(self, sources: int, live: bool = True) -> None:
        self.now = T + LATENESS - 100
        self.topics = ("buyer-entry", "comment")[:sources]
        self.feed = FakeSourceFeed(*self.topics)
        self.steps: list[tuple[Step, float]] = []
        self.environment = ShardEnvironment(
            self.feed,
            WatermarkPolicy(IDLE, live=live),
            measured=frozenset({"verdict"}),
            wall_ms=lambda: self.now,
            step=lambda step, seconds: self.steps.append((step, seconds)),
        )
        self.shard: Any = Shard(T, sources)
        self.manager = ShardManager(
            FakeMembership(self.feed.tps, []),
            self.environment,
            {"rooms": self.topics},
            lambda subject, partition: self.shard,
        )
        self.runner = self.add(0, self.shard)

    def add(self, partition: int, shard: Any, end: int = 0) -> ShardRunner:
        """The worker owns this shard, too, whose sources have this end."""
        tps = [TopicPartition(topic, partition) for topic in self.topics]
        for tp in tps:
            self.feed.reported_ends[tp] = end
            self.feed.tps.add(tp)
        runner = ShardRunner(ShardId("rooms", partition), shard, tps, dict.fromkeys(tps, end), self.environment)
        self.manager.shards["rooms", partition] = runner
        return runner

    def arrives(self, source_index: int, at: int, came: int) -> None:
        """A record of the event time `at`, which the broker has had since `came`."""
        self.feed.answer_all(self.now)
        position = self.shard.sources[source_index]
        position.max_event_time = max(position.max_event_time, at)
        self.manager.ingest(batch([Record(self.topics[source_index], 0, position.read_offset, came)]))

    def tick(self) -> None:
        self.feed.answer_all(self.now)
        self.manager.tick()


def test_a_record_that_is_fetched_late_is_our_delay() -> None:
    stage = Stage(1)
    stage.now = T + LATENESS + 340
    stage.arrives(0, T + LATENESS + 1, came=T + LATENESS + 40)
    assert stage.runner.eligible_at == {"id": T + LATENESS + 40}


def test_the_steps_to_a_verdict_are_measured_once_each() -> None:
    stage = Stage(1)
    stage.now = T + LATENESS + 340
    stage.arrives(0, T + LATENESS + 1, came=T + LATENESS + 40)
    assert [step for step, _ in stage.steps] == ["fetch", "watermark", "judge"]
    (_, fetch), (_, watermark), (_, judge) = stage.steps
    assert (fetch, watermark) == (0.3, 0.34)
    assert 0 <= judge < 10
    assert stage.runner.waits_since > 0
    stage.tick()
    assert len(stage.steps) == 3  # a tick that judges nothing is no step


def test_the_wait_for_a_checkpoint_is_that_of_the_first_verdict() -> None:
    stage = Stage(1)
    stage.now = T + LATENESS + 340
    stage.runner.waits_since = 5.0
    stage.arrives(0, T + LATENESS + 1, came=T + LATENESS + 40)
    assert len(stage.steps) == 3
    assert stage.runner.waits_since == 5.0


def test_a_record_that_came_late_is_not() -> None:
    stage = Stage(1)
    stage.now = T + LATENESS + 9000
    stage.arrives(0, T + LATENESS + 1, came=stage.now - 20)
    assert stage.runner.eligible_at == {"id": stage.now - 20}


def test_a_backlog_counts_from_when_the_lateness_had_passed() -> None:
    stage = Stage(1)
    stage.now = T + 60_000
    stage.arrives(0, T + 50_000, came=T - 5000)
    assert stage.runner.eligible_at == {"id": T + LATENESS}


def test_a_producer_whose_clock_is_ahead_does_not_hide_our_delay_below_nothing() -> None:
    stage = Stage(1)
    stage.now = T
    stage.arrives(0, T + LATENESS + 5000, came=T + 70_000)
    assert stage.runner.eligible_at == {"id": T}  # judged as soon as it could be: no delay, and none below 0


def test_a_silent_partition_is_waited_for_as_the_specification_says() -> None:
    stage = Stage(2)
    stage.now = T + LATENESS - 50
    stage.arrives(1, T - 100, came=stage.now)  # and then nothing more
    stage.now = T + LATENESS + 10
    stage.arrives(0, T + LATENESS + 5, came=stage.now)
    assert stage.runner.eligible_at == {}
    stage.now = T + LATENESS + IDLE
    stage.tick()
    assert stage.runner.eligible_at == {}
    stage.now = T + LATENESS + IDLE + 20
    stage.tick()
    assert stage.runner.eligible_at == {"id": T + LATENESS + IDLE}


def test_a_silent_partition_that_had_come_so_far_is_not_waited_for() -> None:
    stage = Stage(2)
    stage.now = T + LATENESS + 20
    stage.arrives(1, T + LATENESS + 1, came=stage.now)
    stage.now = T + LATENESS + 100
    stage.arrives(0, T + LATENESS + 50, came=T + LATENESS + 60)
    assert stage.runner.eligible_at == {"id": T + LATENESS + 60}


def test_recorded_data_is_not_measured() -> None:
    stage = Stage(1, live=False)
    stage.now = T + LATENESS + 340
    stage.arrives(0, T + LATENESS + 1, came=T)
    assert stage.runner.eligible_at == {}


def test_a_watermark_far_behind_advances_in_slices_between_which_the_worker_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(1)
    spent = [0.0]
    advance = stage.shard.advance_watermark

    def slowly(watermark: int, limit: int) -> bool:
        spent[0] += 0.75 * TIME_SLICE_S
        return advance(watermark, limit)

    stage.shard.advance_watermark = slowly
    stage.shard.watermark = T - 3_600_000
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    stage.arrives(0, T + LATENESS, came=stage.now)
    assert spent[0] < 2.5 * TIME_SLICE_S
    assert stage.shard.watermark < T - 3_000_000
    for _ in range(40):
        stage.tick()
    assert stage.shard.watermark == T


def test_many_timers_of_one_instant_are_fired_in_slices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a month's end every supplier of a shard has a timer at the same instant."""
    stage = Stage(1)
    spent, left = [0.0], [100]

    def slowly(watermark: int, limit: int) -> bool:
        spent[0] += TIME_SLICE_S / 4
        left[0] -= 1
        if left[0] <= 0:
            stage.shard.watermark = watermark
        return left[0] > 0

    stage.shard.advance_watermark = slowly
    stage.shard.watermark = T - 1
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    stage.arrives(0, T + LATENESS, came=stage.now)
    assert TIME_SLICE_S <= spent[0] < 2.5 * TIME_SLICE_S
    ticks = 0
    while stage.shard.watermark < T:
        stage.tick()
        ticks += 1
    assert ticks > 10


def test_many_shards_share_a_slice_and_all_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage each of thirty shards is far behind: all at once they would stall the worker for long."""
    stage = Stage(1)
    spent = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: spent[0])
    stage.manager.shards.clear()
    for partition in range(30):
        shard = Shard(T, 1)
        shard.watermark = T - 600_000
        advance = shard.advance_watermark

        def slowly(watermark: int, limit: int, advance: Any = advance) -> bool:
            spent[0] += 0.15
            done: bool = advance(watermark, limit)
            return done

        shard.advance_watermark = slowly  # type: ignore[method-assign]
        shard.sources[0].max_event_time = T + LATENESS
        stage.add(partition, shard, end=1)
    looked: list[ShardRunner] = []
    advance_runner = ShardRunner.advance

    def noted(runner: ShardRunner, *arguments: Any) -> None:
        looked.append(runner)
        advance_runner(runner, *arguments)

    monkeypatch.setattr(ShardRunner, "advance", noted)
    for _ in range(30):
        before = spent[0]
        stage.tick()
        assert spent[0] - before < 0.5
    runners = stage.manager.shards.values()
    assert min(runner.shard.watermark for runner in runners) > T - 600_000
    # One that keeps up is looked at in each tick.
    prompt = stage.manager.shards["rooms", 7]
    prompt.shard.watermark, prompt.behind = T, False
    prompt.shard.advance_watermark = Shard(T, 1).advance_watermark  # type: ignore[method-assign]
    for _ in range(5):
        seen = len(looked)
        stage.tick()
        assert prompt in looked[seen:]
    for _ in range(300):
        stage.tick()
    assert {runner.shard.watermark for runner in runners} == {T}


def test_years_without_anything_to_do_pass_in_a_moment() -> None:
    stage = Stage(1)
    steps = []
    advance = stage.shard.advance_watermark

    def noted(watermark: int, limit: int) -> bool:
        steps.append(watermark)
        return advance(watermark, limit)

    stage.shard.advance_watermark = noted
    stage.shard.watermark = T - 1000 * 365 * 86_400_000
    stage.arrives(0, T + LATENESS, came=stage.now)
    assert stage.shard.watermark == T
    assert len(steps) < 100
