"""Internal topics of earlier versions: until contract 1.1 they had the names of the catalogue, without the `app_id`.

    verdict-by-host ──what the group has not read yet──▶ <app_id>-verdict-by-host

A worker that only began with the new topics would lose what waits in the former ones, so it refuses until `migrate` has
copied that. Nothing is deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_admin, new_consumer, new_producer, once_there
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError

REMEDY: Final = (
    "stop all workers, run `vigil topics --migrate` once, which copies what was not read yet, and start them again"
)


async def check_migrated(settings: Settings) -> None:
    """Raise SettingsError if the group has read internal topics by their former names only."""
    try:
        former = await former_topics(settings)
    except KafkaError as error:
        raise SettingsError(f"group {settings.app_id}: its offsets cannot be read: {error}; is Kafka well?") from error
    if former:
        raise SettingsError(f"internal topics: {former_words(settings, former)}; {REMEDY}")


def former_words(settings: Settings, former: Sequence[str]) -> str:
    """The finding that internal topics were not migrated, for an operator."""
    names = TopicNames.of(settings).all_on_cluster(former)
    return (
        f"the group {settings.app_id} has read {', '.join(former)} under an earlier version of Vigil; their names are "
        f"{', '.join(names)} now"
    )


async def former_topics(settings: Settings) -> list[str]:
    """Return the internal topics that the group has read by their former names, and not yet by those of today.

    Raise KafkaError, or SettingsError where the broker is not reached.
    """
    internal = TopicNames.of(settings).internal
    old = {tp.topic for tp in await committed(settings, internal)}
    if not old:
        return []
    new = {tp.topic for tp in await committed(settings, internal.values())}
    return [topic for topic, name in internal.items() if topic in old and name not in new]


async def committed(settings: Settings, names: Iterable[str]) -> dict[TopicPartition, int]:
    """Return the group's committed offsets in those of the topics that exist, by their names on the cluster.

    Raise as `former_topics` does.
    """
    tps = await _partitions(settings, names)
    if not tps:
        return {}
    admin = new_admin(settings, "offsets")
    try:
        await admin.start()
        offsets: Mapping[TopicPartition, Any] = await once_there(
            lambda: admin.list_consumer_group_offsets(settings.app_id, partitions=tps)
        )
    finally:
        await admin.close()
    return {tp: each.offset for tp, each in offsets.items() if each.offset >= 0}


async def _partitions(settings: Settings, names: Iterable[str]) -> list[TopicPartition]:
    async with Cluster(settings) as cluster:
        counts = await cluster.partitions(names)
    return [TopicPartition(name, partition) for name, count in counts.items() for partition in range(count)]


async def migrate(settings: Settings) -> dict[str, int]:
    """Copy what the group has not read yet to the topics of today, which exist; return the records by former name.

    To repeat it is safe: what is copied twice has one identity. Raise SettingsError while workers run, and where the
    broker fails.
    """
    names = TopicNames.of(settings)
    try:
        await _check_stopped(settings)
        return {topic: await _copy(settings, topic, names.internal[topic]) for topic in await former_topics(settings)}
    except KafkaError as error:
        raise SettingsError(f"migration: {error}; run it again") from error


async def _check_stopped(settings: Settings) -> None:
    admin = new_admin(settings, "migrate")
    try:
        await admin.start()
        described: Any = (await once_there(lambda: admin.describe_consumer_groups([settings.app_id])))[0].groups[0]
    finally:
        await admin.close()
    if described[5]:
        raise SettingsError(f"migration: {len(described[5])} workers of {settings.app_id} run; stop them first")


async def _copy(settings: Settings, old: str, new: str) -> int:
    sources, targets = await _partitions(settings, [old]), await _partitions(settings, [new])
    if len(targets) != len(sources):
        raise SettingsError(
            f"migration: {new} has {len(targets)} partitions, {old} {len(sources)}: give both one number"
        )
    # In the group, so that reading begins where the workers have stopped; no offset of the former topics is committed.
    consumer = new_consumer(settings, "migrate", group_id=settings.app_id, auto_offset_reset="earliest")
    producer = new_producer(settings, "migrate", enable_idempotence=settings.idempotent_producer)
    try:
        await consumer.start()
        await producer.start()
        consumer.assign(sources)
        number = await _copy_to_the_end(consumer, producer, new)
        # That the new topic has offsets says that the copy is complete.
        consumer.assign(targets)
        await consumer.commit(dict.fromkeys(targets, 0))
    finally:
        await producer.stop()
        await consumer.stop()
    return number


async def _copy_to_the_end(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, new: str) -> int:
    ends = await consumer.end_offsets(list(consumer.assignment()))
    number = 0
    while ends:
        for batch in (await consumer.getmany(*ends, timeout_ms=500)).values():
            for record in batch:
                await producer.send(
                    new, record.value, key=record.key, partition=record.partition, headers=list(record.headers),
                    timestamp_ms=record.timestamp,
                )  # fmt: skip
                number += 1
        ends = {tp: end for tp, end in ends.items() if await consumer.position(tp) < end}
    await producer.flush()
    return number
