"""How many keys came how often, counted up to a limit."""

from vigil.app.engine.storage.chunked_log import ChunkedLog, LogSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks


class CappedCounter:
    """Counts keys up to a limit, so that what it stores of a key is bounded."""

    __slots__ = ("_counts", "_keys_with", "_limit", "log")

    def __init__(self, name: bytes, limit: int, snapshot: LogSnapshot, chunks: StateChunks) -> None:
        self.log = ChunkedLog(name, 1, snapshot)
        self._limit = limit
        self._counts: dict[int, int] = {}
        self._keys_with = [0] * (limit + 1)
        """By count: how many keys have it."""
        for key in self.log.load(chunks):
            self._count(key)

    def add(self, key: int) -> None:
        """Count a key once more."""
        if self._count(key):
            self.log.append((key,))

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self.log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self.log.chunk_names()

    def at_least(self, times: int) -> int:
        """Return how many keys came `times` times or more; `times` is at most the limit."""
        return sum(self._keys_with[times:])

    def _count(self, key: int) -> bool:
        before = self._counts.get(key, 0)
        if before >= self._limit:
            return False
        self._counts[key] = before + 1
        if before:
            self._keys_with[before] -= 1
        self._keys_with[before + 1] += 1
        return True
