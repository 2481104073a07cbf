"""The tutorial's room is judged as its page says."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.support.harness import WorkerProcess, make_topics, read
from vigil.app.kafka.embedded_broker import EmbeddedBroker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]


async def test_buyers_who_are_not_greeted_become_a_verdict(tmp_path: Path) -> None:
    async with EmbeddedBroker() as broker:
        await make_topics(broker.address, 4)
        log, options = tmp_path / "worker.log", {"session_timeout_ms": 3000, "idempotent_producer": False}
        worker = await WorkerProcess(broker.address, log, **options).ready()
        try:
            example = str(ROOT / "examples" / "own_room.py")
            room = await asyncio.create_subprocess_exec(sys.executable, example, broker.address, "26")
            assert await room.wait() == 0
            await asyncio.sleep(5)
            (verdict,) = [value for _, value in (await read(broker.address))["verdict"]]
        finally:
            worker.stop()
    assert (verdict["rule"], verdict["room_id"]) == ("greeting-miss", "my-room")
    # The times of the page: the third buyer enters after 9 s, and is missed ten seconds later.
    assert 15_500 <= verdict["at"] - verdict["since"] <= 17_500
    page = (ROOT / "docs" / "first-room.md").read_text()
    assert re.search(r"\| 19 s \| a verdict of \*Greeting miss\*", page)
