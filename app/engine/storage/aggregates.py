"""What a room remembers of many: who came when, how often, and how often each number came.

Window   the last time of each key, for a while      comment ids, labels that counted, buyers present
Tally    how many keys came how often                buyers who speak
Counts   how often each number came                  times whose percentiles are told
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from vigil.app.engine.storage.chunked import ChunkedLog, ChunkedRecord, LogSnapshot, Records
from vigil.app.engine.subject import StateChunks

_encode: Final = msgspec.msgpack.Encoder().encode
_counts: Final = msgspec.msgpack.Decoder(dict[int, int]).decode


class ExpiringMap:
    """Keys with the last time each was added, kept for a while."""

    __slots__ = ("latest", "log")

    def __init__(self, name: bytes, kept: LogSnapshot, chunks: StateChunks) -> None:
        self.log = ChunkedLog(name, 2, kept)
        self.latest: dict[int, int] = {}
        """In order of time: to read only."""
        numbers = iter(self.log.load(chunks))
        for key in numbers:
            self._put(key, next(numbers))

    def add(self, key: int, at: int, until: int) -> None:
        """The key came at `at`, not before any other; what is not after `until` need not be remembered."""
        self._put(key, at)
        if self.log.append((key, at)):
            self.forget(until)

    def forget(self, until: int) -> None:
        """Drop what was not added after `until`."""
        gone = []
        for key, at in self.latest.items():
            if at > until:
                break
            gone.append(key)
        for key in gone:
            del self.latest[key]
        self.log.forget(until)

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        self.log.dump(into)

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return self.log.names()

    def _put(self, key: int, at: int) -> None:
        self.latest.pop(key, None)
        self.latest[key] = at


class CappedCounter:
    """How many keys came how often, counting up to `most`."""

    __slots__ = ("_counts", "_most", "_with", "log")

    def __init__(self, name: bytes, most: int, kept: LogSnapshot, chunks: StateChunks) -> None:
        self.log = ChunkedLog(name, 1, kept)
        self._most = most
        self._counts: dict[int, int] = {}
        self._with = [0] * (most + 1)
        for key in self.log.load(chunks):
            self._count(key)

    def add(self, key: int) -> None:
        """The key came once more."""
        if self._count(key):
            self.log.append((key,))

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        self.log.dump(into)

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return self.log.names()

    def at_least(self, times: int) -> int:
        """How many keys came that often or more; `times` up to `most`."""
        return sum(self._with[times:])

    def _count(self, key: int) -> bool:
        before = self._counts.get(key, 0)
        if before >= self._most:
            return False
        self._counts[key] = before + 1
        if before:
            self._with[before] -= 1
        self._with[before + 1] += 1
        return True


class Histogram(ChunkedRecord):
    """How often each number came; bounded by how many different numbers there are, not by how many came."""

    __slots__ = ("_buckets", "_kept", "_open", "total")

    OPEN: Final = 48
    WIDTH: Final = 1024

    def __init__(self, name: bytes, kept: list[int], stored: list[int], chunks: StateChunks) -> None:
        """`kept` is the open end in the main record, `stored` the numbers of the buckets that have a record there."""
        super().__init__(name)
        self._open = kept
        self._kept = stored
        self._buckets: dict[int, dict[int, int]] = {b: _counts(chunks[self._part(b)]) for b in stored}
        self.total = sum(sum(bucket.values()) for bucket in self._buckets.values())
        for number in kept:
            self._count(number)

    def add(self, number: int) -> None:
        """A number of 0 or more came."""
        self._count(number)
        self._open.append(number)
        if len(self._open) >= self.OPEN:
            for index in {number // self.WIDTH for number in self._open}:
                self._changed[self._part(index)] = _encode(self._buckets[index])
                if index not in self._kept:
                    self._kept.append(index)
            self._open.clear()

    def nearest_rank(self, percent: int) -> int:
        """The smallest number that at least `percent` of all are not above (total > 0)."""
        rank = -(-self.total * percent // 100)
        for index in sorted(self._buckets):
            bucket = self._buckets[index]
            inside = sum(bucket.values())
            if rank > inside:
                rank -= inside
                continue
            for number in sorted(bucket):
                rank -= bucket[number]
                if rank <= 0:
                    return number
        raise ValueError("no number came yet")

    def _stored(self) -> Iterable[int]:
        return self._kept

    def _count(self, number: int) -> None:
        bucket = self._buckets.setdefault(number // self.WIDTH, {})
        bucket[number] = bucket.get(number, 0) + 1
        self.total += 1
