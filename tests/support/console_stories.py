"""Hubs fed without Kafka: a simulation's messages, and what a replay of them gives, as the topics would carry them."""

import functools
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.support.harness import calm
from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.server import ConsoleServer
from vigil.app.console.settings import ConsoleSettings
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.replay import Outputs
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.reviews import Review
from vigil.topics.rooms import ROOM_TOPICS

RULEBOOK = load_rulebook()
START = 1_662_048_000_000
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e"


@functools.cache
def simulated(rooms: int = 20, seconds: int = 600, seed: int = 3) -> tuple[tuple[SimulatedMessage, ...], Outputs]:
    """Messages and what they lead to; with days of quotes and payments before, so that there are rates."""
    simulation = Simulation(
        seed=seed, rooms=rooms, suppliers=12, start_ms=START, duration_s=seconds, history_days=40.0, rfq_every_s=600
    )
    messages = tuple(simulation.messages())
    return messages, calm(messages)


class Fed:
    """A hub that is told messages, and a server over it."""

    def __init__(self, settings: Settings | None = None, **told: Any) -> None:
        self.console = ConsoleSettings(**told)
        self.hub = ConsoleState(settings or Settings(), self.console, RULEBOOK)
        self.hub.feed.missing = ()
        self.hub.feed.assigned = True
        self.sent: list[Review] = []
        self.hub.feed.send = self._send  # type: ignore[method-assign]
        self.door = Authenticator(self.console)
        self.server = ConsoleServer(self.hub, self.door)
        self.app = self.server.app()

    async def _send(self, review: Review) -> None:
        self.sent.append(review)

    def take(self, topic: str, body: msgspec.Struct | None, key: str | None = None, tick: bool = True) -> "Fed":
        """One message of a topic."""
        value = None if body is None else msgspec.json.encode(body)
        if key is None and body is not None:
            names = ("host_id",) if topic in ("review", "enforcement") else ("room_id", "supplier_id", "rfq_id")
            key = next(getattr(body, name) for name in names if hasattr(body, name))
        self.hub.model.ingest(topic, (key or "").encode(), value, int(time.time() * 1000))
        if tick:
            self.hub.tick()
        return self

    def play(self, messages: Iterable[SimulatedMessage], outputs: Outputs) -> "Fed":
        """All that a console would read of a recording."""
        now = int(time.time() * 1000)
        for message in messages:
            if message.topic in (*ROOM_TOPICS, "review"):
                self.hub.model.ingest(message.topic, message.key, message.value, now)
        for topic, told in outputs.by_topic().items():
            for output in told:
                value = None if output.body is None else msgspec.json.encode(output.body)
                self.hub.model.ingest(topic, output.key, value, now)
        self.hub.tick()
        return self


def fed(**told: Any) -> Fed:
    """A hub that has read a simulation."""
    return Fed(**told).play(*simulated())
