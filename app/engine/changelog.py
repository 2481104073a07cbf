"""The records of a shard's changelog: their form, and what a checkpoint consists of.

    record … record  outbox … outbox  MARKER      one checkpoint: it counts once its marker is in the log
    └─ each begins with epoch and sequence of its checkpoint ─┘

Keys of records: two bytes with the length of the state's key, the key, and the chunk's name (empty: the main chunk).
No key is empty, so marker and outbox, which begin with two zero bytes, are never mistaken for a state.

What this module writes is stored: order, types and defaults of the fields are fixed. A new field goes to the end of its
struct with a default; anything else raises FORMAT.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from vigil.app.engine.admission import UNCHECKED
from vigil.app.engine.source_identity import Identities, SourceChange
from vigil.app.engine.watermark import MAX_TIME, AheadRun
from vigil.topics.envelope import Output, encode_body

FORMAT: Final = 1
"""Version of the stored form. A marker of a higher one is refused, because a newer version of Vigil wrote it (I-19)."""

HEADER: Final = struct.Struct(">IQqB")
"""Epoch, sequence, next timer and flags, before every stored value. Big-endian: headers sort as checkpoints do."""

CHECKPOINT_ID: Final = struct.Struct(">IQ")
"""The beginning of HEADER."""

TOMBSTONE_HEADER: Final = "vigil"
"""A tombstone has no value to begin with: epoch and sequence of its checkpoint are in this Kafka header."""

FLAG_PENDING: Final = 1
"""Flag of a main record: a state output of the key is deferred."""

FLAG_PUBLISHED: Final = 2
"""Flag of a main record: a state output of the key goes out with this checkpoint."""

FLAG_RESUMES: Final = 4
"""Flag of a main record: the key is asked for its outputs after a restart."""

EPOCHS: Final = 1 << 29
"""Upper bound of epochs. No shard changes its owner so often, and four bytes of text are a larger number: a record with
such an epoch was written by another program."""

OUTBOX_BYTES: Final = 256 * 1024
"""An outbox is cut into records of about this size, well below the largest record that a broker accepts (1 MB)."""

CheckpointId: TypeAlias = tuple[int, int]
"""Epoch and sequence. Checkpoints of a shard are ordered by it."""

NO_CHECKPOINT: Final[CheckpointId] = (0, 0)
"""The id before every checkpoint."""

FIRST_KEY: Final = b"\0\1"
"""Below all keys of states, above those of markers and outboxes."""

MARKER_KEY: Final = b"\0\0m"
OUTBOX_KEY: Final = b"\0\0o"


GIVE_UP: Final = (
    "restore the topic from a backup; or, to give up what it holds, delete this topic and no other, and start the "
    'workers with `state_lost` (docs/operations.md, "Lost state")'
)
"""The remedy where a changelog cannot be used."""


class StoredStateError(Exception):
    """The stored state cannot be used by this version of Vigil; the text names a remedy."""


UNREADABLE: Final = (msgspec.MsgspecError, ValueError, LookupError, TypeError, struct.error)
"""What reading stored bytes raises if they are not what they should be."""


def unreadable(what: str, error: Exception) -> StoredStateError:
    """Return what to raise if stored bytes are not what they should be."""
    return StoredStateError(
        f"{what} cannot be read: {error}; another version of Vigil stored it (run that one), or somebody else wrote "
        f"it: {GIVE_UP}"
    )


class StoredSourcePosition(Struct, array_like=True, frozen=True):
    """The position of one source as of a checkpoint."""

    committed_offset: int
    read_offset: int
    max_event_time: int
    """The largest event time below `committed_offset`: what was late is late again."""
    read_max_event_time: int
    """The largest event time below `read_offset`: what was rejected as too far ahead is not accepted after all."""
    lateness: int | None = None
    """The allowed lateness (ms) by which its events below `read_offset` were found late; None: that of the marker."""
    ahead: tuple[AheadRun, ...] = ()
    """Where events ahead of the clock were rejected from `committed_offset` on."""
    partitioner: str = UNCHECKED
    """The partitioner by which its records below `read_offset` were found to be in the wrong partition."""
    identities: Identities = ()
    """The records by which a restart recognises the source."""
    change: SourceChange | None = None
    """The last time that the log was not as the stored state had left it."""


class CheckpointMarker(Struct, array_like=True, frozen=True):
    """The end of one checkpoint, and what holds for the shard as a whole."""

    format: int
    epoch: int
    sequence: int
    last_committed_epoch: int
    last_committed_sequence: int
    last_seen_epoch: int
    last_seen_sequence: int
    watermark: int
    lateness: int
    """The largest allowed lateness (ms) of the sources."""
    sources: tuple[StoredSourcePosition, ...]
    outbox: int
    """The number of outbox records that belong to the checkpoint."""
    rulebook: str
    """Digest of the rulebook that the state was judged by."""
    topics: tuple[str, ...] = ()
    """The names of the source topics on the cluster; empty if they are those of the catalogue, as in every marker of
    earlier versions."""
    log_begin: int = 0
    """The offset at which its log began when its owner acquired the shard: what was below it is known to be gone."""
    keys: int = -1
    """The number of keys that have state as of the checkpoint: a log with fewer has lost some. -1: not known, as in
    every marker of earlier versions."""

    @property
    def checkpoint_id(self) -> CheckpointId:
        """The id of the checkpoint that it ends."""
        return self.epoch, self.sequence

    @property
    def last_committed(self) -> CheckpointId:
        """The last checkpoint that counted when the owner acquired the shard."""
        return self.last_committed_epoch, self.last_committed_sequence

    @property
    def last_seen(self) -> CheckpointId:
        """The highest marker that the owner had read when it acquired the shard, whether it counted or not."""
        return self.last_seen_epoch, self.last_seen_sequence


class OutboxMessage(Struct, array_like=True, frozen=True):
    """One output as it is stored in the outbox: complete but for the time of sending."""

    topic: str
    key: bytes | None
    id: str
    at: int
    payload: bytes | None
    triggered_at: int = 0
    """The event time of the event or timer that published it; 0 if there is none, or it is not known any more."""


class ReadRecord(Protocol):
    """A changelog record as a consumer returns it."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...


class ChangelogRecord(NamedTuple):
    """One changelog record, as it is written or read."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class _MarkerFormat(Struct, array_like=True):
    """The first field of a marker of any format."""

    format: int


encode: Final = msgspec.msgpack.Encoder().encode
_decode_marker: Final = msgspec.msgpack.Decoder(CheckpointMarker).decode
_decode_format: Final = msgspec.msgpack.Decoder(_MarkerFormat).decode
_decode_outbox: Final = msgspec.msgpack.Decoder(list[OutboxMessage]).decode


# ---- keys and records ------------------------------------------------------------------------------------------------


def store_key(key: str, chunk: bytes = b"") -> bytes:
    """Return the changelog key of one chunk of a key's state."""
    raw = key.encode()
    return len(raw).to_bytes(2, "big") + raw + chunk


def split_key(stored: bytes) -> tuple[str, bytes]:
    """Return the state's key and the chunk's name of a changelog key."""
    end = 2 + int.from_bytes(stored[:2], "big")
    return stored[2:end].decode(), stored[end:]


def record_of(
    stored_key: bytes, payload: bytes | None, checkpoint_id: CheckpointId, timer: int = MAX_TIME, flags: int = 0
) -> ChangelogRecord:
    """Return a chunk's record in a checkpoint; a payload of None deletes the chunk. `timer`: the key's next one."""
    if payload is None:
        return ChangelogRecord(stored_key, None, ((TOMBSTONE_HEADER, CHECKPOINT_ID.pack(*checkpoint_id)),))
    return ChangelogRecord(stored_key, HEADER.pack(*checkpoint_id, timer, flags) + payload)


def checkpoint_id_of(record: ReadRecord) -> CheckpointId:
    """Return the checkpoint that a record says it belongs to. Raise KeyError or struct.error if it says none."""
    if record.value is None:
        id_: CheckpointId = CHECKPOINT_ID.unpack(dict(record.headers)[TOMBSTONE_HEADER])
    else:
        id_ = CHECKPOINT_ID.unpack_from(record.value)
    return id_


def payload_of(value: bytes) -> bytes:
    """Return a stored value without its header."""
    return value[HEADER.size :]


# ---- marker and outbox -----------------------------------------------------------------------------------------------


def marker_record(marker: CheckpointMarker) -> ChangelogRecord:
    """Return the last record of a checkpoint."""
    return record_of(MARKER_KEY, encode(marker), marker.checkpoint_id)


def read_marker(value: bytes) -> CheckpointMarker:
    """Return the marker of a record. Raise StoredStateError if this version cannot read it."""
    try:
        payload = payload_of(value)
        stored_format = _decode_format(payload).format
        if stored_format <= FORMAT:
            return _decode_marker(payload)
    except UNREADABLE as error:
        raise unreadable("a checkpoint's marker", error) from error
    raise StoredStateError(
        f"the stored state has format {stored_format}, this version of Vigil reads up to {FORMAT}: "
        "upgrade this worker, or roll the group back together"
    )


def sendable(outputs: Iterable[Output]) -> list[OutboxMessage]:
    """Return outputs in the form in which they are stored and sent; a body that goes to two topics is encoded once."""
    messages = []
    encoded: Struct | None = None
    payload: bytes | None = None
    for topic, key, id_, at, body, triggered_at in outputs:
        if body is not encoded:
            encoded, payload = body, encode_body(body)
        messages.append(OutboxMessage(topic, key, id_, at, payload, triggered_at))
    return messages


def outbox_records(outputs: Iterable[OutboxMessage], checkpoint_id: CheckpointId) -> list[ChangelogRecord]:
    """Return the records of an outbox. Those of an earlier, longer outbox stay in the log and are not read again."""
    return [
        record_of(OUTBOX_KEY + b"%d" % number, chunk, checkpoint_id) for number, chunk in enumerate(_chunks(outputs))
    ]


def read_outbox(chunks: Iterable[bytes]) -> list[OutboxMessage]:
    """Return the messages of an outbox. Raise StoredStateError if this version cannot read them."""
    try:
        return [message for chunk in chunks for message in _decode_outbox(chunk)]
    except UNREADABLE as error:
        raise unreadable("the outbox of the last checkpoint", error) from error


def _chunks(outputs: Iterable[OutboxMessage]) -> Iterable[bytes]:
    chunk: list[OutboxMessage] = []
    size = 0
    for output in outputs:
        chunk.append(output)
        size += len(output.payload or b"") + 200
        if size >= OUTBOX_BYTES:
            yield encode(chunk)
            chunk, size = [], 0
    if chunk:
        yield encode(chunk)
