"""Who publishes to the output topics: two applications in one topic would mix their verdicts and actions."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_consumer
from vigil.app.kafka.migration import committed
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import MAX_EMPTY_POLLS, TopicReader
from vigil.topics.catalog import TOPICS

OUTPUTS: Final = tuple(topic.name for topic in TOPICS if topic.direction == "out")

LOOK_BACK: Final = 5
"""Records at the end of each partition that are looked at: the last of them may be of no application of Vigil."""

EARLIER: Final = "/vigil"
"""The `ce_source` of every application before contract 1.1."""


class OtherWriter(NamedTuple):
    """An application that has written the last record of an output topic, and is not this one."""

    topic: str
    """Its name on the cluster."""
    source: str
    """The record's `ce_source`."""

    @property
    def words(self) -> str:
        """The finding, for an operator."""
        by = "an application of an earlier version" if self.source == EARLIER else f"the application {self.source[7:]}"
        return f"the last record of {self.topic} was written by {by} (ce_source {self.source})"


REMEDY: Final = (
    "two applications in one topic mix their verdicts and actions: give this one a topic_prefix of its own, or, where "
    "it takes the other's place, set take_outputs = true"
)


async def check_outputs(settings: Settings) -> None:
    """Raise SettingsError if another application publishes to the outputs, unless `take_outputs` is set."""
    if settings.take_outputs:
        return
    try:
        others = await other_writers(settings)
    except KafkaError as error:
        raise SettingsError(f"topics: their last records cannot be read: {error}; is Kafka well?") from error
    if others:
        raise SettingsError(f"topic_prefix: {others[0].words}, not by {settings.app_id}; {REMEDY}")


async def other_writers(settings: Settings) -> list[OtherWriter]:
    """Return the output topics whose last record another application has written; raise KafkaError, SettingsError."""
    names = TopicNames.of(settings)
    sources = await _last_sources(settings, names.all_on_cluster(OUTPUTS))
    others = [OtherWriter(topic, source) for topic, source in sorted(sources.items()) if source != names.source]
    if any(other.source == EARLIER for other in others) and await _has_run(settings, names):
        others = [other for other in others if other.source != EARLIER]
    return others


async def _last_sources(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """By topic: the `ce_source` of the newest record that has one of Vigil's. Topics by their names on the cluster."""
    async with Cluster(settings) as cluster:
        counts = await cluster.partitions(topics)
    tps = [TopicPartition(topic, partition) for topic, count in counts.items() for partition in range(count)]
    newest: dict[str, tuple[int, str]] = {}
    if not tps:
        return {}
    consumer = new_consumer(settings, "ownership", fetch_max_wait_ms=50)
    try:
        await consumer.start()
        reader, empty_polls = TopicReader(consumer), 0
        await reader.add(tps, last=LOOK_BACK)
        while not reader.caught_up and empty_polls <= MAX_EMPTY_POLLS:
            batches = await consumer.getmany(*reader.pending, timeout_ms=1000)
            empty_polls = 0 if batches else empty_polls + 1
            for tp, records in batches.items():
                for record in records:
                    source = _source_of(record.headers)
                    if source is not None:
                        newest[tp.topic] = max(newest.get(tp.topic, (0, source)), (record.timestamp, source))
            await reader.update()
    finally:
        await consumer.stop()
    return {topic: source for topic, (_, source) in newest.items()}


def _source_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    for name, value in headers:
        if name == "ce_source":
            source = value.decode(errors="replace")
            return source if source == EARLIER or source.startswith(f"{EARLIER}/") else None
    return None


async def _has_run(settings: Settings, names: TopicNames) -> bool:
    """True if the group has committed anything: it is an application that ran before."""
    inputs = names.all_on_cluster(topic.name for topic in TOPICS if topic.direction == "in")
    return bool(await committed(settings, inputs))
