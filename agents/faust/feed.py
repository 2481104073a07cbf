"""The ports that read: the source feed and the membership, on Faust's consumer."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from vigil.agents.faust.app import BatchApp
from vigil.agents.faust.consumer import partition_state, position_of
from vigil.agents.faust.probe import WITHIN_S, RecordProbe
from vigil.agents.ports import FetchedRecord, TopicPartition

T = TypeVar("T")

METADATA_TIMEOUT_S: Final = 2.0
"""Maximum time a request for the broker's topics takes; it is repeated while topics are missing."""


async def _partitions(consumer: Any, topic: str) -> set[int]:
    return consumer.partitions_for_topic(topic) or set()


async def _missing(consumer: Any, topics: Iterable[str]) -> set[str]:
    return {topic for topic in topics if not consumer.partitions_for_topic(topic)}


async def _update_metadata(consumer: Any) -> None:
    with suppress(TimeoutError):  # the broker is away: asked again
        await asyncio.wait_for(consumer._client.force_metadata_update(), METADATA_TIMEOUT_S)


async def _partition_counts(consumer: Any, topics: Iterable[str]) -> dict[str, int]:
    await _update_metadata(consumer)
    known = {topic: consumer.partitions_for_topic(topic) for topic in topics}
    return {topic: len(partitions) for topic, partitions in known.items() if partitions}


async def _committed(consumer: Any, tps: Collection[Any]) -> dict[TopicPartition, int]:
    committed = await consumer._coordinator.fetch_committed_offsets(list(tps)) if tps else {}
    return {TopicPartition(*tp): known.offset for tp, known in committed.items() if known.offset >= 0}


class FaustSourceFeed:
    """The source partitions of the worker, as Faust's consumer knows them. Implements `SourceFeed`."""

    def __init__(self, app: BatchApp, new_consumer: Callable[[], AIOKafkaConsumer]) -> None:
        """`new_consumer`: one without a group, not started, for reading beside what is delivered."""
        self._app = app
        self._new_consumer = new_consumer

    @property
    def _consumer(self) -> Any:
        return self._app.consumer

    async def ends(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return _offsets(await self._consumer.highwaters(*_faust_tps(tps))) if tps else {}

    async def all_ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        thread = self._consumer._thread
        consumer = thread._ensure_consumer()
        wanted = []
        for topic in topics:
            known = await thread.call_thread(_partitions, consumer, topic)
            wanted += [driver._TopicPartition(topic, partition) for partition in known]
        return _offsets(await thread.call_thread(consumer.end_offsets, wanted))

    async def beginnings(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return _offsets(await self._consumer.earliest_offsets(*_faust_tps(tps))) if tps else {}

    async def records_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, FetchedRecord]:
        return await self._probe(lambda probe: probe.records_at(offsets)) if offsets else {}

    async def offsets_after(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return await self._probe(lambda probe: probe.offsets_after(times)) if times else {}

    async def _probe(
        self, read: Callable[[RecordProbe], Awaitable[dict[TopicPartition, T]]]
    ) -> dict[TopicPartition, T]:
        consumer = self._new_consumer()
        try:
            async with asyncio.timeout(WITHIN_S):
                await consumer.start()
                return await read(RecordProbe(consumer))
        except TimeoutError as error:
            raise KafkaTimeoutError(f"the broker did not return single records within {WITHIN_S:g} s") from error
        finally:
            await consumer.stop()

    def end(self, tp: TopicPartition) -> int:
        state = partition_state(self._consumer, tp)
        return 0 if state is None else state.highwater or 0

    def answered_at(self, tp: TopicPartition) -> int:
        state = partition_state(self._consumer, tp)
        return 0 if state is None else state.timestamp or 0

    def confirmed_position(self, tp: TopicPartition) -> int:
        state = self._app.adapter_state
        confirmed = state.confirmed_positions.get(tp, 0)
        if confirmed < position_of(self._consumer, tp):
            state.pending_position_checks.add(tp)
        return confirmed

    def delivered_offset(self, tp: TopicPartition) -> int:
        return self._app.adapter_state.delivered_offsets.get(tp, 0)

    def pause(self, tp: TopicPartition) -> None:
        # Not `pause_partitions`: it would drop the records that were fetched already.
        self._app.adapter_state.paused.add(tp)
        self._consumer.on_buffer_full(TP(*tp))

    def resume(self, tp: TopicPartition) -> None:
        self._app.adapter_state.paused.discard(tp)
        self._consumer.on_buffer_drop(TP(*tp))


class FaustMembership:
    """The worker's place in its consumer group. Implements `Membership`."""

    def __init__(self, app: BatchApp) -> None:
        self._app = app

    @property
    def _consumer(self) -> Any:
        return self._app.consumer

    def assigned(self, topics: Collection[str]) -> set[TopicPartition]:
        return {TopicPartition(*tp) for tp in self._consumer.assignment() if tp.topic in topics}

    def pause_flow(self) -> None:
        # Faust resumes the flow once it has positioned the fetcher where the shards are. Without this call, batches
        # would flow while it does so and be lost, because it empties its queues right after.
        self._consumer.stop_flow()
        self._app.flow_control.suspend()

    async def missing_topics(self, topics: Iterable[str]) -> set[str]:
        thread = self._consumer._thread
        missing: set[str] = await thread.call_thread(_missing, thread._ensure_consumer(), topics)
        return missing

    async def request_topics(self) -> None:
        thread = self._consumer._thread
        await thread.call_thread(_update_metadata, thread._ensure_consumer())

    async def committed(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        thread = self._consumer._thread
        wanted = [driver._TopicPartition(*tp) for tp in tps]
        committed: dict[TopicPartition, int] = await thread.call_thread(_committed, thread._ensure_consumer(), wanted)
        return committed

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        thread = self._consumer._thread
        counts: dict[str, int] = await thread.call_thread(_partition_counts, thread._ensure_consumer(), topics)
        return counts

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        return bool(await self._consumer._commit_offsets({TP(*tp): offset for tp, offset in offsets.items()}))


def _faust_tps(tps: Iterable[TopicPartition]) -> list[TP]:
    """Faust asserts that partitions are of its own type."""
    return [TP(*tp) for tp in tps]


def _offsets(reported: Mapping[Any, int | None]) -> dict[TopicPartition, int]:
    return {TopicPartition(*tp): offset or 0 for tp, offset in reported.items()}
