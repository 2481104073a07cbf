"""Compares the console's rulebook with the group's: the last checkpoint of each shard of rooms has its digest.

A console with another rulebook would show moderators other bans than are in force.
"""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.state import read_states

log: Final = structlog.get_logger("vigil.console")

SUBJECT: Final = "rooms"

REFRESH_S: Final = 60.0
"""How often the checkpoints are read."""


class GroupRulebook:
    """Knows which other rulebook the group judges by, if it does."""

    def __init__(self, settings: Settings, digest: str) -> None:
        """`digest`: of the console's rulebook."""
        self._settings = settings
        self._known = {digest}
        self._changelog = TopicNames.of(settings).changelog(SUBJECT)
        self._why_unknown = ""
        self.other: str | None = None
        """The digest of another rulebook by which shards were judged last; None while none is known."""

    def know(self, digest: str, published: Collection[str]) -> None:
        """The console shows by a published rulebook. A group that goes over to it may still have any other of them."""
        self._known = {digest, *published}
        if self.other in self._known:
            self.other = None

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Compare once. What keeps the checkpoints from being read is logged once; the last result stays."""
        try:
            states = await read_states(self._settings, SUBJECT, self._changelog)
        except (SettingsError, KafkaError, OSError) as error:
            self._note(str(error) or type(error).__name__)
            return
        if isinstance(states, Check):
            self._note(states.words)
            return
        others = sorted({state.marker.rulebook for state in states} - self._known)
        self.other = others[0] if others else None

    def _note(self, why: str) -> None:
        if why != self._why_unknown:
            log.warning("cannot compare the rulebook with the group's", why=why)
        self._why_unknown = why
