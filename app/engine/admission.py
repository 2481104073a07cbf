"""Whether a well-formed record may be judged: it lies in the partition where its key belongs, and its time is possible.

    record ──▶ in its partition? ──▶ not ahead of the clock? ──▶ not late? ──▶ event
               misrouted             future                      late

What Vigil's own shards write is not asked for partition and clock.

Rooms, suppliers and hosts are judged from several topics at once, partition by partition. A record in another partition
than the other records of its key would be judged without them: a host's greetings without the entries of the buyers.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from vigil.app.engine.subject import Event
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.event_time import check_ahead
from vigil.topics.fields import InvalidEvent

PartitionOf = Callable[[bytes], int]
"""Returns the partition in which a partitioner puts a key."""

UNCHECKED: Final = "unchecked"
"""The partitioner that nobody knows: whatever the partition, it may be right."""

MAX_KNOWN_KEYS: Final = 50_000
"""Keys that a shard remembers the partition of. Each live room is a new key, so they are forgotten now and then."""

_LIKELY: Final = {
    "crc32": "librdkafka's default, CRC32, puts it in {partition}: set `partitioner=murmur2_random` in the producer",
    "murmur2": "the default of Kafka's Java client, murmur2, puts it in {partition}: set the producer's partitioner to "
    "CRC32 (`consistent_random` in librdkafka)",
}
"""By the partitioner that put a record where it lies, `{partition}`: what to do about it."""

_NOBODY: Final = (
    "no usual partitioner puts it in {partition}: does the producer choose partitions itself, or has it another "
    "number of partitions in mind?"
)


class KeyPlacement:
    """Where the keys of one shard belong."""

    __slots__ = ("_by_name", "_elsewhere", "_own", "_partition", "_partition_of", "own_keys", "partitioner")

    def __init__(self, partitioner: str, partition: int | None, by_name: Mapping[str, PartitionOf]) -> None:
        """`partitioner` in force, a name in `by_name` or UNCHECKED; `partition`: the shard's."""
        self.partitioner: Final = partitioner
        self._partition = partition
        self._by_name = by_name
        self._partition_of = None if partition is None else by_name.get(partitioner)
        self._own: set[bytes] = set()
        self.own_keys: Final = None if self._partition_of is None else self._own
        """Keys that are known to belong to the shard; `misplaced` knows of others. None: nothing is checked."""
        self._elsewhere: dict[bytes, int] = {}

    def with_partitioner(self, name: str) -> "KeyPlacement":
        """Return the placement of the same shard by another partitioner."""
        return self if name == self.partitioner else KeyPlacement(name, self._partition, self._by_name)

    def misplaced(self, key: bytes | None) -> bool:
        """Return True if a record of this key does not belong to the shard."""
        if self._partition_of is None or key is None or key in self._own:
            return False
        if key in self._elsewhere:
            return True
        partition = self._partition_of(key)
        known = self._own if partition == self._partition else self._elsewhere
        if len(known) >= MAX_KNOWN_KEYS:
            known.clear()
        if partition == self._partition:
            self._own.add(key)
            return False
        self._elsewhere[key] = partition
        return True

    def check(self, key: bytes | None, event: Event | None = None) -> None:
        """Raise InvalidEvent (with `event`) if a record of this key does not belong to the shard."""
        if key is not None and self.misplaced(key):
            raise InvalidEvent(
                f"in partition {self._partition}; by {self.partitioner} its key belongs in partition "
                f"{self._elsewhere[key]}; {self._likely_cause(key).format(partition=self._partition)}",
                "misrouted",
                event,
            )

    def _likely_cause(self, key: bytes) -> str:
        for name, partition_of in self._by_name.items():
            if name != self.partitioner and partition_of(key) == self._partition:
                return _LIKELY[name]
        return _NOBODY


class SourceRule(NamedTuple):
    """What the records of one source must satisfy."""

    lateness: int
    """Its allowed lateness, ms."""
    placement: KeyPlacement = KeyPlacement(UNCHECKED, None, {})
    max_ahead: int = MAX_TIME
    """By how much an event may be ahead of the clock, ms."""

    def check(self, key: bytes | None, event: Event, wall: int | None) -> None:
        """Raise InvalidEvent if the record of an event lies in the wrong partition (then with the event) or is ahead of
        the clock, `wall` (ms)."""
        self.placement.check(key, event)
        if wall is not None:
            check_ahead(event.at, wall, self.max_ahead)
