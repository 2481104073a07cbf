"""The topics and the group of `vigil notify`: their names, the rights that they need, and how they are created."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from vigil.app.kafka.acls import Acl
from vigil.app.kafka.admin import Cluster, changelog_config
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.notify.brakes import KEPT_MS
from vigil.app.notify.records import INCIDENT, LINE_TOPICS
from vigil.app.notify.routes import Routing
from vigil.topics.catalog import BY_NAME

DEAD_LETTER: Final = "notify-dead-letter"
"""Its name without the setting `topic_prefix`."""

BRAKE_CONFIG: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(KEPT_MS),
    "message.timestamp.type": "LogAppendTime",
}
"""Of the log of brakes. Its records bear the broker's time: one clock for all processes."""


class NotifyNames(NamedTuple):
    """The names of the consumer group, and on the cluster of the topics that `vigil notify` writes."""

    group: str
    brakes: str
    dead_letter: str

    @classmethod
    def of(cls, app_id: str, prefix: str = "") -> "NotifyNames":
        """Return the names for an `app_id` and a `topic_prefix`."""
        return cls(f"{app_id}-notify", f"{app_id}-notify-brakes", f"{prefix}{DEAD_LETTER}")

    def marks(self, source: str) -> str:
        """Return the topic with the marks of a source topic's alerts; `source`: as in the catalogue."""
        return f"{self.group}-{source}"


def sources_of(routing: Routing) -> tuple[str, ...]:
    """Return the topics that a routing file asks for, as in the catalogue."""
    wanted = {kind for route in routing.routes for kind in route.kinds}
    return INCIDENT, *(topic for topic in LINE_TOPICS if wanted.intersection(LINE_TOPICS))


def required_acls(app_id: str, sources: Iterable[str], prefix: str = "", *, brakes: bool = True) -> list[Acl]:
    """Return all rights that `vigil notify` needs once its own topics exist. (To create them, it needs Create.)"""
    names = NotifyNames.of(app_id, prefix)
    sources = tuple(sources)
    own = [names.marks(source) for source in sources] + [names.brakes] * brakes
    acls = [Acl("topic", topic, "Read") for topic in (*TopicNames(app_id, prefix).all_on_cluster(sources), *own)]
    acls += [Acl("topic", topic, "Write") for topic in (*own, names.dead_letter)]
    return [*acls, Acl("group", names.group, "Read")]


async def ensure_topics(settings: Settings, sources: Iterable[str], *, brakes: bool) -> dict[str, int]:
    """Create the own topics that are missing; return the number of partitions of each source, as in the catalogue.

    Raise SettingsError where a source topic does not exist, or a topic of marks has not its number of partitions: a
    process restores the marks of its partitions from those of the same numbers.
    """
    names = NotifyNames.of(settings.app_id, settings.topic_prefix)
    on_cluster = {source: TopicNames.of(settings).on_cluster(source) for source in sources}
    marks = {source: names.marks(source) for source in on_cluster}
    async with Cluster(settings) as cluster:
        existing = await cluster.partitions([*on_cluster.values(), *marks.values(), names.brakes, names.dead_letter])
        _check_sources(settings, on_cluster.values(), existing)
        counts = {source: existing[topic] for source, topic in on_cluster.items()}
        own = {marks[source]: (count, changelog_config()) for source, count in counts.items()}
        own |= {names.brakes: (1, BRAKE_CONFIG)} if brakes else {}
        _check({topic: count for topic, (count, _) in own.items()}, existing)
        own[names.dead_letter] = 1, BY_NAME["dead-letter"].config
        if missing := {name: shape for name, shape in own.items() if name not in existing}:
            await cluster.create(missing)
    return counts


def _check_sources(settings: Settings, sources: Iterable[str], existing: Mapping[str, int]) -> None:
    if absent := [topic for topic in sources if topic not in existing]:
        raise SettingsError(
            f"topics: {', '.join(absent)} not found at {settings.broker}: start a worker, or vigil topics "
            "--create (a topic that exists is seen only by who may read it: docs/security.md)"
        )


def _check(wanted: Mapping[str, int], existing: Mapping[str, int]) -> None:
    for topic, count in wanted.items():
        if (found := existing.get(topic, count)) != count:
            raise SettingsError(
                f"topic {topic}: has {found} partitions, must have {count}; stop vigil notify, delete the topic, and "
                "vigil notify creates it again (open alerts are then sent again)"
            )
