"""How many keys came how often, counted up to a limit."""

from collections import Counter

from vigil.app.engine.storage.chunked_log import KeyLog, LogSnapshot
from vigil.app.engine.storage.packed_map import PackedMap
from vigil.app.engine.subject import ChangedChunks, StateChunks


class CappedCounter:
    """Counts keys up to a limit, so that what it stores of a key is bounded."""

    __slots__ = ("_counts", "_keys_with", "_limit", "_log")

    def __init__(self, name: bytes, limit: int, snapshot: LogSnapshot, chunks: StateChunks) -> None:
        self._log = KeyLog(name, snapshot)
        self._limit = limit
        counts = {key: min(count, limit) for key, count in Counter(self._log.load(chunks)).items()}
        self._log.release()
        self._counts = PackedMap("B", counts)
        self._keys_with = [0] * (limit + 1)
        """By count: how many keys have it; the first one means nothing."""
        for count in counts.values():
            self._keys_with[count] += 1

    def add(self, key: int) -> None:
        """Count a key once more."""
        before = self._counts.increment(key, self._limit)
        if before < self._limit:
            self._keys_with[before] -= 1
            self._keys_with[before + 1] += 1
            self._log.append(key)

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self._log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self._log.chunk_names()

    def at_least(self, times: int) -> int:
        """Return how many keys came `times` times or more: 1 to the limit."""
        return sum(self._keys_with[times:])
