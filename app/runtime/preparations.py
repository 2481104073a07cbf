"""What a worker makes ready before it runs: its interpreter, and what it needs on the cluster."""

import asyncio
import faulthandler
import sys

from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.acls import check_rights, needed
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.migration import check_migrated
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.ownership import check_outputs
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.interpreter import stop_automatic_passes
from vigil.topics.catalog import SubjectName


def tune_process() -> None:
    """Prepare the interpreter for many long-lived objects and few reference cycles."""
    if sys.platform != "win32":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    faulthandler.enable()  # a crash in a library's C code shows where
    stop_automatic_passes()  # the worker makes them between its work


async def prepare_cluster(settings: Settings) -> dict[SubjectName, int]:
    """Create missing topics and return the partitions of each subject; raise SettingsError if anything does not fit."""
    partitions = await ensure_topics(settings, REGISTRY.sources)
    await check_rights(settings, needed(TopicNames.of(settings), REGISTRY.sources))
    await check_migrated(settings)
    await check_outputs(settings)
    return partitions
