"""`vigil doctor`: what is right is ok, and what is not is reported with a remedy."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.support.harness import WorkerProcess, finished, make_topics, send
from tests.support.judged import UNTIL, story
from tests.support.run_command import run
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.kafka.clients import once_there
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.examine import examine
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.catalog import TOPICS
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.rulebooks import RulebookPublication

STORY_TIME = UNTIL / 1000 + 10

COUNT = len(TOPICS) + len(REGISTRY.subjects)
SHARDS = 2 * len(REGISTRY.subjects)


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch the input and the changelogs for as short a time as the loop takes."""
    monkeypatch.setattr("vigil.app.runtime.doctor.input.WATCH_S", 0)
    monkeypatch.setattr("vigil.app.runtime.doctor.broker_clock.WAIT_S", 0.1)


def checks(broker: str, now: float | None = None, **settings: Any) -> list[Check]:
    async def all_of() -> list[Check]:
        clock = time.time if now is None else lambda: now
        return [check async for check in examine(Settings(broker=broker, **settings), clock)]

    return asyncio.run(all_of())


def by_name(result: list[Check]) -> dict[str, Check]:
    """The worst of each name."""
    worst: dict[str, Check] = {}
    for check in result:
        if check.name not in worst or worst[check.name].level == "ok":
            worst[check.name] = check
    return worst


@pytest.mark.ci
def test_every_check_that_is_not_ok_has_a_remedy(judged: str):
    for check in [*checks(judged), *checks("127.0.0.1:1"), *checks(judged, app_id="stranger")]:
        assert bool(check.remedy) == (check.level != "ok"), check


def test_after_the_story_no_check_fails(judged: str):
    result = by_name(checks(judged, now=STORY_TIME))
    assert {name for name, check in result.items() if check.level == "fail"} == set()
    assert result["topics"].words == f"all {COUNT} exist and fit"
    assert result["state"].words == f"{SHARDS} of {SHARDS} shards have one"
    assert result["clocks"].words.startswith(f"the slowest of {SHARDS} shards stands")
    assert result["input"].level == "ok"
    assert result["lag"].words == "0 messages wait to be judged"


@pytest.mark.ci
def test_rejected_messages_of_the_last_hours_are_counted_by_topic_and_reason(judged: str):
    result = [check for check in checks(judged) if check.name == "refused"]
    assert [check.level for check in result] == ["warn", "warn"]
    assert {check.words.partition(" message of ")[0] for check in result} == {"buyer-entry: 1", "comment: 1"}
    assert all(" malformed in the last 3 hours: " in check.words for check in result)
    assert all("vigil dead-letter list --topic" in check.remedy for check in result)
    assert by_name(checks(judged, now=time.time() + 4 * 3600))["refused"].level == "ok"


@pytest.mark.ci
def test_a_rulebook_that_differs_from_the_groups_fails(judged: str, tmp_path: Path):
    other = tmp_path / "other.toml"
    text = BUILT_IN.read_text()
    assert "\nlasts_s = 120\n" in text
    other.write_text(text.replace("\nlasts_s = 120\n", "\nlasts_s = 121\n", 1))
    result = by_name(checks(judged, rulebook=str(other)))
    assert result["rulebook"].level == "ok"
    assert result["state"].level == "fail"
    assert "the group judges by another rulebook" in result["state"].words
    assert "VIGIL_RULEBOOK_CHANGED=1" in result["state"].remedy
    meant = by_name(checks(judged, rulebook=str(other), rulebook_changed=True))
    assert (meant["state"].level, meant["rulebook"].level) == ("warn", "warn")


@pytest.mark.ci
def test_checkpoints_by_a_published_rulebook_are_the_groups(
    judged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "other.toml"
    other.write_text(BUILT_IN.read_text().replace("\nlasts_s = 120\n", "\nlasts_s = 121\n", 1))

    def publish(*texts: str) -> None:
        history, parent = RulebookHistory(), ""
        for offset, text in enumerate(texts):
            digest = parse_rulebook(text, "rules.toml").digest
            body = RulebookPublication(text=text, digest=digest, parent=parent, notice_ms=0, by="p", at=1)
            history.add(RulebookRecord(offset, 1, body))
            parent = digest

        async def found(settings: Settings) -> RulebookHistory:
            return history

        monkeypatch.setattr("vigil.app.runtime.doctor.examine.read_history", found)

    publish(BUILT_IN.read_text(), other.read_text())
    assert by_name(checks(judged, rulebook=str(other)))["state"].level == "ok"
    publish(other.read_text())
    result = by_name(checks(judged, rulebook=str(other)))["state"]
    assert result.level == "fail"
    assert "the group judges by another rulebook" in result.words


@pytest.mark.ci
def test_a_rulebook_that_cannot_be_read_fails_and_the_other_checks_are_made(judged: str, tmp_path: Path):
    bad = tmp_path / "bad.toml"
    bad.write_text("[absense]\n")
    result = by_name(checks(judged, rulebook=str(bad), shadow_rulebook=str(tmp_path / "none.toml")))
    assert result["rulebook"].level == "fail"
    assert "did you mean absence?" in result["rulebook"].words
    assert result["shadow rulebook"].level == "fail"
    assert result["topics"].level == "ok"


def test_without_a_broker_only_checks_that_need_none_are_made():
    result = checks("127.0.0.1:1")
    assert [(check.name, check.level) for check in result] == [("rulebook", "ok"), ("broker", "fail")]


@pytest.mark.ci
def test_more_replicas_than_brokers_fail(judged: str):
    result = by_name(checks(judged, replication=3))
    assert result["broker"].level == "fail"
    assert "1 broker, fewer than the setting replication (3)" in result["broker"].words
    assert result["topics"].level == "warn"


def test_a_group_without_workers_that_is_behind_is_reported(judged: str):
    result = by_name(checks(judged, app_id="stranger"))
    assert result["group"].words == "stranger: no worker runs"
    assert result["lag"].level == "warn"
    assert (
        "messages wait to be judged (" in result["lag"].words
    )  # the embedded broker reports ends that are too low to count
    assert (
        f"{len(REGISTRY.subjects) + len(TopicNames('stranger').internal)} of {COUNT} are missing: stranger-"
        in result["topics"].words
    )


def test_an_empty_broker():
    with EmbeddedBroker() as broker:
        result = by_name(checks(broker.address))
        assert result["topics"].words.startswith(f"{COUNT} of {COUNT} are missing")
        assert result["input"].words == "no events yet"
        assert result["state"].words == "none yet"
        assert {check.level for check in result.values()} == {"ok", "warn"}


@pytest.mark.ci
@pytest.mark.parametrize("ahead_s, level", [(4, "ok"), (60, "warn"), (2 * 86_400, "fail")])
def test_a_producers_clock_ahead_of_this_machines_is_reported(ahead_s: int, level: str):
    now = round(time.time() * 1000)
    value = orjson.dumps(EXAMPLES["comment"].value | {"at": now + ahead_s * 1000})
    with EmbeddedBroker() as broker:
        asyncio.run(make_topics(broker.address, 2))
        asyncio.run(send(broker.address, [SimulatedMessage("comment", b"room-1", value, now, now)]))
        result = by_name(checks(broker.address, now=now / 1000))["input"]
    assert result.level == level
    if level != "ok":
        assert "comment: the newest event is" in result.words
        assert "NTP" in result.remedy


@pytest.mark.ci
@pytest.mark.parametrize("past_s, level", [(60, "ok"), (301, "warn")])
def test_five_minutes_without_room_events_are_reported(judged: str, past_s: int, level: str):
    newest = max(message.at for message in story() if message.topic == "frame-status")
    assert by_name(checks(judged, now=newest / 1000 + past_s))["input"].level == level


def test_recorded_data_is_not_compared_with_the_wall_clock(judged: str):
    assert by_name(checks(judged, clock="recorded"))["input"].level == "ok"


async def write(broker: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        await producer.send_and_wait(topic, value, key=b"k", partition=0)


def test_a_foreign_record_in_a_changelog_fails():
    with EmbeddedBroker() as broker:
        asyncio.run(make_topics(broker.address, 2))
        asyncio.run(write(broker.address, "vigil-rooms-state", b"hello"))
        result = by_name(checks(broker.address))["state"]
    assert result.level == "fail"
    assert "vigil-rooms-state, partition 0: a record in the changelog is not Vigil's" in result.words


@pytest.mark.ci
def test_output_and_exit_status_of_the_command(judged: str):
    result = run("doctor", "--broker", judged, clock="recorded")
    assert result.exit_code == 0
    assert f"ok   topics: all {COUNT} exist and fit" in result.stdout
    assert "warn refused: comment: 1 message" in result.stdout
    assert "\n      → vigil dead-letter list --topic comment --reason malformed" in result.stdout
    as_json = json.loads(run("doctor", "--json", "--broker", judged, clock="recorded").stdout)
    assert {check["name"] for check in as_json} >= {"rulebook", "broker", "topics", "group", "lag", "state", "input"}
    assert run("doctor", "--broker", "127.0.0.1:1").exit_code == 1
    assert run("doctor", "--broker", judged, replication="3", clock="recorded").exit_code == 1
    assert run("doctor", "--broker", "nonsense").exit_code == 2


@pytest.mark.ci
async def test_beside_a_worker_on_real_kafka(own_kafka: Any, tmp_path: Path):
    broker = own_kafka.address
    await make_topics(broker, 2)
    await send(broker, story())
    worker = await WorkerProcess(
        broker, tmp_path / "worker.log", clock="recorded", recorded_until=UNTIL, session_timeout_ms=6000
    ).ready()
    try:
        await finished(broker, still_s=0.5)
        result = by_name([check async for check in examine(Settings(broker=broker), lambda: STORY_TIME)])
        assert (result["group"].level, result["group"].words) == ("ok", "vigil: 1 worker, stable")
        assert result["topics"].level == "ok"
        assert result["lag"].words == "0 messages wait to be judged"
        assert result["state"].words.startswith(f"{SHARDS} of {SHARDS} shards")
    finally:
        assert worker.stop() == 0
    result = by_name([check async for check in examine(Settings(broker=broker), lambda: STORY_TIME)])
    assert result["group"].words == "vigil: no worker runs"


@pytest.mark.parametrize("missing, tries", [(0, 1), (3, 4)])
async def test_a_new_kafka_that_has_no_groups_yet_is_asked_again(missing: int, tries: int):
    asked = 0

    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked <= missing:
            raise GroupCoordinatorNotAvailableError
        return "groups"

    assert (await once_there(ask, wait_s=0), asked) == ("groups", tries)
    asked = -99
    with pytest.raises(GroupCoordinatorNotAvailableError):
        await once_there(ask, tries=3, wait_s=0)
