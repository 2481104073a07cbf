"""Which partition a message goes to: as every Kafka producer decides by default."""

from aiokafka.partitioner import murmur2


def partition_of(key: bytes | None, partitions: int) -> int:
    """Kafka's default partition of a key (murmur2). A message without a key, malformed here, goes to the first."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
