"""The names of topics: each topic of the catalogue, and what it is called on the cluster.

    catalogue                   cluster
    verdict (out), review       <topic_prefix>verdict
    comment (other inputs)      <topic_prefix>comment, or <input_prefix>comment where that is set
    verdict-by-host (internal)  <app_id>-verdict-by-host
    rooms (a subject's state)   <app_id>-rooms-state

Catalogue names stand in messages, stored state, metrics and alerts, so that these are the same in every deployment.
Names on the cluster stand wherever a Kafka client is asked, and in messages to operators about topics.
"""

from collections.abc import Iterable
from typing import Final

from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import TOPICS, SubjectName, Topic
from vigil.topics.incidents import INPUT_TOPICS as CASE_TOPICS
from vigil.topics.reviews import TOPICS as REVIEW_TOPICS

DECISIONS: Final = frozenset(topic.name for topic in (*REVIEW_TOPICS, *CASE_TOPICS))
"""The inputs that say what people decided about outputs: they belong to these, not to the marketplace's events."""


class TopicNames:
    """Maps topics of the catalogue to their names on the cluster, and back."""

    def __init__(
        self, app_id: str, prefix: str = "", topics: Iterable[Topic] = TOPICS, input_prefix: str | None = None
    ) -> None:
        """`topics`: the catalogue; `prefix`: the setting `topic_prefix`; `input_prefix`: None for the same."""
        self.app_id: Final = app_id
        events = prefix if input_prefix is None else input_prefix
        directions = {topic.name: topic.direction for topic in topics}
        self.internal: Final = {
            topic: f"{app_id}-{topic}" for topic, direction in directions.items() if direction == "internal"
        }
        """The internal topics: by catalogue name, what they are called on the cluster."""
        self._on_cluster = {
            topic: (events if direction == "in" and topic not in DECISIONS else prefix) + topic
            for topic, direction in directions.items()
        } | self.internal
        self._in_catalogue = {name: topic for topic, name in self._on_cluster.items()}

    @classmethod
    def of(cls, settings: Settings, topics: Iterable[Topic] = TOPICS) -> "TopicNames":
        """Return the names by the settings `app_id`, `topic_prefix` and `input_prefix`."""
        return cls(settings.app_id, settings.topic_prefix, topics, settings.input_prefix)

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
