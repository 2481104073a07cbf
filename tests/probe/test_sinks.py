"""Frames lie in Kafka where Vigil's producers must put them; a broker that takes none ends the probe with words."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError, NotLeaderForPartitionError, TopicAuthorizationFailedError

from tests.probe.stages import room
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.partitioners import by_murmur2
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.probe.messages import frame_without_picture, speech_of
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.probe.sinks import KafkaSink, line_of

AT = 1_662_048_000_000


@pytest.fixture
def settings(any_broker_of_its_own: str, request: pytest.FixtureRequest) -> Settings:
    on_kafka = request.node.callspec.params["any_broker_of_its_own"] == "kafka"
    return Settings(broker=any_broker_of_its_own, replication=1, idempotent_producer=on_kafka)


async def test_messages_are_keyed_and_placed_as_producers_must(settings: Settings) -> None:
    await ensure_topics(settings, REGISTRY.sources)
    metrics = ProbeMetrics()
    sink = KafkaSink(settings, metrics)
    await sink.start()
    rooms = [room(room_id=f"room-{number}") for number in range(20)]
    sent = [frame_without_picture(each, "ended", AT) for each in rooms] + [speech_of(each, AT) for each in rooms]
    for message in sent:
        await sink.send(message)
    await sink.stop()
    consumer = AIOKafkaConsumer(
        "frame-status", "comment", bootstrap_servers=settings.broker, auto_offset_reset="earliest"
    )
    await consumer.start()
    found = [await asyncio.wait_for(consumer.getone(), 10) for _ in sent]
    await consumer.stop()
    assert {(record.topic, record.key, record.value) for record in found} == {
        (message.topic, message.key, message.value) for message in sent
    }
    partitions = len(consumer.partitions_for_topic("frame-status") or ()) or settings.partitions
    assert all(record.partition == by_murmur2(record.key, partitions) for record in found)
    assert metrics.registry.get_sample_value("vigil_probe_messages_total", {"topic": "comment"}) == 20


async def test_without_the_topics_the_remedy_is_named(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"has no topic frame-status, comment: a worker creates the topics"):
        await KafkaSink(settings, ProbeMetrics()).start()


async def test_a_frame_that_comes_too_late_is_dropped_and_a_right_that_is_missing_ends_the_probe() -> None:
    metrics = ProbeMetrics()
    sink = KafkaSink(Settings(), metrics)

    class Producer:
        def __init__(self, error: Exception) -> None:
            self.error = error

        async def send(self, *_: object, **__: object) -> "asyncio.Future[None]":
            sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            sent.set_exception(self.error)
            return sent

    message = frame_without_picture(room(), "ended", AT)
    for error in (KafkaTimeoutError(), NotLeaderForPartitionError()):
        sink._producer = Producer(error)
        await sink.send(message)
        await asyncio.sleep(0)
    sink._producer = Producer(TopicAuthorizationFailedError("frame-status"))
    await sink.send(message)
    await asyncio.sleep(0)
    with pytest.raises(SettingsError, match=r"rejects frames.*frame-status"):
        await sink.send(message)
    assert metrics.registry.get_sample_value("vigil_probe_messages_dropped_total", {"why": "not-sent"}) == 3


def test_a_line_is_what_a_replay_reads() -> None:
    line = line_of(frame_without_picture(room(room_id='quoted "room"'), "ended", AT))
    assert line.startswith(b'{"topic":"frame-status","key":"quoted \\"room\\"","value":{"room_id":"quoted \\"room\\""')
    assert line.endswith(b"}}\n")
