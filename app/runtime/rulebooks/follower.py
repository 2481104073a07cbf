"""Which rulebook a process judges or shows by, while rulebooks are published.

    start: topic read to its end ──▶ the newest publication, or the process's own file where there is none
    later: every POLL_S ──▶ `newest` ──▶ the owner takes it over and says so (`adopted`)

`known_until` is what makes it safe to take over at any time: whoever publishes after the last look at the topic changes
nothing that begins earlier than `rulebook_notice_ms` after that look. A process that judges nothing later never judges
by a rulebook that is out of date, and a broker that does not answer holds it up instead of misleading it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from vigil.agents.worker_clock import MAX_BROKER_DIFFERENCE_MS
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import Refusal, RulebookHistory, RulebookRecord, read_published
from vigil.app.domain.rulebook.on_air import on_air_change
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.runtime.rulebooks.log import RulebookLog, open_log

log: Final = structlog.get_logger("vigil.rulebook")

POLL_S: Final = 0.5
"""How often the topic is looked at. It delays nothing that is judged as long as it is far below the notice."""


class RulebookFollower:
    """The rulebook in use, the newest one, and up to when they are known to be right."""

    def __init__(self, settings: Settings, own: Rulebook, clock: Callable[[], int]) -> None:
        """`own`: of the process's file, for a group that has published none. `clock`: the wall clock, ms."""
        self._settings = settings
        self._clock = clock
        self._log: RulebookLog | None = None
        self._taken = -1
        """The offset of the publication that was looked at last."""
        self._opened = asyncio.Event()
        self._lock = asyncio.Lock()
        self.history = RulebookHistory()
        self.rulebook = own
        """In use."""
        self.newest = own
        self._differs_from = MAX_TIME
        """The first event time at which `newest` judges otherwise than `rulebook`."""
        self.looked_at = MIN_TIME
        """When the topic was last read to its end (wall clock, ms)."""
        self.on_record: Callable[[Refusal | None], None] = lambda refusal: None
        """Called for each record of the topic, with why it does not count."""

    @property
    def pending(self) -> bool:
        """True if the newest rulebook is to be taken over."""
        return self.newest is not self.rulebook

    def known_until(self) -> int:
        """The event time (ms) below which the rulebook in use is known to be right."""
        notice = self.history.notice_ms or self._settings.rulebook_notice_ms
        return min(self.looked_at + notice - MAX_BROKER_DIFFERENCE_MS, self._differs_from)

    def adopted(self, book: Rulebook) -> None:
        """A rulebook is in use that was the newest; another one may be by now."""
        self.rulebook = book
        self._differs_from = MAX_TIME if self.newest is book else on_air_change(book, self.newest).begins

    def has(self, digest: str) -> bool:
        """True if state that was judged by this rulebook can be continued."""
        return digest == self.rulebook.digest or self.history.has(digest)

    async def look(self) -> None:
        """Read the topic to its end. Raise SettingsError where what it has cannot be judged by, and KafkaError."""
        await self._opened.wait()
        async with self._lock:
            await self._look()

    async def _look(self) -> None:
        assert self._log is not None  # noqa: S101 - the event says so
        asked = self._clock()
        for refusal in await self._log.poll():
            self.on_record(refusal)
            if refusal is not None:
                log.error("publication refused", offset=refusal.offset, reason=refusal.reason, why=refusal.text)
        self._check_notice()
        newest = self.history.newest
        if newest is not None and newest.offset != self._taken:
            self._taken = newest.offset
            if newest.body.digest != self.newest.digest or newest.body.begins is not None:
                await self._take(newest)
        self.looked_at = asked

    async def _take(self, published: RulebookRecord) -> None:
        try:
            book = await asyncio.to_thread(read_published, published)
        except RulebookError as error:
            raise SettingsError(
                f"rulebook: this version of Vigil cannot judge by the rulebook that is published: {error}; run the "
                "version that published it, or publish another one with this version"
            ) from error
        change = on_air_change(self.rulebook, book)
        if change.always or change.begins < self._promised():
            raise SettingsError(
                f"rulebook: the one that {published.body.by} published (offset {published.offset}) changes more than "
                "it says: it was not published by `vigil rules publish`, or this worker's file is not the group's. "
                "Stop all workers; docs/rulebook.md says how to go on"
            )
        self.newest, self._differs_from = book, change.begins
        log.info(
            "rulebook published",
            digest=book.digest[:12],
            by=published.body.by,
            begins=published.body.begins,
            offset=published.offset,
        )

    def _promised(self) -> int:
        """The first event time at which the publications since the rulebook in use say that anything changes."""
        begins = MAX_TIME
        for entry in reversed(self.history.entries):
            if entry.body.digest == self.rulebook.digest:
                return begins
            begins = min(begins, MAX_TIME if entry.body.begins is None else entry.body.begins)
        return MAX_TIME  # the file of this process is of no publication

    def _check_notice(self) -> None:
        """A worker with a longer notice would judge what a publication may still change."""
        notice, own = self.history.notice_ms, self._settings.rulebook_notice_ms
        if notice is not None and own > notice:
            raise SettingsError(
                f"rulebook_notice_ms: is {own} here, and {notice} where the group's first rulebook was published: set "
                f"it to {notice}"
            )

    async def run(self, stopping: Callable[[], bool], on_error: Callable[[BaseException], Awaitable[None]]) -> None:
        """Follow the topic until the process stops. A broker that does not answer is asked again."""
        silent = False
        async with open_log(self._settings) as self._log:
            self.history = self._log.history
            self._opened.set()
            while not stopping():
                try:
                    await self.look()
                    silent = False
                except SettingsError as error:
                    await on_error(error)
                    return
                except (KafkaError, OSError) as error:
                    if not silent:
                        log.warning("cannot read the rulebook topic", why=str(error) or type(error).__name__)
                    silent = True
                await asyncio.sleep(POLL_S)
