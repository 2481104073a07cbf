"""Every touch of Faust's insides: partitions in batches, tables as per-partition mirrors, commits by checkpoint only.

    aiokafka fetch ──▶ Consumer.getmany: ONE message per (partition, fetch), its value the list of records
                         └─▶ conductor ─▶ stream ─▶ agent: one batch          (source topics)
                         └─▶ recovery ─▶ MirrorStore.apply_changelog_batch    (changelog topics)

Faust keeps what it is good at: membership, the co-partitioning assignor, the choreography of rebalances, recovery,
supervision. Its cost is a task a message, which this avoids. The names used here are not promised by Faust: the
version is pinned, and tests/agents/test_hooks.py names each of them, so that an upgrade fails there first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import faust
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.assignor.partition_assignor import PartitionAssignor
from faust.stores import memory
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from vigil.topics.catalog import SubjectName

MAX_RECORD_BYTES: Final = 8 * 1024 * 1024
"""The largest record that the changelog topics take: one part of one key's state."""

ASK_S: Final = 2.0

POLL_S: Final = 0.2
"""So long a poll waits for records at most."""

WRITE_BATCH_BYTES: Final = 2 * 1024 * 1024
"""A checkpoint up to this size is one batch in the log."""

SEND_BATCH_BYTES: Final = 256 * 1024
"""Outputs go to topics that take a mebibyte at a time unless somebody has told them otherwise."""


@dataclass
class TransportSettings:
    """How data moves between the broker and the worker."""

    fetch_wait_ms: int = 20
    """How long the broker may wait for data before it answers a fetch."""
    idempotent: bool = True
    """Write idempotently: Apache Kafka can, the embedded broker cannot."""


@dataclass
class Hooks:
    """What the rim wants to know and to say while Faust runs."""

    positions: Callable[[], Mapping[TP, int]] = dict
    """Where each source partition is to be read from."""
    batch_topics: set[str] = field(default_factory=set)
    handed_on: dict[TP, int] = field(default_factory=dict)
    """By partition: the offset after the last record that was handed on, or from which it is read."""
    beside: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What runs beside the app from its start on (a task of Faust's would wait for the recovery)."""
    passed: dict[TP, int] = field(default_factory=dict)
    """By partition: every record below this offset was handed on, as asked between two polls."""
    doubted: set[TP] = field(default_factory=set)
    """Partitions of which it is to be asked."""
    sought: int = -1
    """The generation of the group in which the fetcher was last put where the shards are."""
    reread: dict[TP, int] = field(default_factory=dict)
    """Changelog partitions of which something was lost on its way, and from where they are to be read again."""
    held: set[TP] = field(default_factory=set)
    """Partitions that are not to be fetched, whatever room Faust's own queues have."""
    failed: Callable[[BaseException], Awaitable[None]] = lambda error: _raise(error)
    """Told of what keeps the worker from reading on."""
    restored: Callable[[SubjectName, int], None] = lambda group, records: None
    """Told of changelog records that were read, in a recovery or as a standby."""


async def _raise(error: BaseException) -> None:
    raise error


class Batch(list[Any]):
    """The records of one fetch of one partition."""

    after: int = 0
    """All below this offset was handed on before it: whoever has not seen that much has lost something."""


class _Thread(driver.AIOKafkaConsumerThread):
    _assigned: tuple[Any, frozenset[TP]] = (None, frozenset())
    """The assignment as aiokafka has it, and as Faust's partitions."""

    def assignment(self) -> frozenset[TP]:
        """Made once an assignment: Faust asks for all of it anew for each partition that it commits."""
        told = self._ensure_consumer().assignment()
        known, assigned = self._assigned
        if told is not known:
            assigned = frozenset(TP(tp.topic, tp.partition) for tp in told)
            self._assigned = (told, assigned)
        return assigned

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.transfer.fetch_wait_ms  # Faust hard-codes 1,500
        if self.app.transfer.idempotent:  # what a producer's transaction takes back was never said
            consumer._isolation_level = "read_committed"
        return consumer


class _Consumer(driver.Consumer):
    """Hands on what was fetched, one message per partition and fetch."""

    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def seek(self, partition: TP, offset: int) -> None:
        await super().seek(partition, offset)
        self.app.hooks.handed_on[partition] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        await super().seek_wait(partitions)
        for tp, offset in partitions.items():  # a changelog may begin behind what its mirror has
            self.app.hooks.handed_on[tp] = min(offset, self.app.mirrored(tp, offset))

    async def perform_seek(self) -> None:
        """Read on from where the shards' state is, which may be after (never before) what was committed.

        Faust lets the changelogs of standbys flow before it seeks, and empties its queues after: they are read on
        from what the mirrors have.
        """
        await super().perform_seek()
        self.app.hooks.held.clear()  # dealt out anew, every partition is fetched
        assigned = self.assignment()
        positions = self.app.hooks.positions()
        hooks = self.app.hooks
        hooks.handed_on.clear()
        for tp, offset in positions.items():
            if tp in assigned:
                await self.seek(tp, offset)
        for tp, offset in self.app.standing_by().items():
            if tp in assigned:
                await self.seek(tp, offset)
        hooks.passed.clear()
        hooks.sought = self.app.consumer_generation_id if positions else -1

    def on_buffer_drop(self, tp: TP) -> None:
        """A queue of Faust's has room again: that is no reason to fetch what a shard has no room for."""
        if tp not in self.app.hooks.held:
            super().on_buffer_drop(tp)

    def _note_passed(self) -> None:
        """Between two polls nothing is on its way out of the fetcher: what it has passed was handed on."""
        hooks = self.app.hooks
        if self.flow_active and hooks.sought == self.app.consumer_generation_id:
            for tp in hooks.doubted:
                hooks.passed[tp] = position_of(self, tp)
            hooks.doubted.clear()

    async def _read_again(self) -> None:
        reread, self.app.hooks.reread = self.app.hooks.reread, {}
        assigned = self.assignment() if reread else set()
        for tp, offset in reread.items():
            if tp in assigned:
                await self.seek(tp, offset)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        self._note_passed()
        await self._read_again()
        try:
            records, active = await self._wait_next_records(min(timeout, POLL_S))
        except KafkaError as error:  # no right any more, a batch that cannot be unpacked: Faust falls over it wordily
            await self.app.hooks.failed(error)
            return
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:  # fetched across a rebalance: drop it and read it again
            await self.perform_seek()
            return
        hooks = self.app.hooks
        rest = {}
        for partition, fetched in records.items():
            tp = TP(partition.topic, partition.partition)
            if tp.topic not in hooks.batch_topics:
                rest[partition] = fetched
                continue
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is None or tp in active or tp in self._buffered_partitions:
                batch = Batch(fetched)
                batch.after = hooks.handed_on.get(tp, 0)
                hooks.handed_on[tp] = fetched[-1].offset + 1
                # Faust would drop what is below the last offset that it handed on, be it one of a batch from before
                # a rebalance, after which the same is read again. The shards know better what they have seen.
                self._read_offset[tp] = None
                yield tp, batch_message(tp, batch, generation)
        for tp, record in self.scheduler.iterate(rest):
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is None or tp in active or tp in self._buffered_partitions:
                yield tp, self._to_message(tp, record)


def partition_state(consumer: Any, tp: TP) -> Any:
    """What aiokafka's fetcher knows of a partition; None between assignments."""
    subscription = consumer._thread._ensure_consumer()._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    return None if assignment is None else assignment.state_value(tp)  # a tuple like any other


def position_of(consumer: Any, tp: TP) -> int:
    """The offset that the fetcher gives next; behind the last record it may be past a transaction's control records."""
    state = partition_state(consumer, tp)
    return 0 if state is None else state._position or 0


def batch_message(tp: TP, fetched: list[Any], generation: int) -> ConsumerMessage:
    """One message that carries a whole fetch; its offset is the last record's."""
    last = fetched[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        last.timestamp / 1000.0,
        last.timestamp_type,
        None,
        None,
        fetched,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


class _Producer(driver.Producer):
    def _settings_extra(self) -> Mapping[str, Any]:
        return {
            **super()._settings_extra(),
            "acks": "all",
            "enable_idempotence": self.app.transfer.idempotent,
            "max_batch_size": SEND_BATCH_BYTES,
            "max_request_size": MAX_RECORD_BYTES,
        }


class _Transport(driver.Transport):
    Consumer = _Consumer
    Producer = _Producer


def changelog_batch() -> Any:
    """An empty batch for `send_batch`, of the size that the changelogs take."""
    return BatchBuilder(WRITE_BATCH_BYTES, 0)  # 0: not compressed


class ShardAssignor(PartitionAssignor):
    """Faust's assignor, which does not tell every member what all the others have.

    Faust would route requests by that; nothing here asks for it. Kafka keeps what all members tell of themselves in one
    record, and that knowledge grows with the square of the members: 40 workers would fill the record to its limit.
    """

    def _get_changelog_distribution(self, assignments: Any) -> dict[str, Any]:
        return {}

    def _get_external_topic_distribution(self, assignments: Any) -> dict[str, Any]:
        return {}


class BatchApp(faust.App):
    """A Faust app whose source and changelog topics are read in batches."""

    def __init__(self, *args: Any, transfer: TransportSettings, **options: Any) -> None:
        self.transfer = transfer
        self.hooks = Hooks()
        super().__init__(*args, PartitionAssignor=ShardAssignor, **options)

    async def on_start(self) -> None:
        await super().on_start()
        for step in self.hooks.beside:
            self.add_future(step())

    def standing_by(self) -> dict[TP, int]:
        """From where the changelogs of standbys are to be read; Faust is made to take again what is read again."""
        recovery = self.tables.recovery
        positions = {}
        for tp in recovery.standby_tps:
            positions[tp] = end = self.mirrored(tp)
            recovery.standby_offsets[tp] = end - 1
        return positions

    def mirrored(self, tp: TP, default: int = 0) -> int:
        """Up to which offset the mirror of a changelog's partition has it; `default` where it is no changelog."""
        table = self.tables._changelogs.get(tp.topic)
        return default if table is None else table.store.ends.get(tp.partition, 0)

    def read_again(self, tp: TP, offset: int) -> None:
        """Something of a changelog was lost on its way: read it again from this offset on."""
        recovery = self.tables.recovery
        self.log.warning("%s, partition %d: something was lost on its way; read again from %d", *tp, offset)
        for tps, offsets in (
            (recovery.active_tps, recovery.active_offsets),
            (recovery.standby_tps, recovery.standby_offsets),
        ):
            if tp in tps:
                offsets[tp] = offset - 1
        self.hooks.reread[tp] = offset

    def _create_directories(self) -> None:
        """None: nothing is kept on a disk, so a full or read-only one stops nobody."""

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return _Transport(self.conf.broker_producer, self)


class _Batches(faust.Schema):
    """An event's value is the list of records as they were fetched, undecoded."""

    def compile(self, app: Any, **options: Any) -> Any:
        async def pass_through(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, None, message)

        return pass_through


def batches(app: BatchApp, *topics: str) -> Any:
    """The channel of a group of topics: one item is one fetch of one partition; nothing in it is acknowledged."""
    app.hooks.batch_topics.update(topics)
    return app.topic(*topics, schema=_Batches(), acks=False, maxsize=8)


class MirrorStore(memory.Store):
    """What one table's changelog says, by partition. What a partition is, the caller knows: `new` and `read`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mirrors: dict[int, Any] = {}
        self.ends: dict[int, int] = {}
        """By partition: the offset after the last record taken in."""
        self.broken: dict[int, Exception] = {}
        """By partition: why its changelog could not be read (Faust would log it and go on)."""

    def mirror(self, partition: int) -> Any:
        """The mirror of a partition, an empty one where nothing was read."""
        return self.mirrors.setdefault(partition, self.table.new_mirror())

    def apply_pending(self) -> None:
        """Let every mirror put some of what it has read where it belongs; call it often."""
        for mirror in self.mirrors.values():
            mirror.apply_pending()

    def persisted_offset(self, tp: TP) -> int | None:
        end = self.ends.get(tp.partition)
        return None if end is None else end - 1

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.ends[tp.partition] = max(offset + 1, self.ends.get(tp.partition, 0))

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any = None, to_value: Any = None) -> None:
        for event in batch:
            message = event.message
            if message.topic != self.table.changelog_topic_name:
                continue  # of a partition that has just gone: Faust gives it to the table that it was busy with
            partition, records = message.partition, message.value
            end = self.ends.get(partition, 0)
            if getattr(records, "after", 0) > end:
                self.app.read_again(message.tp, end)
                continue
            if records and records[0].offset < end:  # a recovery begins at the last record it has
                records = [record for record in records if record.offset >= end]
            if not records:
                continue
            self.app.hooks.restored(self.table.group, len(records))
            try:
                self.mirror(partition).read(records)
            except Exception as error:
                self.broken[partition] = error
            self.ends[partition] = records[-1].offset + 1

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        for tp in revoked:
            if tp.topic == self.table.changelog_topic_name:
                self.forget(tp.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Stock memory stores drop keys here; a mirror is dropped when its partition is revoked."""

    def forget(self, partition: int) -> None:
        """Drop a partition that went elsewhere."""
        self.mirrors.pop(partition, None)
        self.ends.pop(partition, None)
        self.broken.pop(partition, None)


class MirrorTable(faust.Table):
    """A table that is written by checkpoints and read back into mirrors."""

    def __init__(
        self,
        app: BatchApp,
        name: str,
        partitions: int,
        new_mirror: Callable[[], Any],
        group: SubjectName,
        changelog: str,
    ) -> None:
        self.new_mirror = new_mirror
        self.group: SubjectName = group
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            schema=_Batches(key_type=bytes, value_type=bytes),
            key_type=bytes,
            value_type=bytes,
            # In batches. Not 1: by that number Faust goes on reading the changelogs of active partitions for ever.
            recovery_buffer_size=2,
            standby_buffer_size=1,  # a standby takes in at once what it reads: else the last batch waits for another
        )
        self._changelog_topic = app.topic(
            changelog,
            schema=self.schema,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            internal=True,
            acks=False,
            compacting=True,
            config={},
        )
        app.tables.add(self)
        app.hooks.batch_topics.add(changelog)

    def _new_store(self) -> MirrorStore:
        return MirrorStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    @property
    def store(self) -> MirrorStore:
        return self.data  # type: ignore[no-any-return]


async def _partitions(consumer: Any, topic: str) -> set[int]:
    return consumer.partitions_for_topic(topic) or set()


async def _untold(consumer: Any, topics: Iterable[str]) -> set[str]:
    return {topic for topic in topics if not consumer.partitions_for_topic(topic)}


async def _ask_for_metadata(consumer: Any) -> None:
    with suppress(TimeoutError):  # the broker is away: asked again
        await asyncio.wait_for(consumer._client.force_metadata_update(), ASK_S)


class FaustSourceFeed:
    """The source partitions of the worker: where they end, when the broker last answered, and how to hold them."""

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    @property
    def _consumer(self) -> Any:
        return self._app.consumer

    def stand_still(self) -> None:
        """Hand nothing on until Faust lets the flow go on, once it has put the fetcher where the shards are.

        While it does so it would let everything flow already, and empty its queues right after: what had got into
        them meanwhile would be lost, and its partition read on behind it.
        """
        self._consumer.stop_flow()
        self._app.flow_control.suspend()

    def assigned(self, topics: Iterable[str]) -> set[TP]:
        """The partitions of these topics that this worker owns."""
        wanted = set(topics)
        return {tp for tp in self._consumer.assignment() if tp.topic in wanted}

    async def ends(self, tps: set[TP]) -> dict[TP, int]:
        """The offset after the last record of each partition."""
        return {tp: end or 0 for tp, end in (await self._consumer.highwaters(*tps)).items()} if tps else {}

    async def all_ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The end of every partition of the topics, whoever owns it."""
        thread = self._consumer._thread
        consumer = thread._ensure_consumer()
        wanted = []
        for topic in topics:
            known = await thread.call_thread(_partitions, consumer, topic)
            wanted += [driver._TopicPartition(topic, partition) for partition in known]
        ends = await thread.call_thread(consumer.end_offsets, wanted)
        return {(tp.topic, tp.partition): end for tp, end in ends.items()}

    async def missing(self, topics: Iterable[str]) -> set[str]:
        """Those of the topics that the broker does not tell of, as far as the consumer knows."""
        thread = self._consumer._thread
        missing: set[str] = await thread.call_thread(_untold, thread._ensure_consumer(), topics)
        return missing

    async def ask_for_topics(self) -> None:
        """Ask the broker for the topics now; where the answer differs, the group's leader deals the partitions anew."""
        thread = self._consumer._thread
        await thread.call_thread(_ask_for_metadata, thread._ensure_consumer())

    async def beginnings(self, tps: set[TP]) -> dict[TP, int]:
        """The offset of the first record that each partition still has."""
        return {tp: first or 0 for tp, first in (await self._consumer.earliest_offsets(*tps)).items()} if tps else {}

    def end(self, tp: TP) -> int:
        """The end that the last fetch told; 0 before the first."""
        state = partition_state(self._consumer, tp)
        return 0 if state is None else state.highwater or 0

    def answered(self, tp: TP) -> int:
        """When the broker last answered a fetch of the partition (wall clock, ms); 0 before the first answer.

        Ask for `end` after it, never before: a fetch tells the end first, and then the time.
        """
        state = partition_state(self._consumer, tp)
        return 0 if state is None else state.timestamp or 0

    def passed(self, tp: TP) -> int:
        """Every record below this offset was handed on, whatever stands between the last of them and here.

        It is learned between two polls; until the one after this call it may be less than is true.
        """
        hooks = self._app.hooks
        told = hooks.passed.get(tp, 0)
        if told < position_of(self._consumer, tp):
            hooks.doubted.add(tp)
        return told

    def handed_on(self, tp: TP) -> int:
        """The offset after the last record that was handed on; before the first, where reading begins, or 0."""
        return self._app.hooks.handed_on.get(tp, 0)

    def standby_lag(self) -> dict[SubjectName, int]:
        """By group: changelog records that this worker stands by for and has not taken in, as the last fetches told."""
        lag: dict[SubjectName, int] = {}
        for tp in self._app.tables.recovery.standby_tps:
            state = partition_state(self._consumer, tp)
            end = 0 if state is None else state.highwater or 0
            group = self._app.tables._changelogs[tp.topic].group
            lag[group] = lag.get(group, 0) + max(0, end - self._app.mirrored(tp))
        return lag

    def hold(self, tp: TP) -> None:
        """Stop fetching a partition that runs ahead. (`pause_partitions` would drop what was already drained.)"""
        self._app.hooks.held.add(tp)
        self._consumer.on_buffer_full(tp)

    def release(self, tp: TP) -> None:
        """Fetch it again."""
        self._app.hooks.held.discard(tp)
        self._consumer.on_buffer_drop(tp)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit offsets; False when the group has moved on without us."""
        return bool(await self._consumer._commit_offsets(offsets))
