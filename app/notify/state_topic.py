"""The topics and the group of `vigil notify`: their names, the rights that they need, and how they are created."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from vigil.app.kafka.acls import Acl
from vigil.app.kafka.admin import Cluster, changelog_config
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import BY_NAME

DEAD_LETTER: Final = "notify-dead-letter"
"""Its name without the setting `topic_prefix`."""


class NotifyNames(NamedTuple):
    """The names of the consumer group, and on the cluster of the topics that `vigil notify` writes."""

    group: str
    state: str
    dead_letter: str

    @classmethod
    def of(cls, app_id: str, prefix: str = "") -> "NotifyNames":
        """Return the names for an `app_id` and a `topic_prefix`."""
        return cls(f"{app_id}-notify", f"{app_id}-notify-state", f"{prefix}{DEAD_LETTER}")


def required_acls(app_id: str, sources: Iterable[str], prefix: str = "") -> list[Acl]:
    """Return all rights that `vigil notify` needs once its own two topics exist. (To create them, it needs Create.)"""
    names = NotifyNames.of(app_id, prefix)
    topics = TopicNames(app_id, prefix).all_on_cluster(sources)
    acls = [Acl("topic", topic, "Read") for topic in (*topics, names.state)]
    acls += [Acl("topic", topic, "Write") for topic in (names.state, names.dead_letter)]
    return [*acls, Acl("group", names.group, "Read"), Acl("transactional-id", names.group, "Write")]


async def ensure_topics(settings: Settings, sources: Iterable[str]) -> None:
    """Create the own topics that are missing.

    Raise SettingsError where a source topic does not exist, or the state topic has more than one partition: a process
    restores its state from one partition, and would miss what stands in others.
    """
    _, state, dead_letter = NotifyNames.of(settings.app_id, settings.topic_prefix)
    sources = TopicNames.of(settings).all_on_cluster(sources)
    async with Cluster(settings) as cluster:
        existing = await cluster.partitions([*sources, state, dead_letter])
        if absent := [topic for topic in sources if topic not in existing]:
            raise SettingsError(
                f"topics: {', '.join(absent)} not found at {settings.broker}: start a worker, or vigil topics "
                "--create (a topic that exists is seen only by who may read it: docs/security.md)"
            )
        if existing.get(state, 1) != 1:
            raise SettingsError(
                f"topic {state}: has {existing[state]} partitions, must have 1; delete it, and vigil notify creates it "
                "again (open alerts are then sent again)"
            )
        own = {state: (1, changelog_config()), dead_letter: (1, BY_NAME["dead-letter"].config)}
        if missing := {name: shape for name, shape in own.items() if name not in existing}:
            await cluster.create(missing)
