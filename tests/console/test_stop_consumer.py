"""A consumer whose broker is gone ends with its tasks' CancelledError: the console goes on, and tries again."""

import asyncio
from typing import Any

import pytest

from vigil.app.console.ingest.topic_ingest import stop_consumer


class Consumer:
    """Ends as a consumer of a lost broker does, or hangs."""

    def __init__(self, hangs: bool = False) -> None:
        self._hangs = hangs

    async def stop(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        raise asyncio.CancelledError


async def test_the_cancellation_of_the_consumers_own_tasks_does_not_end_the_console() -> None:
    consumer: Any = Consumer()
    await stop_consumer(consumer)


async def test_a_task_that_is_cancelled_itself_ends() -> None:
    consumer: Any = Consumer(hangs=True)
    task = asyncio.create_task(stop_consumer(consumer))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
