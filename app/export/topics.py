"""Exports topics: every committed message of each, one topic after the other, without a consumer group."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from aiokafka.structs import ConsumerRecord

from vigil.app.export.exporter import Exporter, ExportMessage
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records

FETCH_BYTES: Final = 256 * 1024
"""Bytes of a partition that are fetched at a time: a few of these are in memory for each partition."""


async def export_topics(
    settings: Settings,
    exporter: Exporter,
    since: int | None,
    until: int | None,
    on_progress: Callable[[str], object],
) -> list[str]:
    """Add the messages of all topics of the exporter, and return those that do not exist.

    `since`, `until`: only messages that were written from then on and before (ms). `on_progress` is called with the
    topic of each message. Raise SettingsError where topics cannot be read, or none of them exists.
    """
    wanted = exporter.topics
    there = await _existing(settings, wanted)
    for topic in there:
        async for record in records(settings, topic, since=since, fetch_bytes=FETCH_BYTES):
            if until is None or record.timestamp < until:
                exporter.add(_message(topic, record))
            on_progress(topic)
    return [topic for topic in wanted if topic not in there]


async def _existing(settings: Settings, topics: Iterable[str]) -> list[str]:
    """Those of the topics that exist; raise SettingsError if there are none."""
    on_cluster = TopicNames.of(settings).on_cluster
    wanted = {on_cluster(topic): topic for topic in topics}
    async with Cluster(settings) as cluster:
        counts = await cluster.partitions(wanted)
    if not counts:
        raise SettingsError(f"none of the topics {', '.join(wanted)} exists on {settings.broker}")
    return [topic for name, topic in wanted.items() if name in counts]


def _message(topic: str, record: ConsumerRecord) -> ExportMessage:
    """A record; of one without a value the event time is that of its header, or else when it was written."""
    at = None if record.value is not None else _ce_time(record) or record.timestamp
    return ExportMessage(topic, record.key, record.value, record.partition, record.offset, at)


def _ce_time(record: ConsumerRecord) -> int | None:
    """The time (ms) in the CloudEvents header of an output; None where there is none that can be read."""
    for name, value in record.headers:
        if name == "ce_time":
            try:
                return round(datetime.fromisoformat(value.decode()).timestamp() * 1000)
            except (ValueError, OverflowError):
                return None
    return None
