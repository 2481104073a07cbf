"""Keys with the last time each was added, kept for a while."""

from array import array
from bisect import bisect_left, bisect_right
from typing import Final

from vigil.app.engine.storage.chunked_log import LogSnapshot, TimeLog
from vigil.app.engine.storage.packed_map import PackedMap
from vigil.app.engine.subject import ChangedChunks, StateChunks

SPARE: Final = 64
"""Expired entries, besides a quarter of the others, that are kept until they are dropped together."""


class ExpiringMap:
    """The last time of each key. Expired keys are forgotten now and then, so what is found may have expired."""

    __slots__ = ("_base", "_full", "_log", "_times")

    def __init__(
        self, name: bytes, snapshot: LogSnapshot, chunks: StateChunks, chunk_rows: int = TimeLog.CHUNK_ROWS
    ) -> None:
        self._log = TimeLog(name, snapshot, chunk_rows)
        latest = self._log.load(chunks)
        self._base = min(latest.values(), default=-1)
        """All times are kept less this, so that they fit in four bytes for 49 days; -1 before the first one."""
        self._times = PackedMap("I", {key: at - self._base for key, at in latest.items()})
        self._full = len(latest) + SPARE
        """With more entries than this, those that have expired are dropped."""

    def get(self, key: int) -> int | None:
        """Return when a key was added last; None if it never was, or was forgotten."""
        time = self._times.get(key)
        return None if time is None else self._base + time

    def add(self, key: int, at: int, until: int) -> None:
        """Add a key at `at`, which is not before any other time; what is not after `until` need not be remembered."""
        if self._base < 0:
            self._base = at
        self._times.put(key, at - self._base)
        if self._log.append(key, at):
            self.expire(until)

    def expire(self, until: int) -> None:
        """Delete the stored chunks in which nothing was added after `until`."""
        self._log.expire(until)
        if len(self._times) > self._full:
            age = until - self._base
            if age > 0:
                self._times = self._times.above(age)
                self._base = until
            self._full = len(self._times) * 5 // 4 + SPARE

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self._log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self._log.chunk_names()


class RecentKeys(ExpiringMap):
    """How many different keys were added lately."""

    __slots__ = ("_order",)

    def __init__(
        self, name: bytes, snapshot: LogSnapshot, chunks: StateChunks, chunk_rows: int = TimeLog.CHUNK_ROWS
    ) -> None:
        super().__init__(name, snapshot, chunks, chunk_rows)
        self._order = array("Q", sorted(self._base + time for _, time in self._times.items()))
        """The last time of each key that has not expired, in order."""

    def add(self, key: int, at: int, until: int) -> None:
        """Add a key at `at`; see ExpiringMap."""
        base = self._base
        if base < 0:
            base = self._base = at
        before = self._times.put(key, at - base)
        order = self._order
        if before is not None:
            place = bisect_left(order, base + before)
            if place < len(order) and order[place] == base + before:
                del order[place]
        order.append(at)
        if self._log.append(key, at):
            self.expire(until)

    def count(self, until: int) -> int:
        """Return how many keys were added after `until`."""
        return len(self._order) - bisect_right(self._order, until)

    def expire(self, until: int) -> None:
        """Forget the keys that were not added after `until`."""
        super().expire(until)
        expired = bisect_right(self._order, until)
        if expired:
            del self._order[:expired]
