"""Consoles without Kafka: they read a simulation's messages, and a replay's outputs, as the topics would carry them."""

import functools
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.support.harness import replayed
from tests.support.line_stories import recorded
from tests.support.supplier_stories import Line
from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.http.server import ConsoleServer
from vigil.app.console.settings import ConsoleSettings
from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.replay import Outputs, replay
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.incidents import Case
from vigil.topics.reviews import Review
from vigil.topics.rooms import ROOM_TOPICS

RULEBOOK = load_rulebook()
START = 1_662_048_000_000
HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e"


@functools.cache
def simulated(rooms: int = 20, seconds: int = 600, seed: int = 3) -> tuple[tuple[SimulatedMessage, ...], Outputs]:
    """Messages and the outputs of their replay; with days of quotes and payments before, so that there are rates."""
    simulation = Simulation(
        seed=seed, rooms=rooms, suppliers=12, start_ms=START, duration_s=seconds, history_days=40.0, rfq_every_s=600
    )
    messages = tuple(simulation.messages())
    return messages, replayed(messages)


class ConsoleStage:
    """A console that reads the messages of a test, and its server."""

    def __init__(self, settings: Settings | None = None, rulebook: Rulebook = RULEBOOK, **options: Any) -> None:
        self.console = ConsoleSettings(**options)
        self.state = ConsoleState(settings or Settings(), self.console, rulebook)
        self.state.ingest.missing = ()
        self.state.ingest.assigned = True
        self.sent: list[Any] = []
        """Reviews and commands, in order."""
        self.state.ingest.send = self._send  # type: ignore[method-assign]
        self.auth = Authenticator(self.console)
        self.server = ConsoleServer(self.state, self.auth)
        self.app = self.server.app()

    async def _send(self, message: Review | Case) -> None:
        self.sent.append(message)

    def take(
        self, topic: str, body: msgspec.Struct | None, key: str | None = None, tick: bool = True
    ) -> "ConsoleStage":
        """One message of a topic."""
        value = None if body is None else msgspec.json.encode(body)
        if key is None and body is not None:
            names = ("host_id",) if topic in ("review", "enforcement") else ("room_id", "supplier_id", "rfq_id")
            key = next(getattr(body, name) for name in names if hasattr(body, name))
        self.state.model.ingest(topic, (key or "").encode(), value, int(time.time() * 1000))
        if tick:
            self.state.tick()
        return self

    def play(self, messages: Iterable[SimulatedMessage], outputs: Outputs) -> "ConsoleStage":
        """Everything that a console would read of a recording."""
        now = int(time.time() * 1000)
        for message in messages:
            if message.topic in (*ROOM_TOPICS, "review"):
                self.state.model.ingest(message.topic, message.key, message.value, now)
        for topic, lines in outputs.by_topic.items():
            for output in lines:
                value = None if output.body is None else msgspec.json.encode(output.body)
                self.state.model.ingest(topic, output.key, value, now)
        self.state.tick()
        return self

    def play_lines(self, *story: Line) -> "ConsoleStage":
        """Everything that a console would read of a story of suppliers' events, and what a replay makes of it."""
        for line in story:
            if line.topic == "certificate":
                self.state.model.ingest(line.topic, line.key.encode(), msgspec.json.encode(line.value), line.at)
        return self.play((), replay(recorded(story), self.state.rulebook))


def simulated_console(**options: Any) -> ConsoleStage:
    """A console that has read a simulation."""
    return ConsoleStage(**options).play(*simulated())
