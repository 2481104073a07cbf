"""A worker for chaos runs: the product's own, slowed between its steps, or run without one of its safeguards.

    python -m tests.support.faulty_worker [--slow SEED] [--fault NAME]    settings from the environment, as for a worker

`--slow` waits between the steps of a checkpoint, before batches are delivered, and before records of a changelog are
applied, so that faults hit there often: it must change no outcome. At SIGALRM the process stops itself (SIGSTOP) just
before it writes its next checkpoint: a zombie, which writes that checkpoint first of all once it is woken. `--fault`
removes a safeguard, so that the harness can be seen to notice. Nothing of this is in the product.
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
from vigil.agents.faust.consumer import BatchConsumer, position_of
from vigil.agents.faust.feed import FaustMembership, FaustSourceFeed
from vigil.agents.faust.table import MirrorTable
from vigil.agents.faust.writers import FaustChangelogWriter
from vigil.agents.shard_manager import ShardManager
from vigil.app.engine.changelog import NO_CHECKPOINT
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.reorder_buffer import ReorderBuffer
from vigil.app.engine.watermark import SourcePosition
from vigil.app.runtime.watchdog import EventLoopWatchdog

MAX_DELAY_S: Final = 0.4
"""Longest wait between two steps of a checkpoint, and before records of a changelog are applied."""

MAX_DELIVERY_DELAY_S: Final = 1.5
"""Longest wait before a batch is delivered."""

late_share = 0.02
"""Share of the batches that are delivered late."""

READ_LATE: Final = 0.1
"""Share of the batches of changelogs that are applied late."""


def slow(seed: int) -> None:
    """Wait before and after each step of a checkpoint, and sometimes before a batch is delivered or applied."""
    rng = random.Random(seed)

    async def read_late(self: Any, event: Any) -> None:
        if rng.random() < READ_LATE:
            await asyncio.sleep(rng.uniform(0, MAX_DELAY_S))

    MirrorTable.on_changelog_event = read_late
    getmany = BatchConsumer.getmany

    async def late(self: Any, timeout: float) -> AsyncIterator[Any]:
        async for batch in getmany(self, timeout):
            if rng.random() < late_share:
                await asyncio.sleep(rng.uniform(0, MAX_DELIVERY_DELAY_S))
            yield batch

    BatchConsumer.getmany = late  # type: ignore[method-assign]
    for name in ("_write_state", "_send_outputs", "_commit_offsets"):
        step = getattr(Checkpointer, name)

        async def waits(self: Any, argument: Any, step: Callable[..., Any] = step) -> None:
            await asyncio.sleep(rng.uniform(0, MAX_DELAY_S) * (rng.random() < 0.5))
            await step(self, argument)
            await asyncio.sleep(rng.uniform(0, MAX_DELAY_S) * (rng.random() < 0.5))

        setattr(Checkpointer, name, waits)


def stop_on_signal() -> None:
    """SIGALRM: stop before the next checkpoint that has something to write is written."""
    write_state = Checkpointer._write_state
    signals: list[bool] = []

    async def may_stop(self: Checkpointer, taken: Sequence[Any]) -> None:
        if signals:
            signals.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        await write_state(self, taken)

    Checkpointer._write_state = may_stop  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, lambda *_: signals.append(True))


def offsets_first() -> None:
    """Offsets are committed before the state is written, and reading goes on from them."""
    write_state = Checkpointer._write_state

    async def commits_first(self: Checkpointer, taken: Sequence[Any]) -> None:
        read_offsets = {
            source.tp: source.position.read_offset
            for each in taken
            for source in each.runner.sources
            if source.position.read_offset
        }
        await self._ports.membership.commit(read_offsets)
        await write_state(self, taken)

    Checkpointer._write_state = commits_first  # type: ignore[method-assign]
    ShardManager.positions = lambda self: {}  # type: ignore[method-assign]


def no_fence() -> None:
    """The last writer of a changelog is believed, and no worker checks who else writes or how long it was stopped."""
    read, commit = ChangelogStore.read, FaustMembership.commit

    def believes(self: ChangelogStore, records: Any) -> None:
        for record in records:
            self._highest_id = self._committed_id = NO_CHECKPOINT
            read(self, [record])

    async def refuses_nothing(self: FaustMembership, offsets: Any) -> bool:
        await commit(self, offsets)
        return True

    ChangelogStore.read = believes  # type: ignore[method-assign]
    FaustChangelogWriter.known_end = lambda self, subject, partition: _End()  # type: ignore[method-assign]
    FaustMembership.commit = refuses_nothing  # type: ignore[method-assign]
    EventLoopWatchdog.check = lambda self, gap: None  # type: ignore[method-assign]


class _End(int):
    """An end of a changelog that any other end is as far from as expected."""

    def __rsub__(self, other: int) -> Any:
        return _Any()


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def buffer_not_covered() -> None:
    """Events in the reorder buffer count as judged."""

    def covers_nothing(self: ReorderBuffer[Any], sources: Sequence[SourcePosition]) -> list[tuple[int, int]]:
        return [(source.read_offset, source.max_event_time) for source in sources]

    ReorderBuffer.positions = covers_nothing  # type: ignore[method-assign]


def silence_guessed() -> None:
    """What the fetcher has passed counts as judged, though it may be on its way: as a quarter of it is here."""
    global late_share
    late_share = 0.25
    FaustSourceFeed.confirmed_position = lambda self, tp: position_of(self._consumer, tp)  # type: ignore[method-assign]
    FaustSourceFeed.delivered_offset = lambda self, tp: 0  # type: ignore[method-assign]


def outbox_not_sent_again() -> None:
    """The outbox of the last checkpoint before a crash is dropped."""
    ChangelogStore.pending_resend = lambda self: []  # type: ignore[method-assign]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "offsets-first": offsets_first,
    "no-fence": no_fence,
    "buffer-not-covered": buffer_not_covered,
    "outbox-not-sent-again": outbox_not_sent_again,
    "silence-guessed": silence_guessed,
}


def main() -> None:
    """Remove the named safeguard, then be a worker."""
    parser = argparse.ArgumentParser(description="A worker for chaos runs.")
    parser.add_argument("--slow", type=int, metavar="SEED", help="wait between the steps of a checkpoint")
    parser.add_argument("--fault", choices=FAULTS, help="the safeguard to remove")
    arguments = parser.parse_args()
    if arguments.fault is not None:
        FAULTS[arguments.fault]()
    if arguments.slow is not None:
        slow(arguments.slow)
    stop_on_signal()
    sys.argv = ["vigil", "worker"]
    from vigil.app.cli.main import main as vigil

    vigil()


if __name__ == "__main__":
    main()
