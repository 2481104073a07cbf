"""The names of topics: each topic of the catalogue, and what it is called on the cluster.

    catalogue                   cluster
    verdict (in, out)           <topic_prefix>verdict
    verdict-by-host (internal)  <app_id>-verdict-by-host
    rooms (a subject's state)   <app_id>-rooms-state

Catalogue names stand in messages, stored state, metrics and alerts, so that these are the same in every deployment.
Names on the cluster stand wherever a Kafka client is asked, and in messages to operators about topics.
"""

from collections.abc import Iterable
from typing import Final

from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import TOPICS, SubjectName, Topic


class TopicNames:
    """Maps topics of the catalogue to their names on the cluster, and back."""

    def __init__(self, app_id: str, prefix: str = "", topics: Iterable[Topic] = TOPICS) -> None:
        """`topics`: the catalogue; `prefix`: the setting `topic_prefix`."""
        self.app_id: Final = app_id
        self.prefix: Final = prefix
        directions = {topic.name: topic.direction for topic in topics}
        self.internal: Final = {
            topic: f"{app_id}-{topic}" for topic, direction in directions.items() if direction == "internal"
        }
        """The internal topics: by catalogue name, what they are called on the cluster."""
        self._on_cluster = {topic: prefix + topic for topic in directions} | self.internal
        self._in_catalogue = {name: topic for topic, name in self._on_cluster.items()}

    @classmethod
    def of(cls, settings: Settings) -> "TopicNames":
        """Return the names by the settings `app_id` and `topic_prefix`."""
        return cls(settings.app_id, settings.topic_prefix)

    def on_cluster(self, topic: str) -> str:
        """Return the name on the cluster of a topic of the catalogue; any other name as it is."""
        return self._on_cluster.get(topic, topic)

    def all_on_cluster(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Return the names on the cluster of several topics, in the same order."""
        return tuple(map(self.on_cluster, topics))

    def in_catalogue(self, name: str) -> str:
        """Return the topic of the catalogue with this name on the cluster; any other name as it is."""
        return self._in_catalogue.get(name, name)

    def changelog(self, subject: SubjectName) -> str:
        """Return the name of the topic that holds the state of a subject's shards."""
        return f"{self.app_id}-{subject}-state"

    @property
    def source(self) -> str:
        """The `ce_source` of everything that this application publishes."""
        return f"/vigil/{self.app_id}"
