"""Reads topics without a consumer group: from a chosen offset to where the topic ends now, or on from there."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError

MAX_EMPTY_POLLS: Final = 30
"""Empty polls of a second each, in a row, after which the broker counts as not answering. Fewer would give up on a
broker that elects a leader; with more, a command would seem to hang where a partition is offline."""

FETCH_BYTES: Final = 1024 * 1024
"""Bytes of a partition that are fetched at a time unless less is asked for: what Kafka's clients fetch."""


class TopicReader:
    """Assigns partitions to a started consumer, and knows which of them were read to the end that they had then.

    An end counts as reached by the consumer's position, not by the offset of the last record: the last offsets may
    belong to no record (compaction, or the markers of transactions).
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._ends: dict[TopicPartition, int] = {}

    @property
    def pending(self) -> Collection[TopicPartition]:
        """The partitions that were not read to their end yet."""
        return self._ends.keys()

    @property
    def caught_up(self) -> bool:
        """True once every partition was read to the end that it had when it was added."""
        return not self._ends

    async def add(
        self,
        partitions: Collection[TopicPartition],
        since: Mapping[TopicPartition, int] | None = None,
        last: int | None = None,
    ) -> int:
        """Assign more partitions; those assigned before go on where they are. Return how many offsets are to be read.

        Reading starts at the beginning of each partition, or at its first record that was written at `since` (ms) or
        later, and at most `last` offsets before its end.
        """
        known = self._consumer.assignment()
        positions = {tp: await self._consumer.position(tp) for tp in known}
        self._consumer.assign([*known, *partitions])
        for tp, position in positions.items():
            self._consumer.seek(tp, position)
        ends = await self._consumer.end_offsets(list(partitions))
        starts = await self._starts(partitions, ends, since)
        if last is not None:
            starts = {tp: max(starts[tp], ends[tp] - last) for tp in partitions}
        for tp in partitions:
            self._consumer.seek(tp, starts[tp])
            if starts[tp] < ends[tp]:
                self._ends[tp] = ends[tp]
        return sum(max(0, ends[tp] - starts[tp]) for tp in partitions)

    async def _starts(
        self,
        partitions: Collection[TopicPartition],
        ends: Mapping[TopicPartition, int],
        since: Mapping[TopicPartition, int] | None,
    ) -> dict[TopicPartition, int]:
        if since is None:
            return dict(await self._consumer.beginning_offsets(list(partitions)))
        found = await self._consumer.offsets_for_times({tp: since[tp] for tp in partitions})
        # No record is that late: Kafka answers None, the embedded broker an offset with the timestamp -1.
        return {tp: ends[tp] if (at := found.get(tp)) is None or at.timestamp < 0 else at.offset for tp in partitions}

    async def update(self) -> None:
        """Look which partitions have been read to their end by now."""
        for tp, end in list(self._ends.items()):
            if await self._consumer.position(tp) >= end:
                del self._ends[tp]


async def partitions_of(settings: Settings, topic: str) -> int:
    """Return the topic's number of partitions; raise SettingsError where there is no such topic, or no broker.

    `topic`: of the catalogue, or any other name on the cluster.
    """
    topic = TopicNames.of(settings).on_cluster(topic)
    async with Cluster(settings) as cluster:
        counts = await cluster.partitions([topic])
    if topic not in counts:
        raise SettingsError(f"topic {topic}: does not exist on {settings.broker}; `vigil topics` shows what does")
    return counts[topic]


async def records(
    settings: Settings,
    topic: str,
    last: int | None = None,
    since: int | None = None,
    fetch_bytes: int = FETCH_BYTES,
) -> AsyncIterator[ConsumerRecord]:
    """Yield every committed record of a topic up to where it ends now; records of one partition come in order.

    `topic` is a topic of the catalogue, or the name on the cluster of any other. `last` limits this to so many offsets
    at the end of each partition, `since` to records that were written at this time (ms) or later. `fetch_bytes` of each
    partition are fetched at a time. Raise SettingsError where the topic cannot be read.
    """
    topic = TopicNames.of(settings).on_cluster(topic)
    count = await partitions_of(settings, topic)
    tps = [TopicPartition(topic, partition) for partition in range(count)]
    # Short waits at the end of a topic: a command that reads it once is being waited for.
    consumer = new_consumer(settings, "reader", fetch_max_wait_ms=50, max_partition_fetch_bytes=fetch_bytes)
    try:
        await consumer.start()
        reader = TopicReader(consumer)
        await reader.add(tps, None if since is None else dict.fromkeys(tps, since), last)
        empty_polls = 0
        while not reader.caught_up:
            batches = await consumer.getmany(*reader.pending, timeout_ms=1000)
            empty_polls = 0 if batches else empty_polls + 1
            if empty_polls > MAX_EMPTY_POLLS:
                raise SettingsError(f"topic {topic}: the broker does not return its messages; is a partition offline?")
            for batch in batches.values():
                for record in batch:
                    yield record
            await reader.update()
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {topic}: cannot be read: {words_of(settings, error)}") from error
    finally:
        await consumer.stop()


async def written_since(settings: Settings, topic: str, since: int) -> int:
    """How many offsets of a topic were written at `since` (ms) or later; raise SettingsError as `records` does."""
    topic = TopicNames.of(settings).on_cluster(topic)
    tps = [TopicPartition(topic, partition) for partition in range(await partitions_of(settings, topic))]
    consumer = new_consumer(settings, "reader")
    try:
        await consumer.start()
        return await TopicReader(consumer).add(tps, dict.fromkeys(tps, since))
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {topic}: cannot be read: {words_of(settings, error)}") from error
    finally:
        await consumer.stop()


async def deleted_before(settings: Settings, topic: str) -> int | None:
    """The time (ms) before which records of some partition were deleted; None where nothing was.

    Raise SettingsError as `records` does.
    """
    topic = TopicNames.of(settings).on_cluster(topic)
    tps = [TopicPartition(topic, partition) for partition in range(await partitions_of(settings, topic))]
    consumer = new_consumer(settings, "reader")
    try:
        await consumer.start()
        begins = await consumer.beginning_offsets(tps)
        oldest = await consumer.offsets_for_times(dict.fromkeys(tps, 0))
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {topic}: cannot be read: {words_of(settings, error)}") from error
    finally:
        await consumer.stop()
    times = [each.timestamp for tp in tps if begins[tp] > 0 and (each := oldest.get(tp)) is not None]
    return max(times, default=None)
