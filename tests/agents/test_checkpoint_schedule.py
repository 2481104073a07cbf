"""Which shards a checkpoint takes: what is urgent at once, the others in rounds of small portions."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from vigil.agents.checkpoint_schedule import KEYS_AT_ONCE, THROUGHPUT_BACKLOG, CheckpointSchedule, Due
from vigil.agents.shard_manager import ShardManager

LONG_MS = 3_600_000


@dataclass(eq=False)
class StubShard:
    """A shard as the schedule sees it, and its runner."""

    unsaved_keys: int = 0
    has_urgent_outputs: bool = False
    has_waiting_keys: bool = False
    stored_at: float = -math.inf

    @property
    def shard(self) -> "StubShard":
        return self

    @property
    def has_unsaved_state(self) -> bool:
        return bool(self.unsaved_keys or self.has_urgent_outputs)


@dataclass
class Stage:
    """Some shards, whose checkpoints are written as they fall due."""

    shards: dict[int, StubShard]
    waiting: int = 0
    schedule: CheckpointSchedule = field(init=False)

    def __init__(self, *unsaved_keys: int, interval_ms: int = LONG_MS) -> None:
        self.shards = dict(enumerate(map(StubShard, unsaved_keys)))
        self.schedule = CheckpointSchedule(cast(ShardManager, self), interval_ms, 0)

    def backlog(self) -> int:
        return self.waiting

    def due(self) -> Any:
        """What is due now, by number of the shards: (those of the round, those between two rounds, commit)."""
        due = self.schedule.next()
        if due is None:
            return None
        self._write(due)
        taken = {n: each for n, shard in self.shards.items() for each in due.shards if cast(Any, each.runner) is shard}
        assert len(taken) == len(due.shards)
        return (
            [n for n, each in taken.items() if not each.between],
            [n for n, each in taken.items() if each.between],
            due.commit,
        )

    def _write(self, due: Due) -> None:
        for runner, _ in due.shards:
            stub = cast(StubShard, runner)
            stub.unsaved_keys, stub.has_urgent_outputs = 0, False


def test_a_round_takes_portions_of_a_bounded_number_of_keys_and_commits_with_the_last() -> None:
    most = KEYS_AT_ONCE // 2
    stage = Stage(most, most, 0, most, 1)
    assert stage.due() == ([0, 1], [], False)
    stage.shards[0].unsaved_keys = 5  # waits for the next round
    assert stage.due() == ([3, 4], [], True)
    assert stage.due() is None


def test_a_shard_with_many_changed_keys_or_with_outputs_is_due_between_two_rounds() -> None:
    stage = Stage(1, 1, 1)
    assert stage.due() == ([0, 1, 2], [], True)
    stage.shards[0].unsaved_keys = KEYS_AT_ONCE - 1
    assert stage.due() is None
    stage.shards[1].unsaved_keys = KEYS_AT_ONCE
    stage.shards[2].has_urgent_outputs = True
    assert stage.due() == ([], [1, 2], False)


def test_a_shard_with_many_changed_keys_waits_for_an_eighth_of_the_interval() -> None:
    stage = Stage(0)
    assert stage.due() == ([], [], True)
    stage.shards[0].unsaved_keys = KEYS_AT_ONCE
    stage.shards[0].stored_at = time.monotonic() - 0.12 * LONG_MS / 1000
    assert stage.due() is None
    stage.shards[0].stored_at = time.monotonic() - 0.13 * LONG_MS / 1000
    assert stage.due() == ([], [0], False)


def test_of_shards_with_many_changed_keys_the_largest_comes_first_and_the_others_wait() -> None:
    stage = Stage(1, 1, 1)
    assert stage.due() == ([0, 1, 2], [], True)
    for number, more in enumerate((0, 2, 1)):
        stage.shards[number].unsaved_keys = KEYS_AT_ONCE + more
    assert [stage.due() for _ in range(4)] == [([], [1], False), ([], [2], False), ([], [0], False), None]


def test_of_shards_with_keys_that_wait_for_their_turn_each_checkpoint_takes_the_one_stored_longest_ago() -> None:
    stage = Stage(1, 0, 0)
    assert stage.due() == ([0], [], True), "the round"
    for number in (0, 1):
        stage.shards[number].has_waiting_keys, stage.shards[number].stored_at = True, -number
    stage.shards[2].has_urgent_outputs = True
    assert stage.due() == ([], [1, 2], False)
    stage.shards[1].stored_at = 1
    assert stage.due() == ([], [0], False)


def test_a_shard_with_outputs_comes_first_and_that_is_its_turn() -> None:
    stage = Stage(KEYS_AT_ONCE - 1, KEYS_AT_ONCE - 1, 1)
    stage.shards[2].has_urgent_outputs = True
    assert stage.due() == ([0, 2], [], False)
    assert stage.due() == ([1], [], True)


def test_urgent_shards_do_not_keep_a_round_from_its_end() -> None:
    stage = Stage(KEYS_AT_ONCE, 1, 1)
    for number, commit in ((1, False), (2, True)):
        stage.shards[0].unsaved_keys, stage.shards[0].has_urgent_outputs = KEYS_AT_ONCE, True
        rounds, _, committed = stage.due()
        assert (number in rounds, committed) == (True, commit)


def test_a_shard_that_was_saved_meanwhile_has_no_turn() -> None:
    stage = Stage(KEYS_AT_ONCE - 1, 1, 1)
    stage.shards[2].has_urgent_outputs = True
    assert stage.due() == ([0, 2], [], False)
    stage.shards[1].unsaved_keys = 0
    assert stage.due() == ([], [], True)


def test_an_interval_in_which_nothing_changed_commits_all_the_same() -> None:
    assert Stage(0).due() == ([], [], True)


@pytest.mark.parametrize(("waiting", "catching_up"), [(THROUGHPUT_BACKLOG, False), (THROUGHPUT_BACKLOG + 1, True)])
def test_while_catching_up_everything_is_written_at_once_and_nothing_between(waiting: int, catching_up: bool) -> None:
    stage = Stage(KEYS_AT_ONCE, KEYS_AT_ONCE, KEYS_AT_ONCE)
    stage.waiting = waiting
    assert (stage.due() == ([0, 1, 2], [], True)) == catching_up
    stage = Stage(0)
    assert stage.due() == ([], [], True)
    stage.waiting = waiting
    stage.shards[0].unsaved_keys, stage.shards[0].has_urgent_outputs = KEYS_AT_ONCE, True
    assert (stage.due() is None) == catching_up


def test_a_snapshot_is_followed_by_other_work_for_longer_than_it_took() -> None:
    stage = Stage(1, interval_ms=0)
    stage.schedule.took(1000)
    assert stage.due() is None
    stage.schedule.took(0)
    assert stage.due() == ([0], [], True)


def test_shards_that_were_revoked_have_no_turn() -> None:
    stage = Stage(KEYS_AT_ONCE, KEYS_AT_ONCE, 1)
    stage.shards[2].has_urgent_outputs = True
    stage.shards[0].unsaved_keys = stage.shards[1].unsaved_keys = KEYS_AT_ONCE - 1
    assert stage.due() == ([0, 2], [], False)
    stage.schedule.clear()
    assert stage.due() is None
