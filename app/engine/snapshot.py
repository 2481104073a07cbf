"""Snapshots: everything that must be written so that a restart continues from one instant.

    changed states ─┐
    their outputs  ─┼──▶ records … outbox … marker ──▶ changelog ──▶ outputs sent ──▶ offsets committed
    positions      ─┘

All parts are of one instant: nothing is ingested and no timer fires while a snapshot is taken.

The *outbox* has the outputs of the checkpoint, because a restart does not know how many of them were sent: it sends all
of them again, with the same identity and content. State outputs are left out: a flag of their key's record says that
there was one, and the key produces it again from its state. A key that expires with the checkpoint has no state left,
so its state outputs are in the outbox, too.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from vigil.app.engine.changelog import (
    FLAG_PENDING,
    FLAG_PUBLISHED,
    FORMAT,
    HEADER,
    ChangelogRecord,
    CheckpointId,
    CheckpointMarker,
    OutboxMessage,
    StoredSourcePosition,
    marker_record,
    outbox_records,
    payload_of,
    record_of,
    sendable,
    store_key,
)
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.keyed_states import KeyedStates
from vigil.app.engine.subject import Event, KeyState
from vigil.topics.envelope import Output

E = TypeVar("E", bound=Event)


class Position(NamedTuple):
    """How far a shard has come."""

    watermark: int
    lateness: int
    """The largest allowed lateness (ms) of the sources."""
    sources: tuple[StoredSourcePosition, ...]


class Snapshot(NamedTuple):
    """A checkpoint to write: `records`, then `marker`, then send `outputs`, then commit the offsets."""

    records: list[ChangelogRecord]
    marker: CheckpointMarker
    outputs: list[OutboxMessage]

    @property
    def committed_offsets(self) -> tuple[int, ...]:
        """By source index: every record below is dealt with once the snapshot is written and its outputs are sent."""
        return tuple(source.committed_offset for source in self.marker.sources)

    def changelog(self) -> list[ChangelogRecord]:
        """All records in the order in which they must be written; the marker comes last."""
        return [*self.records, marker_record(self.marker)]


class StateOrigin(NamedTuple):
    """What the state of a shard comes from."""

    rulebook: str
    """Digest of the rulebook that judges."""
    topics: tuple[str, ...]
    """The names of the source topics on the cluster; empty if they are those of the catalogue."""


class Snapshotter(Generic[E]):
    """Takes the snapshots of one owner of a shard."""

    def __init__(self, states: KeyedStates[E], store: ChangelogStore, origin: StateOrigin, watermark: int) -> None:
        """Begin a new epoch. `origin` goes into every marker; `watermark` as restored."""
        self._states = states
        self._store = store
        self._origin = origin
        self._epoch = store.next_epoch
        self._sequence = 0 if store.marker is None else store.marker.sequence
        self._last_committed = (0, 0) if store.marker is None else store.marker.checkpoint_id
        self._last_seen = store.last_seen
        self._pending_resend = store.pending_resend()
        self.log_begin = 0 if store.marker is None else store.marker.log_begin
        """The offset at which the log begins, as far as that is accepted."""
        self._round = 0
        """The number of snapshots so far that were not between two rounds."""
        self.more_outputs = False
        """A key's outputs were too many for the last snapshot: the next one is due at once."""
        self._resend_state_outputs(watermark)

    def acquire(self, position: Position, outputs: Sequence[Output], *, sends: bool = True) -> Snapshot:
        """Take the first snapshot of the owner: it fences the former one, repairs keys and sends its outbox again.

        `sends`: see `Shard.acquire`.
        """
        snapshot = self.take(position, outputs, position.watermark, acquires=True)
        snapshot = snapshot._replace(outputs=[*self._pending_resend, *snapshot.outputs])
        self._pending_resend = [] if sends else snapshot.outputs
        return snapshot

    def take(  # noqa: PLR0913 - what was collected, and which of the four kinds of snapshots it is
        self,
        position: Position,
        outputs: Sequence[Output],
        as_of: int,
        *,
        final: bool = False,
        acquires: bool = False,
        between: bool = False,
    ) -> Snapshot:
        """Take a snapshot of everything that changed. `outputs`: what was collected since the last one.

        `as_of`: the time that state outputs show; `final`: the input has ended, so none of them is deferred. `between`:
        between two rounds; keys that have deferred outputs and did not change are not asked for them. Those that were
        deferred since the last round are asked in the one after the next: most change before, and are asked then. The
        caller writes the snapshot as a whole before it takes another one.
        """
        self._sequence += 1
        id_ = self._epoch, self._sequence
        states = self._states
        records = self._store.repairs(id_) if acquires else []
        messages = sendable(outputs)
        outbox = [*self._pending_resend, *messages]
        for key in sorted(states.deleted):
            records += self._tombstones(key, id_)
        states.deleted.clear()
        between = between and not self.more_outputs
        asked = states.changed if between else states.changed.union(self._begin_round(final))
        self.more_outputs = False
        for key in sorted(asked):
            state = states.get(key)
            states.touch(key)
            published = self._publish(state, as_of, final)
            messages += published
            if state.expired():
                outbox += published
                states.remove(key)
                records += self._tombstones(key, id_)
                continue
            flags = FLAG_PUBLISHED if published else 0
            if state.has_deferred_output():
                more = state.has_more_outputs()
                states.deferred[key] = 0 if more else self._round + between
                flags |= FLAG_PENDING
                self.more_outputs = self.more_outputs or more
            else:
                states.deferred.pop(key, None)
            self._dump(key, state, id_, flags, records)
        states.changed.clear()
        stored_outbox = outbox_records(outbox, id_)
        records += stored_outbox
        return Snapshot(records, self._marker(position, id_, len(stored_outbox)), messages)

    def _begin_round(self, final: bool) -> list[str]:
        """Begin a round; return the keys that are asked for their deferred outputs in it: all of them if `final`."""
        self._round += 1
        return [key for key, since in self._states.deferred.items() if since < self._round or final]

    def _publish(self, state: KeyState[E], as_of: int, final: bool) -> list[OutboxMessage]:
        outputs = state.pending_outputs(as_of, final)
        state.mark_published(outputs, final)
        return sendable(outputs) if outputs else []

    def _dump(
        self, key: str, state: KeyState[E], id_: CheckpointId, flags: int, records: list[ChangelogRecord]
    ) -> None:
        """Append the records of a key that changed, and set its timer. A generator for each key would cost too much."""
        chunks = state.dump_changes()
        time = state.next_timer()
        if b"" not in chunks:
            main = self._unchanged_main(key, time, flags)
            if main is not None:
                records.append(record_of(store_key(key), main, id_, time, flags))
        for chunk, payload in chunks.items():
            if chunk or payload is not None:
                records.append(record_of(store_key(key, chunk), payload, id_, time, flags))
        self._states.schedule(key, time)

    def _unchanged_main(self, key: str, time: int, flags: int) -> bytes | None:
        """Return the stored main chunk if its header must change although the chunk did not; None if neither must."""
        stored = self._store.main[key]
        _, _, stored_time, stored_flags = HEADER.unpack_from(stored)
        if (stored_time, stored_flags) == (time, flags) and not flags & FLAG_PUBLISHED:
            return None
        return payload_of(stored)

    def _tombstones(self, key: str, id_: CheckpointId) -> list[ChangelogRecord]:
        """Return the tombstones of everything that is stored of a key."""
        chunks = (b"", *self._store.chunks.get(key, ()))
        return [record_of(store_key(key, chunk), None, id_) for chunk in chunks]

    def _marker(self, position: Position, id_: CheckpointId, outbox: int) -> CheckpointMarker:
        return CheckpointMarker(
            FORMAT,
            *id_,
            *self._last_committed,
            *self._last_seen,
            position.watermark,
            position.lateness,
            position.sources,
            outbox,
            self._origin.rulebook,
            self._origin.topics,
            self.log_begin,
            len(self._states),
        )

    def _resend_state_outputs(self, watermark: int) -> None:
        """Ask the keys again for the state outputs that went out with the last checkpoint, if it came so far."""
        states = self._states
        for key in sorted(states.unconfirmed):
            # As of the last instant that was judged: if the input has ended, that is its end.
            self._pending_resend += self._publish(states.get(key), watermark - 1, True)
            states.deferred.pop(key, None)
            states.changed.add(key)
        states.unconfirmed.clear()
