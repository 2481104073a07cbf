"""A group as Kafka's coordinator sees it, without the network: the workers' own assignor, and any number of members.

members join, one after the other ─▶ deal ─▶ who owns what, and what Kafka has to store of it
"""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from yarl import URL

from vigil.agents.faust.batches import ShardAssignor
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.worker import Worker


def faust_app(partitions: int) -> tuple[Any, set[str]]:
    """A worker's Faust app with its tables, never started, and all topics that it subscribes to."""
    worker = Worker(Settings(), load_rulebook(), dict.fromkeys(REGISTRY.subjects, partitions))
    topics = {topic for machine in worker.machines.values() for topic in machine.topics}
    return worker.app, topics | set(worker.app.tables.changelog_topics)


def assignor(app: Any, name: str, replicas: int = 0, kind: Any = ShardAssignor) -> Any:
    """The assignor of one worker among many."""
    alone = SimpleNamespace(
        tables=app.tables, sensors=app.sensors, tracer=None, conf=SimpleNamespace(canonical_url=URL(f"http://{name}"))
    )
    return kind(alone, replicas=replicas)


class Group:
    """The members of a group, and what they own."""

    def __init__(self, partitions: int, replicas: int = 0, kind: Any = ShardAssignor) -> None:
        """`partitions` of every topic; `replicas`: standbys; `kind`: another assignor, to compare."""
        self._app, self.topics = faust_app(partitions)
        self._cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(partitions)))
        self._replicas, self._kind = replicas, kind
        self.members: dict[str, Any] = {}
        self.owned: dict[str, dict[str, set[int]]] = {}
        """By member and topic: its partitions, those that it stands by for left out."""
        self.bytes = 0
        """What Kafka stores of the group: what every member told of itself, and what it was dealt."""
        self.leader_s = 0.0
        """CPU time that the leader took to deal."""

    def join(self, name: str) -> None:
        """One worker more; nothing is dealt out yet."""
        self.members[name] = assignor(self._app, name, self._replicas, self._kind)

    def deal(self) -> int:
        """Deal everything out; how many shards of the rooms changed hands."""
        told: dict[str, Any] = {name: member.metadata(self.topics) for name, member in self.members.items()}
        self.bytes = sum(len(metadata.encode()) for metadata in told.values())
        leader = next(iter(self.members.values()))
        received = {name: ConsumerProtocolMemberMetadata.decode(metadata.encode()) for name, metadata in told.items()}
        began = time.process_time()
        dealt: Mapping[str, Any] = leader.assign(self._cluster, received)
        self.leader_s = time.process_time() - began
        before = self.owners()
        self.owned = {}
        for name, assignment in dealt.items():
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
        """Who owns each partition of a topic."""
        return {partition: name for name, owned in self.owned.items() for partition in owned.get(topic, ())}

    def spread(self) -> tuple[int, int]:
        """The fewest and the most shards of the rooms that one member has."""
        counts = dict.fromkeys(self.members, 0)
        for owner in self.owners().values():
            counts[owner] += 1
        return min(counts.values()), max(counts.values())
