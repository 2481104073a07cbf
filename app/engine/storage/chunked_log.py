"""Rows of numbers in order, expired one chunk at a time."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.engine.storage.chunked_record import ChunkedRecord
from vigil.app.engine.subject import StateChunks

_encode: Final = msgspec.msgpack.Encoder().encode
_numbers: Final = msgspec.msgpack.Decoder(list[int]).decode


class LogSnapshot(Struct, array_like=True):
    """What the main chunk has of a log. Stored by position."""

    oldest: int = 0
    """Number of the oldest chunk."""
    next: int = 0
    """Number of the next chunk."""
    tail: list[int] = []
    """The open end."""


class ChunkedLog(ChunkedRecord):
    """Rows of numbers. Where chunks expire by time, the last number of a row is its time.

    A full open end is added to the newest chunk, which is written again, until that chunk is full itself.
    """

    __slots__ = ("_ends", "_newest", "_snapshot", "_width")

    OPEN_ROWS: Final = 24
    """Rows of the open end: the main chunk has them in every checkpoint, so more cost space there, and fewer cost more
    writes of chunks."""

    CHUNK_ROWS: Final = 10 * OPEN_ROWS
    """Rows of a chunk: each row is written up to ten times, and as many rows are kept beyond their time at most."""

    def __init__(self, name: bytes, width: int, snapshot: LogSnapshot) -> None:
        """`width`: numbers of a row. The log keeps `snapshot` up to date. Call `load` next."""
        super().__init__(name)
        self._width = width
        self._snapshot = snapshot
        self._newest: list[int] = []
        self._ends: deque[int] | None = None
        """The last number of each chunk (None for no chunks: most rooms never need one)."""

    def load(self, chunks: StateChunks) -> list[int]:
        """Return everything that is stored as one flat list."""
        snapshot = self._snapshot
        numbers: list[int] = []
        for number in range(snapshot.oldest, snapshot.next):
            self._newest = _numbers(chunks[self._chunk_name(number)])
            self._add_end(self._newest[-1])
            numbers += self._newest
        if len(self._newest) >= self.CHUNK_ROWS * self._width:
            self._newest = []
        return numbers + snapshot.tail

    def append(self, row: tuple[int, ...]) -> bool:
        """Add a row; return True if the open end moved into a chunk, which is a good time to call `expire`."""
        snapshot = self._snapshot
        snapshot.tail += row
        if len(snapshot.tail) < self.OPEN_ROWS * self._width:
            return False
        if not self._newest:
            snapshot.next += 1
            self._add_end(snapshot.tail[-1])
        assert self._ends is not None  # noqa: S101 - there is a chunk
        self._newest += snapshot.tail
        self._ends[-1] = snapshot.tail[-1]
        snapshot.tail.clear()
        self._changed[self._chunk_name(snapshot.next - 1)] = _encode(self._newest)
        if len(self._newest) >= self.CHUNK_ROWS * self._width:
            self._newest = []
        return True

    def expire(self, until: int) -> None:
        """Delete the chunks whose last time is not after `until`."""
        snapshot = self._snapshot
        while self._ends and self._ends[0] <= until:
            self._ends.popleft()
            self._changed[self._chunk_name(snapshot.oldest)] = None
            snapshot.oldest += 1
            if snapshot.oldest == snapshot.next:
                self._newest = []

    def _stored(self) -> Iterable[int]:
        return range(self._snapshot.oldest, self._snapshot.next)

    def _add_end(self, at: int) -> None:
        if self._ends is None:
            self._ends = deque()
        self._ends.append(at)
