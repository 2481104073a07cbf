"""A simulation is sent to a broker: all messages arrive, in order by partition, as Kafka's partitioner assigns them."""

import asyncio
import signal
import sys
import time
from collections import defaultdict

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner

from vigil.app.cli.main import main
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import Settings
from vigil.app.simulate import InvalidSimulationError, Simulation
from vigil.app.simulate.kafka import CannotProduceError, SendCallbacks, SendOptions, produce, topics_of
from vigil.app.simulate.partitions import partition_of

START = 1_662_048_000_000
PARTITIONS = 3
AT_ONCE = SendOptions(speed=None)


@pytest.fixture
def own_broker():
    """A broker of its own for each test, because the simulator sends to topics with fixed names."""
    with EmbeddedBroker() as embedded:
        yield embedded.address


async def make_topics(broker: str, names: list[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    finally:
        await admin.close()


async def read(broker: str, topics: list[str], number: int) -> dict[tuple[str, int], list[tuple]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    found = defaultdict(list)
    try:
        consumer.assign([TopicPartition(topic, p) for topic in topics for p in range(PARTITIONS)])
        until = time.monotonic() + 20
        while number and time.monotonic() < until:
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[place.topic, place.partition] += [(record.key, record.value) for record in records]
                number -= len(records)
    finally:
        await consumer.stop()
    return found


def story(**changes: object) -> Simulation:
    settings = {"seed": 5, "rooms": 6, "suppliers": 6, "start_ms": START, "duration_s": 120, **changes}
    return Simulation(**settings)  # type: ignore[arg-type]


async def test_all_messages_arrive_in_order_in_the_partition_of_kafkas_partitioner(own_broker):
    simulation = story(malformed=0.3, duplicates=0.1)
    await make_topics(own_broker, topics_of(simulation))
    faults = []
    sent = await produce(simulation, Settings(broker=own_broker), AT_ONCE, SendCallbacks(on_fault=faults.append))
    expected = defaultdict(list)
    for message in simulation.messages():
        place = (message.topic, partition_of(message.key, PARTITIONS))
        expected[place].append((message.key, message.value))
    assert sent == sum(len(of) for of in expected.values())
    assert await read(own_broker, topics_of(simulation), sent) == expected
    assert sorted(faults, key=repr) == sorted(simulation.manifest(), key=repr)


async def test_partitions_are_those_of_the_default_partitioner_of_a_producer(own_broker):
    await make_topics(own_broker, ["comment"])
    keys = [f"room-{n:05d}-001".encode() for n in range(30)]
    async with AIOKafkaProducer(bootstrap_servers=own_broker) as producer:
        places = [(await producer.send_and_wait("comment", b"{}", key=key)).partition for key in keys]
    assert places == [partition_of(key, PARTITIONS) for key in keys]


async def test_after_the_backlog_simulated_time_passes_at_the_chosen_speed(own_broker):
    simulation = story(duration_s=64)
    await make_topics(own_broker, topics_of(simulation))
    began = time.monotonic()
    progress = []
    backlog_sent = []
    callbacks = SendCallbacks(
        on_progress=lambda *at: progress.append(at),
        on_backlog_sent=lambda: backlog_sent.append(time.monotonic() - began),
    )
    await produce(simulation, Settings(broker=own_broker), SendOptions(speed=4, backlog_s=60), callbacks)
    took = time.monotonic() - began
    assert len(backlog_sent) == 1
    assert backlog_sent[0] < 0.6
    assert 0.7 < took < 3, "four seconds at fourfold speed"
    assert progress
    assert all(START <= at <= START + 66_000 for _, at in progress)


@pytest.mark.parametrize("stamped", [True, False])
async def test_the_backlogs_timestamps_are_those_of_its_sending_if_asked_for(own_broker, stamped: bool):
    simulation = story(rooms=2, suppliers=0)
    await make_topics(own_broker, topics_of(simulation))
    await produce(simulation, Settings(broker=own_broker), SendOptions(speed=None, backlog_s=60, stamped=stamped))
    consumer = AIOKafkaConsumer("frame-status", bootstrap_servers=own_broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = [record for batch in (await consumer.getmany(timeout_ms=5000)).values() for record in batch]
    finally:
        await consumer.stop()
    old = {record.timestamp < START + 60_000 for record in found if orjson.loads(record.value)["at"] < START + 50_000}
    assert old == {stamped}
    assert all(
        record.timestamp > START + 60_000 for record in found if orjson.loads(record.value)["at"] > START + 60_000
    )


async def test_the_rate_is_not_exceeded(own_broker):
    simulation = story(duration_s=30, suppliers=0)
    await make_topics(own_broker, topics_of(simulation))
    began = time.monotonic()
    sent = await produce(simulation, Settings(broker=own_broker), SendOptions(speed=None, rate=300))
    assert sent > 150
    assert time.monotonic() - began > (sent - 1) / 300 - 0.1


async def test_it_stops_on_request_and_every_counted_message_has_arrived(own_broker):
    simulation = story(duration_s=None)
    await make_topics(own_broker, topics_of(simulation))
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.7, stop.set)
    began = time.monotonic()
    sent = await produce(simulation, Settings(broker=own_broker), SendOptions(backlog_s=30), stop=stop)
    assert time.monotonic() - began < 5
    found = await read(own_broker, topics_of(simulation), sent)
    assert sum(len(of) for of in found.values()) == sent


async def test_a_missing_topic_is_named_and_not_created(own_broker):
    await make_topics(own_broker, ["comment", "frame-status"])
    with pytest.raises(CannotProduceError, match=r"no topic buyer-entry: .*vigil worker"):
        await produce(story(suppliers=0), Settings(broker=own_broker), AT_ONCE)
    admin = AIOKafkaAdminClient(bootstrap_servers=own_broker)
    await admin.start()
    try:
        assert set(await admin.list_topics()) == {"comment", "frame-status"}
    finally:
        await admin.close()


def test_the_command_reports_a_missing_broker():
    result = CliRunner().invoke(main, ["simulate", "--broker", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert "cannot reach Kafka at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(("setting", "value"), [("speed", 0), ("rate", -1), ("backlog_s", float("nan"))])
async def test_a_speed_rate_or_backlog_out_of_range_is_rejected(setting, value):
    with pytest.raises(InvalidSimulationError, match=setting):
        await produce(story(), Settings(broker="127.0.0.1:1"), SendOptions(**{setting: value}))


async def test_ctrl_c_stops_sending_without_an_error(own_broker):
    topics = topics_of(story(products=3))
    await make_topics(own_broker, topics)
    program = "from vigil.app.cli.simulate import simulate; simulate()"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "--broker", own_broker, "--backlog", "30s"),
        stderr=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(2)
    child.send_signal(signal.SIGINT)
    _, words = await asyncio.wait_for(child.communicate(), 10)
    assert child.returncode == 0, words
    sent = int(words.decode().split(" messages")[0].replace(",", ""))
    found = await read(own_broker, topics, sent)
    assert sum(len(of) for of in found.values()) == sent
    now = time.time() * 1000
    times = [
        orjson.loads(value)["at"] for (topic, _), of in found.items() for _, value in of if topic == "frame-status"
    ]
    assert now - 45_000 < min(times) < max(times) < now
    assert max(times) > now - 15_000, "it continues in real time"
