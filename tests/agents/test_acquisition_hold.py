"""A new owner judges nothing until it knows what others have found in their partitions; later it does not wait."""

import pytest

from tests.agents.test_idleness import T0, TPS, Stage
from vigil.agents.acquisition_hold import CATCHING_UP, MAX_HOLD_MS, QUIET_MS
from vigil.agents.shard_runner import ShardRunner
from vigil.agents.source_tracker import WatermarkPolicy

AWAITED, OTHER = TPS


def acquired(policy: WatermarkPolicy | None = None) -> Stage:
    """A shard that was acquired at T0; its second source is one that the watermark does not wait for."""
    return Stage(policy, awaited=(True, False))


def runner(stage: Stage) -> ShardRunner:
    return stage.manager.shards["rooms", 0]


def backlog(stage: Stage, which: int, records: int) -> None:
    """Let a source have so many records that were not read."""
    stage.feed.reported_ends[TPS[which]] = runner(stage).sources[which].position.read_offset + records


@pytest.mark.parametrize("after, judged", [(QUIET_MS - 1, False), (QUIET_MS, True)])
def test_it_waits_until_the_source_was_silent_for_a_while(after: int, judged: bool) -> None:
    stage = acquired()
    stage.tick([T0 + 100, T0 + after])
    assert (stage.shard.watermark > 0) is judged


def test_each_arrival_begins_the_wait_again() -> None:
    stage = acquired()
    stage.tick([T0 + 400])
    runner(stage).sources[1].arrived(T0 + 400, T0 + 400, None)
    stage.tick([T0 + 400 + QUIET_MS - 1])
    assert stage.shard.watermark == 0
    stage.tick([T0 + 400 + QUIET_MS])
    assert stage.shard.watermark > 0


def test_a_source_that_was_not_read_to_its_end_is_not_silent() -> None:
    stage = acquired()
    backlog(stage, 1, 1)
    stage.tick([T0 + 2 * QUIET_MS])
    assert stage.shard.watermark == 0


def test_a_broker_that_does_not_answer_reports_no_silence() -> None:
    stage = acquired()
    stage.tick([T0 + 2 * MAX_HOLD_MS], answers=False)
    assert stage.shard.watermark == 0


@pytest.mark.parametrize("after, judged", [(MAX_HOLD_MS - 1, False), (MAX_HOLD_MS, True)])
def test_it_does_not_wait_for_ever(after: int, judged: bool) -> None:
    stage = acquired()
    for time in (*range(100, after, 100), after):
        runner(stage).sources[1].arrived(T0 + time, T0 + time, None)
        stage.tick([T0 + time])
    assert (stage.shard.watermark > 0) is judged


@pytest.mark.parametrize("records, judged", [(CATCHING_UP, True), (CATCHING_UP + 1, False)])
def test_silence_does_not_count_while_the_shard_works_off_a_backlog(records: int, judged: bool) -> None:
    stage = acquired()
    backlog(stage, 0, records)
    stage.tick([T0 + QUIET_MS])
    assert (stage.shard.watermark > 0) is judged


def test_a_full_buffer_ends_the_wait() -> None:
    stage = acquired(WatermarkPolicy(max_buffered=2))
    stage.shard.reorder_buffer += [object()] * 3
    stage.tick([T0 + 100])
    assert stage.shard.watermark > 0


def test_afterwards_it_does_not_hold_the_clock_whatever_it_has() -> None:
    stage = acquired()
    stage.tick([T0 + QUIET_MS])
    backlog(stage, 1, 10**6)
    stage.tick(range(T0 + 600, T0 + 10_001, 100))
    assert stage.shard.watermark == T0 + 10_000 - 2000 - 200


def test_recorded_data_does_not_wait_for_it() -> None:
    stage = acquired(WatermarkPolicy(live=False))
    backlog(stage, 0, 1)
    backlog(stage, 1, 1)
    stage.tick([T0 + 10])
    assert stage.shard.watermark == T0 - 2000
