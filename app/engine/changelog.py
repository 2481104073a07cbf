"""What a shard has stored: the mirror of its changelog, read so that a checkpoint counts as a whole or not at all.

    record … record  outbox … outbox  MARKER      one checkpoint in the changelog: it counts once its marker is read
    └─ each begins with (epoch, number) of its checkpoint ─┘

An *epoch* is one ownership of the shard: taking over writes a first checkpoint with the next epoch, and what an
earlier owner writes after that (a worker that was stopped for longer than its session, and woke) is ignored, and so
is what a rival of the same epoch writes after the first of the two. Keys that such a foreign or an unfinished
checkpoint wrote stand with a wrong value at the end of a compacted log, so the next owner's first checkpoint writes
them again: they are *to heal*. Compaction may take any older marker away, and leave one that did not count in its
place: therefore a marker tells what its owner had found when it took over, the last checkpoint that counted (`base`)
and the last marker at all (`read`), and what an earlier marker said is judged again by that.

The one condition: compaction keeps its hands off a foreign or unfinished checkpoint until the next owner has taken
over (min.compaction.lag.ms), for below it stand the values that count.
"""

import struct
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.engine.watermark import MAX_TIME

SORTED_IN_AT_ONCE: Final = 10_000
"""Of a log that was compacted one checkpoint may be the whole state: so many of its records are sorted in at a time."""

FORMAT: Final = 1
"""Version of the stored form: a marker of a higher one is refused."""

HEADER: Final = struct.Struct(">IQqB")
"""Epoch, number, deadline and flags, before every stored value."""

_STAMP: Final = struct.Struct(">IQ")
TOMBSTONE_HEADER: Final = "vigil"
"""A tombstone has no value to begin with: its epoch and number stand in this Kafka header."""

FLAG_PENDING: Final = 1
"""Flag of a main record: the key's status was held back."""
FLAG_PUBLISHED: Final = 2
"""Flag of a main record: the key's status goes out with this very checkpoint."""

EPOCHS: Final = 1 << 29
"""No shard changes hands so often; what is text begins with a larger number."""

NO_CHECKPOINT: Final = (0, 0)
"""The place before every checkpoint."""

_MARKER_KEY: Final = b"\0\0m"
_OUTBOX_KEY: Final = b"\0\0o"


class StoredStateError(Exception):
    """The stored state cannot be used by this version of Vigil; the text names a remedy."""


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, LookupError, TypeError, struct.error)
"""What reading stored bytes raises that are not what they should be."""


def unreadable(what: str, error: Exception) -> StoredStateError:
    """What to raise where stored bytes are not what they should be."""
    return StoredStateError(
        f"{what} cannot be read: {error}; another version of Vigil stored it (run that one), or somebody else wrote "
        "it: restore the topic, or delete it (what the input topics still have is judged anew)"
    )


class StoredSourcePosition(Struct, array_like=True, frozen=True):
    """One source partition as of a checkpoint."""

    committed_offset: int
    read_offset: int
    max_event_time: int
    """The largest event time below the offset `committed`: what was late is late again."""
    read_max_event_time: int
    """The largest event time below the offset `seen`: what was refused as far ahead is not taken in after all."""


class CheckpointMarker(Struct, array_like=True, frozen=True):
    """The end of one checkpoint, and what holds for the shard as a whole."""

    format: int
    epoch: int
    number: int
    last_committed_epoch: int
    last_committed_number: int
    last_seen_epoch: int
    last_seen_number: int
    watermark: int
    lateness: int
    """By which it was judged what is late below `seen`."""
    sources: tuple[StoredSourcePosition, ...]
    outbox: int
    """How many outbox records belong to it."""
    rulebook: str
    """By whose numbers the state came about."""

    @property
    def checkpoint_id(self) -> tuple[int, int]:
        """Checkpoints of a shard sort by it."""
        return self.epoch, self.number

    @property
    def last_committed(self) -> tuple[int, int]:
        """The last whole checkpoint before the owner took over."""
        return self.last_committed_epoch, self.last_committed_number

    @property
    def last_seen(self) -> tuple[int, int]:
        """The highest marker that the owner had read when it took over, whether it counted or not."""
        return self.last_seen_epoch, self.last_seen_number


class OutboxMessage(Struct, array_like=True, frozen=True):
    """One message as it waits in the outbox: complete but for the time of sending."""

    topic: str
    key: bytes | None
    id: str
    at: int
    payload: bytes | None
    judged: int = 0
    """The event time at which it was said; 0 where that is not known any more."""


class ChangelogRecord(NamedTuple):
    """One changelog record, as it is written or read."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


_decode_marker: Final = msgspec.msgpack.Decoder(CheckpointMarker).decode
_decode_outbox: Final = msgspec.msgpack.Decoder(list[OutboxMessage]).decode
encode: Final = msgspec.msgpack.Encoder().encode


def store_key(key: str, part: bytes = b"") -> bytes:
    """The changelog key of one part of one key's state; no key is empty, so none begins with two zero bytes."""
    raw = key.encode()
    return len(raw).to_bytes(2, "big") + raw + part


def split_key(stored: bytes) -> tuple[str, bytes]:
    """The key and the part of a changelog key."""
    end = 2 + int.from_bytes(stored[:2], "big")
    return stored[2:end].decode(), stored[end:]


def record_of(stored: bytes, payload: bytes | None, epoch: int, number: int, due: int, flags: int) -> ChangelogRecord:
    """A part's record in the checkpoint (`epoch`, `number`); None deletes it."""
    if payload is None:
        return ChangelogRecord(stored, None, ((TOMBSTONE_HEADER, _STAMP.pack(epoch, number)),))
    return ChangelogRecord(stored, HEADER.pack(epoch, number, due, flags) + payload)


def outbox_records(chunks: Iterable[bytes], epoch: int, number: int) -> list[ChangelogRecord]:
    """The records of an outbox; those of an earlier, longer one are left behind and not read again."""
    return [record_of(_OUTBOX_KEY + b"%d" % n, chunk, epoch, number, MAX_TIME, 0) for n, chunk in enumerate(chunks)]


def marker_record(marker: CheckpointMarker) -> ChangelogRecord:
    return record_of(_MARKER_KEY, encode(marker), marker.epoch, marker.number, MAX_TIME, 0)


def _place_of(record: Any) -> tuple[int, int]:
    """The checkpoint (epoch and number) that a changelog record says it belongs to."""
    if record.value is None:
        place: tuple[int, int] = _STAMP.unpack(dict(record.headers)[TOMBSTONE_HEADER])
        return place
    return _STAMP.unpack_from(record.value)


class _Counted:
    """A checkpoint that counts or was ruled out, and those of its records that are not in their place yet."""

    __slots__ = ("marker", "outbox", "records", "taken_over")

    def __init__(
        self, records: "deque[ChangelogRecord | bytes]", marker: CheckpointMarker | None, taken_over: bool
    ) -> None:
        self.records = records
        self.marker = marker
        """None: it does not count."""
        self.taken_over = taken_over
        """It is the first of a new owner."""
        self.outbox: dict[int, bytes] = {}


class ChangelogStore:
    """One shard's stored records by key, as of its last whole checkpoint.

    Whoever only reads on (a standby) calls `sort_in` now and then; `settle` does what is left of it.
    """

    def __init__(self) -> None:
        self.main: dict[str, bytes] = {}
        """Each key's main record, with its header."""
        self.parts: dict[str, dict[bytes, bytes]] = {}
        """Each key's further parts, with their headers; keys that have none are left out."""
        self.marker: CheckpointMarker | None = None
        self.outbox: dict[int, bytes] = {}
        self.keys_to_repair: set[bytes] = set()
        """Changelog keys whose last record in the log is not the one that counts."""
        self.last_seen = NO_CHECKPOINT
        """The highest marker in the log, whether it counts or not."""
        self._pending: deque[ChangelogRecord | bytes] = deque()
        """What waits for its marker: of a compacted log nearly all of it. Of what cannot count, the key alone."""
        self._committed: deque[_Counted] = deque()
        """What is to be sorted in, in the order of the log."""
        self._doubtful: dict[bytes, ChangelogRecord] = {}
        """What a marker has ruled out: a later owner, who saw more of the log, may have known better."""
        self._highest_id = NO_CHECKPOINT
        """The highest place read: an owner's checkpoints only go up, so what is lower comes from somebody else."""
        self._committed_id = NO_CHECKPOINT

    def read(self, records: Iterable[Any]) -> None:
        """Take in changelog records (`key`, `value`, `headers`) in the order of the log."""
        for record in records:
            key, value = record.key, record.value
            try:
                place = _place_of(record)
                short = value is not None and len(value) < HEADER.size
                foreign = key is None or len(key) < 3 or place[0] >= EPOCHS or short
            except (KeyError, struct.error):
                foreign = True
            if foreign:
                raise StoredStateError(
                    "a record in the changelog is not Vigil's: no other program may write there; "
                    "delete the topic (the state is lost) or restore it"
                )
            if place < self._highest_id or place <= self._committed_id:  # a former owner's, or a rival's
                self._pending.append(key)
                if key == _MARKER_KEY:
                    self.last_seen = max(self.last_seen, place)
                continue
            self._highest_id = place
            if key == _MARKER_KEY:
                self._count(value)
            else:
                # Not the consumer's record: with all that it tells it takes more memory than the value does.
                self._pending.append(ChangelogRecord(key, value, () if value is not None else tuple(record.headers)))
        self.apply_pending()

    def _count(self, value: bytes) -> None:
        try:
            stored: Any = msgspec.msgpack.decode(value[HEADER.size :])
            newer = stored[0] > FORMAT
        except UNREADABLE as error:
            raise unreadable("a checkpoint's marker", error) from error
        if newer:
            raise StoredStateError(
                f"the stored state has format {stored[0]}, this version of Vigil reads up to {FORMAT}: "
                "upgrade this worker, or roll the group back together"
            )
        try:
            marker = _decode_marker(value[HEADER.size :])
        except UNREADABLE as error:
            raise unreadable("a checkpoint's marker", error) from error
        pending, self._pending = self._pending, deque()
        taken_over = self.marker is None or self.marker.epoch < marker.epoch
        if taken_over and marker.last_seen < self.last_seen:
            # A take-over that had not read the log to its end: its worker saw the gap and stopped at once.
            self.last_seen = max(self.last_seen, marker.checkpoint_id)
            self._committed.append(_Counted(pending, None, taken_over))
            return
        self._committed.append(_Counted(pending, marker, taken_over))
        self.last_seen = max(self.last_seen, marker.checkpoint_id)
        self._committed_id = marker.checkpoint_id
        self.marker = marker

    def apply_pending(self, most: int = SORTED_IN_AT_ONCE) -> None:
        """Put up to `most` records of checkpoints that were read where they belong."""
        while self._committed and most > 0:
            counted = self._committed[0]
            marker, records = counted.marker, counted.records
            if counted.taken_over and marker is not None:
                counted.taken_over = False
                for stored_at, doubtful in list(self._doubtful.items()):
                    if _place_of(doubtful) <= marker.last_committed:
                        self._put(doubtful)
                        del self._doubtful[stored_at]
            while records and most > 0:  # each is let go once it is in its place
                most -= 1
                record = records.popleft()
                if marker is None or isinstance(record, bytes):
                    self._rule_out(record)
                    continue
                place = _place_of(record)
                if record.key.startswith(_OUTBOX_KEY):
                    if place == marker.checkpoint_id and record.value is not None:
                        counted.outbox[int(record.key[len(_OUTBOX_KEY) :])] = record.value[HEADER.size :]
                elif (
                    place <= marker.last_committed
                    or (marker.epoch, marker.last_committed_number) < place <= marker.checkpoint_id
                ):
                    self.keys_to_repair.discard(record.key)
                    self._doubtful.pop(record.key, None)
                    self._put(record)
                else:  # never finished
                    self._rule_out(record)
            if not records:
                self._committed.popleft()
                if marker is not None:
                    self.outbox = counted.outbox

    def _rule_out(self, record: ChangelogRecord | bytes) -> None:
        if isinstance(record, bytes):
            self.keys_to_repair.add(record)
            return
        self.keys_to_repair.add(record.key)
        if not record.key.startswith(b"\0\0"):
            self._doubtful[record.key] = record

    def finalize_restore(self) -> None:
        """The log was read to its end by a new owner: what has no marker by now is to be healed."""
        while self._committed:
            self.apply_pending()
        self.keys_to_repair.update(record if isinstance(record, bytes) else record.key for record in self._pending)

    def save(self, records: Iterable[ChangelogRecord], marker: CheckpointMarker) -> None:
        """Take over a checkpoint that this owner has written: from now on a restart would find it."""
        self.outbox = {}
        for record in records:
            if record.key.startswith(_OUTBOX_KEY):
                if record.value is not None:
                    self.outbox[int(record.key[len(_OUTBOX_KEY) :])] = record.value[HEADER.size :]
            else:
                self.keys_to_repair.discard(record.key)
                self._put(record)
        self._pending.clear()
        self._doubtful.clear()
        self.marker = marker
        self._highest_id = self._committed_id = self.last_seen = marker.checkpoint_id

    @property
    def next_epoch(self) -> int:
        """The epoch of whoever takes the shard over now."""
        return self._highest_id[0] + 1

    def pending_resend(self) -> list[OutboxMessage]:
        """What the last checkpoint had to send: sent again after a restart, for nobody knows how far it came."""
        try:
            return [message for _, chunk in sorted(self.outbox.items()) for message in _decode_outbox(chunk)]
        except UNREADABLE as error:
            raise unreadable("what the last checkpoint owes", error) from error

    def repairs(self, epoch: int, number: int) -> list[ChangelogRecord]:
        """The records that put the keys to heal right again, as part of the checkpoint (`epoch`, `number`)."""
        told = []
        for stored in sorted(self.keys_to_repair):
            if stored.startswith(b"\0\0"):
                continue  # an outbox counts only with its own marker
            key, part = split_key(stored)
            value = self.main.get(key) if not part else self.parts.get(key, {}).get(part)
            if value is None:
                told.append(record_of(stored, None, epoch, number, MAX_TIME, 0))
            else:
                _, _, due, flags = HEADER.unpack_from(value)
                told.append(record_of(stored, value[HEADER.size :], epoch, number, due, flags))
        return told

    def payloads(self, key: str) -> dict[bytes, bytes]:
        """A key's stored parts without headers; empty for a key that is not known."""
        main = self.main.get(key)
        if main is None:
            return {}
        told = {b"": main[HEADER.size :]}
        for part, value in self.parts.get(key, {}).items():
            told[part] = value[HEADER.size :]
        return told

    def _put(self, record: ChangelogRecord) -> None:
        key, part = split_key(record.key)
        if record.value is not None:
            if part:
                self.parts.setdefault(key, {})[part] = record.value
            else:
                self.main[key] = record.value
        elif not part:
            self.main.pop(key, None)
        elif key in self.parts:
            self.parts[key].pop(part, None)
            if not self.parts[key]:
                del self.parts[key]
