"""Makes a shard of the restored log of its state, and refuses one that is not this worker's or of another rulebook."""

from collections.abc import Mapping
from dataclasses import dataclass

from vigil.agents.faust.adapter import FaustAdapter
from vigil.agents.ports import TopicPartition
from vigil.app.engine.changelog import StoredStateError
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.rulebook_check import check_rulebook
from vigil.app.runtime.rulebooks.follower import RulebookFollower
from vigil.app.runtime.start_line import log_renamed_sources
from vigil.app.runtime.worker_settings import shard_options
from vigil.topics.catalog import SubjectName


@dataclass(frozen=True)
class ShardRestorer:
    """Makes the shards of one worker."""

    settings: Settings
    rulebooks: RulebookFollower
    adapter: FaustAdapter
    machines: Mapping[SubjectName, AnyStateMachine]
    partitions: Mapping[SubjectName, int]
    """The number of partitions of each subject."""
    sources: Mapping[SubjectName, tuple[str, ...]]
    """The names of its sources on the cluster."""
    changelogs: Mapping[SubjectName, str]
    """The name of its changelog on the cluster."""

    def __call__(self, subject: SubjectName, partition: int) -> AnyShard:
        """Return the shard as its log has it. Raise StoredStateError, SettingsError, and RuntimeError where the log was
        not assigned to this worker."""
        changelog = TopicPartition(self.changelogs[subject], partition)
        if changelog not in self.adapter.ports.membership.assigned({changelog.topic}):
            raise RuntimeError(f"partition {partition} of {changelog.topic}, the state of the shard, was not assigned")
        try:
            store = self.adapter.restored(subject, partition)
            store.finalize_restore()
        except StoredStateError as error:
            raise StoredStateError(f"{changelog.topic}, partition {partition}: {error}") from error
        check_rulebook(store, self.rulebooks, self.settings.rulebook_changed)
        options = shard_options(self.settings, self.partitions[subject])
        machine, topics = self.machines[subject], self.sources[subject]
        options |= {
            "partition": partition,
            "store": store,
            "rulebook": self.rulebooks.rulebook.digest,
            "topics": topics,
        }
        if store.marker is not None:
            log_renamed_sources(subject, partition, store.marker.topics or machine.topics, topics)
        return make_shard(machine, self.settings.allowed_lateness_ms, **options)
