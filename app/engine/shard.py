"""One shard: records in as they arrive, events applied in order with the timers between them, snapshots out.

    records ──ShardInput──▶ ReorderBuffer ──watermark──▶ KeyedStates: apply, fire timers ──▶ outputs
                                                             └──Snapshotter──▶ changelog

A shard is partition *p* of all topics of one subject. It asks nobody for the time: its owner advances the watermark.

Invariants: two runs that were fed the same records come to the same results, however the records were cut into batches
(I-1, I-3); a run that continues from a snapshot comes to the results of a run that was not interrupted (I-10). What a
shard holds is bounded: keys expire, and the buffer is empty once the watermark is above its events (I-16).

The order of a subject (`subject.py`) decides which of two classes a shard is; `make_shard` chooses.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar, Unpack

from vigil.app.engine.shard_input import ShardInput, ShardOptions, readers_of
from vigil.app.engine.snapshot import Snapshot, Snapshotter, StateOrigin
from vigil.app.engine.subject import Event, SourceRecord, StateMachine
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.envelope import Output

E = TypeVar("E", bound=Event)


class Shard(ShardInput[E]):
    """The events of one partition of a subject's topics, and the states of their keys."""

    def __init__(self, machine: StateMachine[E], lateness: int, **options: Unpack[ShardOptions]) -> None:
        """Restore the shard, or begin an empty one. `lateness`: the allowed lateness in ms. Raise StoredStateError."""
        super().__init__(machine, lateness, options)
        renamed = self.topics if self.topics != machine.topics else ()
        origin = StateOrigin(options.get("rulebook", ""), renamed)
        self._snapshotter = Snapshotter(self.states, self.store, origin, self.watermark)
        self._end: int | None = None
        """When the input has ended."""
        self.states.await_rules(self.watermark)

    def adopt(self, machine: StateMachine[E], rulebook: str) -> None:
        """Judge by another machine of the same subject from now on; `rulebook`: the digest of its rulebook.

        Call it right after `confirm`, with nothing ingested since the snapshot: every state is loaded again from what
        is stored. The two machines judge alike up to the watermark. Raises RuntimeError if anything is unsaved.
        """
        self.states.adopt(machine)
        self.machine = machine
        self._readers = readers_of(machine)
        self.reader.adopt(machine)
        self._snapshotter.adopt(rulebook)
        self.states.await_rules(self.watermark)

    def end_of_input(self, until: int) -> None:
        """Judge everything up to `until`, where recorded input has ended, and let every key act on the end."""
        self.advance_watermark(until + 1)
        self._end = until
        self.reader.end_of_input()
        self.states.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        """Return the state outputs of every key at the end of the input, in order of keys."""
        return [output for key in sorted(self.states) for output in self.states.get(key).pending_outputs(until, True)]

    def first_mover(self, source_index: int, buffered: int, before: int) -> int | None:
        """Return the time of the first event that moved a source's clock in the last `ingest`, None if none did.

        `buffered`, `before`: the size of the reorder buffer and the source's largest event time before it.
        """
        source = self.sources[source_index]
        if source.max_event_time <= before:
            return None
        late, source.late_mover = source.late_mover, MAX_TIME
        first = min(late, self.reorder_buffer.first_mover(buffered))
        return first if first < MAX_TIME else source.max_event_time  # applied on arrival

    def ready(self, records: Sequence[SourceRecord]) -> int:
        """Return how many of the first records can be ingested without a large state that is still to be loaded.

        The state of the next one is loaded a step further.
        """
        large, prepare = self.states.large, self.states.prepare
        for number, record in enumerate(records if large else ()):
            key = (record.key or b"").decode(errors="replace")
            if key in large and not prepare(key):
                return number
        return len(records)

    @property
    def has_urgent_outputs(self) -> bool:
        """True if there is something to send: a checkpoint is due at once."""
        return self.collector.has_outputs

    @property
    def has_waiting_keys(self) -> bool:
        """True if the outputs of some keys were too many for the last checkpoint: a further one is due."""
        return self._snapshotter.more_outputs

    @property
    def has_unsaved_state(self) -> bool:
        """True if a snapshot would save anything."""
        return self.collector.has_outputs or self.states.has_unsaved_state or self.reader.has_unsaved_position

    @property
    def unsaved_keys(self) -> int:
        """The number of keys that a snapshot would write because they changed."""
        return len(self.states.changed) + len(self.states.deleted)

    def acquire(self, *, sends: bool = True) -> Snapshot:
        """Take the first snapshot of a new owner: it fences the former one, repairs keys and sends its outbox again.

        `sends`: False for an owner who sends nothing; what it should send stays in the outbox of all its snapshots.
        """
        self.collector.publish_deferred()
        position = self.reader.position(self.watermark, self.reorder_buffer)
        snapshot = self._snapshotter.acquire(position, self.collector.outputs, sends=sends)
        self.collector.outputs.clear()
        return snapshot

    def snapshot(self, *, final: bool = False, between: bool = False) -> Snapshot:
        """Take a snapshot; if `final`, the input has ended and no state output is deferred.

        `between`: see `Snapshotter.take`. The caller writes it as a whole, and calls `confirm` before it takes another.
        """
        self.collector.publish_deferred()
        position = self.reader.position(self.watermark, self.reorder_buffer)
        as_of = self.watermark if self._end is None or not final else self._end
        snapshot = self._snapshotter.take(position, self.collector.outputs, as_of, final=final, between=between)
        self.collector.outputs.clear()
        return snapshot

    def accept_log_begin(self, offset: int) -> None:
        """Go on although the log of the state begins at this offset, and note that in every checkpoint."""
        self._snapshotter.log_begin = offset

    def confirm(self, snapshot: Snapshot) -> None:
        """Note that a snapshot is in the log: a restart finds what it says."""
        self.store.confirm(snapshot.records, snapshot.marker)

    def evict(self, limit: int) -> None:
        """Unload unchanged states until at most `limit` are loaded; see KeyedStates. Call it right after `confirm`."""
        self.states.evict(limit)


AnyShard: TypeAlias = Shard[Any]
"""A shard among those of other subjects, where its type of events is not known."""
