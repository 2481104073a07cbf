"""A worker with a bug in a rule: it judges as Vigil does, until an event of one room comes. Run as a program."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.observability.logs import configure_logging
from vigil.app.runtime.worker import Worker

FATAL: Final = "room-with-the-bug"


class Buggy(RoomMachine):
    """Rooms whose rules divide by nothing in one room."""

    def load(self, key: str, parts: Any) -> Any:
        room = super().load(key, parts)
        if key != FATAL:
            return room
        apply: Callable[..., None] = room.apply

        class Broken:
            def __getattr__(self, name: str) -> Any:
                return getattr(room, name)

            def apply(self, event: Any, clock: int, collector: Any) -> None:
                apply(event, clock, collector)
                collector.emit("verdict", key, "half-judged", event.at, None)
                raise ZeroDivisionError("a bug in a rule")

        return Broken()


if __name__ == "__main__":
    settings = load_settings()
    rulebook = load_rulebook()
    configure_logging(settings.log_level, settings.log_format)
    machines = {**REGISTRY.machines(rulebook), "rooms": Buggy(rulebook)}
    partitions = asyncio.run(ensure_topics(settings, REGISTRY.sources))
    Worker(settings, rulebook, partitions, machines).run()
