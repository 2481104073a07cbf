"""One shard: messages in as they arrive, events judged in order with the deadlines between them, snapshots out.

    intake ──▶ refused?  late?  duplicate? ──▶ buffer ──clock passes──▶ state.apply     in order (`at`, rank, offset)
                                                    deadline t ───────▶ state.deadline_passed, after events ≤ t
    snapshot ◀── what changed + what is to be sent + how far it came: the whole of it, at one instant

A shard asks nobody for the time: `advance` moves its clock. Two runs that were fed the same messages judge the same
things, however these were cut into batches; and one that goes on from a snapshot judges what the uninterrupted run
would have judged. Forgets: keys that say so, and what the buffer held once it is judged.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from vigil.app.engine.changelog import (
    FLAG_PENDING,
    FLAG_PUBLISHED,
    FORMAT,
    HEADER,
    NO_CHECKPOINT,
    UNREADABLE,
    ChangelogRecord,
    ChangelogStore,
    CheckpointMarker,
    OutboxMessage,
    StoredSourcePosition,
    encode,
    marker_record,
    outbox_records,
    record_of,
    store_key,
    unreadable,
)
from vigil.app.engine.subject import EventTime, KeyState, OutputCollector, StateMachine
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME, SourcePosition
from vigil.topics.envelope import Output, encode_body
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent

OUTBOX_BYTES: Final = 256 * 1024
"""An outbox is cut into records of about this size."""

UNLOADED_AT_ONCE: Final = 1000
"""So many states are looked at in one call of `shrink`, which comes often."""

STUCK: Final = 10_000
"""A deadline that fires so often without moving on is a bug of ours."""


class SourceRecord(Protocol):
    """One Kafka record, or one line of a replay."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class KeyEntry:
    """One key: its state once it is loaded, and when it wants to be called."""

    __slots__ = ("due", "state")

    def __init__(self, state: KeyState | None, due: int) -> None:
        self.state = state
        self.due = due


class Snapshot(NamedTuple):
    """A checkpoint to write: `records` then `marker`, then send `outputs`, then commit the offsets."""

    records: list[ChangelogRecord]
    marker: CheckpointMarker
    outputs: list[OutboxMessage]

    @property
    def committed_offsets(self) -> tuple[int, ...]:
        """By rank: every offset below is dealt with once the snapshot is written and its outputs are sent."""
        return tuple(source.committed_offset for source in self.marker.sources)

    def changelog(self) -> list[ChangelogRecord]:
        """All records in the order in which they must be written; the marker comes last."""
        return [*self.records, marker_record(self.marker)]


class Shard:
    """The events of one partition of a group of topics, and the states of their keys."""

    def __init__(
        self,
        machine: StateMachine,
        lateness: int,
        *,
        partition: int | None = None,
        store: ChangelogStore | None = None,
        sources: list[SourcePosition] | None = None,
        place: Callable[[Any], tuple[int | None, int]] | None = None,
        collector: OutputCollector | None = None,
        rulebook: str = "",
    ) -> None:
        """`lateness` in ms; `store` as restored; `sources` shared with other shards in a replay.

        `place` tells a message's partition and offset for `dead-letter`, the shard's own if not given; `context` is
        shared where shards' outputs must keep their order; `rulebook` goes into every checkpoint.
        """
        self.machine = machine
        self.partition = partition
        self.collector = collector if collector is not None else OutputCollector()
        self.watermark = MIN_TIME
        self.sources = sources if sources is not None else [SourcePosition() for _ in machine.topics]
        self.keys: dict[str, KeyEntry] = {}
        self.reorder_buffer: list[tuple[int, int, int, str, Any, int, str | None]] = []
        """(`at`, rank, offset, key, event, the source's largest `at` before it, natural id)"""
        order = machine.order
        self.event_time_order = isinstance(order, EventTime)
        """Events are applied in the order of event time; otherwise on arrival."""
        self._drop_late = isinstance(order, EventTime) and order.drop_late
        self._lateness = lateness
        self._place = place if place is not None else lambda message: (partition, message.offset)
        self._rulebook = rulebook
        self._store = store if store is not None else ChangelogStore()
        self._received: Callable[..., Any] | None = getattr(machine, "with_metadata", None)
        self._has_more: Callable[..., bool] | None = getattr(machine, "has_more", None)
        self._more = False
        """A status was told in part: the rest is to follow soon."""
        self._ids: dict[str, int] = {}
        """Natural ids in the buffer, each with its largest `at` there."""
        self._heap: list[tuple[int, str]] = []
        """Deadlines, lazily: an entry that is not its key's `due` any more is skipped."""
        self._loaded: dict[str, None] = {}
        """Keys whose state is loaded, those first that have not changed for the longest time."""
        self._changed: set[str] = set()
        self._owed: set[str] = set()
        """Keys whose status was held back."""
        self._gone: set[str] = set()
        """Keys forgotten since the last snapshot: their stored parts are to be deleted."""
        self._resend: list[OutboxMessage] = []
        self._until: int | None = None
        """Where the input has ended."""
        self._restored_clock = MIN_TIME
        self._number = 0
        self._epoch = 1
        self._base = self._read = NO_CHECKPOINT
        self._stored_lateness = lateness
        self._clock_waits = False
        """What waited before a restart may come again below the sources' clocks: until it is here, the clock stands."""
        self._seen_at_snapshot: list[int] = [-1] * len(self.sources)
        self._restore()

    # ---- messages in ------------------------------------------------------------------------------------------

    def ingest(self, source_index: int, messages: Iterable[SourceRecord], wall: int | None = None) -> bool:
        """Take messages of the topic `rank` in, in the order of their offsets; tell whether any of them was an event.

        `wall`: the worker's clock in ms where it is live; an event a day ahead of it is refused. A message at an
        offset that was read before is skipped.
        """
        machine, source, collector = self.machine, self.sources[source_index], self.collector
        decode, key_of, natural_id = machine.decode, machine.key_of, machine.dedup_key
        ordered, drop_late, received = self.event_time_order, self._drop_late, self._received
        lateness, stored_lateness = self._lateness, self._stored_lateness
        watermark, restored_clock = self.watermark, self._restored_clock
        add = self.reorder_buffer.append
        latest = MAX_TIME if wall is None else wall + MAX_AHEAD_MS
        fresh = duplicates = 0
        events = False
        seen, stored_seen, now = source.read_offset, source.stored_read_offset, self.now
        for message in messages:
            offset = message.offset
            if offset < seen:
                continue
            seen = offset + 1
            replayed = offset < stored_seen
            if not replayed:
                fresh += 1
            try:
                event = decode(source_index, message.key, message.value, now)
                at = event.at
                if replayed:
                    if at > source.stored_max_event_time:
                        continue  # refused before as too far ahead of the clock of then
                elif at > latest:
                    raise InvalidEvent(f"at {at} is more than a day ahead of the clock, {wall}")
            except InvalidEvent as refused:
                if not replayed:
                    self._refuse(source_index, message, refused.reason, refused.detail, wall)
                continue
            events = True
            before = source.max_event_time
            if at > before:
                source.max_event_time = at
            if ordered:
                allowed = stored_lateness if replayed else lateness
                if drop_late and (at < before - allowed or (at < watermark and not replayed)):
                    if not replayed:
                        told = f"at {at} is {max(before - lateness, watermark) - at} ms below the clock"
                        self._refuse(source_index, message, "late", told, wall)
                    continue
                if at < restored_clock and replayed:
                    continue  # judged before the restart
            if received is not None:
                event = received(event, *self._place(message), message.key, message.value)
            key = key_of(event)
            natural = natural_id(event)
            waits = ordered and at >= watermark
            # One that is judged after the first to arrive is known, or not any more, when it is judged: that depends
            # on no batch. One that would be judged before it must not be.
            if natural is not None and (at < self._ids.get(natural, at) or (not waits and self._known(key, event))):
                if not replayed:
                    duplicates += 1
                continue
            if waits:
                if natural is not None:
                    self._ids[natural] = at
                add((at, source_index, offset, key, event, before, natural))
            else:
                self._apply(key, event, watermark)
                if self._heap and self._heap[0][0] < watermark:
                    self._fire(watermark)  # its deadline had passed when it came
        source.read_offset = seen
        topic = machine.topics[source_index]
        collector.count(f"events:{topic}", fresh)
        if duplicates:
            collector.count(f"duplicates:{topic}", duplicates)
        return events

    def _known(self, key: str, event: Any) -> bool:
        """Was an event of the same identity applied before, and is it still remembered?"""
        slot = self.keys.get(key)
        return slot is not None and self.machine.is_duplicate(self._state(key, slot), event)

    def _refuse(self, source_index: int, message: SourceRecord, reason: Any, detail: str, wall: int | None) -> None:
        topic = self.machine.topics[source_index]
        now = max(self.now, self.sources[source_index].max_event_time - self._lateness)
        if not now and wall is not None:  # the clock has not begun
            now = wall - self._lateness
        partition, offset = self._place(message)
        self.collector.emit_dead(topic, partition, offset, reason, detail, now, message.key, message.value)
        self.collector.count(f"refused:{topic}:{reason}")

    @property
    def now(self) -> int:
        """The clock as it is told to people: 0 before it has begun."""
        return max(self.watermark, 0)

    # ---- time -------------------------------------------------------------------------------------------------

    def advance_watermark(self, watermark: int, most: int | None = None) -> bool:
        """Move the clock on to `clock` (never back): judge every event and deadline with a time below it.

        `most`: of what needs no order, only so many keys' deadlines pass, and the clock goes as far as they do; true
        where there are more. Every supplier has one at a month's end.
        """
        if watermark <= self.watermark:
            return False
        if self._clock_waits:
            if any(source.read_offset < source.stored_read_offset for source in self.sources):
                return False
            self._clock_waits = False
        if most is not None and not self.event_time_order and self._fire(watermark, most):
            # Those of the very time of the next one that have passed already are early by nothing that counts.
            self.watermark = max(self.watermark, self._heap[0][0])
            return True
        self.watermark = watermark
        buffer = self.reorder_buffer
        if buffer:
            buffer.sort()
            end = bisect_left(buffer, (watermark,))
            if end:
                heap, ids, apply = self._heap, self._ids, self._apply
                for at, source_index, _, key, event, _, natural in buffer[:end]:
                    if heap and heap[0][0] < at:
                        self._fire(at)
                    if natural is not None:
                        if ids.get(natural) == at:
                            del ids[natural]
                        if self._known(key, event):
                            self.collector.count(f"duplicates:{self.machine.topics[source_index]}")
                            continue
                    apply(key, event, at)
                del buffer[:end]
        if self._heap and self._heap[0][0] < watermark:
            self._fire(watermark)
        return False

    def end_of_input(self, until: int) -> None:
        """The input has ended at `until`: judge what is at or before it, and let every key say its last word."""
        self.advance_watermark(until + 1)
        self._until = until
        self._owed.update(self.keys)
        self._seen_at_snapshot = [-1] * len(self.sources)  # that it ended is worth a snapshot
        for key in sorted(self.keys):
            state = self._state(key, self.keys[key])
            on_end_of_input = getattr(state, "on_end_of_input", None)
            if on_end_of_input is not None:
                on_end_of_input(until, self.collector)
                self._changed.add(key)

    def final_outputs(self, until: int) -> list[Output]:
        """The statuses of every key at the end of the input."""
        told: list[Output] = []
        for key in sorted(self.keys):
            told.extend(self._state(key, self.keys[key]).pending_outputs(until, True))
        return told

    def _apply(self, key: str, event: Any, watermark: int) -> None:
        slot = self.keys.get(key)
        if slot is None:
            slot = self.keys[key] = KeyEntry(self.machine.load(key, {}), MAX_TIME)
            self._loaded[key] = None
        state = slot.state
        if state is None:
            state = self._state(key, slot)
        collector = self.collector
        collector.now = event.at
        state.apply(event, watermark, collector)
        self._changed.add(key)
        due = state.next_timer()
        if due < slot.due:
            slot.due = due
            heappush(self._heap, (due, key))

    def _fire(self, before: int, most: int | None = None) -> bool:
        """Let every deadline below `before` pass, in order of time; true where `most` keys' were not all of them."""
        heap, keys = self._heap, self.keys
        while heap and heap[0][0] < before:
            if most is not None and (most := most - 1) < 0:
                return True
            scheduled, key = heappop(heap)
            slot = keys.get(key)
            if slot is None or slot.due != scheduled:
                continue
            state = self._state(key, slot)
            due = state.next_timer()
            rounds = 0
            while due <= scheduled:
                self.collector.now = due
                state.on_timer(due, self.collector)
                self._changed.add(key)
                due = state.next_timer()
                rounds += 1
                if rounds > STUCK:
                    raise RuntimeError(f"the deadline of {key!r} at {due} does not move on")
            if rounds and state.expired():
                self._forget(key)
            else:
                slot.due = due
                if due < MAX_TIME:
                    heappush(heap, (due, key))
        return False

    # ---- state ------------------------------------------------------------------------------------------------

    def _state(self, key: str, slot: KeyEntry) -> KeyState:
        state = slot.state
        if state is None:
            try:
                state = slot.state = self.machine.load(key, self._store.payloads(key))
            except UNREADABLE as error:
                raise unreadable(f"the stored state of {key!r}", error) from error
            self._loaded[key] = None
        return state

    def _forget(self, key: str) -> None:
        del self.keys[key]
        self._loaded.pop(key, None)
        self._gone.add(key)
        self._changed.discard(key)
        self._owed.discard(key)

    def _restore(self) -> None:
        store = self._store
        marker = store.marker
        self._epoch = store.next_epoch
        self._read = store.last_seen
        if marker is not None:
            self.watermark = self._restored_clock = marker.watermark
            self._number = marker.number
            self._base = marker.checkpoint_id
            self._stored_lateness = marker.lateness
            for source, stored in zip(self.sources, marker.sources, strict=True):
                source.committed_offset = source.read_offset = stored.committed_offset
                source.stored_read_offset = stored.read_offset
                source.stored_max_event_time = stored.read_max_event_time
                source.max_event_time = stored.max_event_time
            self._clock_waits = self.event_time_order and (not self._drop_late or marker.lateness > self._lateness)
        heap = self._heap
        last = None if marker is None else marker.checkpoint_id
        told_again = []
        for key, value in store.main.items():
            epoch, number, due, flags = HEADER.unpack_from(value)
            self.keys[key] = KeyEntry(None, due)
            if due < MAX_TIME:
                heap.append((due, key))
            if flags & FLAG_PENDING:
                self._owed.add(key)
            if flags & FLAG_PUBLISHED and (epoch, number) == last:
                told_again.append(key)
        heap.sort()  # a sorted list is a heap
        self._resend = store.pending_resend()
        for key in sorted(told_again):
            # As of the last instant that was judged: where the input has ended, that is its end.
            statuses = self._state(key, self.keys[key]).pending_outputs(self.watermark - 1, True)
            self._resend.extend(sendable(output) for output in statuses)
            self._owed.discard(key)
            self._changed.add(key)

    # ---- snapshots --------------------------------------------------------------------------------------------

    @property
    def has_urgent_outputs(self) -> bool:
        """Is there something to send?"""
        return self._more or bool(self.collector.outputs)

    @property
    def has_unsaved_state(self) -> bool:
        """Is there anything that a snapshot would save?"""
        return bool(
            self.collector.outputs
            or self._changed
            or self._gone
            or self._owed
            or any(
                source.read_offset != seen for source, seen in zip(self.sources, self._seen_at_snapshot, strict=True)
            )
        )

    def acquire(self) -> Snapshot:
        """The first checkpoint of a new owner: fences the former one, heals, and sends again what was owed."""
        snapshot = self.snapshot(repairing=True)
        resend, self._resend = self._resend, []
        return snapshot._replace(outputs=[*resend, *snapshot.outputs])

    def snapshot(self, *, final: bool = False, repairing: bool = False) -> Snapshot:
        """What must be written now so that a restart goes on from here; `final`: statuses are shown unthrottled.

        The caller writes it as a whole before it asks for another one, and then calls `saved`.
        """
        self._number += 1
        epoch, number = self._epoch, self._number
        records = self._store.repairs(epoch, number) if repairing else []
        outputs = [sendable(output) for output in self.collector.outputs]
        self.collector.outputs.clear()
        # What is owed stays in the outbox: everything but statuses, which their keys can tell again if they live.
        owing = [*self._resend, *outputs]
        for key in sorted(self._gone):
            records += self._deletion(key)
        self._gone.clear()
        owed: set[str] = set()
        self._more = False
        watermark = self.watermark if self._until is None or not final else self._until
        for key in sorted(self._changed | self._owed):
            slot = self.keys[key]
            state = self._state(key, slot)
            del self._loaded[key]
            self._loaded[key] = None
            flags = 0
            told = [sendable(output) for output in state.pending_outputs(watermark, final)]
            outputs += told
            if told:
                flags |= FLAG_PUBLISHED
            if state.expired():
                owing += told
                del self.keys[key]
                del self._loaded[key]
                records += self._deletion(key)
                continue
            if state.has_deferred_output():
                owed.add(key)
                flags |= FLAG_PENDING
                self._more = self._more or (self._has_more is not None and self._has_more(state))
            parts = state.dump_changes()
            due = state.next_timer()
            if b"" not in parts:
                parts = {b"": self._main(key, due, flags), **parts}
            for part, payload in parts.items():
                if part or payload is not None:
                    records.append(record_of(store_key(key, part), payload, epoch, number, due, flags))
            if due < slot.due:
                slot.due = due
                heappush(self._heap, (due, key))
        self._changed.clear()
        self._owed = owed
        outbox = outbox_records(_chunks(owing), epoch, number)
        records += outbox
        return Snapshot(records, self._marker(epoch, number, len(outbox)), outputs)

    def _deletion(self, key: str) -> list[ChangelogRecord]:
        """Tombstones of everything that is stored of a key."""
        parts = (b"", *self._store.parts.get(key, ()))
        return [record_of(store_key(key, part), None, self._epoch, self._number, MAX_TIME, 0) for part in parts]

    def _main(self, key: str, due: int, flags: int) -> bytes | None:
        """The stored main part, where its header must change although it did not; else None."""
        stored = self._store.main[key]
        _, _, stored_due, stored_flags = HEADER.unpack_from(stored)
        if (stored_due, stored_flags) == (due, flags) and not flags & FLAG_PUBLISHED:
            return None
        return stored[HEADER.size :]

    def confirm(self, snapshot: Snapshot) -> None:
        """The snapshot is in the log: what it says is what a restart would find."""
        self._store.save(snapshot.records, snapshot.marker)

    def evict(self, most: int) -> None:
        """Unload states that have nothing unsaved until at most `most` are loaded; call it right after `saved`.

        Some of them at a time, and those first that have not changed for the longest time.
        """
        loaded = self._loaded
        if len(loaded) <= most:
            return
        for key in list(islice(loaded, min(len(loaded) - most, UNLOADED_AT_ONCE))):
            del loaded[key]
            if key in self._changed or key in self._owed:
                loaded[key] = None  # it is in use: its turn comes again after all others
            else:
                self.keys[key].state = None

    def _marker(self, epoch: int, number: int, outbox: int) -> CheckpointMarker:
        sources = self.sources
        lowest = [(source.read_offset, source.max_event_time) for source in sources]
        for _, source_index, offset, _, _, before, _ in self.reorder_buffer:
            if offset < lowest[source_index][0]:
                lowest[source_index] = (offset, before)
        stored = []
        lateness = self._lateness
        for source, (committed, max_at) in zip(sources, lowest, strict=True):
            # A restart that is itself restarted has not read again yet what was read before.
            if source.read_offset < source.stored_read_offset:
                lateness = self._stored_lateness
            seen = max(source.read_offset, source.stored_read_offset)
            stored.append(
                StoredSourcePosition(committed, seen, max_at, max(source.max_event_time, source.stored_max_event_time))
            )
        self._seen_at_snapshot = [source.read_offset for source in sources]
        return CheckpointMarker(
            FORMAT,
            epoch,
            number,
            *self._base,
            *self._read,
            self.watermark,
            lateness,
            tuple(stored),
            outbox,
            self._rulebook,
        )


def sendable(output: Output) -> OutboxMessage:
    """An output as it waits to be sent."""
    return OutboxMessage(output.topic, output.key, output.id, output.at, encode_body(output.body), output.judged)


def _chunks(outputs: list[OutboxMessage]) -> Iterable[bytes]:
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
