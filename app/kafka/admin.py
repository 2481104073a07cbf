"""Creates the topics that are missing, and rejects topics that do not fit together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from vigil.app.kafka.clients import new_admin, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import DAY_MS, TOPICS, SubjectName, Topic

GRACE_MS: Final = 20 * 60 * 1000
"""How long a changelog keeps superseded records; see `changelog_config`."""


class Cluster:
    """Kafka as an administrator sees it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Any = None

    async def __aenter__(self) -> "Cluster":
        self._admin = new_admin(self._settings, "admin")
        try:
            await self._admin.start()
        except (KafkaError, OSError) as error:
            await self._admin.close()
            raise SettingsError(
                f"broker: cannot reach Kafka at {words_of(self._settings, error)}; is it running, and is the address "
                "right (VIGIL_BROKER, --broker, or broker in the settings file)?"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """The number of partitions of those topics that exist."""
        wanted = set(names)
        # Lists all topics: a broker may create a topic that it is asked for by name.
        existing = wanted & set(await self._admin.list_topics())
        if not existing:
            return {}
        described = await self._admin.describe_topics(sorted(existing))
        return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["partitions"]}

    async def create(self, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
        """Create topics: by name, partitions and configuration. One that exists by now is left as it is.

        Raise SettingsError where a topic cannot be created.
        """
        new = [
            NewTopic(name, partitions, self._settings.replication, topic_configs=config)
            for name, (partitions, config) in sorted(topics.items())
        ]
        response = await self._admin.create_topics(new)
        for error in response.topic_errors:
            name, code = error[0], error[1]
            kind = for_code(code)
            if code and not issubclass(kind, TopicAlreadyExistsError):
                words = error[2] if len(error) > 2 and error[2] else kind.__name__
                raise SettingsError(
                    f"topic {name}: cannot be created: {words}; create it yourself or grant the right "
                    "(a topic that exists is seen only by who may read or write it: docs/security.md)"
                )


def changelog_of(app_id: str, subject: SubjectName) -> str:
    """The topic that holds the state of a subject's shards."""
    return f"{app_id}-{subject}-state"


def changelog_config() -> dict[str, str]:
    """The configuration of a changelog: it keeps the latest record of each key.

    Superseded records stay for GRACE_MS: the next owner repairs from them what a crash cut short (a checkpoint of more
    than one batch). They are what a restart reads beyond the keys themselves: minutes, not days. Tombstones stay for a
    day. Records bear the broker's time, from which a worker learns whether its own clock is right.
    """
    return {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "min.compaction.lag.ms": str(GRACE_MS),
        "segment.ms": str(GRACE_MS),
        "segment.bytes": str(128 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
        "delete.retention.ms": str(DAY_MS),
        "max.message.bytes": str(8 * 1024 * 1024),
    }


async def ensure_topics(
    settings: Settings, sources: Mapping[SubjectName, Sequence[str]], topics: Iterable[Topic] = TOPICS
) -> dict[SubjectName, int]:
    """Create the topics that are missing; return each subject's number of partitions.

    `sources`: the topics that each subject reads; `topics`: the catalogue. Raise SettingsError where existing topics do
    not fit: a shard is made of partitions of one number, and a subject whose topics differ in their number of
    partitions would silently be cut apart.
    """
    topics = tuple(topics)
    known = TopicNames.of(settings, topics)
    catalogue = {known.on_cluster(topic.name): topic.config for topic in topics}
    counted = {known.on_cluster(topic.name): topic.partitions for topic in topics if topic.partitions is not None}
    sources = {subject: known.all_on_cluster(names) for subject, names in sources.items()}
    names = [*catalogue, *(known.changelog(subject) for subject in sources)]
    async with Cluster(settings) as cluster:
        try:
            existing = await cluster.partitions(names)
            counts, missing = _plan(settings, sources, catalogue, existing)
            missing = {name: (counted.get(name, count), config) for name, (count, config) in missing.items()}
            if missing:
                await cluster.create(missing)
                # Another worker may have created some meanwhile, with another number of partitions.
                made = {name: count for name, (count, _) in missing.items()}
                existing = {**existing, **made, **await cluster.partitions(missing)}
                counts, _ = _plan(settings, sources, catalogue, existing)
        except KafkaError as error:
            raise SettingsError(
                f"topics: Kafka at {settings.broker} did not tell of them, or did not create them: {error}; "
                "is it running and well? A supervisor starts this again"
            ) from error
    return counts


def _plan(
    settings: Settings,
    sources: Mapping[SubjectName, Sequence[str]],
    catalogue: Mapping[str, dict[str, str]],
    existing: Mapping[str, int],
) -> tuple[dict[SubjectName, int], dict[str, tuple[int, dict[str, str]]]]:
    """Each subject's number of partitions, and the topics to create; raise SettingsError where they do not fit.

    All topics by their names on the cluster.
    """
    counts: dict[SubjectName, int] = {}
    missing: dict[str, tuple[int, dict[str, str]]] = {}
    for subject, source_topics in sources.items():
        changelog = changelog_of(settings.app_id, subject)
        names = [*source_topics, changelog]
        found = {name: existing[name] for name in names if name in existing}
        check_equal(subject, found)
        count = counts[subject] = next(iter(found.values()), settings.partitions)
        for name in names:
            if name not in existing:
                missing[name] = (count, changelog_config() if name == changelog else catalogue[name])
    for name, config in catalogue.items():
        if name not in existing and name not in missing:
            missing[name] = (settings.partitions, config)
    return counts, missing


def check_equal(subject: SubjectName, partitions: Mapping[str, int]) -> None:
    """Raise SettingsError where the topics of a subject differ in their number of partitions."""
    if len(set(partitions.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(partitions.items()))
        raise SettingsError(
            f"topics: the topics of the {subject} shards must have the same number of partitions, but {listed}; "
            "create them again with one number, or correct the one that differs"
        )
