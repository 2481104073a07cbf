"""Checkpoints: state and outbox first, then the outputs, then the offsets; whatever fails stops the worker.

    snapshot (one instant) ─▶ changelog … MARKER ─acked─▶ outputs ─acked─▶ offsets committed, now and then

A crash between any two steps repeats outputs at most, with the same identity and content; see
app/engine/changelog.py for what makes a checkpoint count as a whole, and who may write one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.errors import MessageSizeTooLargeError
from faust.types import TP

from vigil.agents.faust.batches import FaustSourceFeed, MirrorTable, changelog_batch
from vigil.agents.shard_manager import ShardManager, ShardRunner, wall_ms
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import cloud_event_headers, stamp, without_value

STAMPED: Final = frozenset({"verdict", "verdict-shadow"})
"""Outputs that tell when they were published."""

MOST_OF_THE_TIME: Final = 4
"""A checkpoint that took some CPU time is followed by so many times as much work."""

TIMEOUT_S: Final = 30.0

CATCHING_UP: Final = 10_000
"""Messages that wait to be read: from so many on, outputs wait for the next interval."""


class BrokerTimeout(Exception):
    """The broker did not take something in time; a restart reads again what is not with it."""


class FencedError(Exception):
    """Somebody else wrote to a shard's changelog: this worker does not own the shard any more."""


class Checkpointer:
    """Writes the snapshots of all shards of a worker."""

    def __init__(
        self,
        owner: ShardManager,
        feed: FaustSourceFeed,
        tables: dict[SubjectName, MirrorTable],
        producer: Callable[[], Any],
        recorded: bool = False,
        marker_alone: bool = False,
        interval_ms: int = 1000,
        group_ms: int = 20,
        on_sent: Callable[[ShardRunner, Sequence[Any], int], None] = lambda held, outputs, at: None,
        on_written: Callable[[float, int], None] = lambda seconds, records: None,
        new_batch: Callable[[], Any] = changelog_batch,
    ) -> None:
        """`producer`: the aiokafka producer of the moment. `on_sent`: called with a shard's outputs once acked.

        `new_batch`: an empty batch for a changelog.
        `marker_alone`: a broker that tells the base of the last batch as the end of the log needs a marker of its own;
        elsewhere a checkpoint of usual size is one batch, which the log has as a whole or not at all.
        `recorded`: the last offset of a partition is committed only when its shard has said its last word, so that
        whoever waits for all of it can tell by what is committed.
        """
        self._recorded = recorded
        self._marker_alone = marker_alone
        self._owner = owner
        self._feed = feed
        self._tables = tables
        self._producer = producer
        self._interval = interval_ms / 1000
        self._group = group_ms / 1000
        self._on_sent = on_sent
        self._on_written = on_written
        self._new_batch = new_batch
        self._lock = asyncio.Lock()
        self._committed: dict[TP, int] = {}
        self._last_full = 0.0
        self._next = 0.0
        self.epoch = 0
        """Ownership as a whole: a checkpoint that a rebalance has overtaken does not commit."""

    async def when_due(self) -> None:
        """Write what is due by now: shards with outputs at once, all of them every interval."""
        now = time.monotonic()
        if now < self._next:
            return
        full = now - self._last_full >= self._interval
        due = [
            held
            for held in self._owner.shards.values()
            if held.shard.has_urgent_outputs or (full and held.shard.has_unsaved_state)
        ]
        if due and not full and self._owner.backlog() > CATCHING_UP:
            return  # then catching up, a second sooner or later is nothing, and larger checkpoints are cheaper
        if full:
            self._last_full = now
        if due or full:
            await self.write(due, commit=full)

    async def write(self, due: Iterable[ShardRunner], *, commit: bool = True, take_over: bool = False) -> None:
        """Write a checkpoint of the shards, as of this instant; nothing where they went while it waited its turn."""
        epoch = self.epoch
        async with self._lock:
            if epoch == self.epoch:
                await self._checkpoint(due, commit, take_over)

    async def _checkpoint(self, due: Iterable[ShardRunner], commit: bool = True, take_over: bool = False) -> None:
        epoch = self.epoch
        started, cpu = time.monotonic(), time.process_time()
        taken = [
            (held, held.shard.acquire() if take_over else held.shard.snapshot(final=held.ended), held.ended)
            for held in due
        ]
        snapshots = [(held, snapshot) for held, snapshot, _ in taken]
        self._next = time.monotonic() + max(self._group, MOST_OF_THE_TIME * (time.process_time() - cpu))
        if snapshots:
            await in_time(self._store(snapshots), TIMEOUT_S, "a checkpoint's state")
            await in_time(self._send(snapshots), TIMEOUT_S, "a checkpoint's outputs")
            self._on_written(time.monotonic() - started, sum(len(snapshot.records) for _, snapshot in snapshots))
        for held, snapshot, ended in taken:
            held.owes = bool(snapshot.outputs)
            for tp, offset, end in zip(held.tps, snapshot.committed_offsets, held.ends, strict=True):
                self._committed[tp] = offset if ended or not self._recorded else min(offset, end - 1)
        if commit and epoch == self.epoch:  # else an error has stopped the worker meanwhile
            await self._commit(epoch)

    async def _store(self, snapshots: Sequence[tuple[ShardRunner, Any]]) -> None:
        written = []
        for held, snapshot in snapshots:
            topic = self._tables[held.group].changelog_topic_name
            futures = []  # of each batch, with its number of records
            records = snapshot.changelog()
            batch = self._new_batch()
            for number, record in enumerate(records, start=1):
                alone = self._marker_alone and number == len(records) > 1
                if alone or not _append(batch, record):
                    futures.append((await self._write(batch, topic, held.partition), batch.record_count()))
                    batch = self._new_batch()
                    _append(batch, record)
            futures.append((await self._write(batch, topic, held.partition), batch.record_count()))
            written.append((held, snapshot, len(records), futures))
        for held, snapshot, count, futures in written:
            acks = [((await future).offset, size) for future, size in futures]
            store = self._tables[held.group].store
            end = sum(acks[-1])
            known = store.ends.get(held.partition, 0)
            if end - known != count:
                # Records of others, or our own twice: what the log says now is not what we know it to say.
                raise FencedError(
                    f"the changelog of {held.group}, partition {held.partition}, has {end - known} new records "
                    f"where this worker wrote {count}; it will be read again"
                )
            store.ends[held.partition] = end
            held.shard.confirm(snapshot)

    async def _write(self, batch: Any, topic: str, partition: int) -> Any:
        return await self._producer().send_batch(batch, topic, partition=partition)

    async def _send(self, snapshots: Sequence[tuple[ShardRunner, Any]]) -> None:
        producer = self._producer()
        now = wall_ms()
        futures = []
        for _, snapshot in snapshots:
            for output in snapshot.outputs:
                payload = output.payload
                if payload is not None and output.topic in STAMPED:
                    payload = stamp(payload, now)
                futures.append((output, await self._publish(producer, output, payload)))
        for output, future in futures:
            try:
                await future
            except MessageSizeTooLargeError:
                if output.topic != "dead-letter" or output.payload is None:
                    raise
                # Somebody sent what is too large to be told whole: that must not stop the worker for ever.
                bare = OutboxMessage(output.topic, None, output.id, output.at, without_value(output.payload))
                await (await self._publish(producer, bare, bare.payload))
        for held, snapshot in snapshots:
            if snapshot.outputs:
                self._on_sent(held, snapshot.outputs, now)

    async def _publish(self, producer: Any, output: Any, payload: bytes | None) -> Any:
        headers = cloud_event_headers(output.topic, output.id, output.at)
        return await producer.send(output.topic, payload, key=output.key, headers=headers)

    async def _commit(self, epoch: int) -> None:
        offsets, self._committed = self._committed, {}
        offsets = {tp: offset for tp, offset in offsets.items() if offset > 0}
        if offsets and not await in_time(self._feed.commit(offsets), TIMEOUT_S, "offsets") and epoch == self.epoch:
            raise FencedError("the group refused a commit: this worker is not its member any more, or may not be")

    async def last(self) -> None:
        """The checkpoint before partitions go, or the worker does, and the word that all of it was sent."""
        async with self._lock:
            shards = list(self._owner.shards.values())
            self._owner.drop()  # what comes now is the next owner's
            await self._checkpoint([held for held in shards if held.shard.has_unsaved_state], commit=False)
            # Else the next owner would send again what the last checkpoint had to send.
            await self._checkpoint([held for held in shards if held.owes])
            self.dropped()  # whoever waits to write must find that it is over

    async def take_over(self) -> None:
        """The first checkpoint of every shard that was assigned."""
        self._committed.clear()
        await self.write(list(self._owner.shards.values()), commit=False, take_over=True)

    def dropped(self) -> None:
        """The partitions are going: no commit of theirs counts any more."""
        self.epoch += 1


async def in_time(step: Awaitable[Any], seconds: float, what: str) -> Any:
    """Wait for a step; raise Unanswered where it takes longer."""
    try:
        return await asyncio.wait_for(step, seconds)
    except TimeoutError as error:
        raise BrokerTimeout(f"the broker did not take {what} within {seconds:g} s") from error


class OutboxMessage(NamedTuple):
    """An output to publish, as far as it is looked at here."""

    topic: str
    key: bytes | None
    id: str
    at: int
    payload: bytes | None


def _append(batch: Any, record: Any) -> bool:
    return batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers)) is not None
