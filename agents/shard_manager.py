"""The shards that this worker owns. No rule and no subject is known here.

assigned ─▶ restored from the mirrors ─▶ acquired (fenced, repaired, outbox sent again) ─▶ fed
revoked  ─▶ a last checkpoint, then released: what was not committed is read again by the next owner
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from vigil.agents.ports import Batch, Membership, TopicPartition
from vigil.agents.shard_runner import ShardEnvironment, ShardId, ShardRunner
from vigil.app.engine.shard import AnyShard
from vigil.topics.catalog import SubjectName

TIME_SLICE_S: Final = 0.2
"""Maximum time for the watermarks of all shards in one tick, and for one batch. Fetches and checkpoints wait that long,
and so does the latency of every other shard; a much shorter slice would spend its time on checking the time."""


class TopicMismatch(Exception):
    """A source topic is not the one that the stored state comes from; the text names a remedy."""


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
        self.shards: dict[tuple[SubjectName, int], ShardRunner] = {}
        self._next = self._next_behind = 0
        """The shard with which the next tick starts, of those that keep up and of those that are behind."""

    # ---- ownership --------------------------------------------------------------------------------------------

    async def assign(self) -> None:
        """Make a shard of every assigned partition.

        The ends of its sources are asked of the broker first, so that none of them is taken for idle. Raises
        RuntimeError if the group has assigned the topics of a shard to different workers, and TopicMismatch.
        """
        feed = self._environment.feed
        tps = self._membership.assigned(self._source_indices)
        ends = await feed.ends(tps)
        beginnings = await feed.beginnings(tps)
        self.shards.clear()
        for subject, topics in self._topics.items():
            for partition in sorted({tp.partition for tp in tps if tp.topic in topics}):
                own = [TopicPartition(topic, partition) for topic in topics]
                missing = [tp.topic for tp in own if tp not in tps]
                if missing:
                    raise RuntimeError(
                        f"partition {partition} of {', '.join(missing)} was assigned to another worker than the other "
                        f"topics of {subject}"
                    )
                shard = self._new_shard(subject, partition)
                self._position_sources(shard, own, ends, beginnings)
                self.shards[subject, partition] = ShardRunner(
                    ShardId(subject, partition), shard, own, ends, self._environment
                )

    def _position_sources(
        self,
        shard: AnyShard,
        tps: Sequence[TopicPartition],
        ends: Mapping[TopicPartition, int],
        beginnings: Mapping[TopicPartition, int],
    ) -> None:
        for source, tp in zip(shard.sources, tps, strict=True):
            if source.committed_offset > ends[tp] and self._environment.policy.exact_ends:
                raise TopicMismatch(
                    f"{tp.topic}, partition {tp.partition}, ends at {ends[tp]}, before the offset "
                    f"{source.committed_offset} up to which the stored state has read it: was the topic deleted and "
                    "created again? Then delete the state topics of this application, or give it another name "
                    "(`app_id`)"
                )
            if source.read_offset < beginnings[tp]:  # retention has deleted what was before
                if source.committed_offset:  # a new application never wanted it
                    shard.collector.count(f"skipped:{tp.topic}", beginnings[tp] - source.read_offset)
                source.committed_offset = source.read_offset = beginnings[tp]

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
