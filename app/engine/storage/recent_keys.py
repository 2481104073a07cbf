"""How many different keys were added lately.

    keys   ▏ b ▏ d ▏ a ▏      in the order in which each was added last: one that is added again moves to the end
    times  ▏ 3 ▏ 5 ▏ 9 ▏

Of many keys, a map finds the time of a key, and with it its place among the times.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right
from typing import Final

from vigil.app.engine.storage.chunked_log import LogSnapshot, TimeLog
from vigil.app.engine.storage.packed_times import PackedTimes
from vigil.app.engine.subject import ChangedChunks, StateChunks

FEW: Final = 128
"""Keys up to which one is searched for among all: that takes 0.4 µs at most."""


class RecentKeys:
    """The keys of the last while, each with the last time when it was added."""

    __slots__ = ("_keys", "_latest", "_log", "_times")

    def __init__(self, name: bytes, snapshot: LogSnapshot, chunks: StateChunks, chunk_rows: int) -> None:
        """`chunk_rows`: rows of a stored chunk, which is kept until all of them have expired."""
        self._log = TimeLog(name, snapshot, chunk_rows)
        latest = dict(sorted(self._log.load(chunks).items(), key=lambda entry: entry[1]))
        self._log.release()
        self._times = array("Q", latest.values())
        self._keys = bytearray(b"".join(key.to_bytes(8, "little") for key in latest))
        self._latest: PackedTimes | None = None
        """None while there are few keys; then `_keys` is empty."""
        self._index()

    def add(self, key: int, at: int, until: int) -> None:
        """Add a key at `at`, which is not before any other time; what is not after `until` is not counted any more."""
        times = self._times
        if self._latest is None:
            keys, packed = self._keys, key.to_bytes(8, "little")
            place = keys.find(packed)
            while place & 7 and place > 0:  # it begins in the middle of another key
                place = keys.find(packed, place + 1)
            if place >= 0:
                del keys[place : place + 8], times[place >> 3]
            keys += packed
        elif (before := self._latest.put(key, at)) is not None:
            place = bisect_left(times, before)
            if place < len(times) and times[place] == before:
                del times[place]
        times.append(at)
        if self._log.append(key, at):
            self.expire(until)
            self._index()

    def count(self, until: int) -> int:
        """Return how many keys were added after `until`."""
        return len(self._times) - bisect_right(self._times, until)

    def expire(self, until: int) -> None:
        """Forget the keys that were not added after `until`."""
        self._log.expire(until)
        expired = bisect_right(self._times, until)
        if expired:
            del self._times[:expired], self._keys[: 8 * expired]
        if self._latest is not None:
            self._latest.expire(until)

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self._log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self._log.chunk_names()

    def _index(self) -> None:
        """Make a map if there are many keys."""
        if self._latest is None and len(self._times) > FEW:
            keys = (key for (key,) in struct.iter_unpack("<Q", self._keys))
            self._latest = PackedTimes(dict(zip(keys, self._times, strict=True)))
            self._keys = bytearray()
