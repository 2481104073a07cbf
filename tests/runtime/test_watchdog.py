"""A worker notices that its event loop was held up, and stops if that was too long."""

import asyncio
import time

import pytest

from vigil.app.runtime.metrics_reporter import worker_metrics
from vigil.app.runtime.watchdog import EventLoopWatchdog


async def test_what_holds_the_event_loop_up_is_measured_whatever_it_is() -> None:
    """Also where it is the watermarks or a snapshot themselves, not only another task while they sleep."""
    metrics = worker_metrics()
    watchdog = EventLoopWatchdog(60_000, metrics.loop_gap.observe, lambda: True)
    stopping = False
    running = asyncio.create_task(watchdog.run(lambda: stopping))
    await asyncio.sleep(0)
    time.sleep(0.15)
    await asyncio.sleep(0.05)
    stopping = True
    await running
    samples = {sample.name: sample.value for family in metrics.loop_gap.collect() for sample in family.samples}
    assert samples["vigil_loop_gap_seconds_sum"] >= 0.1


async def test_a_worker_that_stalled_for_most_of_its_session_stops() -> None:
    watchdog = EventLoopWatchdog(100, lambda gap: None, lambda: True)
    running = asyncio.create_task(watchdog.run(lambda: False))
    await asyncio.sleep(0)
    time.sleep(0.15)
    with pytest.raises(RuntimeError, match=r"the worker stalled for 0\.1\d* s, and the group may have assigned"):
        await running


@pytest.mark.parametrize(("gap", "owns_shards", "stops"), [(8.1, True, True), (8.0, True, False), (100, False, False)])
def test_a_stall_is_too_long_beyond_four_fifths_of_the_session_of_a_worker_with_shards(
    gap: float, owns_shards: bool, stops: bool
) -> None:
    watchdog = EventLoopWatchdog(10_000, lambda gap: None, lambda: owns_shards)
    if stops:
        with pytest.raises(RuntimeError, match="it may not write for them any more"):
            watchdog.check(gap)
    else:
        watchdog.check(gap)
