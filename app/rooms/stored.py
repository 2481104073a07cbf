"""How a room stores what grows: a queue in pieces, and what was seen within a window of time.

    append ──▶ open end (in the room's main record) ──full──▶ sealed piece, a record of its own, written once
    popleft ──▶ the oldest piece's items go; when all are gone its record is deleted

So a checkpoint of a large room writes a few kilobytes, not everything it remembers.
"""

from collections import deque
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.stream.logic import Parts

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Any]).decode


class Kept(Struct, array_like=True):
    """What the main record keeps of a queue."""

    oldest: int = 0
    """Number of the oldest sealed piece."""
    next: int = 0
    """Number of the piece to be sealed next."""
    gone: int = 0
    """How many items of the oldest sealed piece are gone."""
    tail: list[Any] = []
    """The open end."""


class Queue:
    """Items in order, added at one end and dropped at the other."""

    __slots__ = ("_changed", "_kept", "_name", "_size", "items")

    def __init__(self, name: bytes, size: int, kept: Kept, parts: Parts) -> None:
        """`size` items make a piece; its records are named `name` and a number."""
        self._name = name
        self._size = size
        self._kept = kept
        self._changed: dict[bytes, bytes | None] = {}
        self.items: deque[Any] = deque()
        """All items, oldest first: to read only."""
        for number in range(kept.oldest, kept.next):
            self.items.extend(_decode(parts[self._part(number)]))
        for _ in range(kept.gone):
            self.items.popleft()
        self.items.extend(kept.tail)

    def append(self, item: Any) -> None:
        """Add what msgpack can store: an int, or a list or tuple of ints, strings and None."""
        kept = self._kept
        self.items.append(item)
        kept.tail.append(item)
        if len(kept.tail) >= self._size:
            self._changed[self._part(kept.next)] = _encode(kept.tail)
            kept.next += 1
            kept.tail.clear()

    def popleft(self) -> Any:
        """Drop the oldest item and return it."""
        kept = self._kept
        item = self.items.popleft()
        if kept.oldest == kept.next:
            del kept.tail[0]
            return item
        kept.gone += 1
        if kept.gone == self._size:
            self._changed[self._part(kept.oldest)] = None
            kept.oldest += 1
            kept.gone = 0
        return item

    def clear(self) -> None:
        """Drop everything."""
        kept = self._kept
        for number in range(kept.oldest, kept.next):
            self._changed[self._part(number)] = None
        kept.oldest, kept.gone = kept.next, 0
        kept.tail.clear()
        self.items.clear()

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Move the pieces that changed since the last time over to `into`."""
        if self._changed:
            into.update(self._changed)
            self._changed.clear()

    def _part(self, number: int) -> bytes:
        return b"%b%d" % (self._name, number)


class Window:
    """Keys seen within a window of event time, each with the last time it was seen."""

    __slots__ = ("_queue", "latest")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.latest: dict[int, int] = dict(queue.items)

    def add(self, key: int, at: int) -> None:
        """The key was seen at `at`, not before any other."""
        self.latest[key] = at
        self._queue.append((key, at))

    def forget(self, until: int) -> None:
        """Drop what was not seen after `until`."""
        items = self._queue.items
        while items and items[0][1] <= until:
            key, at = self._queue.popleft()
            if self.latest.get(key) == at:
                del self.latest[key]
