"""The agents: each delivers the batches of its topics, and does nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from vigil.agents.faust.app import BatchApp
from vigil.agents.ports import Batch
from vigil.topics.catalog import SubjectName

HELD_S: Final = 0.1
"""How long to wait before a batch is passed again of which nothing was accepted."""


def add_agent(
    app: BatchApp,
    subject: SubjectName,
    channel: Any,
    ingest: Callable[[Batch], Batch | None],
    fail_fast: Callable[[BaseException], Awaitable[None]],
) -> None:
    """Give the app the agent of one subject: one item of its channel is one batch.

    `ingest` returns the rest of a batch that took too long; other tasks run before it is called with that.
    """

    async def read(stream: Any) -> None:
        async for batch in stream:  # nothing is acknowledged here: the checkpoint commits
            try:
                rest = ingest(batch)
                while rest is not None:
                    await asyncio.sleep(HELD_S if rest is batch else 0)
                    batch, rest = rest, ingest(rest)
            except Exception as bug:  # ours: Faust would acknowledge the batch and go on without it
                await fail_fast(bug)
                return

    app.agent(channel, name=subject)(read)
