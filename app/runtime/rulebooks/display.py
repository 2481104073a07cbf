"""Follows the published rulebooks for a process that judges nothing: what it shows is of the newest one."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import RulebookHistory, read_published
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.runtime.rulebooks.log import RulebookLog, open_log

log: Final = structlog.get_logger("vigil.rulebook")

POLL_S: Final = 2.0
"""How often the topic is looked at. A change is published a minute before it takes effect."""

RETRY_S: Final = 10.0
"""How long to wait where the topic is not there yet, or cannot be read."""

Use = Callable[[Rulebook, RulebookHistory], None]


async def follow_newest(settings: Settings, use: Use) -> None:
    """Call `use` with the newest publication, now and whenever there is another one, until cancelled.

    What keeps the topic or its newest rulebook from being read is logged once; the last rulebook stays.
    """
    why = ""
    while True:
        try:
            async with open_log(settings) as topic:
                await _follow(topic, use)
        except (SettingsError, RulebookError, KafkaError, OSError) as error:
            text = str(error) or type(error).__name__
            if text != why:
                log.warning("cannot follow published rulebooks", why=text)
            why = text
        await asyncio.sleep(RETRY_S)


async def _follow(topic: RulebookLog, use: Use) -> None:
    taken = -1
    while True:
        await topic.poll()
        newest = topic.history.newest
        if newest is not None and newest.offset != taken:
            taken = newest.offset
            use(await asyncio.to_thread(read_published, newest), topic.history)
        await asyncio.sleep(POLL_S)
