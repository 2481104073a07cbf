"""The agents: each hands the batches of its topics on, and does nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from vigil.agents.faust.batches import BatchApp
from vigil.topics.catalog import SubjectName


def attach(
    app: BatchApp,
    group: SubjectName,
    channel: Any,
    take: Callable[[Sequence[Any]], Sequence[Any]],
    crash: Callable[[BaseException], Awaitable[None]],
) -> None:
    """Give the app the agent of one group of topics: one item is one fetch of one partition.

    `take` returns what of it is left when others are to have a turn.
    """

    async def read(stream: Any) -> None:
        async for records in stream:  # nothing is acknowledged here: the checkpoint commits
            try:
                while records := take(records):
                    await asyncio.sleep(0)
            except Exception as bug:  # ours: Faust would acknowledge the batch and go on without it
                await crash(bug)
                return

    app.agent(channel, name=group)(read)
