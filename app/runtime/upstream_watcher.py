"""Recorded data: when everything is written that a subject reads and other subjects write.

Such a subject (hosts read verdicts) receives records in no order of event time. With a live clock that does not matter;
recorded data has an end, and the end must not come before the last record. A worker learns from the committed offsets
of the group whether the inputs were read to their ends: the last offset of a partition is committed only after the
final outputs of its shard (`CheckpointSettings.recorded`).

    all committed to their ends ──the same ends a poll later──▶ nothing more comes: written

Ends and commits cannot be asked for at one instant. What a shard has published after the ends were asked for, and
before its commit, shows in the ends of the next poll: so the way from rooms to suppliers and back is waited for, too.
"""

import asyncio
from collections.abc import Callable, Mapping
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

Ends = Mapping[TopicPartition, int]
"""An offset of each partition: its end, or what is committed."""

POLL_S: Final = 0.2
"""How often the committed offsets are asked for: the end of recorded data comes up to twice as much later."""


class UpstreamWatcher:
    """Keeps `written_at` up to date."""

    def __init__(
        self,
        settings: Settings,
        feed: SourceFeed,
        upstream: Mapping[SubjectName, tuple[str, ...]],
        ready: Callable[[], bool],
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        """`upstream`: the topics from which what each subject reads is made. `ready`: False during a rebalance."""
        self._wall_ms = wall_ms
        self._settings = settings
        self._feed = feed
        self._upstream = upstream
        self._ready = ready
        self.written_at: dict[SubjectName, int | None] = dict.fromkeys(upstream)
        """Since when (wall clock, ms) all that flows into the subject is written; None: not yet."""
        self._committed_ends: dict[SubjectName, Ends] = {}
        """The ends at which all was committed in the last poll."""

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
        began = self._wall_ms()
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
            self._note(subject, {tp: end for tp, end in ends.items() if tp.topic in inputs}, committed, began)

    def _note(self, subject: SubjectName, ends: Ends, committed: Ends, began: int) -> None:
        """Note what one poll shows of a subject; `began`: when it began."""
        before = self._committed_ends.pop(subject, None)
        whole = _all_committed(ends, committed)
        if whole:
            self._committed_ends[subject] = ends
        if not whole or ends != before:
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
        self._committed_ends.clear()
        self.written_at.update(dict.fromkeys(self._upstream))


def _all_committed(ends: Ends, committed: Ends) -> bool:
    """True if every partition is committed to its end; an empty one needs no commit."""
    return all(end == 0 or committed.get(tp, -1) >= end for tp, end in ends.items())
