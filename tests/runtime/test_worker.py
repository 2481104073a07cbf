"""A worker process from start to end: health, metrics, logs, and what it refuses to go on with."""

import asyncio
import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.support.broken_worker import FATAL
from tests.support.comparison import differences
from tests.support.harness import INPUTS, WorkerProcess, finished, make_topics, read, replayed, send
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook, parse_rulebook
from vigil.app.engine.changelog import FORMAT, CheckpointMarker, StoredSourcePosition, marker_record
from vigil.app.kafka.admin import changelog_of
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.metrics_reporter import worker_metrics
from vigil.app.runtime.replay import Outputs
from vigil.app.runtime.ticks import tick_s
from vigil.app.runtime.worker import Worker
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.rulebooks import RULEBOOK, RulebookPublication

PARTITIONS: Final = 2
SHUTDOWN_S: Final = 5.0
FULL: Final = Path("/dev/full")


def simulated(seconds: int = 240, rooms: int = 8) -> list[SimulatedMessage]:
    simulation = Simulation(
        seed=5, rooms=rooms, suppliers=6, start_ms=1_662_048_000_000, duration_s=seconds, history_days=2, reviews=0.3
    )
    return list(simulation.messages())


@pytest.fixture
def embedded() -> Iterator[str]:
    """An embedded broker of this test's own."""
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.fixture
async def stored(embedded: str) -> AsyncIterator[str]:
    """A broker with Vigil's topics and nothing in them."""
    await make_topics(embedded, PARTITIONS)
    yield embedded


def test_ticks_are_longer_with_many_shards_and_have_a_maximum() -> None:
    assert [tick_s(shards) for shards in (0, 20, 200, 500, 1000, 10_000)] == [0.01, 0.01, 0.01, 0.025, 0.05, 0.05]


def worker(broker: str, log: Path, **settings: Any) -> WorkerProcess:
    return WorkerProcess(
        broker, log, session_timeout_ms=3000, idempotent_producer=False, partitions=PARTITIONS, **settings
    )


def recorded(expected: Outputs) -> dict[str, Any]:
    return {"clock": "recorded", "recorded_until": expected.until}


def log_lines(log: Path) -> list[dict[str, Any]]:
    """The lines of a worker's log: each must be a JSON object with a level, a logger and a time."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        assert line.keys() >= {"level", "logger", "timestamp", "event"}, line
    return lines


def stopped(log: Path) -> str:
    """Why a worker stopped: logged once, in words, without a traceback, and as the last line."""
    lines = log_lines(log)
    (line,) = [line for line in lines if line["event"] == "stopped by an error"]
    assert line["level"] == "critical"
    assert not [other for other in lines if "exception" in other]
    assert lines[-1] is line
    words: str = line["error"]
    return words


async def ended(running: WorkerProcess, within_s: float = 30) -> int:
    """The exit status of a worker that ends by itself."""
    return await asyncio.to_thread(running.process.wait, within_s)


async def committed(broker: str, app_id: str = "vigil") -> dict[str, int]:
    """By topic: how many messages are committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in INPUTS for number in range(PARTITIONS)]
        offsets = await admin.list_consumer_group_offsets(app_id, partitions=partitions)
    finally:
        await admin.close()
    sums: Counter[str] = Counter()
    for tp, offset in offsets.items():
        sums[tp.topic] += max(0, offset.offset)
    return dict(sums)


# ---- health, metrics, logs, the end --------------------------------------------------------------------------------


@pytest.mark.ci
async def test_a_worker_reports_its_health_and_ends_without_an_error(stored: str, tmp_path: Path) -> None:
    messages = simulated()
    expected = replayed(messages)
    assert expected["verdict"]
    await send(stored, messages)
    log = tmp_path / "worker.log"
    running = worker(stored, log, **recorded(expected))
    try:
        before = set()
        while (status := running.get("/health/ready"))[0] != 200:
            assert running.process.poll() is None, log.read_text()
            if status[0]:
                before.add(status)
                assert running.get("/health/live")[0] == 200
            await asyncio.sleep(0.02)
        assert {code for code, _ in before} == {503}, "it listens before it judges, and says so"
        assert json.loads(before.pop()[1]) == {"status": "no", "why": "recovering, or waiting for the group"}
        assert running.get("/health/live") == (200, '{"status": "ok"}')
        assert running.get("/nothing")[0] == 404

        await finished(stored, still_s=0.5)
        status, text = running.get("/metrics")
        assert status == 200
        families = {family.name: family for family in text_string_to_metric_families(text)}
        for metric in worker_metrics().registry.collect():
            assert metric.name in families, metric.name
            assert families[metric.name].documentation == metric.documentation
            assert families[metric.name].type == metric.type
        values = {
            (sample.name, sample.labels.get("topic")): sample.value
            for family in families.values()
            for sample in family.samples
        }
        assert values["vigil_ready", None] == 1
        sent = Counter(message.topic for message in messages)
        for topic in INPUTS:
            assert values["vigil_events_total", topic] == sent[topic], topic
        assert values["vigil_outputs_total", "verdict"] == len(expected["verdict"])

        second = worker(stored, tmp_path / "second.log", web_port=running.web_port, **recorded(expected))
        assert await ended(second) == 2
        why = (tmp_path / "second.log").read_text()
        assert f"Error: web_port: cannot listen on 127.0.0.1:{running.web_port}: " in why
        assert "give each worker a port of its own, or 0 for a free one" in why
        assert running.get("/health/ready")[0] == 200, "the group does not even notice"

        outputs = await read(stored)
        assert differences(expected, outputs) == []
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < SHUTDOWN_S
        events = [line["event"] for line in log_lines(log)]
        assert {"worker starts", "partitions assigned", "serving metrics and health", "stopping in order"} <= set(
            events
        )
        assert "partitions revoked" not in events, "it had none before"
        assert not [line for line in log_lines(log) if line["level"] in ("error", "critical")]

        other = tmp_path / "other.toml"
        other.write_text(BUILT_IN.read_text() + '\n[black-screen.from.2030-01-01]\nlasts_s = 90\nsource = "a test"\n')
        refused = worker(stored, tmp_path / "refused.log", rulebook=other, **recorded(expected))
        assert await ended(refused) == 1
        words = stopped(tmp_path / "refused.log")
        assert words.startswith("rulebook: ")
        assert "rulebook_changed" in words

        meant = {"rulebook": other, "rulebook_changed": True}
        again = await worker(stored, tmp_path / "again.log", **meant, **recorded(expected)).ready()
        await finished(stored, still_s=0.5)
        assert again.stop() == 0
        after = await read(stored)
        for topic in ("verdict", "notice", "enforcement", "pin-decision", "dead-letter"):
            assert len(after[topic]) == len(outputs[topic]), f"{topic} is repeated after a calm restart"
        assert differences(expected, after) == []

        await publish_first(stored, BUILT_IN.read_text())  # the checkpoints are of the other one by now
        unknown = worker(stored, tmp_path / "unknown.log", rulebook=other, **recorded(expected))
        assert await ended(unknown) == 1
        words = stopped(tmp_path / "unknown.log")
        assert words.startswith("rulebook: the stored state is of a rulebook (")
        assert "that the topic `rulebook` does not know" in words
    finally:
        running.kill()


async def publish_first(broker: str, text: str) -> None:
    """Publish a rulebook as the first one of its topic."""
    digest = parse_rulebook(text, "rules.toml").digest
    body = RulebookPublication(text=text, digest=digest, parent="", notice_ms=60_000, by="p", at=1_662_048_000_000)
    async with new_producer(Settings(broker=broker), "test") as producer:
        await producer.send_and_wait(RULEBOOK, msgspec.json.encode(body), RULEBOOK.encode())


@pytest.mark.ci
async def test_a_signal_in_the_middle_of_a_backlog_loses_and_repeats_nothing(stored: str, tmp_path: Path) -> None:
    messages = simulated(seconds=600, rooms=24)
    expected = replayed(messages)
    await send(stored, messages)
    running = await worker(stored, tmp_path / "worker.log", max_poll_records=20, **recorded(expected)).ready()
    while not re.search(r"^vigil_verdicts_total\{.*\} [1-9]", running.get("/metrics")[1], re.MULTILINE):
        assert running.process.poll() is None
    began = time.monotonic()
    running.signal(signal.SIGTERM)
    assert await ended(running) == 0
    assert time.monotonic() - began < SHUTDOWN_S
    done = sum((await committed(stored)).values())
    assert 0 < done < len(messages), "the signal did not come in the middle"
    # What it says goes to a disk that is full, where the machine has such a thing: it judges all the same.
    log = FULL if FULL.exists() else tmp_path / "again.log"
    again = await worker(stored, log, log_level="debug", **recorded(expected)).ready()
    try:
        await finished(stored, still_s=0.5)
        outputs = await read(stored)
        assert differences(expected, outputs) == []
        for topic, identity in (("verdict", "verdict_id"), ("notice", "notice_id")):
            repeats = {name: n for name, n in Counter(value[identity] for _, value in outputs[topic]).items() if n > 1}
            assert repeats == {}, topic
    finally:
        assert again.stop() == 0


async def test_nobody_is_asked_for_topics_after_the_last_checkpoint() -> None:
    ending = Worker(Settings(broker="127.0.0.1:1"), load_rulebook(), dict.fromkeys(REGISTRY.subjects, 1))
    ending._assigned_once = ending.health.finished = True
    async with asyncio.timeout(10):
        await ending._watch_topics()


@pytest.mark.parametrize("held", [0, 3])
async def test_a_revocation_is_logged_where_shards_are_revoked(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Worker(Settings(broker="127.0.0.1:1"), load_rulebook(), dict.fromkeys(REGISTRY.subjects, 1))
    monkeypatch.setattr(one.manager, "shards", dict.fromkeys(range(held)))

    async def write_last() -> None:
        one.manager.release()

    monkeypatch.setattr(one.checkpoints, "write_last", write_last)
    with capture_logs() as lines:
        await one.on_revoked()
    assert lines == [{"event": "partitions revoked", "shards": held, "log_level": "info"}] * bool(held)


# ---- what it refuses to go on with ------------------------------------------------------------------------------


async def write(broker: str, topic: str, key: bytes, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    await producer.send_and_wait(topic, value, key=key, partition=0)
    await producer.stop()


def newer() -> tuple[bytes, bytes]:
    """A marker as a later version of Vigil would write it."""
    source = StoredSourcePosition(0, 0, 0, 0)
    marker = CheckpointMarker(FORMAT + 1, 1, 1, 0, 0, 0, 0, 0, 2000, (source,) * 3, 0, "")
    record = marker_record(marker)
    assert record.value is not None
    return record.key, record.value


@pytest.mark.ci
async def test_state_that_cannot_be_read_is_refused_in_words(stored: str, tmp_path: Path) -> None:
    await write(stored, changelog_of("vigil", "rooms"), *newer())
    running = worker(stored, tmp_path / "worker.log")
    assert await ended(running) == 1
    words = stopped(tmp_path / "worker.log")
    assert f"the stored state has format {FORMAT + 1}, this version of Vigil reads up to {FORMAT}" in words
    assert "upgrade this worker, or roll the group back together" in words


@pytest.mark.ci
async def test_a_bug_in_a_rule_ends_the_worker_with_nothing_lost_and_nothing_half_judged(
    stored: str, tmp_path: Path
) -> None:
    messages = simulated()
    middle = len(messages) // 2
    fatal = next(message for message in messages[middle:] if message.topic == "frame-status")
    assert fatal.key is not None and fatal.value is not None
    fatal = fatal._replace(key=FATAL.encode(), value=fatal.value.replace(fatal.key, FATAL.encode()))
    messages.insert(middle, fatal)
    expected = replayed(messages)
    await send(stored, messages)
    log = tmp_path / "broken.log"
    command = [sys.executable, "-m", "tests.support.broken_worker"]
    broken = WorkerProcess(
        stored, log, command=command, session_timeout_ms=3000, idempotent_producer=False, **recorded(expected)
    )
    assert await ended(broken) == 1
    (line,) = [line for line in log_lines(log) if line["event"] == "stopped by an error"]
    assert line["error"] == "a bug in a rule"
    assert "ZeroDivisionError" in line["exception"]
    before = await committed(stored)
    whole = Counter(message.topic for message in messages)
    assert before.get("frame-status", 0) < whole["frame-status"]
    mended = await worker(stored, tmp_path / "mended.log", **recorded(expected)).ready()
    try:
        await finished(stored, still_s=0.5)
        assert differences(expected, await read(stored)) == []
    finally:
        assert mended.stop() == 0
