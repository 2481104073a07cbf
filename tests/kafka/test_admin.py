"""Missing topics are created with the right configuration, existing ones are unchanged, and misfits are rejected."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.acls import check_rights, needed
from vigil.app.kafka.admin import Cluster, changelog_of, ensure_topics
from vigil.app.kafka.embedded_broker import EmbeddedBroker, free_port
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import BY_NAME, DAY_MS

SOURCES: Final = REGISTRY.sources
CHANGELOGS: Final = [changelog_of("vigil", subject) for subject in SOURCES]
TOPIC_NAMES: Final = TopicNames("vigil").all_on_cluster(BY_NAME)
ALL: Final = [*TOPIC_NAMES, *CHANGELOGS]
DAYS: Final = {"verdict": 180, "notice": 7, "enforcement": 180, "pin-decision": 90, "dead-letter": 14}
COMPACTED: Final = {"room-status", "supplier-score", "supplier-profile"}


def settings(broker: str, **rest: Any) -> Settings:
    return Settings(broker=broker, **{"partitions": 3, **rest})


async def make(broker: str, partitions: Mapping[str, int]) -> None:
    """Create topics as another application would."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, count, 1) for name, count in partitions.items()])
    finally:
        await admin.close()


@pytest.fixture
def embedded() -> Iterator[str]:
    """An embedded broker without topics."""
    with EmbeddedBroker() as started:
        yield started.address


async def found(broker: str, names: Iterable[str] = ()) -> dict[str, int]:
    """Return Vigil's topics with their numbers of partitions; wait for `names`, which Kafka lists after a moment."""
    async with Cluster(settings(broker)) as cluster:
        while True:
            counts = await cluster.partitions(ALL)
            if counts.keys() >= set(names):
                return counts
            await asyncio.sleep(0.05)


async def test_every_topic_is_created_and_a_second_call_changes_nothing(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    assert await ensure_topics(settings(broker), SOURCES) == dict.fromkeys(SOURCES, 3)
    created = {**dict.fromkeys(ALL, 3), "rulebook": 1}
    assert await found(broker, ALL) == created
    assert await ensure_topics(settings(broker, partitions=5), SOURCES) == dict.fromkeys(SOURCES, 3)
    assert await found(broker, ALL) == created


async def test_topics_get_the_clean_up_of_the_contract_and_errors_of_the_broker_are_reported(own_kafka: Any) -> None:
    """Not on the embedded broker, which has neither clean-up policies nor replicas."""
    with pytest.raises(SettingsError, match=r"topic [a-z-]+: cannot be created: .*replication.*create it yourself"):
        await ensure_topics(settings(own_kafka.address, replication=3), SOURCES)
    await ensure_topics(settings(own_kafka.address), SOURCES)
    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.address)
    await admin.start()
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in ALL]
        config = {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for response in await admin.describe_configs(asked)
            for resource in response.resources
        }
    finally:
        await admin.close()
    for name, days in DAYS.items():
        assert (config[name]["cleanup.policy"], config[name]["retention.ms"]) == ("delete", str(days * DAY_MS)), name
    for name in [*COMPACTED, *CHANGELOGS]:
        assert config[name]["cleanup.policy"] == "compact", name
    for name in CHANGELOGS:
        assert int(config[name]["max.message.bytes"]) >= 8 * 1024 * 1024
        assert int(config[name]["min.compaction.lag.ms"]) > 60_000, (
            "the next owner needs the records of an unfinished checkpoint"
        )
        assert int(config[name]["delete.retention.ms"]) >= DAY_MS
    internal = TopicNames("vigil").internal.values()
    assert {config[name]["cleanup.policy"] for name in internal} == {"delete"}


async def test_existing_topics_are_unchanged_and_determine_the_partitions_of_their_subject(
    any_broker_of_its_own: str,
) -> None:
    broker = any_broker_of_its_own
    await make(broker, {"comment": 2, "quote": 6, "verdict": 1})
    by_subject = await ensure_topics(settings(broker), SOURCES)
    assert by_subject == {**dict.fromkeys(REGISTRY.subjects, 3), "rooms": 2, "suppliers": 6}
    counts = await found(broker, ALL)
    assert {counts[name] for name in ("buyer-entry", "comment", "frame-status", "vigil-rooms-state")} == {2}
    assert {
        counts[name] for name in (*TopicNames("vigil").all_on_cluster(SOURCES["suppliers"]), "vigil-suppliers-state")
    } == {6}
    assert counts["verdict"] == 1, "an output may have any number of partitions"
    assert counts["notice"] == 3


@pytest.mark.parametrize(
    ("exist", "words"),
    [
        ({"comment": 2, "buyer-entry": 3}, "the topics of the rooms shards .* but buyer-entry has 3, comment has 2"),
        ({"review": 2, "vigil-verdict-by-host": 4}, "hosts shards .* review has 2, vigil-verdict-by-host has 4"),
        ({"frame-status": 2, "vigil-rooms-state": 4}, "frame-status has 2, vigil-rooms-state has 4"),
        ({"payment": 1, "supplier-profile": 2, "quote": 1}, "payment has 1, quote has 1, supplier-profile has 2"),
    ],
)
async def test_different_numbers_of_partitions_of_a_subject_are_rejected_and_nothing_is_created(
    embedded: str, exist: dict[str, int], words: str
) -> None:
    await make(embedded, exist)
    with pytest.raises(SettingsError, match=words) as rejected:
        await ensure_topics(settings(embedded), SOURCES)
    assert "create them again with one number, or correct the one that differs" in str(rejected.value)
    assert await found(embedded) == exist


async def test_another_app_id_shares_the_topics_for_others_but_neither_state_nor_internal_ones(embedded: str) -> None:
    await ensure_topics(settings(embedded), SOURCES)
    await ensure_topics(settings(embedded, app_id="second"), SOURCES)
    async with Cluster(settings(embedded)) as cluster:
        second = TopicNames("second")
        own = [*second.internal.values(), *map(second.changelog, SOURCES)]
        counts = await cluster.partitions([*ALL, *own])
    assert len(counts) == len(ALL) + len(own)


async def test_a_prefix_gives_an_application_topics_of_its_own(embedded: str) -> None:
    await ensure_topics(settings(embedded, topic_prefix="eu."), SOURCES)
    names = TopicNames("vigil", "eu.")
    async with Cluster(settings(embedded)) as cluster:
        assert await cluster.partitions(TOPIC_NAMES) == dict.fromkeys(names.internal.values(), 3)
        assert len(await cluster.partitions(names.all_on_cluster(BY_NAME))) == len(BY_NAME)


async def test_workers_that_start_at_the_same_time_get_the_same_topics(embedded: str) -> None:
    broker = embedded
    same = await asyncio.gather(*(ensure_topics(settings(broker), SOURCES) for _ in range(3)))
    assert same == [dict.fromkeys(SOURCES, 3)] * 3


async def test_a_topic_that_is_created_meanwhile_with_another_number_is_rejected(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = embedded
    create = Cluster.create

    async def late(self: Cluster, topics: Any) -> None:
        await make(broker, {"comment": 7})
        await create(self, topics)

    monkeypatch.setattr(Cluster, "create", late)
    with pytest.raises(SettingsError, match="comment has 7"):
        await ensure_topics(settings(broker), SOURCES)


async def test_a_lost_connection_is_reported(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(self: Cluster, names: Any) -> dict[str, int]:
        raise KafkaError("the connection is lost")

    monkeypatch.setattr(Cluster, "partitions", gone)
    with pytest.raises(SettingsError, match=f"Kafka at {broker} did not tell of them.*the connection is lost"):
        await ensure_topics(settings(broker), SOURCES)


def test_a_worker_without_a_broker_exits_with_2() -> None:
    broker = f"127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, "-m", "vigil", "worker", "--broker", broker, "--web-port", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"Error: broker: cannot reach Kafka at {broker}: " in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_broker_that_goes_away_while_rights_are_checked_is_reported() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(SettingsError, match=rf"^rights: Kafka at {address} did not tell of them: .+; is it running"):
        await check_rights(settings(address), needed(TopicNames("vigil"), SOURCES))
