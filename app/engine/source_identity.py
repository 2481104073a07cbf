"""The identity of a source: which records were read of it, so that a restart knows whether it is still the same log.

An offset alone says nothing about a log that was deleted and created again, or that has lost its end: the record at
this offset may be another one. So each checkpoint keeps the last record that was read, and two earlier ones. The
earlier ones distinguish a log that has lost its end and has grown again from one that was created again.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct

SPACING: Final = 1000
"""The least number of offsets between the earlier records. A broker that loses the end of a log loses what its other
replicas did not have yet: hardly more than this."""

SPACING_MS: Final = 120_000
"""The least time between the earlier records, by their timestamps: a worker must have looked at each of them again
before it is forgotten (app/runtime/source_watch.py), however fast records come."""

KEPT: Final = 3
"""The number of records that a checkpoint keeps of each source."""


class StampedRecord(Protocol):
    """A record with the time that its log has of it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """When the broker received it, or when its producer says that it sent it (ms since the epoch)."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class RecordIdentity(Struct, array_like=True, frozen=True):
    """One record, as a checkpoint remembers it. Stored: new fields go to the end with a default."""

    offset: int
    timestamp: int
    digest: bytes


ChangeKind: TypeAlias = Literal["recreated", "truncated", "expired"]
"""The log was created again, has lost its end, or its beginning before that was read."""


class SourceChange(Struct, array_like=True, frozen=True):
    """How a log was not as the stored state had left it, for whoever looks later. Stored: see RecordIdentity."""

    kind: ChangeKind
    at: int
    """When that was found, by the worker's clock (ms)."""
    resume: int
    """The offset at which reading went on."""
    lost: int
    """The number of offsets whose records were gone."""


Identities: TypeAlias = tuple[RecordIdentity, ...]
"""What a checkpoint keeps of a source: the last record that was read first, then earlier ones; empty if unknown."""


def identity_of(record: StampedRecord) -> RecordIdentity:
    """Return the identity of a record."""
    digest = blake2b(digest_size=8)
    for part in (record.key, record.value):
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return RecordIdentity(record.offset, record.timestamp, digest.digest())


def note_read(known: Identities, record: StampedRecord) -> Identities:
    """Return what is kept of a source after `record` was read; records that were read before change nothing."""
    if known and record.offset <= known[0].offset:
        return known
    earlier: Sequence[RecordIdentity] = known[1:]
    if known and (not earlier or _apart(known[0], earlier[0])):
        earlier = known
    return (identity_of(record), *earlier)[:KEPT]


def _apart(later: RecordIdentity, earlier: RecordIdentity) -> bool:
    """Timestamps may be the producers' own, and go back."""
    return later.offset - earlier.offset >= SPACING and abs(later.timestamp - earlier.timestamp) >= SPACING_MS
