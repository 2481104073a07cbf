"""Entries that grow in number and change: stored in small buckets, so that a checkpoint writes only those that changed.

add ──▶ newest bucket ──full──▶ the next one        touch ──▶ its bucket is written at the next checkpoint
expire ──▶ a bucket whose entries are all old is deleted as a whole
"""

from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from vigil.app.engine.storage.steps import ENTRIES_A_STEP, batches
from vigil.app.engine.subject import ChangedChunks, StateChunks

BUCKET_ENTRIES: Final = 16
"""Entries of a bucket: a changed entry costs the writing of so many, and more buckets cost more records."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Entry(Protocol):
    """What a bucket holds: a msgspec struct that knows its bucket."""

    bucket: int

    def latest(self) -> int:
        """Return the largest event time in it."""


E = TypeVar("E", bound=Entry)


class Buckets(Generic[E]):
    """Entries of one type; their chunks are named by one letter and the bucket's number."""

    __slots__ = ("_buckets", "_changed", "_entry_type", "_latest", "_letter", "_newest")

    def __init__(self, letter: bytes, entry_type: type[E], chunks: StateChunks) -> None:
        self._letter = letter
        self._entry_type = entry_type
        self._changed: set[int] = set()
        self._buckets: dict[int, list[E]] = {}
        self._latest: dict[int, int] = {}
        """A time that a bucket is known to have; its largest only grows."""
        self._newest = 0
        if chunks:
            self._decode(chunks, self._numbers(chunks))

    def load(self, chunks: StateChunks) -> Iterator[None]:
        """Load the entries that are stored, some buckets in each step; call it once, in the place of giving `chunks`
        to the constructor."""
        for numbers in batches(self._numbers(chunks), ENTRIES_A_STEP // BUCKET_ENTRIES):
            self._decode(chunks, numbers)
            yield

    def _numbers(self, chunks: StateChunks) -> list[int]:
        letter = self._letter
        return sorted(int(name[1:]) for name in chunks if name[:1] == letter)

    def _decode(self, chunks: StateChunks, numbers: list[int]) -> None:
        letter, decode = self._letter, _decoder(self._entry_type)
        self._buckets.update({number: decode(chunks[b"%b%d" % (letter, number)]) for number in numbers})
        self._newest = numbers[-1] if numbers else 0

    def __iter__(self) -> Iterator[E]:
        for bucket in self._buckets.values():
            yield from bucket

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets.values())

    def add(self, entry: E) -> None:
        """Keep a new entry."""
        number = self._newest
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = []
        elif len(bucket) >= BUCKET_ENTRIES:
            self._newest = number = number + 1
            bucket = self._buckets[number] = []
        entry.bucket = number
        bucket.append(entry)
        self._changed.add(number)

    def touch(self, entry: E) -> None:
        """Note that an entry has changed."""
        self._changed.add(entry.bucket)

    def remove(self, entry: E) -> None:
        """Delete one entry."""
        bucket = self._buckets[entry.bucket]
        bucket.remove(entry)
        if not bucket:
            del self._buckets[entry.bucket]
            self._latest.pop(entry.bucket, None)
        self._changed.add(entry.bucket)

    def expire(self, until: int, on_expired: Callable[[E], object]) -> None:
        """Delete the buckets in which nothing is later than `until`; `on_expired` is called with each entry."""
        latest = self._latest
        for number, bucket in list(self._buckets.items()):
            if latest.get(number, until) > until:
                continue
            latest[number] = bucket[-1].latest()  # is enough of nearly all that have not expired
            if latest[number] <= until:
                latest[number] = max(entry.latest() for entry in bucket)
            if latest[number] <= until:
                for entry in bucket:
                    on_expired(entry)
                del self._buckets[number], latest[number]
                self._changed.add(number)

    def dump(self, into: ChangedChunks) -> None:
        """Put the chunks that changed since the last call into `into`."""
        for number in self._changed:
            bucket = self._buckets.get(number)
            into[b"%b%d" % (self._letter, number)] = None if bucket is None else _encode(bucket)
        self._changed.clear()


_DECODERS: Final[dict[type, Callable[[bytes], list[object]]]] = {}
"""By type of entries: one for all states, because making one takes longer than most uses of it."""


def _decoder(entry_type: type[E]) -> Callable[[bytes], list[E]]:
    decode = _DECODERS.get(entry_type)
    if decode is None:
        decode = _DECODERS[entry_type] = msgspec.msgpack.Decoder(list[entry_type]).decode  # type: ignore[valid-type]
    return decode  # type: ignore[return-value]
