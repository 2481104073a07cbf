"""How often each number came."""

from collections.abc import Iterable
from typing import Final

import msgspec

from vigil.app.engine.storage.chunked_record import ChunkedRecord
from vigil.app.engine.subject import StateChunks

_encode: Final = msgspec.msgpack.Encoder().encode
_counts: Final = msgspec.msgpack.Decoder(dict[int, int]).decode


class Histogram(ChunkedRecord):
    """Exact counts of numbers. Its size is bounded by how many different numbers there are, not by how many came."""

    __slots__ = ("_buckets", "_open", "_stored_buckets", "total")

    OPEN: Final = 48
    """Numbers of the open end: more cost space in every checkpoint, fewer cost more writes of buckets."""

    WIDTH: Final = 1024
    """Different numbers of one chunk: a full one has about 5 kB."""

    def __init__(self, name: bytes, open_end: list[int], stored_buckets: list[int], chunks: StateChunks) -> None:
        """Both lists are in the state's main chunk, and kept up to date: the numbers of the open end, and which buckets
        have a chunk of their own."""
        super().__init__(name)
        self._open = open_end
        self._stored_buckets = stored_buckets
        self._buckets: dict[int, dict[int, int]] = {
            number: _counts(chunks[self._chunk_name(number)]) for number in stored_buckets
        }
        self.total = sum(sum(bucket.values()) for bucket in self._buckets.values())
        """How many numbers came."""
        for number in open_end:
            self._count(number)

    def add(self, number: int) -> None:
        """Count a number of 0 or more."""
        self._count(number)
        self._open.append(number)
        if len(self._open) >= self.OPEN:
            for index in {number // self.WIDTH for number in self._open}:
                self._changed[self._chunk_name(index)] = _encode(self._buckets[index])
                if index not in self._stored_buckets:
                    self._stored_buckets.append(index)
            self._open.clear()

    def nearest_rank(self, percent: int) -> int:
        """Return the smallest number that at least `percent` of all are not above. Raise ValueError if none came."""
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
        return self._stored_buckets

    def _count(self, number: int) -> None:
        bucket = self._buckets.setdefault(number // self.WIDTH, {})
        bucket[number] = bucket.get(number, 0) + 1
        self.total += 1
