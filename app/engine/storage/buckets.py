"""How entries are stored that grow in number: in small buckets, so that a checkpoint writes only those that changed.

add ──▶ newest bucket ──full──▶ the next one        touch ──▶ its bucket is written at the next checkpoint
sweep ──▶ a bucket whose entries are all old is deleted as a whole
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from vigil.app.engine.subject import StateChunks

BUCKET: Final = 16
"""Entries to a bucket: a changed entry costs the writing of so many."""

_encode: Final = msgspec.msgpack.Encoder().encode


class BucketEntry(Protocol):
    """What a bucket holds: a msgspec struct that knows its bucket."""

    bucket: int

    def latest(self) -> int:
        """The largest event time in it."""


E = TypeVar("E", bound=BucketEntry)


class Buckets(Generic[E]):
    """Entries of one kind; the records are named by one letter and the bucket's number."""

    __slots__ = ("_buckets", "_changed", "_latest", "_letter", "_newest")

    def __init__(self, letter: bytes, kind: type[E], chunks: StateChunks) -> None:
        self._letter = letter
        self._changed: set[int] = set()
        self._buckets: dict[int, list[E]] = {}
        self._latest: dict[int, int] = {}
        """The largest time in a bucket, as of its last look; it only grows."""
        if chunks:
            decoder: msgspec.msgpack.Decoder[Any] = _decoder(kind)
            numbers = sorted(int(name[1:]) for name in chunks if name[:1] == letter)
            self._buckets = {number: decoder.decode(chunks[b"%b%d" % (letter, number)]) for number in numbers}
        self._newest = max(self._buckets, default=0)

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
        elif len(bucket) >= BUCKET:
            self._newest = number = number + 1
            bucket = self._buckets[number] = []
        entry.bucket = number
        bucket.append(entry)
        self._changed.add(number)

    def touch(self, entry: E) -> None:
        """The entry has changed."""
        self._changed.add(entry.bucket)

    def sweep(self, until: int, forget: Callable[[E], object]) -> None:
        """Delete the buckets in which nothing is later than `until`; `forget` is told each entry."""
        latest = self._latest
        for number, bucket in list(self._buckets.items()):
            if latest.get(number, until) > until:
                continue
            latest[number] = max(entry.latest() for entry in bucket)
            if latest[number] <= until:
                for entry in bucket:
                    forget(entry)
                del self._buckets[number], latest[number]
                self._changed.add(number)

    def dump(self, into: dict[bytes, bytes | None]) -> None:
        """Put the records that changed since the last time into `into`."""
        for number in self._changed:
            bucket = self._buckets.get(number)
            into[b"%b%d" % (self._letter, number)] = None if bucket is None else _encode(bucket)
        self._changed.clear()


_DECODERS: Final[dict[type, "msgspec.msgpack.Decoder[Any]"]] = {}


def _decoder(kind: type[E]) -> "msgspec.msgpack.Decoder[Any]":
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
    return decoder
