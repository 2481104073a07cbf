"""Recorded data: when everything is written that a subject reads and other subjects write.

Such a subject (hosts read verdicts) receives records in no order of event time. With a live clock that does not matter;
recorded data has an end, and the end must not come before the last record. A worker learns from the committed offsets
of the group whether the inputs were read to their ends: the last offset of a partition is committed only after the
final outputs of its shard (`CheckpointSettings.recorded`).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition as ClientPartition

from vigil.agents.ports import SourceFeed, TopicPartition
from vigil.agents.wall_clock import wall_ms
from vigil.app.kafka.clients import new_admin
from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import SubjectName

log: Final = structlog.get_logger("vigil.worker")

POLL_S: Final = 0.2
"""How often the committed offsets are asked for: the end of recorded data may come as much later."""


class UpstreamWatcher:
    """Keeps `written_at` up to date."""

    def __init__(
        self,
        settings: Settings,
        feed: SourceFeed,
        upstream: Mapping[SubjectName, tuple[str, ...]],
        ready: Callable[[], bool],
    ) -> None:
        """`upstream`: the inputs on which each subject depends. `ready`: False during a rebalance."""
        self._settings = settings
        self._feed = feed
        self._upstream = upstream
        self._ready = ready
        self.written_at: dict[SubjectName, int | None] = dict.fromkeys(upstream)
        """Since when (wall clock, ms) all that flows into the subject is written; None: not yet."""

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Watch until `stopping` is true."""
        admin = new_admin(self._settings, "watch")
        await admin.start()
        try:
            while not stopping():
                await asyncio.sleep(POLL_S)
                if self._ready():
                    await self._poll(admin)
                else:
                    self._reset()
        finally:
            await admin.close()

    async def _poll(self, admin: AIOKafkaAdminClient) -> None:
        began = wall_ms()
        topics = {topic for inputs in self._upstream.values() for topic in inputs}
        ends: dict[TopicPartition, int] = {}
        committed: dict[TopicPartition, int] = {}
        try:
            ends = await self._feed.all_ends(topics)
            committed = await self._committed(admin, ends)
        except KafkaError as error:  # the broker is away: asked again when it is back
            log.debug("cannot ask for committed offsets", why=str(error))
            ends = {}
        if not topics <= {tp.topic for tp in ends}:
            self._reset()
            return
        for subject, inputs in self._upstream.items():
            if not _all_committed(inputs, ends, committed):
                self.written_at[subject] = None
            elif self.written_at[subject] is None:
                self.written_at[subject] = began

    async def _committed(
        self, admin: AIOKafkaAdminClient, ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        partitions = [ClientPartition(*tp) for tp in ends]
        offsets = await admin.list_consumer_group_offsets(self._settings.app_id, partitions=partitions)
        return {TopicPartition(*tp): committed.offset for tp, committed in offsets.items()}

    def _reset(self) -> None:
        self.written_at.update(dict.fromkeys(self._upstream))


def _all_committed(
    topics: Collection[str], ends: Mapping[TopicPartition, int], committed: Mapping[TopicPartition, int]
) -> bool:
    """True if every partition of these topics is committed to its end; an empty one needs no commit."""
    return all(end == 0 or committed.get(tp, -1) >= end for tp, end in ends.items() if tp.topic in topics)
