"""A worker without Kafka that judges while time passes, and a console that gets its answers.

events, commands, reviews ──▶ shards of rooms, hosts and incidents ──each round──▶ outputs ──▶ console
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tests.support.console_stories import RULEBOOK, ConsoleStage
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.runtime.recording import Line
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.incidents import Case
from vigil.topics.reviews import Review
from vigil.topics.rooms import FrameStatus

SUBJECTS: Final = ("rooms", "hosts", "incidents")
LATENESS_MS: Final = 2_000


class LiveWorker:
    """The shards of what moderators work on; everything lies in one partition."""

    def __init__(self, rulebook: Rulebook = RULEBOOK) -> None:
        machines = REGISTRY.machines(rulebook, review_wait_ms=60_000)
        self._shards: dict[str, AnyShard] = {name: make_shard(machines[name], LATENESS_MS) for name in SUBJECTS}
        self._route = {
            topic: (shard, index) for shard in self._shards.values() for index, topic in enumerate(shard.machine.topics)
        }
        self._offsets: dict[str, int] = {}

    @property
    def topics(self) -> frozenset[str]:
        """What it reads."""
        return frozenset(self._route)

    def take(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """A message of an input."""
        shard, index = self._route[topic]
        offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
        shard.ingest(index, (Line(offset, key, value, (0, offset)),))

    def send(self, message: Review | Case) -> None:
        """What a console sends."""
        topic, key = ("review", message.host_id) if isinstance(message, Review) else ("case", message.room_id)
        self.take(topic, key.encode(), msgspec.json.encode(message))

    def advance(self, now: int) -> list[OutboxMessage]:
        """Judge what is before `now` less the allowed lateness; return what is published."""
        published: list[OutboxMessage] = []
        for shard in self._shards.values():
            shard.advance_watermark(now - LATENESS_MS)
            published += self._publish(shard)
        return published

    def _publish(self, shard: AnyShard) -> Iterator[OutboxMessage]:
        """Take a checkpoint; give internal messages to the shards that read them."""
        snapshot = shard.snapshot()
        shard.confirm(snapshot)
        for output in snapshot.outputs:
            if output.topic in self._route:
                self.take(output.topic, output.key, output.payload)
            else:
                yield output


def _is_of_the_queue(output: OutboxMessage) -> bool:
    return output.topic in ("incident", "verdict", "enforcement")


class Market:
    """Rooms that go on while time passes, the worker that judges them, and the consoles that show it."""

    def __init__(self, messages: Iterable[SimulatedMessage], worker: LiveWorker, *, events: bool = True) -> None:
        """`messages`: in order of arrival; only those of rooms are taken. `events`: consoles read them, and the figures
        of rooms; otherwise only what the queue shows."""
        self._shows_events = events
        self._coming = iter(messages)
        self._next = next(self._coming, None)
        self.worker = worker
        self.consoles: list[ConsoleStage] = []

    def show(self, **options: Any) -> ConsoleStage:
        """One more console, which the worker answers from now on."""
        console = ConsoleStage(**options)

        async def send(message: Review | Case) -> None:
            console.sent.append(message)
            self.worker.send(message)
            topic = "review" if isinstance(message, Review) else None
            for each in self.consoles if topic else ():
                each.take(topic, message, tick=False)

        console.state.ingest.send = send  # type: ignore[method-assign]
        self.consoles.append(console)
        return console

    def advance(self, now: int) -> None:
        """Let everything arrive that was sent by now, and show what is published of it."""
        while self._next is not None and self._next.sent_at <= now:
            message, self._next = self._next, next(self._coming, None)
            if message.topic in self.worker.topics:
                self.worker.take(message.topic, message.key, message.value)
                for console in self.consoles if self._shows_events else ():
                    console.state.model.ingest(message.topic, message.key, message.value, now)
        published = self.worker.advance(now)
        for console in self.consoles:
            for output in published if self._shows_events else filter(_is_of_the_queue, published):
                console.state.model.ingest(output.topic, output.key, output.payload, now, now)
            console.state.ingest._last = time.monotonic()
            console.state.tick()

    def take(self, frames: Iterable[FrameStatus]) -> None:
        """Frames as a worker reads them, in order of time."""
        for frame in sorted(frames, key=lambda frame: frame.at):
            self.worker.take("frame-status", frame.room_id.encode(), msgspec.json.encode(frame))


def label_frames(
    label: str, since: int, seconds: int = 15, room_id: str = "room", host_id: str = "host"
) -> Iterator[FrameStatus]:
    """Frames of a room with a label from `since` (ms) on, and a few without it: one violation."""
    for number in range(seconds + 5):
        labels = (label,) if number < seconds else ()
        at = since + number * 1000
        yield FrameStatus(room_id=room_id, host_id=host_id, at=at, stream="live", face=True, black=False, labels=labels)
