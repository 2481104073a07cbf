"""The shards that this worker owns. No rule and no subject is known here.

assigned ─▶ restored from the mirrors ─▶ acquired (fenced, repaired, outbox sent again) ─▶ fed
revoked  ─▶ a last checkpoint, then released: what was not committed is read again by the next owner
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from vigil.agents.ports import Batch, Membership, TopicPartition
from vigil.agents.shard_runner import ShardEnvironment, ShardId, ShardRunner
from vigil.agents.source_check import SourceCheck, SourceFinding, StoredSource, lost_counts
from vigil.app.engine.shard import AnyShard
from vigil.topics.catalog import SubjectName

TIME_SLICE_S: Final = 0.03
"""Maximum time for the watermarks of all shards in one tick, and for one batch. Fetches and checkpoints wait that long,
and so does a verdict of every other shard, which then waits for a checkpoint, too: 100 ms in all."""


class ShardManager:
    """All shards of this worker. Implements `BatchReceiver`."""

    def __init__(
        self,
        membership: Membership,
        environment: ShardEnvironment,
        topics: Mapping[SubjectName, Sequence[str]],
        new_shard: Callable[[SubjectName, int], AnyShard],
    ) -> None:
        """`topics`: of each subject by source index. `new_shard`: a shard from what the mirror has restored."""
        self._membership = membership
        self._environment = environment
        self._topics = topics
        self._new_shard = new_shard
        self._source_indices = {
            topic: (subject, index) for subject, own in topics.items() for index, topic in enumerate(own)
        }
        self.findings: list[SourceFinding] = []
        """What was not as the stored state had left it, at the last assignment."""
        self.shards: dict[tuple[SubjectName, int], ShardRunner] = {}
        self.held = False
        """Nothing is ingested, nothing is judged: the worker does not know the time."""
        self._next = self._next_behind = 0
        """The shard with which the next tick starts, of those that keep up and of those that are behind."""

    # ---- ownership --------------------------------------------------------------------------------------------

    async def assign(self) -> None:
        """Make a shard of every assigned partition.

        The ends of its sources are asked of the broker first, so that none of them is taken for idle. What is not as
        the stored state has left it is in `findings`. Raises RuntimeError if the group has assigned the topics of a
        shard to different workers.
        """
        feed = self._environment.feed
        tps = self._membership.assigned(self._source_indices)
        ends = await feed.ends(tps)
        beginnings = await feed.beginnings(tps)
        self.shards.clear()
        shards: dict[ShardId, tuple[AnyShard, list[TopicPartition]]] = {}
        for subject, topics in self._topics.items():
            for partition in sorted({tp.partition for tp in tps if tp.topic in topics}):
                own = [TopicPartition(topic, partition) for topic in topics]
                missing = [tp.topic for tp in own if tp not in tps]
                if missing:
                    raise RuntimeError(
                        f"partition {partition} of {', '.join(missing)} was assigned to another worker than the other "
                        f"topics of {subject}"
                    )
                shards[ShardId(subject, partition)] = self._new_shard(subject, partition), own
        stored = {
            tp: StoredSource(
                source.committed_offset, source.stored_read_offset, source.stored_max_event_time, source.identities
            )
            for shard, own in shards.values()
            for source, tp in zip(shard.sources, own, strict=True)
        }
        check = SourceCheck(feed, stored, ends, beginnings, self._environment.policy.exact_ends)
        self.findings = await check.findings()
        by_tp = {finding.tp: finding for finding in self.findings}
        for id_, (shard, own) in shards.items():
            self._position_sources(shard, [by_tp.get(tp) for tp in own], self._environment.wall_ms())
            self.shards[id_] = ShardRunner(id_, shard, own, ends, self._environment)

    @staticmethod
    def _position_sources(shard: AnyShard, findings: Sequence[SourceFinding | None], now: int) -> None:
        """Set each source to the offset at which reading continues, and count the records that were lost."""
        for source, finding in zip(shard.sources, findings, strict=True):
            if finding is None:
                continue
            source.change = finding.change(now)
            if finding.kind == "recreated":
                source.restart(finding.resume)
            elif finding.kind == "truncated":
                source.cut(finding.resume)
            else:
                source.advance(finding.resume)
        for name, number in lost_counts([finding for finding in findings if finding is not None]):
            shard.collector.count(name, number)

    def positions(self) -> dict[TopicPartition, int]:
        """From where each source partition is to be read."""
        return {source.tp: source.position.read_offset for runner in self.shards.values() for source in runner.sources}

    def release(self) -> None:
        """Release every shard; what was not committed is read again by whoever owns it next."""
        self.shards.clear()

    # ---- data -------------------------------------------------------------------------------------------------

    def ingest(self, batch: Batch) -> Batch | None:
        """Ingest one batch and judge what it allows; return the rest if other shards are to have their turn first."""
        topic, partition = batch.tp
        subject, source_index = self._source_indices[topic]
        runner = self.shards.get((subject, partition))
        if runner is None:  # revoked meanwhile
            return None
        if self.held or runner.held:
            return batch
        return runner.ingest(source_index, batch, time.monotonic() + TIME_SLICE_S)

    def tick(self) -> None:
        """Advance watermarks where nothing arrives; call it every few milliseconds."""
        now = self._environment.wall_ms()
        slice_end = time.monotonic() + TIME_SLICE_S
        shards = self.shards.values()
        # Those that keep up come first: after an outage others have much to do, and each of them takes its time.
        prompt = [runner for runner in shards if not runner.behind]
        behind = [runner for runner in shards if runner.behind]
        self._next = _advance(prompt, self._next, now, slice_end)
        self._next_behind = _advance(behind, self._next_behind, now, slice_end)

    def backlog(self) -> int:
        """Records that exist and were not read yet."""
        return sum(runner.backlog() for runner in self.shards.values())

    # ---- gaps in the offsets ----------------------------------------------------------------------------------

    def has_gaps(self) -> bool:
        """True if offsets were jumped over and `count_skipped` was not called since."""
        return any(source.gap is not None for runner in self.shards.values() for source in runner.sources)

    async def count_skipped(self) -> None:
        """Count the records that retention deleted before they were read.

        Not every gap is one: the end of a transaction and compaction leave gaps, too.
        """
        gaps: dict[TopicPartition, tuple[int, int]] = {}
        for runner in self.shards.values():
            for source in runner.sources:
                if source.gap is not None:
                    gaps[source.tp] = source.gap
                    source.gap = None
        beginnings = await self._environment.feed.beginnings(gaps.keys())
        for tp, (gap_begin, gap_end) in gaps.items():
            owner = self.shards.get((self._source_indices[tp.topic][0], tp.partition))
            skipped = min(beginnings[tp], gap_end) - gap_begin
            if owner is not None and skipped > 0:
                owner.shard.collector.count(f"skipped:{tp.topic}", skipped)


def _advance(shards: Collection[ShardRunner], first: int, now: int, slice_end: float) -> int:
    """Advance at least one shard, and others while time lasts, from number `first`; return with which to start next."""
    ordered = list(shards)
    begin = first % len(ordered) if ordered else 0
    for number, runner in enumerate((*ordered[begin:], *ordered[:begin]), start=begin + 1):
        runner.advance(now, slice_end)
        if runner.paused:
            runner.throttle()
        if time.monotonic() >= slice_end:
            return number
    return 0
