"""What a worker asks of the broker beside its input: are the topics as they were, and is the stored state complete?

Both are the operator's to decide: a worker that finds something stops, and its words name a remedy.
"""

import time
from asyncio import sleep
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import structlog

from vigil.agents.faust.adapter import SubjectTopics
from vigil.agents.ports import Membership, TopicPartition
from vigil.agents.shard_runner import ShardRunner
from vigil.app.engine.changelog import CheckpointMarker, StoredStateError
from vigil.app.kafka.admin import check_equal
from vigil.app.kafka.settings import SettingsError
from vigil.app.runtime.cut_logs import CUT_REMEDY, THIN_REMEDY, CutLog, ThinLog, cut_words, thin_words
from vigil.app.runtime.source_watch import SourceWatch
from vigil.topics.catalog import SubjectName

Beginnings = Callable[[Collection[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]

log: Final = structlog.get_logger("vigil.worker")

PARTITIONS_EVERY_S: Final = 30.0
"""How often the number of partitions of each topic is looked at, and a part of the sources."""

PAUSE_S: Final = 2.0
"""A worker that was stopped for so long looks at all its sources as soon as it goes on: its topics may be others."""

LOOK_S: Final = 1.0
"""How often a worker looks whether it was stopped."""


class BrokerChecks:
    """The checks of one worker."""

    def __init__(
        self,
        membership: Membership,
        beginnings: Beginnings,
        topics: Mapping[SubjectName, SubjectTopics],
        state_lost: bool,
        sources: SourceWatch | None = None,
    ) -> None:
        """`beginnings`: where logs begin (`SourceFeed.beginnings`); `topics`: as they were when the worker started.

        `state_lost`: the setting of this name, by which an operator accepts that stored state is gone.
        """
        self._membership = membership
        self._beginnings = beginnings
        self._topics = topics
        self._state_lost = state_lost
        self._sources = sources
        self._compared = -PARTITIONS_EVERY_S
        """When all sources were compared at once (`time.monotonic`)."""

    async def watch(self, stopping: Callable[[], bool]) -> None:
        """Look at the partitions and the sources again and again; raise what `partitions` and `SourceWatch` raise."""
        looked, paused = time.monotonic(), False
        while not stopping():
            pause = min(LOOK_S, PARTITIONS_EVERY_S)
            asleep = time.monotonic()
            await sleep(pause)
            now = time.monotonic()
            paused = paused or now - asleep - pause > PAUSE_S
            if stopping():  # the client may be gone
                return
            if self._sources is not None and paused and now - self._compared >= PARTITIONS_EVERY_S:
                self._compared, paused = now, False
                await self._sources.look(everywhere=True)
            if now - looked >= PARTITIONS_EVERY_S:
                looked = now
                await self.partitions()
                if self._sources is not None and not stopping():
                    await self._sources.look()

    async def partitions(self) -> None:
        """Raise SettingsError where a topic has another number of partitions than when the worker started."""
        names = [name for topics in self._topics.values() for name in (*topics.sources, topics.changelog)]
        counts = await self._membership.partition_counts(names)
        for subject, topics in self._topics.items():
            own = {name: counts[name] for name in (*topics.sources, topics.changelog) if name in counts}
            check_equal(subject, own)
            for name, count in own.items():
                if count != topics.partitions:
                    raise SettingsError(
                        f"topics: the topics of the {subject} shards had {topics.partitions} partitions when this "
                        f"worker started, but {name} has {count}; create them again with one number, or correct the "
                        "one that differs"
                    )

    async def stored_state(self, runners: Collection[ShardRunner]) -> None:
        """Compare the stored state of shards that were just restored with the offsets that the group has committed.

        An offset is committed after the state that belongs to it was stored. Raise StoredStateError where a shard that
        has judged something has no state, or where the log of its state has lost its beginning or keys; a warning is
        logged where it has an older one, which the worker brings up to date from the input.
        """
        await self._whole_logs(runners)
        self._all_keys(runners)
        everywhere = [
            TopicPartition(name, number)
            for topics in self._topics.values()
            for name in topics.sources
            for number in range(topics.partitions)
        ]
        # The offset 0 says that nothing was read: a migration commits it.
        reported = await self._membership.committed(everywhere)
        committed = {tp: offset for tp, offset in reported.items() if offset > 0}
        # The group's offsets may have expired. Then the state of other shards shows that this is no new application.
        known = bool(committed) or not any(_has_read(runner) for runner in runners)
        for runner in runners:
            offsets = {source.tp: committed[source.tp] for source in runner.sources if source.tp in committed}
            if (marker := runner.shard.store.marker) is not None:
                self._warn_of_lost_end(runner, marker, offsets)
            elif offsets or not known:
                self._state_is_gone(runner, offsets)

    async def _whole_logs(self, runners: Collection[ShardRunner]) -> None:
        """Compare the beginnings of the changelogs with those that the state knows: compaction never moves them."""
        begins = await self._beginnings([self._changelog_of(runner) for runner in runners])
        cut = []
        for runner in runners:
            marker, begin = runner.shard.store.marker, begins[self._changelog_of(runner)]
            if marker is not None and begin > marker.log_begin:
                cut.append(CutLog(self._changelog_of(runner), begin, marker.log_begin))
            runner.shard.accept_log_begin(begin)
        if cut and not self._state_lost:
            raise StoredStateError(f"{cut_words(cut)}. {CUT_REMEDY}")
        if cut:
            log.warning("state lost", what=cut_words(cut), then="state_lost is set: what is left is kept")

    def _all_keys(self, runners: Collection[ShardRunner]) -> None:
        """Compare the number of keys that were restored with that which the last checkpoint of each shard had."""
        thin = []
        for runner in runners:
            store = runner.shard.store
            if store.marker is not None and len(store.main) < store.marker.keys:
                thin.append(ThinLog(self._changelog_of(runner), len(store.main), store.marker.keys))
        if thin and not self._state_lost:
            raise StoredStateError(f"{thin_words(thin)}. {THIN_REMEDY}")
        if thin:
            log.warning("state lost", what=thin_words(thin), then="state_lost is set: what is left is kept")

    def _changelog_of(self, runner: ShardRunner) -> TopicPartition:
        return TopicPartition(self._topics[runner.subject].changelog, runner.partition)

    def _state_is_gone(self, runner: ShardRunner, offsets: Mapping[TopicPartition, int]) -> None:
        changelog = self._topics[runner.subject].changelog
        evidence = "although the state of other shards is there"
        if offsets:
            read = ", ".join(f"{offset} of {tp.topic}" for tp, offset in sorted(offsets.items()))
            evidence = f"although this application has judged its input up to the offsets {read}"
        shard = f"{runner.subject}, partition {runner.partition}"
        words = f"the state of {shard}, is lost: {changelog} is empty there, {evidence}"
        if not self._state_lost:
            raise StoredStateError(
                f"{words}. Restore the topic from a backup; or set `state_lost` (VIGIL_STATE_LOST=true) until all "
                "workers have started: what the input topics still have is judged again, what they do not have any "
                'more is forgotten (docs/operations.md, "Lost state")'
            )
        log.warning("state lost", what=words, then="state_lost is set: judged again from what the input topics have")

    def _warn_of_lost_end(
        self, runner: ShardRunner, marker: CheckpointMarker, offsets: Mapping[TopicPartition, int]
    ) -> None:
        """Compare what was stored, not where reading goes on: a source that has lost records has its own words."""
        behind = {
            source.tp: offsets[source.tp] - stored.committed_offset
            for source, stored in zip(runner.sources, marker.sources, strict=False)
            if offsets.get(source.tp, 0) > stored.committed_offset
        }
        if behind:
            log.warning(
                "changelog lost its end",
                topic=self._topics[runner.subject].changelog,
                partition=runner.partition,
                older_by={tp.topic: number for tp, number in sorted(behind.items())},
                then="the messages since are judged again; what is published again has the same identity",
            )


def _has_read(runner: ShardRunner) -> bool:
    marker = runner.shard.store.marker
    return marker is not None and any(source.read_offset > 0 for source in marker.sources)
