"""How a room stores what grows: in pieces, records of their own, so that a checkpoint writes what is new.

    Queue    in order, dropped from the front          what waits
    Log      in order, forgotten a piece at a time     what is remembered (memory.py)

New items stand in the open end, which lies in the room's main record; a full end moves into pieces. A piece stays
well below a megabyte, and writing one does not depend on how much the room remembers.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from vigil.app.engine.subject import StateChunks

Records = dict[bytes, bytes | None]
"""Records to write by part name; None deletes one."""

_encode: Final = msgspec.msgpack.Encoder().encode
_items: Final = msgspec.msgpack.Decoder(list[Any]).decode
_numbers: Final = msgspec.msgpack.Decoder(list[int]).decode


def hash64(text: str) -> int:
    """64 bits that stand for an identifier or a label (two of a million share them with a chance of 3 in 10^8)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class ChunkedRecord:
    """What is stored in numbered records of its own, of which those that changed are written."""

    __slots__ = ("_changed", "_name")

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._changed: Records = {}

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        if self._changed:
            into.update(self._changed)
            self._changed.clear()

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return [*self._changed, *(self._part(number) for number in self._stored())]

    def _stored(self) -> Iterable[int]:
        """The numbers of the records that are stored."""
        raise NotImplementedError

    def _part(self, number: int) -> bytes:
        return b"%b%d" % (self._name, number)


class QueueSnapshot(Struct, array_like=True):
    """What the main record keeps of a queue."""

    oldest: int = 0
    """Number of the oldest piece."""
    next: int = 0
    """Number of the next piece to come."""
    gone: int = 0
    """How many items of the oldest piece are gone."""
    tail: list[Any] = []
    """The open end."""


class ChunkedQueue(ChunkedRecord):
    """Items in order, added at one end and dropped at the other."""

    __slots__ = ("_kept", "_size", "items")

    def __init__(self, name: bytes, size: int, kept: QueueSnapshot, chunks: StateChunks) -> None:
        """`size` items make a piece; its records are named `name` and a number."""
        super().__init__(name)
        self._size = size
        self._kept = kept
        self.items: list[Any] = []
        """All items, oldest first: to read only."""
        for number in range(kept.oldest, kept.next):
            self.items += _items(chunks[self._part(number)])
        del self.items[: kept.gone]
        self.items += kept.tail

    def append(self, item: Sequence[Any]) -> None:
        """Add what msgpack can store: a tuple of ints, strings and None."""
        kept = self._kept
        self.items.append(item)
        kept.tail.append(item)
        if len(kept.tail) >= self._size:
            self._changed[self._part(kept.next)] = _encode(kept.tail)
            kept.next += 1
            kept.tail.clear()

    def drop(self, count: int) -> None:
        """Drop that many of the oldest."""
        kept = self._kept
        del self.items[:count]
        while count and kept.oldest < kept.next:
            here = min(count, self._size - kept.gone)
            kept.gone += here
            count -= here
            if kept.gone == self._size:
                self._changed[self._part(kept.oldest)] = None
                kept.oldest += 1
                kept.gone = 0
        del kept.tail[:count]

    def _stored(self) -> Iterable[int]:
        return range(self._kept.oldest, self._kept.next)


class LogSnapshot(Struct, array_like=True):
    """What the main record keeps of a log."""

    oldest: int = 0
    next: int = 0
    tail: list[int] = []
    """The open end."""


class ChunkedLog(ChunkedRecord):
    """Rows of numbers in order, the last of a row being its time where pieces are forgotten by time.

    A full open end is added to the newest piece, which is written again, until that piece is full itself.
    """

    __slots__ = ("_ends", "_kept", "_newest", "_width")

    OPEN_ROWS: Final = 24
    PIECE_ROWS: Final = 10 * OPEN_ROWS

    def __init__(self, name: bytes, width: int, kept: LogSnapshot) -> None:
        """`width` numbers make a row; records are named `name` and a number. Call `load` next."""
        super().__init__(name)
        self._width = width
        self._kept = kept
        self._newest: list[int] = []
        self._ends: deque[int] | None = None
        """The last number of each piece (None for no pieces: most rooms never need one)."""

    def load(self, chunks: StateChunks) -> list[int]:
        """Everything stored, as one flat list."""
        kept = self._kept
        numbers: list[int] = []
        for number in range(kept.oldest, kept.next):
            self._newest = _numbers(chunks[self._part(number)])
            self._end(self._newest[-1])
            numbers += self._newest
        if len(self._newest) >= self.PIECE_ROWS * self._width:
            self._newest = []
        return numbers + kept.tail

    def append(self, row: tuple[int, ...]) -> bool:
        """Add a row; tell whether the open end was moved into a piece (a good time to forget)."""
        kept = self._kept
        kept.tail += row
        if len(kept.tail) < self.OPEN_ROWS * self._width:
            return False
        if not self._newest:
            kept.next += 1
            self._end(kept.tail[-1])
        assert self._ends is not None  # noqa: S101 - there is a piece
        self._newest += kept.tail
        self._ends[-1] = kept.tail[-1]
        kept.tail.clear()
        self._changed[self._part(kept.next - 1)] = _encode(self._newest)
        if len(self._newest) >= self.PIECE_ROWS * self._width:
            self._newest = []
        return True

    def forget(self, until: int) -> None:
        """Drop the pieces whose last time is not after `until`."""
        kept = self._kept
        while self._ends and self._ends[0] <= until:
            self._ends.popleft()
            self._changed[self._part(kept.oldest)] = None
            kept.oldest += 1
            if kept.oldest == kept.next:
                self._newest = []

    def _stored(self) -> Iterable[int]:
        return range(self._kept.oldest, self._kept.next)

    def _end(self, at: int) -> None:
        if self._ends is None:
            self._ends = deque()
        self._ends.append(at)
