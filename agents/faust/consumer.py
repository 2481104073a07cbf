"""The consumer: one message for each fetch of one partition, and reading on from where the shards are."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from vigil.agents.faust.raw_records import deliver_raw
from vigil.agents.ports import Batch, TopicPartition

POLL_S: Final = 0.2
"""Maximum time a poll waits for records. Confirmed positions are determined between two polls, so that a larger value
delays the moment at which a source with a transaction's control records at its end counts as read to its end."""


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka's consumer runs."""

    _assigned: tuple[Any, frozenset[TP]] = (None, frozenset())
    """The assignment as aiokafka has it, and as Faust's partitions."""

    def assignment(self) -> frozenset[TP]:
        """Converted once an assignment: Faust asks for all of it for each partition that it commits.

        With 600 of 3,200 partitions to commit, converting it each time took more than a core.
        """
        current = self._ensure_consumer().assignment()
        known, assigned = self._assigned
        if current is not known:
            assigned = frozenset(TP(tp.topic, tp.partition) for tp in current)
            self._assigned = (current, assigned)
        return assigned

    async def on_start(self) -> None:
        await super().on_start()
        deliver_raw(self._ensure_consumer()._fetcher, self.app.adapter_state.batch_topics)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.transport_settings.fetch_wait_ms  # Faust hard-codes 1,500
        if self.app.transport_settings.idempotent:  # records of a producer's aborted transaction are no input
            consumer._isolation_level = "read_committed"
        return consumer


class BatchConsumer(driver.Consumer):
    """Delivers what was fetched, one message per partition and fetch."""

    def _new_consumer_thread(self) -> Any:
        """Run aiokafka's consumer on Python's own event loop, and never close it.

        On uvloop some workers ended with SIGSEGV within `run_until_complete` in this thread when they were asked to
        stop under load (3 in about 600 stops): the worker's thread calls into this loop while it ends. A loop in Python
        is safe under the interpreter's lock, and one that is stopped but not closed still accepts calls; the process
        ends soon after. It costs no CPU time: a fetch does most of its work in aiokafka.
        """
        thread_loop = asyncio.SelectorEventLoop()
        return BatchConsumerThread(self, loop=self.loop, thread_loop=thread_loop, beacon=self.beacon)

    async def seek(self, partition: TP, offset: int) -> None:
        await super().seek(partition, offset)
        self.app.adapter_state.delivered_offsets[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int | None]) -> None:
        """Read on from these offsets; from what the mirror has where Faust knows none.

        A rebalance adds changelogs while the recovery of before is about to seek: it has no offset of them yet, and
        aiokafka would refuse None. The recovery of after the rebalance seeks again.
        """
        known = {tp: self.app.mirrored(tp) if offset is None else offset for tp, offset in partitions.items()}
        await super().seek_wait(known)
        for tp, offset in known.items():  # a changelog may begin behind what its mirror has
            self.app.adapter_state.delivered_offsets[tp] = min(offset, self.app.mirrored(tp, offset))

    async def perform_seek(self) -> None:
        """Read on from where the shards' state is, which may be after (never before) what was committed.

        Faust lets the changelogs of standbys flow before it seeks, and empties its queues after: they are read on
        from what the mirrors have.
        """
        await super().perform_seek()
        state = self.app.adapter_state
        state.paused.clear()  # after an assignment every partition is fetched
        assigned = self.assignment()
        positions = state.positions()
        state.delivered_offsets.clear()
        await self._seek_assigned(positions, assigned)
        await self._seek_assigned(self.app.standby_positions(), assigned)
        state.confirmed_positions.clear()
        state.seek_generation = self.app.consumer_generation_id if positions else -1

    async def _seek_assigned(self, positions: Mapping[TopicPartition, int], assigned: frozenset[TP]) -> None:
        for tp, offset in positions.items():
            if tp in assigned:
                await self.seek(TP(*tp), offset)

    def on_buffer_drop(self, tp: TP) -> None:
        """A queue of Faust's has room again. A partition that a shard has paused stays paused all the same."""
        if tp not in self.app.adapter_state.paused:
            super().on_buffer_drop(tp)

    def _confirm_positions(self) -> None:
        """Between two polls no record is on its way out of the fetcher: whatever it has passed was delivered."""
        state = self.app.adapter_state
        if self.flow_active and state.seek_generation == self.app.consumer_generation_id:
            for tp in state.pending_position_checks:
                state.confirmed_positions[tp] = position_of(self, tp)
            state.pending_position_checks.clear()

    async def _reread(self) -> None:
        state = self.app.adapter_state
        if rereads := state.pending_rereads:
            state.pending_rereads = {}
            await self._seek_assigned(rereads, self.assignment())

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Yield one message for each fetched batch, and Faust's own messages one by one, as Faust does."""
        self._confirm_positions()
        await self._reread()
        try:
            fetched, active = await self._wait_next_records(min(timeout, POLL_S))
        except KafkaError as error:  # rights were revoked, a batch cannot be unpacked: Faust would fail with tracebacks
            await self.app.adapter_state.fail_fast(error)
            return
        generation = self.app.consumer_generation_id
        if not fetched or self.should_stop:
            return
        if not self.flow_active:  # fetched across a rebalance: drop it and read it again
            await self.perform_seek()
            return
        for message in self._messages(fetched, active, generation):
            yield message

    def _messages(self, fetched: Mapping[Any, list[Any]], active: Any, generation: int) -> Iterator[tuple[TP, Any]]:
        """Lazily, so that a rebalance that begins while one message is handled stops those after it."""
        batch_topics = self.app.adapter_state.batch_topics
        others = {}
        for partition, records in fetched.items():
            tp = TP(partition.topic, partition.partition)
            if tp.topic not in batch_topics:
                others[partition] = records
            elif self._superseded(generation):
                return
            elif self._deliverable(tp, active):
                yield tp, self._batch_message(tp, records, generation)
        for tp, record in self.scheduler.iterate(others):
            if self._superseded(generation):
                return
            if self._deliverable(tp, active):
                yield tp, self._to_message(tp, record)

    def _superseded(self, generation: int) -> bool:
        """True if a rebalance has begun since the records were fetched: its seek reads them again."""
        return not self.flow_active or self.app.consumer_generation_id != generation

    def _deliverable(self, tp: TP, active: Any) -> bool:
        return active is None or tp in active or tp in self._buffered_partitions

    def _batch_message(self, tp: TP, records: list[Any], generation: int) -> ConsumerMessage:
        delivered = self.app.adapter_state.delivered_offsets
        batch = Batch(TopicPartition(*tp), records, delivered.get(tp, 0))
        delivered[tp] = records[-1].offset + 1
        # Faust would drop a message whose offset is below that of the last one it delivered, even if that was a batch
        # from before a rebalance, after which the same records are read again. The shards know what they have read.
        self._read_offset[tp] = None
        return batch_message(tp, batch, generation)


def partition_state(consumer: Any, tp: TopicPartition) -> Any:
    """What aiokafka's fetcher knows of a partition; None between assignments."""
    subscription = consumer._thread._ensure_consumer()._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    return None if assignment is None else assignment.state_value(tp)  # a tuple like any other


def position_of(consumer: Any, tp: TopicPartition) -> int:
    """The next offset of the fetcher; behind the last record it may be past a transaction's control records."""
    state = partition_state(consumer, tp)
    return 0 if state is None else state._position or 0


def batch_message(tp: TP, batch: Batch, generation: int) -> ConsumerMessage:
    """One message that carries a whole batch; its offset is the last record's."""
    last: Any = batch.records[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        last.timestamp / 1000.0,
        last.timestamp_type,
        None,
        None,
        batch,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )
