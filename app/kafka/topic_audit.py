"""Compares the topics as they are with what they must be: what is missing, what does not fit, and what to do.

survey (asks Kafka) ──▶ Found by name ──▶ judge (pure) ──▶ a line for each topic
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from vigil.app.kafka.admin import Cluster, changelog_config
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import TOPICS, SubjectName, Topic
from vigil.topics.topic import DAY_MS

Level = Literal["ok", "warn", "fail", "missing"]

SHORT_RETENTION_MS: Final = DAY_MS
"""A shorter retention of events ends before an outage over night does."""

_OF_EVENTS: Final[Mapping[str, str]] = {"cleanup.policy": "delete", "retention.ms": str(3 * DAY_MS)}
"""What is recommended for inputs."""


class Found(NamedTuple):
    """A topic that exists."""

    partitions: int
    replicas: int
    """Of the partition that has the fewest."""
    leaderless: int
    """Partitions that nobody can read or write now."""
    config: Mapping[str, str] | None
    """None where the broker does not show it (a right is missing)."""


class Finding(NamedTuple):
    """One thing that is not as it must be."""

    level: Level
    words: str
    remedy: str


class TopicLine(NamedTuple):
    """One topic as it is, and as it must be."""

    topic: str
    """Its name on the cluster."""
    kind: str
    """`in`, `out`, `internal`, or `state` for a changelog."""
    subject: SubjectName | None
    """The subject that reads it, or whose state it holds."""
    clean_up: str
    """As it must be; empty where its producers decide."""
    found: Found | None
    findings: list[Finding]

    @property
    def level(self) -> Level:
        """The worst of the findings."""
        levels = {finding.level for finding in self.findings}
        worst: tuple[Level, ...] = ("fail", "missing", "warn")
        return next((level for level in worst if level in levels), "ok")


class _Surveyor(Cluster):
    async def found(self, names: Iterable[str]) -> dict[str, Found]:
        existing = set(names) & set(await self._admin.list_topics())
        if not existing:
            return {}
        configs = await self._configs(sorted(existing))
        found: dict[str, Found] = {}
        for topic in await self._admin.describe_topics(sorted(existing)):
            partitions = topic["partitions"]
            if partitions:
                found[topic["topic"]] = Found(
                    len(partitions),
                    min(len(partition["replicas"]) for partition in partitions),
                    sum(partition["leader"] < 0 for partition in partitions),
                    configs.get(topic["topic"]),
                )
        return found

    async def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        try:
            answers: Any = await self._admin.describe_configs(asked)
        except KafkaError:
            return {}  # shown as "not known": reading configurations is a right of its own
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4] if entry[1] is not None}
            for answer in answers
            for resource in answer.resources
            if resource[0] == 0
        }

    async def brokers(self) -> int:
        return len((await self._admin.describe_cluster())["brokers"])


async def survey(
    settings: Settings, subjects: Iterable[SubjectName], topics: Iterable[Topic] = TOPICS
) -> tuple[dict[str, Found], int]:
    """Every topic of Vigil's that exists, and the number of brokers; raise SettingsError where Kafka is not reached.

    Topics by their names on the cluster.
    """
    topics = tuple(topics)
    known = TopicNames.of(settings, topics)
    names = [*known.all_on_cluster(topic.name for topic in topics), *map(known.changelog, subjects)]
    surveyor = _Surveyor(settings)
    async with surveyor:
        return await surveyor.found(names), await surveyor.brokers()


def judge(
    found: Mapping[str, Found],
    settings: Settings,
    sources: Mapping[SubjectName, Sequence[str]],
    topics: Iterable[Topic] = TOPICS,
) -> list[TopicLine]:
    """A line for each topic; `found` as `survey` returns it, `sources`: the topics that each subject reads."""
    lines = []
    topics = tuple(topics)
    known = TopicNames.of(settings, topics)
    differing = {subject: _counts(found, known, subject, names) for subject, names in sources.items()}
    readers = {name: subject for subject, names in sources.items() for name in names}
    for topic in topics:
        name = known.on_cluster(topic.name)
        here, reader = found.get(name), readers.get(topic.name)
        kind: Literal["events", "other"] = "events" if topic.direction == "in" and not topic.compacted else "other"
        wanted = _Wanted(name, topic.config, settings.replication, kind)
        findings = _findings(here, wanted, differing.get(reader) if reader else None)
        lines.append(TopicLine(name, topic.direction, reader, clean_up(topic.config), here, findings))
    for subject in sources:
        name = known.changelog(subject)
        config = changelog_config()
        wanted = _Wanted(name, config, settings.replication, "state")
        findings = _findings(found.get(name), wanted, differing[subject])
        lines.append(TopicLine(name, "state", subject, clean_up(config), found.get(name), findings))
    return lines


def clean_up(config: Mapping[str, str]) -> str:
    """`compact`, or `delete` with the days that messages are kept; empty where nothing is said."""
    policy = config.get("cleanup.policy", "")
    if "delete" in policy and "retention.ms" in config:
        kept = int(config["retention.ms"])
        return f"{policy}, {'for good' if kept < 0 else f'{kept / 86_400_000:g} d'}"
    return policy


def _counts(
    found: Mapping[str, Found], known: TopicNames, subject: SubjectName, source_topics: Sequence[str]
) -> Finding | None:
    """What is wrong with a subject whose topics differ in their number of partitions."""
    names = [*known.all_on_cluster(source_topics), known.changelog(subject)]
    counts = {name: found[name].partitions for name in names if name in found}
    if len(set(counts.values())) <= 1:
        return None
    listed = ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
    return Finding(
        "fail",
        f"the topics of the {subject} shards differ in their partitions: {listed}",
        "give all of them one number (a topic that holds state cannot grow: see docs/operations.md)",
    )


class _Wanted(NamedTuple):
    """One topic as it must be."""

    name: str
    config: Mapping[str, str]
    replication: int
    kind: Literal["events", "state", "other"] = "other"
    """`events`: an input that is not compacted, whose producers decide its configuration; `state`: a changelog."""

    def alter(self, key: str) -> str:
        """The command that corrects one key of the configuration."""
        return (
            f"kafka-configs --alter --entity-type topics --entity-name {self.name} "
            f"--add-config {key}={self.config.get(key) or _OF_EVENTS[key]}"
        )


def _findings(found: Found | None, wanted: _Wanted, differing: Finding | None) -> list[Finding]:
    """What is wrong with one topic; `differing`: what is wrong with all topics of its subject."""
    if found is None:
        return [Finding("missing", "does not exist", "vigil topics --create, or start a worker with the right to")]
    findings = [differing] if differing is not None else []
    if found.leaderless:
        findings.append(
            Finding(
                "fail",
                f"{found.leaderless} of {found.partitions} partitions have no leader",
                "bring the brokers back that hold them",
            )
        )
    if found.replicas < wanted.replication:
        findings.append(
            Finding(
                "warn",
                f"has {found.replicas} replicas where the setting `replication` says {wanted.replication}",
                "reassign its partitions with kafka-reassign-partitions",
            )
        )
    if wanted.kind == "events" and found.config is not None:
        findings += _events(found.config, wanted)
    elif wanted.config and found.config is not None:
        for check in (_clean_up, _timestamps, _too_small, _unlimited):
            findings += check(found.config, wanted)
    return findings


def _events(config: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    """What makes events disappear before they are judged.

    Compaction leaves no trace: it never moves the beginning of a log, and its gaps look like a transaction's markers.
    """
    if "compact" in config.get("cleanup.policy", ""):
        yield Finding(
            "fail",
            f"cleanup.policy is {config['cleanup.policy']}: of each key only the last event is kept, and a worker that "
            "was away judges without the others and cannot count them",
            wanted.alter("cleanup.policy"),
        )
    if -1 < int(config.get("retention.ms", -1)) < SHORT_RETENTION_MS:
        words = f"retention.ms is {config['retention.ms']}: what workers do not read for that long is not judged"
        yield Finding("warn", words, wanted.alter("retention.ms"))


def _clean_up(config: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    """A clean-up policy that is not the wanted one: of state that loses data, elsewhere consumers miss messages."""
    policy, must = config.get("cleanup.policy"), wanted.config["cleanup.policy"]
    if policy is None or set(policy.replace(" ", "").split(",")) == {must}:
        return
    why = (
        "old messages go, and with them what is known of keys that did not change for long"
        if must == "compact"
        else "of each key only the last message is kept, and consumers that come later miss the others"
    )
    yield Finding(
        "fail" if wanted.kind == "state" else "warn",
        f"cleanup.policy is {policy}, not {must}: {why}",
        wanted.alter("cleanup.policy"),
    )


def _timestamps(config: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    key = "message.timestamp.type"
    if key in wanted.config and config.get(key, wanted.config[key]) != wanted.config[key]:
        words = f"{key} is {config[key]}, not {wanted.config[key]}: workers do not notice that their clocks are wrong"
        yield Finding("warn", words, wanted.alter(key))


_TOO_SMALL: Final = (
    ("retention.ms", "consumers that were away for long miss messages"),
    ("min.compaction.lag.ms", "after a crash the next owner may not be able to put state right"),
    ("max.message.bytes", "the state of a large room or supplier may not be stored, and the worker stops"),
)
"""What happens where a number is smaller than the wanted one."""


def _too_small(config: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    for key, why in _TOO_SMALL:
        least = wanted.config.get(key)
        if least is not None and key in config and -1 < int(config[key]) < int(least):
            level: Level = "fail" if key == "max.message.bytes" else "warn"
            yield Finding(level, f"{key} is {config[key]}, less than {least}: {why}", wanted.alter(key))


def _unlimited(config: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    key = "retention.bytes"
    if key in wanted.config and key in config and int(config[key]) < 0:
        words = f"{key} is not set: a flood of bad messages would fill the brokers' disks"
        yield Finding("warn", words, wanted.alter(key))
