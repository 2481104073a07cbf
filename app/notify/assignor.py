"""One process of the group tells, the others stand by: an assignor that gives every partition to one member.

Incidents bring together what three differently keyed topics say of a room, and reads are cheap: there is nothing to
share out. Another process takes over when the group's coordinator misses the one that tells.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class SingleActiveAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """All partitions to the member whose id comes first."""

    name = "vigil-one-takes-all"
    version = 0

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        chosen = min(members)
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        whole = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, whole if member == chosen else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> Any:
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: Any) -> None:
        """Nothing is kept."""
