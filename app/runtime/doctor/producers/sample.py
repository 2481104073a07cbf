"""Reads the ends of the input topics and grades what their producers do."""

import time
from collections.abc import AsyncIterator
from typing import Final

from aiokafka.errors import KafkaError

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.input import check_input
from vigil.app.runtime.doctor.producers.grades import Expected, grade
from vigil.app.runtime.doctor.producers.measures import Sampled, TopicMeasures
from vigil.topics.catalog import inputs

LAST: Final = 2_000
"""Messages of each partition that are read where nothing else is asked for."""


async def examine_producers(settings: Settings, last: int = LAST) -> AsyncIterator[Check]:
    """Grade each input topic by the last messages of its partitions; `last`: of each partition."""
    names = TopicNames.of(settings)
    try:
        async with Cluster(settings) as cluster:
            counts = await cluster.partitions(names.on_cluster(topic) for topic in inputs())
    except (SettingsError, KafkaError) as error:
        yield Check("broker", "fail", str(error).removeprefix("broker: "), "is it running? VIGIL_BROKER")
        return
    for topic in inputs():
        partitions = counts.get(names.on_cluster(topic))
        if partitions is None or not REGISTRY.is_input(topic):
            yield Check("messages", "warn", f"{topic}: the topic does not exist", "vigil topics --create")
            continue
        measures = await measure(settings, topic, partitions, last)
        for check in grade(measures, _expected(settings, topic)):
            yield check
    # Times of writing are those of the producers' clocks, and as wrong as these: only what arrives now shows it.
    there = {
        topic: count
        for topic in inputs()
        if REGISTRY.is_input(topic) and (count := counts.get(names.on_cluster(topic)))
    }
    for check in await check_input(settings, there, wall_ms):
        yield check


async def measure(settings: Settings, topic: str, partitions: int, last: int = LAST) -> TopicMeasures:
    """Measure the last messages of each partition of a topic; raise SettingsError where it cannot be read."""
    measures = TopicMeasures(topic, partitions, settings.max_ahead_ms)
    async for record in records(settings, topic, last):
        measures.add(Sampled(record.partition, record.timestamp, record.key, record.value))
    measures.read_at = round(time.time() * 1000)
    return measures


def _expected(settings: Settings, topic: str) -> Expected:
    rooms = load_rulebook().versions("rooms")[0].limits
    return Expected(
        partitioner=settings.partitioner,
        allowed_ms=settings.lateness_ms(topic),
        max_frame_gap_ms=round(rooms.max_frame_gap_s * 1000),
        live=settings.clock == "live",
        max_ahead_ms=settings.max_ahead_ms,
    )
