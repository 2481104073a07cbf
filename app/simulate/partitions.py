"""The partition of a message, as Kafka's default partitioner chooses it."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes | None, partitions: int) -> int:
    """Return Kafka's default partition of a key (murmur2), or the first one without a key (malformed here)."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
