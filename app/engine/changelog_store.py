"""What a shard has stored: the content of its changelog, read so that a checkpoint counts as a whole or not at all.

A checkpoint is many records, and a worker may stop between any two of them. Therefore records wait until the *marker*
of their checkpoint has been read; what has no marker does not count (I-7).

An *epoch* is one ownership of the shard: acquiring it writes a first checkpoint with the next epoch. What an earlier
owner writes after that (a zombie: a worker that was stopped for longer than its session, and woke up) does not count,
and neither does what a rival of the same epoch writes after the first of the two has acquired the shard. Checkpoint ids
of one owner only increase, so a lower id than the highest one read comes from somebody else.

A record that does not count may be the last one of its key, and then compaction removes the one that counts. The keys
of such records are *to be repaired*: the first checkpoint of the next owner writes them again with their valid value.

Compaction may remove any older marker and leave one that did not count in its place. So each marker says what its owner
found when it acquired the shard: the last checkpoint that counted (`last_committed`) and the highest marker of all
(`last_seen`). What an earlier marker has ruled out is decided again by these two: an owner that saw more of the log
knew better. An owner whose `last_seen` is below a marker that stands before its own had not read the log to its end;
its first checkpoint does not count, and its worker noticed the gap and stopped.

Invariant: after `finalize_restore` the store holds exactly the last checkpoint that counts, and every key whose last
record in the log is not that of this checkpoint is marked for repair (I-8).

One condition: compaction leaves a foreign or unfinished checkpoint alone until the next owner has acquired the shard
(`min.compaction.lag.ms` of the topic), because the values that count stand below it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from vigil.app.engine.changelog import (
    CHECKPOINT_ID,
    EPOCHS,
    FIRST_KEY,
    HEADER,
    MARKER_KEY,
    NO_CHECKPOINT,
    OUTBOX_KEY,
    ChangelogRecord,
    CheckpointId,
    CheckpointMarker,
    OutboxMessage,
    ReadRecord,
    checkpoint_id_of,
    payload_of,
    read_marker,
    read_outbox,
    record_of,
    split_key,
)
from vigil.app.engine.read_checkpoint import PendingRecords, ReadCheckpoint, RecordRun, key_and_id, waiting_keys

APPLIED_AT_ONCE: Final = 10_000
"""Records that are put in place at a time. In a compacted log one checkpoint may be the whole state, and a worker must
not be kept from its heartbeats for as long as that takes."""

_EPOCH_LIMIT: Final = CHECKPOINT_ID.pack(EPOCHS, 0)


class ChangelogStore:
    """One shard's stored records by key, as of the last checkpoint that counts.

    Call `read` with the records of the log. A standby that only reads calls `apply_pending` now and then;
    `finalize_restore` does what is left before the shard is acquired.
    """

    def __init__(self) -> None:
        self.main: dict[str, bytes] = {}
        """Each key's main record, with its header."""
        self.chunks: dict[str, dict[bytes, bytes]] = {}
        """Each key's further records by chunk name, with their headers; keys that have none are left out."""
        self.marker: CheckpointMarker | None = None
        """The marker of the last checkpoint that counts."""
        self.outbox: dict[int, bytes] = {}
        """The outbox records of that checkpoint by number, without headers."""
        self.keys_to_repair: set[bytes] = set()
        """Changelog keys whose last record in the log is not the one that counts."""
        self.last_seen = NO_CHECKPOINT
        """The highest marker in the log, whether it counts or not."""
        self._pending: deque[PendingRecords] = deque()
        """Records that wait for their marker: of a compacted log nearly all of it."""
        self._read: deque[ReadCheckpoint] = deque()
        """Checkpoints that are to be applied, in the order of the log."""
        self._ruled_out: dict[bytes, ChangelogRecord] = {}
        """Records that a marker has ruled out: a later owner, who saw more of the log, may have known better."""
        self._highest_id = NO_CHECKPOINT
        """The highest id of any record read."""
        self._committed_id = NO_CHECKPOINT
        """The id of `marker`."""

    # ---- reading the log ---------------------------------------------------------------------------------------------

    def read(self, records: Iterable[ReadRecord]) -> None:
        """Read records in the order of the log. Raise StoredStateError if one is foreign or of a newer version.

        The loop runs for each record of the state: it makes no call that it can do without.
        """
        run, highest, expected = self._begin_run()
        for record in records:
            key, value = record.key, record.value
            if value is not None and key is not None and key > FIRST_KEY and len(key) > 2 and len(value) >= HEADER.size:
                id_ = value[: CHECKPOINT_ID.size]  # compares as the id itself does
                if id_ == expected or highest < id_ < _EPOCH_LIMIT:
                    highest = expected = id_
                    run.keys.append(key)
                    run.values.append(value)
                    continue
            self._end_run(run)
            self._read_single(record)
            run, highest, expected = self._begin_run()
        self._end_run(run)
        self.apply_pending()

    def _begin_run(self) -> tuple[RecordRun, bytes, bytes | None]:
        """Return an empty run, the highest checkpoint id, and that of the unfinished checkpoint if there is one."""
        highest = CHECKPOINT_ID.pack(*self._highest_id)
        return RecordRun(), highest, None if self._highest_id == self._committed_id else highest

    def _end_run(self, run: RecordRun) -> None:
        if run.keys:
            self._pending.append(run)
            self._highest_id = CHECKPOINT_ID.unpack_from(run.values[-1])

    def _read_single(self, record: ReadRecord) -> None:
        """Read a record that is no ordinary chunk, or does not belong where it is."""
        key, id_ = key_and_id(record)
        value = record.value
        if id_ < self._highest_id or id_ <= self._committed_id:  # a former owner's, or a rival's
            self._pending.append(key)
            if key == MARKER_KEY:
                self.last_seen = max(self.last_seen, id_)
            return
        self._highest_id = id_
        if key == MARKER_KEY and value is not None:
            self._read_checkpoint(read_marker(value))
        else:
            # Not the consumer's record itself: its other fields take more memory than the value does.
            self._pending.append(ChangelogRecord(key, value, () if value is not None else tuple(record.headers)))

    def apply_pending(self, limit: int = APPLIED_AT_ONCE) -> None:
        """Put up to `limit` records of checkpoints that were read in their place."""
        while self._read and limit > 0:
            checkpoint = self._read[0]
            if checkpoint.acquires:
                checkpoint.acquires = False
                self._judge_again(checkpoint)
            records = checkpoint.records
            while records and limit > 0:  # each is released once it is in its place
                limit -= self._apply(checkpoint.take(limit), checkpoint)
            if not records:
                self._read.popleft()
                if checkpoint.marker is not None:
                    self.outbox = checkpoint.outbox

    def finalize_restore(self) -> None:
        """Apply what is left: the log was read to its end by a new owner, and what has no marker by now never will."""
        while self._read:
            self.apply_pending()
        for waiting in self._pending:
            self.keys_to_repair.update(waiting_keys(waiting))

    # ---- the owner ---------------------------------------------------------------------------------------------------

    def confirm(self, records: Iterable[ChangelogRecord], marker: CheckpointMarker) -> None:
        """Apply a checkpoint that this owner has written to the log: from now on a restart finds it."""
        self.outbox = {}
        for record in records:
            if record.key.startswith(OUTBOX_KEY):
                self._put_outbox(record, self.outbox)
            else:
                self.keys_to_repair.discard(record.key)
                self._put(record)
        self._pending.clear()
        self._ruled_out.clear()
        self.marker = marker
        self._highest_id = self._committed_id = self.last_seen = marker.checkpoint_id

    @property
    def next_epoch(self) -> int:
        """The epoch of whoever acquires the shard now."""
        return self._highest_id[0] + 1

    def pending_resend(self) -> list[OutboxMessage]:
        """Return the outbox of the last checkpoint. It is sent again after a restart: nobody knows how far it came."""
        return read_outbox(chunk for _, chunk in sorted(self.outbox.items()))

    def repairs(self, checkpoint_id: CheckpointId) -> list[ChangelogRecord]:
        """Return the records that write the keys to repair again, as part of a checkpoint."""
        records = []
        for stored_key in sorted(self.keys_to_repair):
            if stored_key.startswith(b"\0\0"):
                continue  # an outbox counts only with its own marker
            key, chunk = split_key(stored_key)
            value = self.chunks.get(key, {}).get(chunk) if chunk else self.main.get(key)
            if value is None:
                records.append(record_of(stored_key, None, checkpoint_id))
            else:
                _, _, timer, flags = HEADER.unpack_from(value)
                records.append(record_of(stored_key, payload_of(value), checkpoint_id, timer, flags))
        return records

    def payloads(self, key: str) -> dict[bytes, bytes]:
        """Return a key's stored chunks without headers; empty for a key that is not stored."""
        main = self.main.get(key)
        if main is None:
            return {}
        payloads = {b"": payload_of(main)}
        for chunk, value in self.chunks.get(key, {}).items():
            payloads[chunk] = payload_of(value)
        return payloads

    # ---- records -----------------------------------------------------------------------------------------------------

    def _read_checkpoint(self, marker: CheckpointMarker) -> None:
        """Decide whether a checkpoint counts whose marker was read."""
        pending, self._pending = self._pending, deque()
        acquires = self.marker is None or self.marker.epoch < marker.epoch
        counts = not acquires or marker.last_seen >= self.last_seen
        self.last_seen = max(self.last_seen, marker.checkpoint_id)
        self._read.append(ReadCheckpoint(pending, marker if counts else None, acquires and counts))
        if counts:
            self.marker = marker
            self._committed_id = marker.checkpoint_id

    def _judge_again(self, checkpoint: ReadCheckpoint) -> None:
        """Put records in place that were ruled out before, and that the new owner found to be valid."""
        marker = checkpoint.marker
        if marker is None:
            return
        for stored_key, record in list(self._ruled_out.items()):
            if checkpoint_id_of(record) <= marker.last_committed:
                self._put(record)
                del self._ruled_out[stored_key]

    def _apply(self, waiting: PendingRecords, checkpoint: ReadCheckpoint) -> int:
        """Put records in place, or rule them out; return their number."""
        if isinstance(waiting, bytes):
            self.keys_to_repair.add(waiting)
            return 1
        if isinstance(waiting, ChangelogRecord):
            self._apply_single(waiting, checkpoint)
            return 1
        if checkpoint.counts_all(waiting) and not self.keys_to_repair:
            self._put_run(waiting)
        else:
            for record in waiting.records():
                self._apply_single(record, checkpoint)
        return len(waiting.keys)

    def _apply_single(self, record: ChangelogRecord, checkpoint: ReadCheckpoint) -> None:
        marker = checkpoint.marker
        if marker is None:
            self._rule_out(record)
        elif record.key.startswith(OUTBOX_KEY):
            if checkpoint_id_of(record) == marker.checkpoint_id:
                self._put_outbox(record, checkpoint.outbox)
        elif checkpoint.counts(checkpoint_id_of(record)):
            if self.keys_to_repair:
                self.keys_to_repair.discard(record.key)
                self._ruled_out.pop(record.key, None)
            self._put(record)
        else:  # of a checkpoint that was never finished
            self._rule_out(record)

    def _rule_out(self, record: ChangelogRecord) -> None:
        self.keys_to_repair.add(record.key)
        if not record.key.startswith(b"\0\0"):
            self._ruled_out[record.key] = record

    def _put_outbox(self, record: ChangelogRecord, outbox: dict[int, bytes]) -> None:
        if record.value is not None:
            outbox[int(record.key[len(OUTBOX_KEY) :])] = payload_of(record.value)

    def _put_run(self, run: RecordRun) -> None:
        """Put chunks in place as `_put` does. Those of one key often follow each other."""
        main, chunks = self.main, self.chunks
        raw, of_key = b"", {}
        for stored_key, value in zip(run.keys, run.values, strict=True):
            end = 2 + (stored_key[0] << 8) + stored_key[1]
            if len(stored_key) == end:
                main[stored_key[2:].decode()] = value
                continue
            if stored_key[:end] != raw:
                raw = stored_key[:end]
                of_key = chunks.setdefault(raw[2:].decode(), {})
            of_key[stored_key[end:]] = value

    def _put(self, record: ChangelogRecord) -> None:
        key, chunk = split_key(record.key)
        if record.value is not None:
            if chunk:
                self.chunks.setdefault(key, {})[chunk] = record.value
            else:
                self.main[key] = record.value
        elif not chunk:
            self.main.pop(key, None)
        elif key in self.chunks:
            self.chunks[key].pop(chunk, None)
            if not self.chunks[key]:
                del self.chunks[key]
