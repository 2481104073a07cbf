"""A consumer group without a network: the workers' assignor with any number of members.

members join one by one ─▶ rebalance ─▶ which member owns what, and the size of what Kafka stores
"""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from yarl import URL

from vigil.agents.faust.assignor import ShardAssignor
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.worker import Worker


def faust_app(partitions: int) -> tuple[Any, set[str]]:
    """Return the Faust app of a worker with its tables, not started, and all topics that it subscribes to."""
    worker = Worker(Settings(), load_rulebook(), dict.fromkeys(REGISTRY.subjects, partitions))
    app = worker.adapter.app
    topics = {topic for machine in worker.machines.values() for topic in machine.topics}
    return app, topics | set(app.tables.changelog_topics)


def assignor(app: Any, name: str, replicas: int = 0, kind: Any = ShardAssignor) -> Any:
    """Return the assignor of one worker."""
    app_of_worker = SimpleNamespace(
        tables=app.tables, sensors=app.sensors, tracer=None, conf=SimpleNamespace(canonical_url=URL(f"http://{name}"))
    )
    return kind(app_of_worker, replicas=replicas)


class SimulatedGroup:
    """The members of a consumer group and their partitions."""

    def __init__(self, partitions: int, replicas: int = 0, kind: Any = ShardAssignor) -> None:
        """`partitions` is that of each topic, `replicas` the number of standbys, `kind` the class of the assignor."""
        self._app, self.topics = faust_app(partitions)
        self._cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(partitions)))
        self._replicas, self._kind = replicas, kind
        self.members: dict[str, Any] = {}
        self.owned: dict[str, dict[str, set[int]]] = {}
        """Active partitions by member and topic, without standbys."""
        self.bytes = 0
        """Size of what Kafka stores for the group: the metadata and the assignment of every member."""
        self.leader_s = 0.0
        """CPU time of the leader's last assignment."""

    def join(self, name: str) -> None:
        """Add a member, without a rebalance."""
        self.members[name] = assignor(self._app, name, self._replicas, self._kind)

    def rebalance(self) -> int:
        """Assign all partitions; return how many shards of the rooms changed their owner."""
        metadata_of: dict[str, Any] = {name: member.metadata(self.topics) for name, member in self.members.items()}
        self.bytes = sum(len(metadata.encode()) for metadata in metadata_of.values())
        leader = next(iter(self.members.values()))
        received = {
            name: ConsumerProtocolMemberMetadata.decode(metadata.encode()) for name, metadata in metadata_of.items()
        }
        began = time.process_time()
        assignments: Mapping[str, Any] = leader.assign(self._cluster, received)
        self.leader_s = time.process_time() - began
        before = self.owners()
        self.owned = {}
        for name, assignment in assignments.items():
            raw = assignment.encode()
            self.bytes += len(raw)
            member = self.members[name]
            member.on_assignment(ConsumerProtocolMemberAssignment.decode(raw))
            actives: dict[str, set[int]] = {}
            for tp in member.assigned_actives():
                actives.setdefault(tp.topic, set()).add(tp.partition)
            self.owned[name] = actives
        return sum(before.get(partition, owner) != owner for partition, owner in self.owners().items())

    def owners(self, topic: str = "frame-status") -> dict[int, str]:
        """Return the owner of each partition of a topic."""
        return {partition: name for name, owned in self.owned.items() for partition in owned.get(topic, ())}

    def spread(self) -> tuple[int, int]:
        """Return the smallest and the largest number of room shards of a member."""
        counts = dict.fromkeys(self.members, 0)
        for owner in self.owners().values():
            counts[owner] += 1
        return min(counts.values()), max(counts.values())
