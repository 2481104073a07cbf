"""A worker whose clock cannot be right judges nothing and stores nothing of it."""

from typing import Any

import pytest

from tests.agents.test_shard_manager import ENTRY, LATENESS, NOW, Stage
from vigil.agents.worker_clock import ClockChangedError, WorkerClock
from vigil.app.engine.stored_clock import set_back, stored_clock
from vigil.app.runtime.clock_guard import ClockGuard, StoredClockError
from vigil.app.runtime.worker_health import WorkerHealth

HOUR = 3_600_000
MAX_AHEAD = 60_000


class Guarded:
    """A shard, a clock that a test sets, and the guard between them."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.wall = NOW
        self.clock = WorkerClock(lambda: self.wall, lambda: 0.0)
        self.health = WorkerHealth()
        self.health.ready = True
        self.guard = ClockGuard(self.clock, self.stage.manager, self.health, MAX_AHEAD)


async def guarded() -> Guarded:
    one = Guarded()
    await one.stage.assign()
    return one


async def test_while_clocks_differ_nothing_is_ingested_and_the_worker_says_why() -> None:
    one = await guarded()
    one.clock.compare(NOW, NOW + 2 * 24 * HOUR, NOW)
    one.guard.assigned()
    assert "172800.0 s behind the broker's" in (one.health.not_ready() or "")
    records = one.stage.records(ENTRY, NOW)
    assert one.stage.ingest(records) is not None
    assert one.stage.runner.sources[0].position.read_offset == 0
    one.clock.compare(NOW, NOW, NOW)
    one.guard.look()
    assert one.health.not_ready() is None
    assert one.stage.ingest(records) is None
    assert one.stage.runner.sources[0].position.read_offset == 1


async def test_a_wall_clock_that_was_set_stops_the_worker() -> None:
    one = await guarded()
    one.wall += HOUR
    with pytest.raises(ClockChangedError):
        one.guard.look()


def ahead_by_its_events(stage: Stage, at: int) -> None:
    stage.runner.shard.sources[0].max_event_time = at + LATENESS


def ahead_by_what_waits(stage: Stage, at: int) -> None:
    stage.runner.shard.sources[0].stored_max_event_time = at + LATENESS


def ahead_by_its_watermark(stage: Stage, at: int) -> None:
    stage.runner.shard.watermark = at


@pytest.mark.parametrize("store", [ahead_by_its_events, ahead_by_what_waits, ahead_by_its_watermark])
async def test_a_stored_clock_may_be_ahead_by_max_ahead_and_not_by_more(store: Any) -> None:
    one = await guarded()
    store(one.stage, NOW + MAX_AHEAD)
    one.guard.assigned()
    store(one.stage, NOW + MAX_AHEAD + 1)
    with pytest.raises(StoredClockError, match="vigil repair clock"):
        one.guard.assigned()
    set_back(one.stage.runner.shard, NOW, NOW)
    assert stored_clock(one.stage.runner.shard) <= NOW
    one.guard.assigned()


async def test_a_clock_that_differs_is_named_before_a_stored_clock_that_may_be_right() -> None:
    one = await guarded()
    ahead_by_its_watermark(one.stage, NOW + HOUR)
    one.clock.compare(NOW, NOW + HOUR, NOW)
    one.guard.assigned()
    assert "3600.0 s behind the broker's" in (one.health.held or "")
