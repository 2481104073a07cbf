"""The partition of a key by the partitioners that Kafka's clients use."""

import random
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

Partitioner = Callable[[bytes | None, Sequence[int], Sequence[int]], int]
"""Chooses the partition of a key among all partitions and those that are available, as aiokafka's producers ask."""


@lru_cache(maxsize=1 << 14)
def by_murmur2(key: bytes, partitions: int) -> int:
    """Return where Kafka's Java client (and aiokafka) puts a key. Remembered: it is computed in Python."""
    partition: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return partition


def by_crc32(key: bytes, partitions: int) -> int:
    """Return where librdkafka puts a key by default (`consistent_random`)."""
    return zlib.crc32(key) % partitions


PARTITIONERS: Final[dict[str, Callable[[bytes, int], int]]] = {"murmur2": by_murmur2, "crc32": by_crc32}
"""By the values of the setting `partitioner`, but for `unchecked`."""


def partitioners(partitions: int) -> dict[str, Callable[[bytes], int]]:
    """Return every known partitioner, by name, for topics with this number of partitions."""
    return {name: _for(place, partitions) for name, place in PARTITIONERS.items()}


def _for(place: Callable[[bytes, int], int], partitions: int) -> Callable[[bytes], int]:
    return lambda key: place(key, partitions)


def producer_partitioner(name: str) -> Partitioner:
    """Return what places Vigil's own messages: as the setting `partitioner` says of others, murmur2 if it says nothing.

    Subjects read their inputs beside what other subjects write for them: both must be placed alike.
    """
    place = PARTITIONERS.get(name, by_murmur2)

    def choose(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
        if key is None:
            return random.choice(available or partitions)  # noqa: S311 - any of them will do
        return partitions[place(key, len(partitions))]

    return choose
