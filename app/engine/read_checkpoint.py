"""A checkpoint whose marker was read from a changelog, and its records that are not in place yet.

    log ──▶ run · one record · run · … · MARKER ──▶ ReadCheckpoint ──counts?──▶ in place, or ruled out

Nearly all records of a log are chunks that were written, not deleted, and that count. They wait in *runs*, two lists
for many of them: an object for each would take more time and memory than all else that is done with it. The state of a
million rooms is eight million records.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from vigil.app.engine.changelog import (
    CHECKPOINT_ID,
    EPOCHS,
    GIVE_UP,
    HEADER,
    NO_CHECKPOINT,
    ChangelogRecord,
    CheckpointId,
    CheckpointMarker,
    ReadRecord,
    StoredStateError,
    checkpoint_id_of,
)


@dataclass(slots=True)
class RecordRun:
    """Chunks that follow each other in the log, none of them deleted. Their checkpoint ids ascend."""

    keys: list[bytes] = field(default_factory=list)
    """Changelog keys."""
    values: list[bytes] = field(default_factory=list)
    """With their headers."""

    def split(self, number: int) -> "RecordRun":
        """Remove the first records, at most so many, and return them."""
        first = RecordRun(self.keys[:number], self.values[:number])
        del self.keys[:number], self.values[:number]
        return first

    def records(self) -> Iterator[ChangelogRecord]:
        """Return each of the records by itself."""
        return map(ChangelogRecord, self.keys, self.values)


PendingRecords: TypeAlias = RecordRun | ChangelogRecord | bytes
"""What waits for its marker; the key alone of a record that cannot count, whatever follows."""


class ReadCheckpoint:
    """One checkpoint, or what stands before a marker that does not count."""

    __slots__ = ("_id", "_last_committed", "_of_owner_after", "acquires", "marker", "outbox", "records")

    def __init__(self, records: deque[PendingRecords], marker: CheckpointMarker | None, acquires: bool) -> None:
        self.records = records
        self.marker = marker
        """None: the checkpoint does not count."""
        self.acquires = acquires
        """It is the first of a new owner."""
        self.outbox: dict[int, bytes] = {}
        self._id = self._last_committed = self._of_owner_after = NO_CHECKPOINT
        if marker is not None:
            self._id = marker.checkpoint_id
            self._last_committed = marker.last_committed
            self._of_owner_after = (marker.epoch, marker.last_committed_sequence)

    def take(self, limit: int) -> PendingRecords:
        """Remove and return what comes next, of a run at most `limit` records."""
        first = self.records[0]
        if isinstance(first, RecordRun) and len(first.keys) > limit:
            return first.split(limit)
        return self.records.popleft()

    def counts(self, id_: CheckpointId) -> bool:
        """Return True if a record with this checkpoint id belongs to the state as of this checkpoint."""
        return self._of_owner_after < id_ <= self._id or id_ <= self._last_committed

    def counts_all(self, run: RecordRun) -> bool:
        """Return True if that is so of all records of a run. False says nothing about any of them."""
        first, last = CHECKPOINT_ID.unpack_from(run.values[0]), CHECKPOINT_ID.unpack_from(run.values[-1])
        return self._of_owner_after < first <= last <= self._id or last <= self._last_committed


def key_and_id(record: ReadRecord) -> tuple[bytes, CheckpointId]:
    """Return a record's key and its checkpoint. Raise StoredStateError if Vigil has not written it."""
    key, value = record.key, record.value
    try:
        id_ = checkpoint_id_of(record)
    except (KeyError, struct.error):
        id_ = (EPOCHS, 0)
    short = value is not None and len(value) < HEADER.size
    if key is None or len(key) < 3 or id_[0] >= EPOCHS or short:
        raise StoredStateError(f"a record in the changelog is not Vigil's: no other program may write there; {GIVE_UP}")
    return key, id_


def waiting_keys(waiting: PendingRecords) -> Iterable[bytes]:
    """Return the changelog keys of what waits."""
    if isinstance(waiting, RecordRun):
        return waiting.keys
    return (waiting if isinstance(waiting, bytes) else waiting.key,)
