"""What all browsers share: the model, the wall, the time, and the tick by which changes are told."""

import asyncio
import secrets
from typing import Any, Final

from vigil.app.console.ingest.bounded import Bounded
from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.topic_ingest import TopicIngest
from vigil.app.console.settings import ConsoleSettings
from vigil.app.console.views.text import Words
from vigil.app.console.views.timeline import clock, length
from vigil.app.console.views.wall import Wall
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.rooms import RoomLimits
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.wall_clock import wall_ms

TICK_S: Final = 0.25
RECORDED_MS: Final = 10 * 60_000
"""What is older than this when everything has been read is no live stream: its own time is shown."""
SILENT_S: Final = 10
BEHIND_MS: Final = 8_000
"""Events that wait so much longer than the allowed lateness are told; when all is well it is a second or two."""
BEHIND_EVERY_TICKS: Final = 4


class ConsoleState:
    """One console's insides."""

    def __init__(self, settings: Settings, console: ConsoleSettings, rulebook: Rulebook) -> None:
        self.console = console
        self.rulebook = rulebook
        self.zone = console.zone
        rooms: RoomLimits = rulebook.versions("rooms")[-1].limits
        self.model = ConsoleModel(console.bounds, rooms.max_frame_gap_s * 1000)
        self.wall = Wall(self.model)
        self.feed = TopicIngest(settings, console, self.model)
        self.boot = secrets.token_hex(4)
        """Versions of one start say nothing about those of another."""
        self.number = 0
        """Of the tick."""
        self.changed: Bounded[tuple[str, str], int] = Bounded(50_000)
        """The tick at which a page may last have become different."""
        self.stopping = asyncio.Event()
        self._behind = (0, 0)
        self._behind_ms = settings.allowed_lateness_ms + BEHIND_MS
        self._always_recorded = settings.clock == "recorded"
        self._next = asyncio.Event()

    @property
    def recorded(self) -> bool:
        """Is the data a recording, so that its own time is the time?"""
        newest = self.model.newest
        if not newest:
            return False
        return self._always_recorded or (self.feed.caught_up and newest < wall_ms() - RECORDED_MS)

    @property
    def now(self) -> int:
        return self.model.newest if self.recorded else wall_ms()

    def tick(self) -> None:
        """Look at what has changed."""
        self.number += 1
        self.wall.refresh(self.now)
        if self.number % BEHIND_EVERY_TICKS == 0:
            self._behind = self.model.behind(self.now, self._behind_ms)
        for page in self.model.changed:
            self.changed.put(page, self.number)
        self.model.changed.clear()
        self._next.set()
        self._next = asyncio.Event()

    async def ticking(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(TICK_S)

    async def next_tick(self) -> bool:
        """Wait for a tick; False where there will be no more."""
        coming = asyncio.ensure_future(self._next.wait())
        ending = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()
            ending.cancel()
        return not self.stopping.is_set()

    def state(self, words: Words) -> dict[str, Any]:
        """How it is with the data, in words: `level` is ok, wait or bad."""
        feed = self.feed
        if feed.trouble is not None:
            level, text = "bad", words("trouble", why=feed.trouble[:200])
        elif feed.missing:
            level, text = "wait", words("no-topics", topics=", ".join(feed.missing[:3]))
        elif not feed.caught_up:
            level, text = "wait", words("catching-up", percent=int(feed.progress * 100))
        elif self.recorded:
            level, text = "wait", words("recorded", time=clock(self.now, self.zone))
        elif feed.silent_s > SILENT_S:
            level, text = "bad", words("silent", seconds=int(feed.silent_s))
        elif self._behind[0]:
            rooms, lag_ms = self._behind
            level, text = "bad", words("behind", rooms=rooms, lag=length(lag_ms / 1000))
        else:
            level, text = "ok", words("live.on")
        return {"level": level, "text": text}
