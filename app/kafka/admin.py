"""The topics as they must be: created where they are missing, refused where they do not fit together."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from vigil.app.engine.subject import StateMachine
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import BY_NAME, TOPICS, SubjectName

DAY_MS: Final = 24 * 60 * 60 * 1000
GRACE_MS: Final = 20 * 60 * 1000


class Cluster:
    """Kafka as an administrator sees it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: Any = None

    async def __aenter__(self) -> "Cluster":
        self._admin = AIOKafkaAdminClient(client_id=f"{self._settings.app_id}-admin", **self._settings.kafka())
        try:
            await self._admin.start()
        except (KafkaError, OSError) as error:
            await self._admin.close()
            raise SettingsError(
                f"broker: cannot reach Kafka at {self._settings.broker}: {error}; is it running, and is the "
                "address right (VIGIL_BROKER, --broker, or broker in the settings file)?"
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """The number of partitions of those topics that exist."""
        wanted = set(names)
        # Asked for all topics: a broker may create a topic that it is asked for by name.
        existing = wanted & set(await self._admin.list_topics())
        if not existing:
            return {}
        told = await self._admin.describe_topics(sorted(existing))
        return {topic["topic"]: len(topic["partitions"]) for topic in told if topic["partitions"]}

    async def create(self, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
        """Create topics: by name, partitions and configuration. One that somebody made meanwhile is fine."""
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


def changelog_of(app_id: str, group: SubjectName) -> str:
    """The topic that holds the state of a group's shards."""
    return f"{app_id}-{group}-state"


def changelog_config() -> dict[str, str]:
    """A changelog keeps the latest of each key.

    The grace before that lets the next owner heal what a crash cut short (a checkpoint of more than one batch), and
    is what a restart has to read beyond the keys themselves: minutes, not days. Tombstones stay for a day.
    """
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(GRACE_MS),
        "segment.ms": str(GRACE_MS),
        "segment.bytes": str(128 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.2",
        "delete.retention.ms": str(DAY_MS),
        "max.message.bytes": str(8 * 1024 * 1024),
    }


async def ensure_topics(settings: Settings, logics: Mapping[SubjectName, StateMachine]) -> dict[SubjectName, int]:
    """Create the topics that are missing; return each group's number of partitions.

    Raise SettingsError where topics exist that do not fit: shards are made of partitions of one number, and a group
    whose topics differ in how many they have would silently be cut apart.
    """
    names = [topic.name for topic in TOPICS] + [changelog_of(settings.app_id, group) for group in logics]
    async with Cluster(settings) as cluster:
        try:
            existing = await cluster.partitions(names)
            counts, missing = _plan(settings, logics, existing)
            if missing:
                await cluster.create(missing)
                # Another worker may have made some meanwhile, with numbers of its own.
                made = {name: count for name, (count, _) in missing.items()}
                counts, _ = _plan(settings, logics, {**existing, **made, **await cluster.partitions(missing)})
        except KafkaError as error:
            raise SettingsError(
                f"topics: Kafka at {settings.broker} did not tell of them, or did not create them: {error}; "
                "is it running and well? A supervisor starts this again"
            ) from error
    return counts


def _plan(
    settings: Settings, logics: Mapping[SubjectName, StateMachine], existing: Mapping[str, int]
) -> tuple[dict[SubjectName, int], dict[str, tuple[int, dict[str, str]]]]:
    """Each group's number of partitions, and the topics to create; raise SettingsError where they do not fit."""
    counts: dict[SubjectName, int] = {}
    missing: dict[str, tuple[int, dict[str, str]]] = {}
    for group, logic in logics.items():
        changelog = changelog_of(settings.app_id, group)
        of_group = [*logic.topics, changelog]
        found = {name: existing[name] for name in of_group if name in existing}
        if len(set(found.values())) > 1:
            told = ", ".join(f"{name} has {count}" for name, count in sorted(found.items()))
            raise SettingsError(
                f"topics: the topics of the {group} shards must have the same number of partitions, but {told}; "
                "create them anew with one number, or correct the one that differs"
            )
        count = counts[group] = next(iter(found.values()), settings.partitions)
        for name in of_group:
            if name not in existing:
                config = changelog_config() if name == changelog else BY_NAME[name].config
                missing[name] = (count, config)
    for topic in TOPICS:
        if topic.name not in existing and topic.name not in missing:
            missing[topic.name] = (settings.partitions, topic.config)
    return counts, missing
