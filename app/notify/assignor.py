"""An assignor that gives every partition to one member of the group: one process is active, the others stand by.

Incidents join what three topics with different keys say about a room, so their partitions cannot be divided between
processes. One process is enough: it only reads what Vigil publishes. When the group's coordinator misses its
heartbeats, another member gets all partitions.
"""

from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class SingleActiveAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Assigns all partitions to the member whose id sorts first."""

    name = "vigil-one-takes-all"
    """Members of a group must use the same assignor by name. A new name could not join a running group."""
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Return the assignment of each member."""
        active = min(members)
        # Only its own: while routing files or versions are changed one by one, others may read other topics.
        topics = sorted(members[active].subscription)
        everything = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, everything if member == active else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member sends to the coordinator."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Do nothing: the assignment depends on the members alone."""
