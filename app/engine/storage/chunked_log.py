"""Packed rows in order, expired one chunk at a time.

    KeyLog     key: 8 bytes                                      what is counted
    TimeLog    key: 8 bytes, ms since the row before: 2 bytes    what is remembered for a while

A chunk can be read alone: it begins with the time that its first row follows. Numbers are little-endian. Rooms of
version 1 have lists of numbers instead: they are packed when they are read.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct, field

from vigil.app.engine.storage.chunked_record import ChunkedRecord
from vigil.app.engine.subject import StateChunks

StoredRows = bytearray | list[int]
"""Packed rows; in version 1, all their numbers."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredRows).decode

_KEY: Final = struct.Struct("<Q")
_TIMED: Final = struct.Struct("<QH")
_pack_key, _pack_timed = _KEY.pack, _TIMED.pack

_SET_TIME: Final = 0xFFFF
"""Instead of the ms since the row before: the key is a time, which the next row follows."""

_SET: Final = _SET_TIME.to_bytes(2, "little")


class LogSnapshot(Struct, array_like=True):
    """What the main chunk has of a log. Stored by position."""

    oldest: int = 0
    """Number of the oldest chunk."""
    next: int = 0
    """Number of the next chunk."""
    tail: StoredRows = field(default_factory=bytearray)
    """The open end."""


class ChunkedLog(ChunkedRecord):
    """Rows of one size.

    A full open end is added to the newest chunk, which is written again, until that chunk is full itself.
    """

    __slots__ = ("_chunk_bytes", "_ends", "_full", "_last", "_newest", "_open_bytes", "_snapshot", "_tail")

    ROW: int
    """Bytes of a row."""

    OPEN_ROWS: Final = 24
    """Rows of the open end: the main chunk has them in every checkpoint, so more cost space there, and fewer cost more
    writes of chunks."""

    CHUNK_ROWS: Final = 10 * OPEN_ROWS
    """Rows of a chunk: each row is written up to ten times, and as many rows are kept beyond their time at most."""

    def __init__(self, name: bytes, snapshot: LogSnapshot, chunk_rows: int = CHUNK_ROWS) -> None:
        """The log keeps `snapshot` up to date. Call `load` next."""
        super().__init__(name)
        self._chunk_bytes = chunk_rows * self.ROW
        self._open_bytes = self.OPEN_ROWS * self.ROW
        self._snapshot = snapshot
        self._tail = bytearray()
        """The open end. Without any chunk it begins with a time."""
        self._newest = bytearray()
        """The newest chunk while it is not full."""
        self._full: tuple[bytes, ...] | None = ()
        """The other chunks, the oldest first; None after `release`: they are stored only."""
        self._ends: array[int] | None = None
        """The last time of each chunk (None for no chunks: many rooms never need one)."""
        self._last = 0
        """The time of the latest row; 0 if the next one follows none."""

    def expire(self, until: int) -> bool:
        """Delete the chunks whose last time is not after `until`; return True if there were any."""
        ends = self._ends
        if not ends or ends[0] > until:
            return False
        while ends and (end := ends[0]) <= until:
            del ends[0]
            self._full = self._full and self._full[1:]
            self._write(self._snapshot.oldest, None)
            self._snapshot.oldest += 1
            if not ends:
                self._newest = bytearray()
                if self._tail:
                    self._tail[:0] = self._time(end)
                else:
                    self._last = 0
        return True

    @property
    def rows(self) -> int:
        """How many rows there are, some of which may only set the time."""
        return sum(map(len, self._in_memory())) // self.ROW

    def release(self) -> None:
        """Keep the rows in memory no longer: from now on they can only be appended."""
        self._full = None

    def _in_memory(self) -> tuple[bytes | bytearray, ...]:
        """Return the rows of all chunks and of the open end."""
        return (*(self._full or ()), self._newest, self._tail)

    def _blocks(self, chunks: StateChunks) -> Iterator[bytearray]:
        """Yield the rows of each chunk and of the open end. After each, the caller sets `_last` to the last time."""
        snapshot = self._snapshot
        for number in range(snapshot.oldest, snapshot.next):
            stored = _decode(chunks[self._chunk_name(number)])
            self._newest = stored if isinstance(stored, bytearray) else self._packed(stored, None)
            yield self._newest
            self._add_end(self._last)
            self._note_full(last=number == snapshot.next - 1)
        tail = snapshot.tail
        self._tail = tail if isinstance(tail, bytearray) else self._packed(tail, self._last)
        snapshot.tail = self._tail
        yield self._tail

    def _move(self) -> None:
        """Move the open end, which is full, into a chunk. Its latest row is of the time `_last`."""
        tail, newest, ends = self._tail, self._newest, self._ends
        if not newest:
            self._snapshot.next += 1
            newest += self._time(ends[-1]) if ends else b""
            self._add_end(0)
        newest += tail
        tail.clear()
        self._ends[-1] = self._last  # type: ignore[index] # there is a chunk
        self._write(self._snapshot.next - 1, _encode(newest))
        self._note_full()

    def _note_full(self, last: bool = True) -> None:
        """Begin another chunk if the newest one is full, or is not the last."""
        if len(self._newest) >= self._chunk_bytes or not last:
            if self._full is not None:
                self._full = (*self._full, bytes(self._newest))
            self._newest = bytearray()

    def _time(self, at: int) -> bytes:
        """Return what says that the next row follows one of the time `at`."""
        raise NotImplementedError

    def _packed(self, numbers: list[int], last: int | None) -> bytearray:
        """Return rows of version 1, which follow one of the time `last`; None: they begin a chunk."""
        raise NotImplementedError

    def _stored(self) -> Iterable[int]:
        return range(self._snapshot.oldest, self._snapshot.next)

    def _add_end(self, at: int) -> None:
        if self._ends is None:
            self._ends = array("Q")
        self._ends.append(at)


def _read(block: bytes | bytearray, before: int, latest: dict[int, int]) -> int:
    """Put the last time of each key of a block into `latest`; return its last time. `before`: the time before it."""
    at = before
    for key, step in _TIMED.iter_unpack(block):
        if step == _SET_TIME:
            at = key
        else:
            at += step
            latest[key] = at
    return at


class KeyLog(ChunkedLog):
    """Keys of 64 bits. It does not expire."""

    __slots__ = ()

    ROW = _KEY.size

    def load(self, chunks: StateChunks) -> list[int]:
        """Return everything that is stored."""
        return [key for block in self._blocks(chunks) for (key,) in _KEY.iter_unpack(block)]

    def append(self, key: int) -> None:
        """Add a key."""
        tail = self._tail
        tail += _pack_key(key)
        if len(tail) >= self._open_bytes:
            self._move()

    def _time(self, at: int) -> bytes:
        return b""

    def _packed(self, numbers: list[int], last: int | None) -> bytearray:
        return bytearray(b"".join(map(_pack_key, numbers)))


class TimeLog(ChunkedLog):
    """Keys of 64 bits with times that do not decrease."""

    __slots__ = ()

    ROW = _TIMED.size

    def load(self, chunks: StateChunks) -> dict[int, int]:
        """Return the last time of each key that is stored."""
        latest: dict[int, int] = {}
        for block in self._blocks(chunks):
            self._last = _read(block, self._last, latest)
        return latest

    def latest(self) -> dict[int, int]:
        """Return the last time of each key."""
        latest: dict[int, int] = {}
        at = 0
        for block in self._in_memory():
            at = _read(block, at, latest)
        return latest

    def find(self, key: int) -> int | None:
        """Return the last time of a key, None if there is no row of it. It looks at all rows."""
        wanted = _pack_key(key)
        for block in reversed(self._in_memory()):
            end = len(block)
            while (place := block.rfind(wanted, 0, end)) >= 0:
                row = block[place : place + self.ROW]
                if place % self.ROW == 0 and not row.endswith(_SET):
                    before = self._ends[-1] if block is self._tail and self._ends else 0
                    return _read(block[: place + self.ROW], before, {})
                end = place + len(wanted) - 1
        return None

    def append(self, key: int, at: int) -> bool:
        """Add a key at a time; return True if the open end moved into a chunk: a good time to call `expire`."""
        step = at - self._last
        row = _pack_timed(key, step) if step < _SET_TIME else self._time(at) + _pack_timed(key, 0)
        self._last = at
        tail = self._tail
        tail += row
        if len(tail) < self._open_bytes:
            return False
        self._move()
        return True

    def _time(self, at: int) -> bytes:
        return _pack_timed(at, _SET_TIME)

    def _packed(self, numbers: list[int], last: int | None) -> bytearray:
        rows = bytearray()
        for key, at in zip(numbers[::2], numbers[1::2], strict=True):
            step = _SET_TIME if last is None else at - last
            rows += _pack_timed(key, step) if step < _SET_TIME else self._time(at) + _pack_timed(key, 0)
            last = at
        return rows
