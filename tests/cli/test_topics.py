"""`vigil topics` and the audit behind it: missing topics, topics that do not fit, and remedies."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support.run_command import run
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_audit import Found, TopicLine, clean_up, judge
from vigil.topics.catalog import TOPICS

STATES = {f"vigil-{subject}-state" for subject in REGISTRY.subjects}
COUNT = len(TOPICS) + len(STATES)


def fitting() -> dict[str, Found]:
    """Return every topic as Vigil creates it."""
    config: dict[str, Any] = {"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"}
    config["max.message.bytes"] = str(8 * 1024 * 1024)
    names = TopicNames("vigil")
    return {names.on_cluster(topic.name): Found(4, 1, 0, topic.config) for topic in TOPICS} | {
        name: Found(4, 1, 0, config) for name in STATES
    }


def judged(settings: Settings | None = None, **other: Found | None) -> dict[str, TopicLine]:
    found = fitting()
    for name, instead in other.items():
        del found[name.replace("_", "-")]
        if instead is not None:
            found[name.replace("_", "-")] = instead
    return {line.topic: line for line in judge(found, settings or Settings(), REGISTRY.sources)}


def test_topics_that_vigil_creates_fit():
    assert {line.level for line in judged().values()} == {"ok"}
    assert set(judged()) == set(fitting())


def test_a_missing_topic_is_reported_and_the_others_fit():
    lines = judged(verdict=None)
    assert lines["verdict"].level == "missing"
    assert {line.level for name, line in lines.items() if name != "verdict"} == {"ok"}


def test_different_numbers_of_partitions_of_a_subject_fail():
    lines = judged(comment=Found(6, 1, 0, {}))
    for name in ("buyer-entry", "comment", "frame-status", "vigil-rooms-state"):
        assert lines[name].level == "fail"
        assert "comment has 6, frame-status has 4" in lines[name].findings[0].words
    assert lines["quote"].level == "ok"


def test_topics_of_other_subjects_may_have_other_numbers_of_partitions():
    changed = {name: Found(12, 1, 0, {}) for name in ("vigil_quote_by_rfq", "vigil_rfqs_state", "verdict")}
    assert {line.level for line in judged(**changed).values()} == {"ok"}


@pytest.mark.parametrize(
    "topic, config, level, words",
    [
        ("verdict", {"cleanup.policy": "compact"}, "warn", "only the last message is kept"),
        (
            "verdict",
            {"cleanup.policy": "compact,delete", "retention.ms": "-1"},
            "warn",
            "cleanup.policy is compact,delete",
        ),
        (
            "verdict",
            {"cleanup.policy": "delete", "retention.ms": "3600000"},
            "warn",
            "retention.ms is 3600000, less than",
        ),
        ("verdict", {"cleanup.policy": "delete", "retention.ms": "-1"}, "ok", ""),
        ("verdict", {"cleanup.policy": "delete", "retention.ms": "99999999999999"}, "ok", ""),
        ("dead-letter", {"cleanup.policy": "delete", "retention.bytes": "-1"}, "warn", "would fill the brokers' disks"),
        ("dead-letter", {"cleanup.policy": "delete", "retention.bytes": "5000000"}, "ok", ""),
        ("room-status", {"cleanup.policy": "delete"}, "warn", "old messages go"),
        ("vigil-rooms-state", {"cleanup.policy": "delete"}, "fail", "old messages go"),
        (
            "vigil-rooms-state",
            {"cleanup.policy": "compact", "max.message.bytes": "1048588"},
            "fail",
            "may not be stored",
        ),
        ("vigil-rooms-state", {"cleanup.policy": "compact", "min.compaction.lag.ms": "0"}, "warn", "after a crash"),
        ("comment", {"cleanup.policy": "delete", "retention.ms": "1000"}, "warn", "do not read for that long"),
        ("comment", {"cleanup.policy": "delete", "retention.ms": "259200000"}, "ok", ""),
        ("comment", {"cleanup.policy": "delete", "retention.ms": "-1"}, "ok", ""),
        ("frame-status", {"cleanup.policy": "compact"}, "fail", "of each key only the last event is kept"),
        ("quote", {"cleanup.policy": "compact,delete"}, "fail", "cannot count them"),
        ("supplier-profile", {"cleanup.policy": "compact"}, "ok", ""),
        ("verdict", None, "ok", ""),
    ],
)
def test_clean_up_policies_that_do_not_fit(topic: str, config: dict[str, str] | None, level: str, words: str):
    line = judged(**{topic: Found(4, 1, 0, config)})[topic]
    assert line.level == level
    assert words in "".join(finding.words for finding in line.findings)
    if level != "ok":
        assert f"--entity-name {topic} --add-config " in line.findings[0].remedy


def test_partitions_without_a_leader_fail():
    line = judged(verdict=Found(4, 1, 2, {}))["verdict"]
    assert (line.level, line.findings[0].words) == ("fail", "2 of 4 partitions have no leader")


def test_too_few_replicas_are_reported():
    lines = judged(Settings(replication=3), verdict=Found(4, 3, 0, {}))
    assert lines["verdict"].level == "ok"
    assert "has 1 replicas where the setting `replication` says 3" in lines["notice"].findings[0].words


@pytest.mark.parametrize(
    "config, text",
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000"}, "delete, 7 d"),
        ({"cleanup.policy": "delete", "retention.ms": "-1"}, "delete, for good"),
        ({"cleanup.policy": "compact"}, "compact"),
        ({}, ""),
    ],
)
def test_clean_up_as_text(config: dict[str, str], text: str):
    assert clean_up(config) == text


# ---- the command


def test_check_fails_until_create_has_created_all_topics():
    with EmbeddedBroker() as broker:
        before = run("topics", "--broker", broker.address)
        assert before.exit_code == 0
        assert f"{COUNT} of {COUNT} topics are missing" in before.stdout
        assert run("topics", "--check", "--broker", broker.address).exit_code == 1
        made = run("topics", "--create", "--check", "--json", "--broker", broker.address, partitions="3")
        assert made.exit_code == 0
        result = {line["topic"]: line for line in json.loads(made.stdout)}
        assert {line["partitions"] for name, line in result.items() if name != "rulebook"} == {3}
        assert result["rulebook"]["partitions"] == 1
        assert result["verdict"]["config"]["retention.ms"] == str(180 * 86_400_000)
        assert run("topics", "--check", "--broker", broker.address).exit_code == 0


async def make(broker: str, **partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(name.replace("_", "-"), count, 1) for name, count in partitions.items()])
    await admin.close()


def test_a_misfit_is_reported_once_with_its_remedy_and_not_changed():
    with EmbeddedBroker() as broker:
        asyncio.run(make(broker.address, comment=2, buyer_entry=3))
        result = run("topics", "--check", "--broker", broker.address)
        assert result.exit_code == 1
        assert result.stdout.count("buyer-entry has 3, comment has 2") == 1
        assert "give all of them one number" in result.stdout
        refused = run("topics", "--create", "--broker", broker.address)
        assert refused.exit_code == 2
        assert "buyer-entry has 3, comment has 2" in refused.stderr


def test_topics_on_real_kafka_fit_once_they_are_created(own_kafka: Any):
    made = run("topics", "--create", "--check", "--json", "--broker", own_kafka.address)
    assert made.exit_code == 0, made.output
    result = {line["topic"]: line for line in json.loads(made.stdout)}
    assert {line["level"] for line in result.values()} == {"ok"}
    assert result["vigil-rooms-state"]["config"]["cleanup.policy"] == "compact"
    assert result["verdict"]["config"]["retention.ms"] == str(180 * 86_400_000)


def test_a_missing_broker_is_reported():
    result = run("topics", "--broker", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "cannot reach Kafka at 127.0.0.1:1" in result.stderr
