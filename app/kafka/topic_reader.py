"""Reads a topic once, from its beginning to where it ends now, for the commands that look into topics."""

from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.settings import Settings, SettingsError

_PATIENCE: Final = 30
"""Fetches in a row that may bring nothing before the broker is taken not to answer."""


async def partitions_of(settings: Settings, topic: str) -> int:
    """The topic's number of partitions; raise SettingsError where there is no such topic, or no broker."""
    async with Cluster(settings) as cluster:
        told = await cluster.partitions([topic])
    if topic not in told:
        raise SettingsError(f"topic {topic}: does not exist on {settings.broker}; `vigil topics` shows what does")
    return told[topic]


async def records(
    settings: Settings, topic: str, last: int | None = None, since: int | None = None
) -> AsyncIterator[Any]:
    """Every record of a topic, partition by partition in order; `last`: only so many at the end of each partition.

    `since`: only those written at this time (ms) or later. Raise SettingsError where it cannot be read.
    """
    count = await partitions_of(settings, topic)
    tps = [TopicPartition(topic, partition) for partition in range(count)]
    # Short waits at the end of a topic: whoever asked looks at it once, and is waiting.
    consumer = AIOKafkaConsumer(
        client_id=f"{settings.app_id}-reader", enable_auto_commit=False, fetch_max_wait_ms=50, **settings.kafka()
    )
    try:
        await consumer.start()
        consumer.assign(tps)
        begins = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        if since is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(tps, since))
            begins = {tp: ends[tp] if (at := found.get(tp)) is None else at.offset for tp in tps}
        left = {tp for tp in tps if ends[tp] > begins[tp]}
        for tp in tps:
            begin = begins[tp] if last is None else max(begins[tp], ends[tp] - last)
            consumer.seek(tp, begin)
        waited = 0
        while left:
            batches = await consumer.getmany(*left, timeout_ms=1000)
            waited = 0 if batches else waited + 1
            if waited > _PATIENCE:
                raise SettingsError(f"topic {topic}: the broker does not give its messages; is a partition offline?")
            for batch in batches.values():
                for record in batch:
                    yield record
            # By position: the last offsets may belong to no message (compaction, markers of transactions).
            left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {topic}: cannot be read: {error}") from error
    finally:
        await consumer.stop()
