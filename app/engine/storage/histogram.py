"""How often each number came."""

import struct
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from vigil.app.engine.storage.chunked_record import ChunkedRecord
from vigil.app.engine.storage.packed_map import PackedMap
from vigil.app.engine.subject import StateChunks

StoredNumbers = bytearray | list[int]
"""Numbers of the open end: packed; in version 1 of rooms, as they are."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(bytes | dict[int, int]).decode

_NUMBER: Final = struct.Struct("<I")
_COUNTED: Final = struct.Struct("<HH")
"""A number less the first one of its chunk, and how often it came: in several rows if that is more than fits in one."""

_MAX_COUNT: Final = 0xFFFF

MAX_TIMES: Final = 1 << 62
"""No number comes so often."""


class Histogram(ChunkedRecord):
    """Exact counts of numbers below 2^32. Its size is bounded by how many different ones there are.

    Version 1 of rooms has counts by number, 1,024 numbers a chunk. They are read, and written in the present form as
    soon as the open end is full.
    """

    __slots__ = ("_counts", "_repack", "_stored_chunks", "open", "total")

    OPEN: Final = 48
    """Numbers of the open end: more cost space in every checkpoint, fewer cost more writes of chunks."""

    WIDTH: Final = 8192
    """Different numbers of one chunk: a full one has 32 kB."""

    def __init__(self, name: bytes, open_end: StoredNumbers, stored_chunks: list[int], chunks: StateChunks) -> None:
        """`stored_chunks`: which chunks exist; the list is kept up to date. The main chunk has it, and `open`."""
        super().__init__(name)
        self._stored_chunks = stored_chunks
        self._repack = False
        """True if there are chunks of version 1."""
        counts: Counter[int] = Counter()
        for index in stored_chunks:
            self._load(index, _decode(chunks[self._chunk_name(index)]), counts)
        self.open = open_end if isinstance(open_end, bytearray) else bytearray(b"".join(map(_NUMBER.pack, open_end)))
        """The open end."""
        counts.update(number for (number,) in _NUMBER.iter_unpack(self.open))
        self._counts = PackedMap("B", counts)
        self.total = counts.total()
        """How many numbers came."""

    def add(self, number: int) -> None:
        """Count a number of 0 or more."""
        self._counts.increment(number, MAX_TIMES)
        self.total += 1
        self.open += _NUMBER.pack(number)
        if len(self.open) >= self.OPEN * _NUMBER.size:
            self._store({number // self.WIDTH for (number,) in _NUMBER.iter_unpack(self.open)})
            self.open.clear()

    def nearest_ranks(self, *percents: int) -> list[int]:
        """Return for each percentage, in ascending order, the smallest number that as many of all are not above.

        Raise ValueError if none came.
        """
        ranks = [-(-self.total * percent // 100) for percent in reversed(percents)]
        rank = ranks.pop()
        found: list[int] = []
        passed = 0
        for number, count in sorted(self._counts.items()):
            passed += count
            while rank <= passed:
                found.append(number)
                if not ranks:
                    return found
                rank = ranks.pop()
        raise ValueError("no number came yet")

    def _load(self, index: int, stored: bytes | dict[int, int], into: Counter[int]) -> None:
        """Add the counts of a chunk."""
        if isinstance(stored, dict):
            self._repack = True
            into.update(stored)
        else:
            for offset, count in _COUNTED.iter_unpack(stored):
                into[index * self.WIDTH + offset] += count

    def _store(self, changed: set[int]) -> None:
        """Write the chunks that changed; instead of those of version 1, all."""
        rows: dict[int, bytearray] = {}
        for number, count in sorted(self._counts.items()):
            index, offset = divmod(number, self.WIDTH)
            if self._repack or index in changed:
                row = rows.setdefault(index, bytearray())
                for left in range(count, 0, -_MAX_COUNT):
                    row += _COUNTED.pack(offset, min(left, _MAX_COUNT))
        if self._repack:
            for index in self._stored_chunks:
                self._write(index, None)
            self._stored_chunks.clear()
            self._repack = False
        for index, row in rows.items():
            self._write(index, _encode(row))
            if index not in self._stored_chunks:
                self._stored_chunks.append(index)

    def _stored(self) -> Iterable[int]:
        return self._stored_chunks
