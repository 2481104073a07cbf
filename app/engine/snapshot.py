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
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from vigil.app.engine.changelog import (
    FLAG_PENDING,
    FLAG_PUBLISHED,
    FLAG_RESUMES,
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
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output

E = TypeVar("E", bound=Event)

WORK_AT_ONCE: Final = 80
"""Work that one snapshot asks of its keys (see `KeyState.output_work`), about 10 ms. Whatever else is due waits for it,
and for four times as long after it: a checkpoint takes a fifth of a core at most."""


LOAD_WORK: Final = 5
"""What it costs to load a key's state."""

STEP_WORK: Final = 15
"""What a step costs in which a large state is loaded."""


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
        self._left = WORK_AT_ONCE
        """Work that the snapshot that is being taken may still ask for."""
        self.more_outputs = bool(states.deferred)
        """Some keys' outputs were too many for the last snapshot: the next one is due at once."""
        self._resend_state_outputs(watermark)

    def adopt(self, rulebook: str) -> None:
        """Put the digest of another rulebook into the markers from now on."""
        self._origin = self._origin._replace(rulebook=rulebook)

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
        waiting = self._waiting(final)
        asked = set(waiting) | states.changed
        if not between:
            asked.update(self._begin_round())
        self._left = MAX_TIME if final else WORK_AT_ONCE
        for key in (*waiting, *sorted(asked.difference(waiting))):
            if key not in states.changed and not self._has_turn(key, at_once=final or acquires):
                continue
            state, published = self._ask(key, as_of, final)
            messages += published
            if state.expired():
                outbox += published
                states.remove(key)
                records += self._tombstones(key, id_)
                continue
            flags = FLAG_PUBLISHED if published else 0
            if state.has_deferred_output():
                states.deferred[key] = 0 if state.has_more_outputs() else self._round + between
                flags |= FLAG_PENDING
            if state.resumes:
                flags |= FLAG_RESUMES
            self._dump(key, state, id_, flags, records)
        states.changed.clear()
        self.more_outputs = 0 in states.deferred.values()
        stored_outbox = outbox_records(outbox, id_)
        records += stored_outbox
        return Snapshot(records, self._marker(position, id_, len(stored_outbox)), messages)

    def _has_turn(self, key: str, at_once: bool) -> bool:
        """False for a key that did not change and must wait for a later snapshot: there is no work left for it in this
        one, or only for some steps of loading its state. `at_once`: nobody waits, so the state is loaded at once."""
        while not at_once and self._left > 0 and not self._states.prepare(key):
            self._left -= STEP_WORK
        return self._left > 0

    def _ask(self, key: str, as_of: int, final: bool) -> tuple[KeyState[E], list[OutboxMessage]]:
        """The state of a key, and what it publishes; nothing if it has more than there is work left for."""
        states = self._states
        state = states.find(key)
        if state is None:
            state = states.get(key)
            self._left -= LOAD_WORK
        states.touch(key)
        if self._left <= 0 and state.has_more_outputs():
            return state, []
        if key in states.resuming:
            states.resuming.remove(key)
            state.resume()
        published = self._publish(state, as_of, final)
        self._left -= state.output_work
        states.deferred.pop(key, None)
        return state, published

    def _waiting(self, final: bool) -> list[str]:
        """The keys that wait for their turn, the longest first: as many as there is work for, or all if `final`."""
        deferred = self._states.deferred
        if final:
            return sorted(deferred)
        keys = (key for key, since in deferred.items() if not since)
        return list(islice(keys, WORK_AT_ONCE)) if self.more_outputs else []

    def _begin_round(self) -> list[str]:
        """Begin a round; return the keys whose outputs a rate limit held back until it."""
        self._round += 1
        return [key for key, since in self._states.deferred.items() if 0 < since < self._round]

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
            state = states.get(key)
            outputs = state.unconfirmed_outputs(watermark - 1)
            state.mark_published(outputs, True)
            self._pending_resend += sendable(outputs)
            if not state.has_deferred_output():
                states.deferred.pop(key, None)
            states.changed.add(key)
        states.unconfirmed.clear()
