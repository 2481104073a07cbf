"""Silence counts only as far as the broker tells of it, and begins anew when it was away."""

from collections.abc import Iterable

import pytest
from faust.types import TP

from vigil.agents.shard_manager import ShardManager, ShardRunner, WatermarkPolicy
from vigil.app.engine.subject import OutputCollector
from vigil.app.engine.watermark import SourcePosition

T0 = 1_700_000_000_000
TPS = (TP("buyer-entry", 0), TP("frame-status", 0))


class QuietFeed:
    """A feed whose partitions were read to their ends, and whose broker answers when it is told to."""

    def __init__(self) -> None:
        self.at = T0

    def end(self, tp: TP) -> int:
        return 0

    def answered(self, tp: TP) -> int:
        return self.at

    def passed(self, tp: TP) -> int:
        return 0

    def handed_on(self, tp: TP) -> int:
        return 0


class Recorder:
    """A shard that keeps only its clock."""

    def __init__(self) -> None:
        self.watermark = 0
        self.collector = OutputCollector()
        self.reorder_buffer: list[object] = []
        self.sources = [SourcePosition(max_event_time=T0) for _ in TPS]

    def advance_watermark(self, watermark: int, most: int) -> None:
        self.watermark = max(self.watermark, watermark)


@pytest.fixture
def now() -> list[int]:
    """The wall clock, in ms: set its only element."""
    return [T0]


def quiet_owner(feed: QuietFeed, now: list[int]) -> tuple[ShardManager, Recorder]:
    shard = Recorder()
    groups = {"rooms": [tp.topic for tp in TPS]}
    owner = ShardManager(feed, WatermarkPolicy(), groups, lambda group, partition: shard, wall=lambda: now[0])  # type: ignore[arg-type]
    owner.shards["rooms", 0] = ShardRunner("rooms", 0, shard, TPS, [0, 0], now[0])
    return owner, shard


def tick(owner: ShardManager, feed: QuietFeed, now: list[int], times: Iterable[int]) -> None:
    """Let the wall clock be at these times, the broker answering a fetch at each."""
    for time in times:
        now[0] = feed.at = time
        owner.tick()


def test_a_shard_whose_partitions_are_silent_follows_the_wall_clock(now: list[int]) -> None:
    feed = QuietFeed()
    owner, shard = quiet_owner(feed, now)
    tick(owner, feed, now, range(T0, T0 + 190, 20))
    assert shard.watermark == T0 - 2000
    tick(owner, feed, now, range(T0 + 200, T0 + 1001, 20))
    assert shard.watermark == T0 + 1000 - 2000


def test_a_broker_that_does_not_answer_tells_no_silence(now: list[int]) -> None:
    feed = QuietFeed()
    owner, shard = quiet_owner(feed, now)
    for time in range(T0, T0 + 60_000, 20):
        now[0] = time
        owner.tick()
    assert shard.watermark == T0 - 2000


@pytest.mark.parametrize(("away_ms", "grace_ms"), [(3000, 3000), (60_000, 5000)])
def test_after_the_broker_was_away_producers_have_time_to_come_back(
    now: list[int], away_ms: int, grace_ms: int
) -> None:
    feed = QuietFeed()
    owner, shard = quiet_owner(feed, now)
    tick(owner, feed, now, range(T0, T0 + 1000, 20))
    before = shard.watermark
    back = T0 + 980 + away_ms
    idle = back + grace_ms + WatermarkPolicy().idle_after_ms
    tick(owner, feed, now, range(back, idle, 20))
    # Neither partition releases the clock: what producers held back during the outage is still in time.
    assert shard.watermark == before
    tick(owner, feed, now, [idle])
    assert shard.watermark == idle - 2000


def test_a_pause_of_the_worker_is_nobodys_silence(now: list[int]) -> None:
    """The process was stopped: when it wakes, the broker's last answer is as old as the pause."""
    feed = QuietFeed()
    owner, shard = quiet_owner(feed, now)
    tick(owner, feed, now, [T0, T0 + 100])
    now[0] = T0 + 30_000
    owner.tick()
    assert shard.watermark == T0 - 2000
