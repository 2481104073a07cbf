"""A worker for chaos runs: the product's own, slowed between its steps, or run without one of its safeguards.

    python -m tests.support.faulty_worker [--slow SEED] [--fault NAME]    settings from the environment, as for a worker

`--slow` waits between the steps of a checkpoint, before batches are handed on, and before what stands in a changelog is
taken in, so that blows fall there often: it must change no outcome. At SIGALRM the process stops itself (SIGSTOP) just
before it writes its next checkpoint: a zombie, once it is woken, writes that first of all. `--fault` takes a safeguard
away, so that the harness can be seen to notice. Nothing of this is in the product.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from vigil.agents.checkpointer import Checkpointer
from vigil.agents.faust import batches
from vigil.agents.faust.batches import FaustSourceFeed
from vigil.agents.shard_manager import ShardManager
from vigil.app.engine.changelog import NO_CHECKPOINT, ChangelogStore
from vigil.app.engine.shard import Shard
from vigil.app.runtime.worker import Worker

MOST_S: Final = 0.4


LATE_S: Final = 1.5

late_share = 0.02
"""Of the batches, so many are handed on late."""

READ_LATE: Final = 0.1
"""Of the batches of changelogs, so many are taken in late."""


def slow(seed: int) -> None:
    """Wait a while before and after each step of a checkpoint, and now and then before a batch is handed on or read."""
    rng = random.Random(seed)

    async def read_late(self: Any, event: Any) -> None:
        if rng.random() < READ_LATE:
            await asyncio.sleep(rng.uniform(0, MOST_S))

    batches.MirrorTable.on_changelog_event = read_late
    handed_on = batches._Consumer.getmany

    async def late(self: Any, timeout: float) -> AsyncIterator[Any]:
        async for batch in handed_on(self, timeout):
            if rng.random() < late_share:
                await asyncio.sleep(rng.uniform(0, LATE_S))
            yield batch

    batches._Consumer.getmany = late  # type: ignore[method-assign]
    for name in ("_store", "_send", "_commit"):
        step = getattr(Checkpointer, name)

        async def waits(self: Any, told: Any, step: Callable[..., Any] = step) -> None:
            await asyncio.sleep(rng.uniform(0, MOST_S) * (rng.random() < 0.5))
            await step(self, told)
            await asyncio.sleep(rng.uniform(0, MOST_S) * (rng.random() < 0.5))

        setattr(Checkpointer, name, waits)


def sleep_when_told() -> None:
    """SIGALRM: stop before the next checkpoint that has something to write is written."""
    store = Checkpointer._store
    told: list[bool] = []

    async def may_sleep(self: Checkpointer, snapshots: Sequence[tuple[Any, Any]]) -> None:
        if told:
            told.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        await store(self, snapshots)

    Checkpointer._store = may_sleep  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, lambda *_: told.append(True))


def offsets_first() -> None:
    """Offsets are committed before the state is written, and reading goes on from them."""
    store = Checkpointer._store

    async def commits_first(self: Checkpointer, snapshots: Sequence[tuple[Any, Any]]) -> None:
        read_from = {
            tp: source.read_offset
            for held, _ in snapshots
            for tp, source in zip(held.tps, held.shard.sources, strict=True)
            if source.read_offset
        }
        await self._feed.commit(read_from)
        await store(self, snapshots)

    Checkpointer._store = commits_first  # type: ignore[method-assign]
    ShardManager.positions = lambda self: {}  # type: ignore[method-assign]


def no_fence() -> None:
    """Whoever writes to the changelog last is believed, and nobody looks who writes or how long he stood still."""
    read, store = ChangelogStore.read, Checkpointer._store

    def believes(self: ChangelogStore, records: Any) -> None:
        for record in records:
            self._highest_id = self._committed_id = NO_CHECKPOINT
            read(self, [record])

    async def does_not_look(self: Checkpointer, snapshots: Sequence[tuple[Any, Any]]) -> None:
        for held, _ in snapshots:
            tables = self._tables[held.group].store
            if not isinstance(tables.ends, _Whatever):
                tables.ends = _Whatever(tables.ends)
        await store(self, snapshots)

    async def refuses_nothing(self: FaustSourceFeed, offsets: Any) -> bool:
        await commit(self, offsets)
        return True

    commit = FaustSourceFeed.commit
    ChangelogStore.read = believes  # type: ignore[method-assign]
    Checkpointer._store = does_not_look  # type: ignore[method-assign]
    FaustSourceFeed.commit = refuses_nothing  # type: ignore[method-assign]
    Worker._check_stall = lambda self, gap: None  # type: ignore[method-assign]


class _End(int):
    """The end of a changelog, as far from any other as one likes."""

    def __rsub__(self, other: int) -> Any:
        return _Any()


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class _Whatever(dict[int, int]):
    """The ends of changelogs, of which none is ever found elsewhere than expected."""

    def get(self, partition: int, default: Any = None) -> Any:
        return _End(super().get(partition, 0))


def buffer_not_covered() -> None:
    """What waits for its order counts as dealt with."""
    marker = Shard._marker

    def covers_nothing(self: Shard, *told: Any) -> Any:
        buffer, self.reorder_buffer = self.reorder_buffer, []
        try:
            return marker(self, *told)
        finally:
            self.reorder_buffer = buffer

    Shard._marker = covers_nothing  # type: ignore[method-assign, assignment]


def silence_guessed() -> None:
    """What the fetcher has passed is taken for judged, though it may be on its way: as a quarter of it is here."""
    global late_share
    late_share = 0.25
    FaustSourceFeed.passed = lambda self, tp: batches.position_of(self._consumer, tp)  # type: ignore[method-assign]
    FaustSourceFeed.handed_on = lambda self, tp: 0  # type: ignore[method-assign]


def outbox_not_sent_again() -> None:
    """What was owed at a crash is forgotten."""
    ChangelogStore.pending_resend = lambda self: []  # type: ignore[method-assign]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "offsets-first": offsets_first,
    "no-fence": no_fence,
    "buffer-not-covered": buffer_not_covered,
    "outbox-not-sent-again": outbox_not_sent_again,
    "silence-guessed": silence_guessed,
}


def main() -> None:
    """Take away what is told, then be a worker."""
    parser = argparse.ArgumentParser(description="A worker for chaos runs.")
    parser.add_argument("--slow", type=int, metavar="SEED", help="wait between the steps of a checkpoint")
    parser.add_argument("--fault", choices=FAULTS, help="the safeguard to take away")
    told = parser.parse_args()
    if told.fault is not None:
        FAULTS[told.fault]()
    if told.slow is not None:
        slow(told.slow)
    sleep_when_told()
    sys.argv = ["vigil", "worker"]
    from vigil.app.cli.main import main as vigil

    vigil()


if __name__ == "__main__":
    main()
