"""A broker on which a worker has judged the example recording of the contract."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from tests.support.harness import WorkerProcess, finished, make_topics, send
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.contracts.examples import STORY

UNTIL = max(line["value"]["at"] for line in STORY)
BAD = b'{"room_id":"room-1","note":"\x1b[31m\xff\xe2\x80\xae"}'
"""A hostile message: not UTF-8, with an escape sequence of a terminal and a character that reverses text."""


def story() -> list[SimulatedMessage]:
    """Return the messages of the recording, and the hostile one."""
    messages = [
        SimulatedMessage(line["topic"], line["key"].encode(), orjson.dumps(line["value"]), line["value"]["at"], 0)
        for line in STORY
    ]
    return [*messages, SimulatedMessage("comment", b"room-1", BAD, UNTIL, 0)]


async def judge(broker: str, log: Path) -> None:
    """Let a worker judge the recording, and stop it."""
    await make_topics(broker, 2)
    await send(broker, story())
    worker = await WorkerProcess(
        broker, log, clock="recorded", recorded_until=UNTIL, session_timeout_ms=3000, idempotent_producer=False
    ).ready()
    try:
        await finished(broker, still_s=0.5)
    finally:
        assert worker.stop() == 0


@contextmanager
def judged_broker() -> Iterator[str]:
    """Yield the address of an embedded broker on which the recording was judged."""
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory() as folder:
        asyncio.run(judge(broker.address, Path(folder) / "worker.log"))
        yield broker.address
