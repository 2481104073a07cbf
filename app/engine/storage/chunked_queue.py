"""Items in order, added at one end and dropped at the other."""

from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from vigil.app.engine.storage.chunked_record import ChunkedRecord
from vigil.app.engine.subject import StateChunks

T = TypeVar("T", bound=tuple[object, ...])
"""A tuple of integers, texts and None: what msgpack stores. An item that was loaded is a list of the same values."""

_encode: Final = msgspec.msgpack.Encoder().encode
_items: Final = msgspec.msgpack.Decoder(list[Any]).decode


class QueueSnapshot(Struct, array_like=True):
    """What the main chunk has of a queue. Stored by position."""

    oldest: int = 0
    """Number of the oldest chunk."""
    next: int = 0
    """Number of the next chunk."""
    gone: int = 0
    """How many items of the oldest chunk were dropped."""
    tail: list[Any] = []
    """The open end."""


class ChunkedQueue(ChunkedRecord, Generic[T]):
    """A queue whose length is not bounded by the size of a record."""

    __slots__ = ("_size", "_snapshot", "items")

    def __init__(self, name: bytes, size: int, snapshot: QueueSnapshot, chunks: StateChunks) -> None:
        """Load a queue of which `size` items make a chunk. It keeps `snapshot` up to date."""
        super().__init__(name)
        self._size = size
        self._snapshot = snapshot
        self.items: list[T] = []
        """All items, the oldest first: to read only."""
        for number in range(snapshot.oldest, snapshot.next):
            self.items += _items(chunks[self._chunk_name(number)])
        del self.items[: snapshot.gone]
        self.items += snapshot.tail

    def append(self, item: T) -> None:
        """Add an item."""
        snapshot = self._snapshot
        self.items.append(item)
        snapshot.tail.append(item)
        if len(snapshot.tail) >= self._size:
            self._write(snapshot.next, _encode(snapshot.tail))
            snapshot.next += 1
            snapshot.tail.clear()

    def drop(self, count: int) -> None:
        """Drop the `count` oldest items."""
        snapshot = self._snapshot
        del self.items[:count]
        while count and snapshot.oldest < snapshot.next:
            here = min(count, self._size - snapshot.gone)
            snapshot.gone += here
            count -= here
            if snapshot.gone == self._size:
                self._write(snapshot.oldest, None)
                snapshot.oldest += 1
                snapshot.gone = 0
        del snapshot.tail[:count]

    def _stored(self) -> Iterable[int]:
        return range(self._snapshot.oldest, self._snapshot.next)
