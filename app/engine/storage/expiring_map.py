"""Keys with the last time each was added, kept for a while."""

from vigil.app.engine.storage.chunked_log import ChunkedLog, LogSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks


class ExpiringMap:
    """The last time of each key, in order of time."""

    __slots__ = ("latest", "log")

    def __init__(self, name: bytes, snapshot: LogSnapshot, chunks: StateChunks) -> None:
        self.log = ChunkedLog(name, 2, snapshot)
        self.latest: dict[int, int] = {}
        """In order of time: to read only."""
        numbers = iter(self.log.load(chunks))
        for key in numbers:
            self._put(key, next(numbers))

    def add(self, key: int, at: int, until: int) -> None:
        """Add a key at `at`, which is not before any other time; what is not after `until` need not be remembered."""
        self._put(key, at)
        if self.log.append((key, at)):
            self.expire(until)

    def expire(self, until: int) -> None:
        """Delete the keys that were not added after `until`."""
        expired = []
        for key, at in self.latest.items():
            if at > until:
                break
            expired.append(key)
        for key in expired:
            del self.latest[key]
        self.log.expire(until)

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self.log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self.log.chunk_names()

    def _put(self, key: int, at: int) -> None:
        self.latest.pop(key, None)
        self.latest[key] = at
