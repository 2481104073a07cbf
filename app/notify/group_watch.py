"""What a process knows about its consumer group: rebalances, and when it last asked the broker."""

import time
from collections.abc import Callable, Collection

from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition


class RebalancedError(Exception):
    """The group assigned its partitions again, perhaps to another process."""


class GroupWatch(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts rebalances, so that work that began before one stops after it."""

    def __init__(self, on_rebalance: Callable[[], None]) -> None:
        self._on_rebalance = on_rebalance
        self._last_poll = time.monotonic()
        self.rebalances = 0

    @property
    def joined(self) -> bool:
        """True once the process was a member of the group."""
        return self.rebalances > 0

    @property
    def silent_s(self) -> float:
        """Seconds since the broker was last asked for records, or for an assignment."""
        return time.monotonic() - self._last_poll

    def polled(self) -> None:
        """Record that the broker is being asked now."""
        self._last_poll = time.monotonic()

    def check(self, rebalances: int) -> None:
        """Raise RebalancedError where there were more rebalances than these."""
        if self.rebalances != rebalances:
            raise RebalancedError

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Called by aiokafka before a rebalance."""
        self._count()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after a rebalance."""
        self._count()

    def _count(self) -> None:
        self.rebalances += 1
        self._on_rebalance()
