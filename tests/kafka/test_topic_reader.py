"""A topic is read from a chosen offset to its end, on the embedded broker and on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer, new_producer
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import TopicReader, deleted_before, records

T0 = 1_700_000_000_000


async def written(broker: str, topic: str, partitions: int = 2) -> Settings:
    """Create a topic with the values 0 to 5, a second apart, even ones in partition 0, odd ones in partition 1."""
    settings = Settings(broker=broker, replication=1)
    async with Cluster(settings) as cluster:
        await cluster.create({topic: (partitions, {})})
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for number in range(6):
            await producer.send_and_wait(
                topic, str(number).encode(), partition=number % 2, timestamp_ms=T0 + number * 1000
            )
    return settings


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = new_consumer(settings, "test", fetch_max_wait_ms=50)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_all_records_are_read_in_the_order_of_their_partition(any_broker: str) -> None:
    settings = await written(any_broker, "reader-all")
    values = [(record.partition, record.value) async for record in records(settings, "reader-all")]
    assert [value for partition, value in values if partition == 0] == [b"0", b"2", b"4"]
    assert [value for partition, value in values if partition == 1] == [b"1", b"3", b"5"]


EVERYTHING = {b"0", b"1", b"2", b"3", b"4", b"5"}
FAR_AHEAD = T0 + 10**12


@pytest.mark.parametrize(
    ("since", "last", "expected"),
    [
        (None, 1, {b"4", b"5"}),
        (None, 99, EVERYTHING),
        (T0, None, EVERYTHING),
        (T0, 1, {b"4", b"5"}),
        (FAR_AHEAD, None, set()),
    ],
)
async def test_reading_starts_at_a_number_of_records_before_the_end(
    any_broker: str, since: int | None, last: int | None, expected: set[bytes]
) -> None:
    topic = f"reader-{since}-{last}"
    settings = await written(any_broker, topic)
    assert {record.value async for record in records(settings, topic, last, since)} == expected


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [(3000, {b"3", b"4", b"5"}), (3001, {b"4", b"5"}), (5000, {b"5"}), (5001, set())],
)
async def test_reading_starts_at_a_time(kafka: str, after_ms: int, expected: set[bytes]) -> None:
    """On Apache Kafka only: the embedded broker searches by its own time of writing and by segments."""
    topic = f"reader-after-{after_ms}"
    settings = await written(kafka, topic)
    assert {record.value async for record in records(settings, topic, since=T0 + after_ms)} == expected


async def test_a_topic_that_does_not_exist_is_rejected_by_name(any_broker: str) -> None:
    with pytest.raises(SettingsError, match="topic no-such: does not exist"):
        [_ async for _ in records(Settings(broker=any_broker), "no-such")]


async def test_adding_partitions_does_not_change_the_position_of_others(any_broker: str) -> None:
    settings = await written(any_broker, "reader-later")
    first, second = TopicPartition("reader-later", 0), TopicPartition("reader-later", 1)
    async with consuming(settings) as consumer:
        reader = TopicReader(consumer)
        assert await reader.add([first]) == 3
        assert (reader.caught_up, set(reader.pending)) == (False, {first})
        [one] = (await consumer.getmany(timeout_ms=5000, max_records=1))[first]
        assert one.value == b"0"
        assert await reader.add([second], last=1) == 1
        found = set()
        while not reader.caught_up:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found |= {record.value for record in batch}
            await reader.update()
        assert found == {b"2", b"4", b"5"}


async def test_a_reader_does_not_wait_for_the_marker_of_a_transaction(kafka: str) -> None:
    settings = await written(kafka, "reader-marked", 2)
    producer = new_producer(settings, "test", transactional_id="reader-marked")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait("reader-marked", b"6", partition=0)
    finally:
        await producer.stop()
    assert await committed_values(settings, "reader-marked", 7) == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]


async def test_aborted_records_are_not_read_and_open_ones_neither_read_nor_waited_for(kafka: str) -> None:
    settings = await written(kafka, "reader-aborted", 2)
    producer = new_producer(settings, "test", transactional_id="reader-aborted")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait("reader-aborted", b"aborted", partition=0)
        await producer.abort_transaction()
        async with producer.transaction():
            await producer.send_and_wait("reader-aborted", b"6", partition=0)
        assert await committed_values(settings, "reader-aborted", 7) == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
        await producer.begin_transaction()
        await producer.send_and_wait("reader-aborted", b"open", partition=1)
        assert b"open" not in [record.value async for record in records(settings, "reader-aborted")]
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def committed_values(settings: Settings, topic: str, number: int) -> list[bytes]:
    """The values of a topic, once there are so many: a broker makes a commit visible after it has confirmed it."""
    values: list[bytes] = []
    for _ in range(50):
        values = sorted([record.value async for record in records(settings, topic) if record.value is not None])
        if len(values) >= number:
            break
        await asyncio.sleep(0.1)
    return values


async def test_the_time_before_which_records_were_deleted_is_known(kafka: str) -> None:
    settings = await written(kafka, "reader-deleted", 2)
    assert await deleted_before(settings, "reader-deleted") is None
    async with Cluster(settings) as cluster:
        await cluster._admin.delete_records({TopicPartition("reader-deleted", 1): RecordsToDelete(before_offset=2)})
    assert await deleted_before(settings, "reader-deleted") == T0 + 5000
