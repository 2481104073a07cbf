"""What all browsers share: the model, the wall, the time, and the ticks at which changes are published."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, TypedDict

import structlog
from aiokafka.errors import KafkaError

from vigil.app.console.ingest.bounded import Bounded
from vigil.app.console.ingest.group_rulebook import GroupRulebook
from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.releases import Releases
from vigil.app.console.ingest.topic_ingest import TopicIngest
from vigil.app.console.settings import ConsoleSettings
from vigil.app.console.views.canvas import clock, length
from vigil.app.console.views.outside import OutsideLinks
from vigil.app.console.views.reader import Reader
from vigil.app.console.views.rule_report import RuleReports
from vigil.app.console.views.wall import Wall
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.shown_conditions import ConditionKey, conditions_of
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.history import RulebookHistory
from vigil.app.domain.rulebook.rooms import RoomLimits
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.wall_clock import wall_ms
from vigil.topics.rooms import FrameStatus

log: Final = structlog.get_logger("vigil.console")

TICK_S: Final = 0.25
"""How often changes are published. Browsers show a change within a second; shorter ticks cost more than they show."""
RECORDED_MS: Final = 10 * 60_000
"""Data whose newest event time is older than this, once everything has been read, is a recording and no live stream. A
live stream is never that far behind: a source without events does not make the data look old while others have some."""
SILENT_S: Final = 10
"""Without a message for this long the status is bad: while a room is live, frames come every second."""
BEHIND_MS: Final = 8_000
"""Rooms are reported as not judged when their events wait this much longer than the allowed lateness. While all is well
it is one or two seconds."""
BEHIND_EVERY_TICKS: Final = 4
"""Rooms that are not judged are looked for once a second: that reads every room."""
RELEASE_S: Final = 2.0
"""Browsers get no changes while a release is sent, so that is not waited for any longer."""
MAX_CHANGED_PAGES: Final = 50_000
"""Pages whose last change is remembered. A page beyond them is rendered anyway, every eighth tick at the latest."""


class DataStatus(TypedDict):
    """How current the data is: `level` is ok, wait or bad."""

    level: str
    text: str


class ConsoleState:
    """The state of one console process."""

    def __init__(self, settings: Settings, console: ConsoleSettings, rulebook: Rulebook) -> None:
        self.console = console
        self.rulebook = rulebook
        self._users_of_rulebook: list[Callable[[Rulebook], None]] = []
        self.outside = OutsideLinks(settings)
        self.zone = console.zone
        rooms: RoomLimits = rulebook.versions("rooms")[-1].limits
        self._limits = EffectiveLimits(rulebook)

        def conditions(frame: FrameStatus) -> frozenset[ConditionKey]:
            return conditions_of(frame, self._limits.conditions_at(frame.at))

        self.model = ConsoleModel(console.bounds, rooms.max_frame_gap_s * 1000, conditions_of=conditions)
        self.model.max_ahead_ms = settings.max_ahead_ms
        self.releases = Releases(self.model.incidents)
        self.wall = Wall(self.model, rulebook)
        self.rule_reports = RuleReports(self.model)
        self.with_rulebook(self.wall.use)
        self.ingest = TopicIngest(settings, console, self.model)
        self.group_rulebook = GroupRulebook(settings, rulebook.digest)
        self.boot_id = secrets.token_hex(4)
        """Identifies this process: versions of its rows cannot be compared with those of another."""
        self.tick_number = 0
        self.changed: Bounded[tuple[str, str], int] = Bounded(MAX_CHANGED_PAGES)
        """The number of the tick at which a page, by kind and id, may last have changed."""
        self.stopping = asyncio.Event()
        self._behind = (0, 0)
        self._behind_ms = settings.allowed_lateness_ms + BEHIND_MS
        self._always_recorded = settings.clock == "recorded"
        self._next_tick = asyncio.Event()

    def with_rulebook(self, use: Callable[[Rulebook], None]) -> None:
        """Call `use` with the rulebook, now and whenever another one was published."""
        self._users_of_rulebook.append(use)
        use(self.rulebook)

    def use(self, rulebook: Rulebook, history: RulebookHistory) -> None:
        """Show what follows from a rulebook that was published; `history`: of all publications."""
        self.rulebook, self._limits = rulebook, EffectiveLimits(rulebook)
        self.group_rulebook.know(rulebook.digest, history.digests)
        for each in self._users_of_rulebook:
            each(rulebook)

    @property
    def recorded(self) -> bool:
        """True where the data is a recording. Then its own newest event time is shown as the time."""
        newest = self.model.newest
        if not newest:
            return False
        return self._always_recorded or (self.ingest.caught_up and newest < wall_ms() - RECORDED_MS)

    @property
    def now(self) -> int:
        """The time that pages show, in ms."""
        return self.model.newest if self.recorded else wall_ms()

    def tick(self) -> None:
        """Collect what has changed since the last tick, and wake everybody who waits for one."""
        self.tick_number += 1
        self.wall.refresh(self.now)
        if self.tick_number % BEHIND_EVERY_TICKS == 0:
            self._behind = self.model.behind(self.now, self._behind_ms)
        for page in self.model.changed:
            self.changed.put(page, self.tick_number)
        self.model.changed.clear()
        self._next_tick.set()
        self._next_tick = asyncio.Event()

    async def run_ticks(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            await self.release()
            await asyncio.sleep(TICK_S)

    async def release(self) -> None:
        """End the claims whose decision Vigil has applied. One that Kafka does not take expires by itself."""
        for command in self.releases.take(self.now):
            try:
                await asyncio.wait_for(self.ingest.send(command), RELEASE_S)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("release not published", incident_id=command.incident_id, error=str(error))

    async def next_tick(self) -> bool:
        """Wait for the next tick; return False where the console is stopping."""
        coming = asyncio.ensure_future(self._next_tick.wait())
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming.cancel()
            stopping.cancel()
        return not self.stopping.is_set()

    def data_status(self, reader: Reader) -> DataStatus:
        """Return how current the data is, as a sentence for a reader."""
        words = reader.words
        ingest = self.ingest
        if ingest.trouble is not None:
            level, text = "bad", words("trouble", why=ingest.trouble[:200])
        elif ingest.missing:
            level, text = "wait", words("no-topics", topics=", ".join(ingest.missing[:3]))
        elif (other := self.group_rulebook.other) is not None:
            level, text = "bad", words("rulebook-differs", ours=self.rulebook.digest[:12], theirs=other[:12])
        elif not ingest.caught_up:
            level, text = "wait", words("catching-up", percent=int(ingest.progress * 100))
        elif self.recorded:
            level, text = "wait", words("recorded", time=clock(self.now, reader.zone))
        elif ingest.silent_s > SILENT_S:
            level, text = "bad", words("silent", seconds=int(ingest.silent_s))
        elif self._behind[0]:
            rooms, lag_ms = self._behind
            level, text = "bad", words("behind", rooms=rooms, lag=length(lag_ms / 1000))
        else:
            level, text = "ok", words("live.on")
        return {"level": level, "text": text}
