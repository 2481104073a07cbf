"""Which shards a checkpoint takes, and when, so that none of them holds up the others for long.

    outputs to send, or KEYS_AT_ONCE keys that changed ─▶ at once, grouped                        ┐
    every interval: a round of all shards with unsaved state ─▶ in portions of KEYS_AT_ONCE keys ─┴▶ a checkpoint

A verdict is published once all state of its shard that changed before it is stored. So what has changed is kept small:
the changed state of thousands of rooms, stored at once, would take the only core for as long as a verdict may take, and
a verdict that falls due meanwhile would wait for it.
"""

import math
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardRunner

KEYS_AT_ONCE: Final = 100
"""A checkpoint takes about so many keys unless there is more to send: to pack a room takes some 20 µs, and to publish
its status as much again."""

LARGE_PER_INTERVAL: Final = 8
"""How often in an interval a shard without outputs is stored at most, however many keys have changed: for keys that
change all the time each time costs as much again."""

KEYS_PER_SHARD: Final = 10
"""What a further shard costs a checkpoint, in keys."""

DUTY_FACTOR: Final = 4
"""A checkpoint whose snapshot took some CPU time is followed by this many times as much other work, so that snapshots
take at most a fifth of a core."""

THROUGHPUT_BACKLOG: Final = 10_000
"""Backlog above which everything waits for the interval and is written at once: while the worker catches up, a second
sooner or later does not matter, and larger checkpoints are cheaper."""


class DueShard(NamedTuple):
    """A shard that a checkpoint takes."""

    runner: ShardRunner
    between: bool = False
    """Between two rounds: only keys that changed are asked for state outputs."""


class Due(NamedTuple):
    """What is due now."""

    shards: list[DueShard]
    commit: bool
    """Commit the offsets that were stored so far."""


class CheckpointSchedule:
    """Decides for one worker."""

    def __init__(self, manager: ShardManager, interval_ms: int, grouping_ms: int) -> None:
        """`interval_ms`: between two rounds; `grouping_ms`: between two checkpoints at least."""
        self._manager = manager
        self._interval_s = interval_ms / 1000
        self._grouping_s = grouping_ms / 1000
        self._round: dict[ShardRunner, None] = {}
        """The shards whose turn in this round is still to come, in its order."""
        self._round_began = -math.inf
        self._earliest_next = 0.0

    def next(self) -> Due | None:
        """Return what is due now; None if nothing is."""
        now = time.monotonic()
        if now < self._earliest_next:
            return None
        runners = self._manager.shards.values()
        in_round = bool(self._round)
        if not in_round and now - self._round_began >= self._interval_s:
            self._round_began = now
            self._round = dict.fromkeys(runner for runner in runners if runner.shard.has_unsaved_state)
            in_round = True
        urgent = [runner for runner in runners if runner.shard.has_urgent_outputs]
        urgent += self._next_waiting()
        stored_before = now - self._interval_s / LARGE_PER_INTERVAL
        large = [
            runner
            for runner in runners
            if runner.shard.unsaved_keys >= KEYS_AT_ONCE and runner.stored_at <= stored_before
        ]
        if (urgent or large or self._round) and self._manager.backlog() > THROUGHPUT_BACKLOG:
            due, self._round = [DueShard(runner) for runner in self._round], {}
        else:
            due = self._portion(urgent, large)
        commit = in_round and not self._round
        return Due(due, commit) if due or commit else None

    def _next_waiting(self) -> list[ShardRunner]:
        """Of the shards with keys that wait for their turn, the one that was stored longest ago."""
        waiting = [runner for runner in self._manager.shards.values() if runner.shard.has_waiting_keys]
        return sorted(waiting, key=lambda runner: runner.stored_at)[:1]

    def took(self, cpu_seconds: float) -> None:
        """Snapshots have just taken so much CPU time."""
        self._earliest_next = time.monotonic() + max(self._grouping_s, DUTY_FACTOR * cpu_seconds)

    def clear(self) -> None:
        """The shards are being revoked."""
        self._round.clear()

    def _portion(self, urgent: Sequence[ShardRunner], large: Sequence[ShardRunner]) -> list[DueShard]:
        """Return the urgent shards, one of the round, and of the others as many as there is room for."""
        taken = dict.fromkeys(urgent)
        turns = [runner for runner in self._round if runner.shard.has_unsaved_state and runner not in taken]
        taken.update(dict.fromkeys(turns[:1]))
        room = KEYS_AT_ONCE - sum(map(_cost, taken))
        for runner in (*sorted(large, key=_cost, reverse=True), *turns):
            if room <= 0:
                break
            if runner not in taken:
                taken[runner] = None
                room -= _cost(runner)
        due = [DueShard(runner, between=runner not in self._round) for runner in taken]
        self._round = dict.fromkeys(runner for runner in turns if runner not in taken)
        return due


def _cost(runner: ShardRunner) -> int:
    return KEYS_PER_SHARD + runner.shard.unsaved_keys
