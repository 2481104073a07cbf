"""Keys with the last time each was added, kept for a while.

Few keys are looked up in the packed rows of the log, and only where a bit map says that they may be there: one bit of a
key, by its remainder. Nearly all keys are new, because a `comment_id` is hardly ever repeated. Of many keys there is a
map of the times.
"""

from typing import Final

from vigil.app.engine.storage.chunked_log import LogSnapshot, TimeLog
from vigil.app.engine.storage.packed_times import PackedTimes
from vigil.app.engine.subject import ChangedChunks, StateChunks

_PLACES: Final = (253, 1021, 4093)
"""Sizes of the bit map: odd, so that the keys of similar texts are spread over it."""

_PLACES_A_ROW: Final = 8
"""With eight bits a row, the rows are searched for one new key of nine, or fewer."""

FEW: Final = _PLACES[-1] // _PLACES_A_ROW
"""Rows up to which keys are looked up in them: searching so many takes two microseconds."""


class ExpiringMap:
    """The last time of each key. Expired keys are forgotten now and then, so what is found may have expired."""

    __slots__ = ("_bits", "_log", "_places", "_times")

    def __init__(self, name: bytes, snapshot: LogSnapshot, chunks: StateChunks) -> None:
        self._log = TimeLog(name, snapshot)
        self._times: PackedTimes | None = None
        """None while there are few rows."""
        self._places = 0
        self._bits = bytearray()
        self._index(self._log.load(chunks))

    def get(self, key: int) -> int | None:
        """Return when a key was added last; None if it never was, or was forgotten."""
        if self._times is not None:
            return self._times.get(key)
        place = key % self._places
        return self._log.find(key) if self._bits[place >> 3] >> (place & 7) & 1 else None

    def add(self, key: int, at: int, until: int) -> None:
        """Add a key at `at`, which is not before any other time; what is not after `until` need not be remembered."""
        if self._times is None:
            place = key % self._places
            self._bits[place >> 3] |= 1 << (place & 7)
        else:
            self._times.put(key, at)
        if self._log.append(key, at):
            self.expire(until)

    def expire(self, until: int) -> None:
        """Delete the stored chunks in which nothing was added after `until`."""
        expired = self._log.expire(until)
        if self._times is not None:
            self._times.expire(until)
        elif expired or self._log.rows * _PLACES_A_ROW > self._places:
            self._index(self._log.latest())

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        self._log.dump(into)

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return self._log.chunk_names()

    def _index(self, latest: dict[int, int]) -> None:
        """Prepare for looking up the keys of the log."""
        rows = self._log.rows
        if rows > FEW:
            self._log.release()
            self._times, self._bits = PackedTimes(latest), bytearray()
        else:
            self._places = next(places for places in _PLACES if rows * _PLACES_A_ROW <= places)
            bits = self._bits = bytearray(self._places // 8 + 1)
            for key in latest:
                place = key % self._places
                bits[place >> 3] |= 1 << (place & 7)
