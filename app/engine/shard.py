"""One shard: records in as they arrive, events applied in order with the timers between them, snapshots out.

    records ──SourceReader──▶ events ──ReorderBuffer──▶ KeyedStates: apply, fire timers ──▶ outputs
                                                                └──Snapshotter──▶ changelog

A shard is partition *p* of all topics of one subject. It asks nobody for the time: its owner advances the watermark.

Invariants: two runs that were fed the same records come to the same results, however the records were cut into batches;
a run that continues from a snapshot comes to the results of a run that was not interrupted. What a shard holds is
bounded: keys expire, and the buffer is empty once the watermark is above its events.

The order of a subject (`subject.py`) decides which of two classes a shard is; `make_shard` chooses.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypedDict, TypeVar, Unpack

from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.keyed_states import KeyedStates
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.reorder_buffer import ReorderBuffer
from vigil.app.engine.snapshot import Snapshot, Snapshotter
from vigil.app.engine.source_reader import SourceReader
from vigil.app.engine.subject import Event, Origin, OriginOf, SourceRecord, StateMachine
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME, SourcePosition
from vigil.topics.envelope import Output
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent

E = TypeVar("E", bound=Event)


class ShardOptions(TypedDict, total=False):
    """What a shard may be given: a worker gives the first three, a replay the others."""

    partition: int
    """Its partition, for dead letters."""
    store: ChangelogStore
    """What to restore it from."""
    rulebook: str
    """Digest of the rulebook, stored with every checkpoint."""
    sources: list[SourcePosition]
    """Its sources, shared with other shards so that they have one watermark."""
    collector: OutputCollector
    """Shared with other shards so that their outputs have one order."""
    origin_of: OriginOf
    """Partition and offset of a record for dead letters; by default the shard's partition and the record's offset."""


class Shard(ABC, Generic[E]):
    """The events of one partition of a subject's topics, and the states of their keys."""

    event_time_order: ClassVar[bool]
    """Events are applied in the order of event time; otherwise on arrival."""

    def __init__(self, machine: StateMachine[E], lateness: int, **options: Unpack[ShardOptions]) -> None:
        """Restore the shard, or begin an empty one. `lateness`: the allowed lateness in ms. Raise StoredStateError."""
        self.machine = machine
        self.partition = options.get("partition")
        self.collector = options.get("collector") or OutputCollector()
        self.sources = options.get("sources") or [SourcePosition() for _ in machine.topics]
        self.store = options.get("store") or ChangelogStore()
        self._origin_of: OriginOf = options.get("origin_of") or self._own_origin_of
        self._decode, self._key_of, self._dedup_key_of = machine.decode, machine.key_of, machine.dedup_key
        self.reader = SourceReader(machine, self.sources, lateness, self.collector, self._origin_of)
        self.reorder_buffer: ReorderBuffer[E] = ReorderBuffer()
        self.states = KeyedStates(machine, self.store, self.collector)
        self.watermark = MIN_TIME
        """Everything below it was judged."""
        if self.store.marker is not None:
            self.watermark = self.store.marker.watermark
            self.reader.restore(self.store.marker)
        self._snapshotter = Snapshotter(self.states, self.store, options.get("rulebook", ""), self.watermark)
        self._end: int | None = None
        """When the input has ended."""

    def ingest(self, source_index: int, records: Sequence[SourceRecord], wall: int | None = None) -> bool:
        """Read records of one source in the order of their offsets; return True if any of them was an event.

        `wall`: the wall clock in ms if the worker is live; an event more than a day ahead of it is rejected. Records
        that were read before are skipped. The loop runs for each event: it makes no call that it can do without.
        """
        source, reader, watermark = self.sources[source_index], self.reader, self.watermark
        any_event = False
        if records and records[0].offset < max(source.read_offset, source.stored_read_offset):
            records, any_event = self._ingest_again(source_index, records)
        decode, key_of, dedup_key_of, origin_of = self._decode, self._key_of, self._dedup_key_of, self._origin_of
        buffer_event, lateness, drop_late = self.reorder_buffer.add, reader.lateness, reader.drop_late
        buffered_from = watermark if self.event_time_order else MAX_TIME
        now = max(watermark, 0)
        latest = MAX_TIME if wall is None else wall + MAX_AHEAD_MS
        duplicates = 0
        for record in records:
            try:
                event = decode(source_index, record, now, origin_of)
                at = event.at
                if at > latest:
                    raise InvalidEvent(f"at {at} is more than a day ahead of the clock, {wall}")
            except InvalidEvent as invalid:
                reader.reject(source_index, record, invalid.reason, invalid.detail, watermark, wall)
                continue
            any_event = True
            before = source.max_event_time
            if at > before:
                source.max_event_time = at
            if drop_late and (at < before - lateness or at < watermark):
                detail = f"at {at} is {max(before - lateness, watermark) - at} ms below the clock"
                reader.reject(source_index, record, "late", detail, watermark, wall)
                continue
            key, dedup_key = key_of(event), dedup_key_of(event)
            if dedup_key is not None and not self._register(dedup_key, key, event):
                duplicates += 1
            elif at >= buffered_from:
                buffer_event((at, source_index, record.offset, key, event, before, dedup_key))
            else:
                self._apply_on_arrival(key, event)
        if records:
            source.read_offset = records[-1].offset + 1
        self._count(source_index, len(records), duplicates)
        return any_event

    @abstractmethod
    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        """Advance to `watermark` (never back): apply every event and fire every timer with a time below it.

        In arrival order at most `limit` timers fire, and the watermark advances as far as they do: return True if there
        are more. Every supplier has one at the end of a month, and together they would block the worker.
        """

    def end_of_input(self, until: int) -> None:
        """Judge everything up to `until`, where recorded input has ended, and let every key act on the end."""
        self.advance_watermark(until + 1)
        self._end = until
        self.reader.end_of_input()
        self.states.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        """Return the state outputs of every key at the end of the input, in order of keys."""
        return [output for key in sorted(self.states) for output in self.states.get(key).pending_outputs(until, True)]

    @property
    def has_urgent_outputs(self) -> bool:
        """True if there is something to send: a checkpoint is due at once."""
        return self._snapshotter.more_outputs or bool(self.collector.outputs)

    @property
    def has_unsaved_state(self) -> bool:
        """True if a snapshot would save anything."""
        return bool(self.collector.outputs) or self.states.has_unsaved_state or self.reader.has_unsaved_position

    def acquire(self) -> Snapshot:
        """Take the first snapshot of a new owner: it fences the former one, repairs keys and sends its outbox again."""
        position = self.reader.position(self.watermark, self.reorder_buffer)
        snapshot = self._snapshotter.acquire(position, self.collector.outputs)
        self.collector.outputs.clear()
        return snapshot

    def snapshot(self, *, final: bool = False) -> Snapshot:
        """Take a snapshot; if `final`, the input has ended and no state output is deferred.

        The caller writes it as a whole, and calls `confirm` before it takes another one.
        """
        position = self.reader.position(self.watermark, self.reorder_buffer)
        as_of = self.watermark if self._end is None or not final else self._end
        snapshot = self._snapshotter.take(position, self.collector.outputs, as_of, final=final)
        self.collector.outputs.clear()
        return snapshot

    def confirm(self, snapshot: Snapshot) -> None:
        """Note that a snapshot is in the log: a restart finds what it says."""
        self.store.confirm(snapshot.records, snapshot.marker)

    def evict(self, limit: int) -> None:
        """Unload unchanged states until at most `limit` are loaded; see KeyedStates. Call it right after `confirm`."""
        self.states.evict(limit)

    def _apply_on_arrival(self, key: str, event: E) -> None:
        states = self.states
        states.apply(key, event, self.watermark)
        if states.timers.earliest < self.watermark:
            states.fire(self.watermark)  # its timer had passed when it came

    def _own_origin_of(self, record: SourceRecord) -> Origin:
        return self.partition, record.offset

    def _ingest_again(self, source_index: int, records: Sequence[SourceRecord]) -> tuple[Sequence[SourceRecord], bool]:
        """Ingest what was read before a restart and not applied; return the records that were never read."""
        source = self.sources[source_index]
        waited, any_event = self.reader.read_again(source_index, records, self.watermark)
        for record, event, max_event_time_before in waited:
            key, dedup_key = self._key_of(event), self._dedup_key_of(event)
            if dedup_key is not None and not self._register(dedup_key, key, event):
                continue
            if self.event_time_order and event.at >= self.watermark:
                pending = (event.at, source_index, record.offset, key, event, max_event_time_before, dedup_key)
                self.reorder_buffer.add(pending)
            else:
                self._apply_on_arrival(key, event)
        first = max(source.read_offset, source.stored_read_offset)
        return [record for record in records if record.offset >= first], any_event

    def _count(self, source_index: int, records: int, duplicates: int) -> None:
        topic = self.machine.topics[source_index]
        self.collector.count(f"events:{topic}", records)
        if duplicates:
            self.collector.count(f"duplicates:{topic}", duplicates)

    @abstractmethod
    def _register(self, dedup_key: str, key: str, event: E) -> bool:
        """Note the identity of an event; return False if it is a duplicate of one that waits or was applied."""


AnyShard: TypeAlias = Shard[Any]
"""A shard among those of other subjects, where its type of events is not known."""
