"""Silence counts only as far as the broker reports it (I-5), and from the beginning after the broker was away."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.fakes import FakeMembership, FakeSourceFeed
from vigil.agents.ports import TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardEnvironment, ShardId, ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import SourcePosition

T0 = 1_700_000_000_000
TPS = (TopicPartition("buyer-entry", 0), TopicPartition("frame-status", 0))


class Recorder:
    """A shard that keeps only its watermark."""

    def __init__(self, awaited: tuple[bool, bool] = (True, True)) -> None:
        self.watermark = 0
        self.collector = OutputCollector()
        self.reorder_buffer: list[object] = []
        self.lateness = (2000, 2000)
        self.awaited = awaited
        self.sources = [SourcePosition(max_event_time=T0) for _ in TPS]

    def advance_watermark(self, watermark: int, limit: int) -> bool:
        self.watermark = max(self.watermark, watermark)
        return False


class Stage:
    """One shard whose sources were read to their ends, a broker that answers when it is asked to, and a wall clock."""

    def __init__(self, policy: WatermarkPolicy | None = None, awaited: tuple[bool, bool] = (True, True)) -> None:
        self.now = T0
        policy = policy or WatermarkPolicy()
        self.feed = FakeSourceFeed(*(tp.topic for tp in TPS))
        self.feed.answer_all(T0)
        self.shard = Recorder(awaited)
        shard: Any = self.shard
        environment = ShardEnvironment(self.feed, policy, wall_ms=lambda: self.now)
        self.manager = ShardManager(FakeMembership(TPS, []), environment, {}, lambda subject, partition: shard)
        self.manager.shards["rooms", 0] = ShardRunner(
            ShardId("rooms", 0), shard, TPS, dict.fromkeys(TPS, 0), environment
        )

    def tick(self, times: Iterable[int], answers: bool = True) -> None:
        """Let the wall clock be at these times, the broker answering a fetch at each, or not."""
        for time in times:
            self.now = time
            if answers:
                self.feed.answer_all(time)
            self.manager.tick()


def test_a_shard_whose_sources_are_silent_follows_the_wall_clock() -> None:
    stage = Stage()
    stage.tick(range(T0, T0 + 190, 20))
    assert stage.shard.watermark == T0 - 2000
    stage.tick(range(T0 + 200, T0 + 1001, 20))
    assert stage.shard.watermark == T0 + 1000 - 2000 - 200


def test_a_broker_that_does_not_answer_reports_no_silence() -> None:
    stage = Stage()
    stage.tick(range(T0, T0 + 60_000, 20), answers=False)
    assert stage.shard.watermark == T0 - 2000


@pytest.mark.parametrize(("away_ms", "grace_ms"), [(3000, 3000), (60_000, 5000)])
def test_after_the_broker_was_away_producers_have_time_to_come_back(away_ms: int, grace_ms: int) -> None:
    stage = Stage()
    stage.tick(range(T0, T0 + 1000, 20))
    before = stage.shard.watermark
    back = T0 + 980 + away_ms
    idle = back + grace_ms + WatermarkPolicy().idle_after_ms
    stage.tick(range(back, idle, 20))
    # Neither source releases the watermark: what producers held back during the outage is still in time.
    assert stage.shard.watermark == before
    stage.tick([idle])
    assert stage.shard.watermark == max(before, idle - 2000 - 200)


def test_a_pause_of_the_worker_is_nobodys_silence() -> None:
    """The process was stopped: when it wakes up, the broker's last answer is as old as the pause."""
    stage = Stage()
    stage.tick([T0, T0 + 100])
    stage.tick([T0 + 30_000], answers=False)
    assert stage.shard.watermark == T0 - 2000
