"""Checkpoints: state and outbox first, then the outputs, then the offsets. Any failure stops the worker (I-17).

    snapshot (one instant) ─▶ changelog … MARKER ─acked─▶ outputs ─acked─▶ offsets committed once an interval

A crash between any two steps repeats outputs at most, with the same identity and content (I-6, I-11). If outputs were
published before the state is stored, a verdict could be published that a restart does not reach again, because idleness
may fall differently. See app/engine/changelog.py for what makes a checkpoint count as a whole, and who may write one.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from vigil.agents.checkpoint_schedule import CheckpointSchedule, DueShard
from vigil.agents.ports import OutputRecord, Ports, TopicPartition
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardRunner
from vigil.agents.steps import Step
from vigil.agents.wall_clock import wall_ms
from vigil.agents.worker_clock import WorkerClock
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.snapshot import Snapshot
from vigil.topics.catalog import TOPICS
from vigil.topics.envelope import SOURCE, cloud_event_headers, stamp, without_value

T = TypeVar("T")

STAMPED: Final = frozenset(topic.name for topic in TOPICS if topic.stamped)
"""Outputs that carry the time at which they were published."""

LATEST_VALUES: Final = frozenset(topic.name for topic in TOPICS if topic.compacted)
"""Outputs that show the latest state of a key. Those that happen once, such as verdicts, are sent before them."""

TIMEOUT_S: Final = 30.0
"""Maximum time for each step of a checkpoint. A broker that takes longer is taken for unavailable: the worker stops,
and waits for the broker after its restart."""


class BrokerTimeout(Exception):
    """The broker did not accept something in time; a restart reads again what it does not have."""


class FencedError(Exception):
    """Another worker wrote to a shard's changelog, or the group refused a commit: this worker does not own it."""


class RecordTooLarge(Exception):
    """The broker refuses an output as too large for its topic; the text names a remedy."""


@dataclass(frozen=True)
class CheckpointSettings:
    """When checkpoints are written."""

    interval_ms: int = 1000
    """Changed state is written this often; offsets are committed this often."""
    grouping_ms: int = 20
    """Outputs are written at once, but not more often than this: those that come close together share a checkpoint."""
    recorded: bool = False
    """Recorded data: commit the last offset of a partition only after the shard's final outputs are published, so that
    others can see by the committed offsets when everything is done."""
    source: str = SOURCE
    """The `ce_source` of the outputs."""


class CheckpointObserver(Protocol):
    """Learns what was written."""

    def written(self, seconds: float, records: int) -> None:
        """A checkpoint of so many changelog records was written."""

    def sent(self, runner: ShardRunner, outputs: Sequence[OutboxMessage], now: int) -> None:
        """The broker has these outputs of a shard; `now`: when they were sent (wall clock, ms)."""

    def step(self, step: Step, seconds: float) -> None:
        """A step of a checkpoint with outputs took so long."""


class _Taken(NamedTuple):
    """The snapshot of one shard."""

    runner: ShardRunner
    snapshot: Snapshot
    ended: bool
    """The shard had reached the end of its input."""


class Checkpointer:
    """Writes the snapshots of all shards of a worker, one checkpoint at a time."""

    def __init__(
        self,
        manager: ShardManager,
        ports: Ports,
        settings: CheckpointSettings,
        observer: CheckpointObserver,
        clock: WorkerClock | None = None,
    ) -> None:
        """`clock`: learns the broker's time with every checkpoint."""
        self._manager = manager
        self._ports = ports
        self._settings = settings
        self._observer = observer
        self._clock = clock or WorkerClock()
        self._lock = asyncio.Lock()
        self._offsets: dict[TopicPartition, int] = {}
        """To commit."""
        self._schedule = CheckpointSchedule(manager, settings.interval_ms, settings.grouping_ms)
        self.assignment = 0
        """Number of the current assignment: a checkpoint that a rebalance has overtaken commits nothing."""

    async def write_if_due(self) -> None:
        """Write what is due by now: shards with outputs at once, all of them every interval."""
        due = self._schedule.next()
        if due is not None:
            await self._write(due.shards, due.commit)

    async def write(self, runners: Iterable[ShardRunner], *, commit: bool = True) -> None:
        """Write a checkpoint of the shards as of this instant; nothing of those that were revoked, before or meanwhile.

        Raises BrokerTimeout, FencedError, RecordTooLarge and what the client raises.
        """
        owned = [DueShard(runner) for runner in runners if self._manager.shards.get(runner.id) is runner]
        if owned:
            await self._write(owned, commit)

    async def _write(self, due: Sequence[DueShard], commit: bool, acquire: bool = False) -> None:
        assignment = self.assignment
        async with self._lock:
            if assignment == self.assignment:
                await self._checkpoint(due, commit, acquire)

    async def acquire(self) -> None:
        """Write the first checkpoint of every assigned shard: it fences the former owners and sends outboxes again."""
        self._offsets.clear()
        self._schedule.clear()
        await self._write(list(map(DueShard, self._manager.shards.values())), commit=False, acquire=True)

    async def write_last(self) -> None:
        """Write the checkpoint before partitions are revoked or the worker ends, and that all its outputs are sent."""
        async with self._lock:
            runners = list(self._manager.shards.values())
            self._manager.release()  # what arrives now is left to the next owner
            await self._checkpoint([DueShard(each) for each in runners if each.shard.has_unsaved_state], commit=False)
            # Without a second checkpoint the next owner would send the outbox of the last one again.
            await self._checkpoint([DueShard(each) for each in runners if each.has_outbox])
            self.invalidate()  # a checkpoint that waits for the lock must not be written

    def invalidate(self) -> None:
        """The partitions are being revoked: a checkpoint that is being written does not commit any more."""
        self.assignment += 1
        self._schedule.clear()

    async def _checkpoint(self, due: Iterable[DueShard], commit: bool = True, acquire: bool = False) -> None:
        assignment = self.assignment
        started = time.monotonic()
        taken = self._take_snapshots(due, acquire)
        if taken:
            awaited = self._end_waits(taken, started)
            await in_time(self._write_state(taken), TIMEOUT_S, "a checkpoint's state")
            stored = time.monotonic()
            await in_time(self._send_outputs(taken), TIMEOUT_S, "a checkpoint's outputs")
            ended = time.monotonic()
            if awaited:
                self._observer.step("checkpoint", stored - started)
                self._observer.step("send", ended - stored)
            records = sum(len(each.snapshot.records) for each in taken)
            self._observer.written(ended - started, records)
        for each in taken:
            self._note_written(each)
        if commit and assignment == self.assignment:  # otherwise an error has stopped the worker meanwhile
            await self._commit_offsets(assignment)

    def _end_waits(self, taken: Sequence[_Taken], started: float) -> bool:
        """Note how long verdicts and notices waited for this checkpoint; False if none did."""
        runners = [each.runner for each in taken if each.runner.waits_since]
        for runner in runners:
            self._observer.step("wait", max(0.0, started - runner.waits_since))
            runner.waits_since = 0.0
        return bool(runners)

    def _take_snapshots(self, due: Iterable[DueShard], acquire: bool) -> list[_Taken]:
        cpu = time.thread_time()
        taken = []
        for runner, between in due:
            shard = runner.shard
            snapshot = shard.acquire() if acquire else shard.snapshot(final=runner.ended, between=between)
            runner.stored_at = time.monotonic()
            taken.append(_Taken(runner, snapshot, runner.ended))
        self._schedule.took(time.thread_time() - cpu)
        return taken

    def _note_written(self, taken: _Taken) -> None:
        runner, snapshot, ended = taken
        runner.has_outbox = bool(snapshot.outputs)
        for source, offset in zip(runner.sources, snapshot.committed_offsets, strict=True):
            commits_all = ended or not self._settings.recorded
            self._offsets[source.tp] = offset if commits_all else min(offset, source.end - 1)

    async def _write_state(self, taken: Sequence[_Taken]) -> None:
        changelog, clock = self._ports.changelog, self._clock
        pending = []
        began = clock.now()
        for runner, snapshot, _ in taken:
            records = snapshot.changelog()
            append = await changelog.append(runner.subject, runner.partition, records)
            pending.append((runner, snapshot, len(records), append))
        for runner, snapshot, count, append in pending:
            end = await append.acknowledged()
            if append.appended_at is not None:
                clock.compare(began, append.appended_at, clock.now())
            added = end - changelog.known_end(runner.subject, runner.partition)
            if added != count:
                # Records of another writer, or ours twice: the log does not contain what this worker believes.
                raise FencedError(
                    f"the changelog of {runner.subject}, partition {runner.partition}, has {added} new records "
                    f"where this worker wrote {count}; a restart reads it again"
                )
            changelog.confirm_end(runner.subject, runner.partition, end)
            runner.shard.confirm(snapshot)

    async def _send_outputs(self, taken: Sequence[_Taken]) -> None:
        now = wall_ms()
        records = [
            _output_record(output, now, self._settings.source)
            for _, snapshot, _ in taken
            for output in snapshot.outputs
        ]
        if records:
            await self._send(sorted(records, key=lambda record: record.topic in LATEST_VALUES))
        for runner, snapshot, _ in taken:
            if snapshot.outputs:
                self._observer.sent(runner, snapshot.outputs, now)

    async def _send(self, records: Sequence[OutputRecord]) -> None:
        too_large = await self._ports.outputs.send(records)
        if too_large:
            # A message that its dead letter cannot carry must not stop the worker for ever: the dead letter is sent
            # without it.
            too_large = await self._ports.outputs.send([_without_value(record) for record in too_large])
        if too_large:
            raise _too_large(too_large[0])

    async def _commit_offsets(self, assignment: int) -> None:
        offsets, self._offsets = self._offsets, {}
        offsets = {tp: offset for tp, offset in offsets.items() if offset > 0}
        if not offsets:
            return
        committed = await in_time(self._ports.membership.commit(offsets), TIMEOUT_S, "offsets")
        if not committed and assignment == self.assignment:
            raise FencedError("the group refused a commit: this worker is not its member any more, or may not be")


async def in_time(step: Awaitable[T], seconds: float, what: str) -> T:
    """Wait for a step; raise BrokerTimeout if it takes longer. `what`: what the broker is to accept."""
    try:
        return await asyncio.wait_for(step, seconds)
    except TimeoutError as error:
        raise BrokerTimeout(f"the broker did not accept {what} within {seconds:g} s") from error


def _output_record(output: OutboxMessage, now: int, source: str) -> OutputRecord:
    payload = output.payload
    if payload is not None and output.topic in STAMPED:
        payload = stamp(payload, now)
    headers = cloud_event_headers(output.topic, output.id, output.at, source)
    return OutputRecord(output.topic, output.key, payload, headers)


def _without_value(record: OutputRecord) -> OutputRecord:
    """A dead letter without its message; raise RecordTooLarge for any other output."""
    if record.topic != "dead-letter" or record.value is None:
        raise _too_large(record)
    return record._replace(key=None, value=without_value(record.value))


def _too_large(record: OutputRecord) -> RecordTooLarge:
    size = len(record.key or b"") + len(record.value or b"")
    return RecordTooLarge(
        f"the broker refuses a message of {size} bytes for {record.topic}: raise max.message.bytes of this topic"
    )
