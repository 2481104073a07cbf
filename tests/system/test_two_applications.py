"""Two applications on one cluster: each has verdicts and ladders of its own, and touches no topic of the other."""

from asyncio import to_thread
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from click.testing import CliRunner
from msgspec import to_builtins

from tests.kafka.test_admin import make
from tests.support.comparison import Consumed, differences
from tests.support.harness import OUTPUTS, WorkerProcess, finished, make_topics, read, recorded, replayed, send
from tests.support.kafka import KafkaBroker
from tests.support.rulebook_files import with_value
from vigil.app.cli.main import main
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.ownership import check_names
from vigil.app.runtime.replay import replay
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage

PARTITIONS = 2
TRIAL = {"app_id": "trial", "topic_prefix": "trial.", "input_prefix": ""}


def messages() -> list[SimulatedMessage]:
    story = Simulation(seed=11, rooms=20, suppliers=8, start_ms=1_662_048_000_000, duration_s=600, history_days=5)
    return list(story.messages())


async def read_by_catalogue(broker: str, names: TopicNames) -> Consumed:
    consumed = await read(broker, names.all_on_cluster(OUTPUTS))
    return {names.in_catalogue(topic): found for topic, found in consumed.items()}


async def sources_of(broker: str, topic: str) -> set[str]:
    """The `ce_source` of every message of a topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=5000)
    finally:
        await consumer.stop()
    return {dict(record.headers)["ce_source"].decode() for batch in batches.values() for record in batch}


@pytest.mark.ci
async def test_a_trial_rulebook_beside_the_real_one_does_not_touch_it(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    sent, stricter = messages(), tmp_path / "trial.toml"
    stricter.write_text(with_value("absence.from", "lasts_s", "60"), encoding="utf-8")
    expected, tried = replayed(sent), replay(recorded(sent), load_rulebook(stricter))
    assert {output.id for output in tried["enforcement"]} ^ {output.id for output in expected["enforcement"]}
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    await send(broker, sent)
    both = {"clock": "recorded", "recorded_until": expected.until, "session_timeout_ms": 3000, "partitions": PARTITIONS}
    workers = [
        WorkerProcess(broker, tmp_path / "real.log", **both),
        WorkerProcess(broker, tmp_path / "trial.log", rulebook=stricter, **both, **TRIAL),
    ]
    try:
        for worker in workers:
            await worker.ready()
        await finished(broker)
        names = TopicNames("trial", "trial.", input_prefix="")
        await finished(broker, "trial", names=names)
        assert differences(expected, await read(broker)) == []
        assert differences(tried, await read_by_catalogue(broker, names)) == []
        assert await sources_of(broker, "enforcement") == {"/vigil/vigil"}
        assert await sources_of(broker, "trial.enforcement") == {"/vigil/trial"}
        for settings in (Settings(broker=broker), Settings(broker=broker, **TRIAL)):  # type: ignore[arg-type]
            assert [check.level for check in await check_names(settings)] == ["ok"]
    finally:
        assert [worker.stop() for worker in workers] == [0, 0]


async def publish(broker: str, topic: str, source: str | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    headers = [] if source is None else [("ce_source", source.encode())]
    await producer.send_and_wait(topic, b"{}", key=b"room-1", headers=headers)
    await producer.stop()


@pytest.mark.ci
async def test_a_worker_does_not_publish_where_another_application_does(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    await publish(broker, "verdict", "/vigil/other")
    await publish(broker, "verdict", None)  # of nobody: it hides nothing
    log = tmp_path / "worker.log"
    worker = WorkerProcess(broker, log, log_format="text")
    assert worker.process.wait(30) == 2
    said = log.read_text()
    assert "topic_prefix: the last record of verdict was written by the application other" in said
    assert "take_outputs = true" in said
    (check,) = await check_names(Settings(broker=broker))
    assert (check.level, "written by the application other" in check.words) == ("fail", True)
    taking = await WorkerProcess(broker, log, take_outputs="true", session_timeout_ms=3000).ready()
    assert taking.stop() == 0
    await publish(broker, "verdict", "/vigil/vigil")
    assert [check.level for check in await check_names(Settings(broker=broker))] == ["ok"]
    (check,) = await check_names(Settings(broker=broker, take_outputs=True))
    assert check.level == "warn"


@pytest.mark.ci
async def test_outputs_of_an_earlier_version_are_those_of_an_application_that_ran_before(
    own_kafka: KafkaBroker,
) -> None:
    broker = own_kafka.address
    await make_topics(broker, PARTITIONS)
    await publish(broker, "verdict", "/vigil")
    (check,) = await check_names(Settings(broker=broker))
    assert (check.level, "an earlier version" in check.words) == ("fail", True)
    await commit(broker, {TopicPartition("comment", 0): 0})
    assert [check.level for check in await check_names(Settings(broker=broker))] == ["ok"]


async def commit(broker: str, offsets: dict[TopicPartition, int], group: str = "vigil") -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign(list(offsets))
    await consumer.commit(offsets)
    await consumer.stop()


@pytest.mark.ci
async def test_what_waits_in_internal_topics_of_an_earlier_version_is_judged_after_the_migration(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    """As if a worker of that version had stopped when two of three verdicts of a host were counted."""
    sent = messages()
    verdicts = replayed(sent)["verdict"][:6]
    broker = own_kafka.address
    catalogue = REGISTRY.topics
    await ensure_topics(Settings(broker=broker, partitions=1, app_id="unused"), REGISTRY.sources)
    await make(broker, {topic: 1 for topic in catalogue if catalogue[topic].direction == "internal"})
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for output in verdicts:
        body = orjson.dumps({**to_builtins(output.body), "published_at": output.at})
        await producer.send_and_wait("verdict-by-host", body, key=output.body.host_id.encode())  # type: ignore[union-attr]
    await producer.stop()
    await commit(broker, {TopicPartition("verdict-by-host", 0): 2})

    log = tmp_path / "worker.log"
    worker = WorkerProcess(broker, log, log_format="text", partitions=1)
    assert worker.process.wait(30) == 2
    assert "internal topics: the group vigil has read verdict-by-host under an earlier version" in log.read_text()
    assert "run `vigil topics --migrate` once" in log.read_text()
    assert [check.level for check in await check_names(Settings(broker=broker))] == ["fail"]

    done = await to_thread(CliRunner().invoke, main, ["topics", "--migrate", "--broker", broker])
    assert done.exit_code == 0, done.output
    assert "verdict-by-host: 4 records copied" in done.stderr
    again = await to_thread(CliRunner().invoke, main, ["topics", "--migrate", "--broker", broker])
    assert "nothing to migrate" in again.stderr

    worker = await WorkerProcess(broker, log, clock="recorded", session_timeout_ms=3000).ready()
    try:
        running = await to_thread(CliRunner().invoke, main, ["topics", "--migrate", "--broker", broker])
        assert (running.exit_code, "1 workers of vigil run; stop them first" in running.stderr) == (2, True)
        await finished(broker)
        consumed = (await read(broker, ["enforcement"]))["enforcement"]
        assert (
            {value["action_id"] for _, value in consumed}
            == {
                output.body.verdict_id  # type: ignore[union-attr]
                for output in verdicts[2:]
            }
        )
    finally:
        assert worker.stop() == 0
