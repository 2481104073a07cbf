"""Reads the sources of a shard: skips what was read before, decodes, and rejects what is invalid or late.

    records ──▶ read before? ──▶ valid? ──▶ in its partition? ──▶ not ahead of the clock? ──▶ not late? ──▶ event
                skipped          └──────────────────────────── dead letter ──────────────────────────┘

After a restart the records from the committed offsets on are read again, because some of their events waited in the
reorder buffer. What was rejected stays rejected without another dead letter, what was applied is not applied again, and
what waited is judged: all tests have the same numbers as before (I-12: reading again changes nothing).
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from vigil.app.engine.admission import SourceRule
from vigil.app.engine.changelog import CheckpointMarker, StoredSourcePosition
from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.app.engine.reorder_buffer import ReorderBuffer
from vigil.app.engine.snapshot import Position
from vigil.app.engine.subject import Event, EventTime, OriginOf, SourceRecord, StateMachine
from vigil.app.engine.watermark import MIN_TIME, SourcePosition
from vigil.topics.decoder import nobody
from vigil.topics.fields import InvalidEvent

E = TypeVar("E", bound=Event)


class SourceReader(Generic[E]):
    """The sources of one shard."""

    def __init__(
        self,
        machine: StateMachine[E],
        sources: Sequence[SourcePosition],
        rules: Sequence[SourceRule],
        collector: OutputCollector,
        origin_of: OriginOf,
    ) -> None:
        """`origin_of`: partition and offset of a record for dead letters."""
        self.sources = sources
        self._machine = machine
        self.rules = rules
        self.drops_late = _drops_late(machine)
        """By source index: late events are rejected."""
        self._collector = collector
        self._origin_of = origin_of
        self._stored_rules = rules
        self._applied_before = MIN_TIME
        """Events with a time below it were applied before the restart, if they were accepted."""
        self._read_at_snapshot = [-1] * len(sources)

    def adopt(self, machine: StateMachine[E]) -> None:
        """Decode by another machine of the same subject from now on."""
        self._machine = machine

    def restore(self, marker: CheckpointMarker, topics: Sequence[str]) -> None:
        """Continue from a checkpoint; a source that had another topic then is read from the beginning.

        So are the last sources where the checkpoint has fewer: an earlier version stored it, which did not read them.
        `topics`: the names of the source topics on the cluster. A marker without names stands for the catalogue's.
        """
        known = len(marker.sources)
        self._stored_rules = [
            SourceRule(
                marker.lateness if stored.lateness is None else stored.lateness,
                rule.placement.with_partitioner(stored.partitioner),
            )
            for rule, stored in zip(self.rules[:known], marker.sources, strict=True)
        ] + list(self.rules[known:])
        if isinstance(self._machine.order, EventTime):
            self._applied_before = marker.watermark
        stored_topics = marker.topics or self._machine.topics[:known]
        for source, stored, stored_topic, topic in zip(
            self.sources[:known], marker.sources, stored_topics, topics[:known], strict=True
        ):
            if topic != stored_topic:
                continue
            source.committed_offset = source.read_offset = stored.committed_offset
            source.stored_read_offset = stored.read_offset
            source.stored_max_event_time = stored.read_max_event_time
            source.max_event_time = stored.max_event_time
            source.ahead = list(stored.ahead)
            source.identities = stored.identities
            source.change = stored.change

    @property
    def lateness_was_reduced(self) -> bool:
        """True if the stored state was judged by a larger allowed lateness of any source than the present one."""
        return any(stored.lateness > now.lateness for stored, now in zip(self._stored_rules, self.rules, strict=True))

    @property
    def reads_again(self) -> bool:
        """True until everything that was read before the restart has been read again."""
        return any(source.read_offset < source.stored_read_offset for source in self.sources)

    @property
    def has_unsaved_position(self) -> bool:
        """True if anything was read since the last snapshot."""
        return any(
            source.read_offset != offset for source, offset in zip(self.sources, self._read_at_snapshot, strict=True)
        )

    @property
    def reads_late_again(self) -> bool:
        """True until what was read before the restart has been read again of every source whose late events are
        applied: what waited may lie below the watermark by now."""
        return any(
            source.read_offset < source.stored_read_offset and not drops_late
            for source, drops_late in zip(self.sources, self.drops_late, strict=True)
        )

    def end_of_input(self) -> None:
        """Make the end of the input worth a snapshot, although nothing was read."""
        self._read_at_snapshot = [-1] * len(self.sources)

    def reject(
        self, source_index: int, record: SourceRecord, why: InvalidEvent, watermark: int, wall: int | None
    ) -> None:
        """Send a record to `dead-letter`. Its time is the watermark, estimated before there is one."""
        topic, source, rule = self._machine.topics[source_index], self.sources[source_index], self.rules[source_index]
        now = max(watermark, source.max_event_time - rule.lateness, 0)
        if not now and wall is not None:
            now = wall - rule.lateness
        if wall is not None and why.reason == "future":
            source.note_ahead(record.offset, wall + rule.max_ahead)
        partition, offset = self._origin_of(record)
        rejected = RejectedRecord(topic, partition, offset, record.key, record.value)
        self._collector.emit_dead_letter(rejected, why.reason, why.detail, now)
        self._collector.count(f"refused:{topic}:{why.reason}")

    def read_again(
        self, source_index: int, records: Iterable[SourceRecord], watermark: int
    ) -> tuple[list[tuple[SourceRecord, E, int]], bool]:
        """Decode records that were read before a restart; return the events that are to be applied, and if any was one.

        Each event comes with its record and the largest event time of its source before it.
        """
        source = self.sources[source_index]
        lateness, placement, _ = self._stored_rules[source_index]
        waited: list[tuple[SourceRecord, E, int]] = []
        any_event = False
        for record in records:
            if not source.read_offset <= record.offset < source.stored_read_offset:
                continue
            source.read_offset = record.offset + 1
            try:
                event = self._machine.decode(source_index, record, max(watermark, 0), self._origin_of, nobody)
            except InvalidEvent:
                continue
            at = event.at
            if placement.misplaced(record.key) or source.was_ahead(record.offset, at):
                continue
            any_event = True
            before = source.max_event_time
            source.max_event_time = max(before, at)
            was_late = self.drops_late[source_index] and at < before - lateness
            if not was_late and at >= self._applied_before:
                waited.append((record, event, before))
        return waited, any_event

    def position(self, watermark: int, buffer: ReorderBuffer[E]) -> Position:
        """Return what a snapshot stores of the sources. An offset is committed once no event below it waits."""
        stored = []
        for number, (source, (committed_offset, max_event_time)) in enumerate(
            zip(self.sources, buffer.positions(self.sources), strict=True)
        ):
            # A restart that is itself restarted has not read everything again that was read before.
            again = source.read_offset < source.stored_read_offset
            rule = self._stored_rules[number] if again else self.rules[number]
            source.forget_ahead(committed_offset)
            stored.append(
                StoredSourcePosition(
                    committed_offset,
                    max(source.read_offset, source.stored_read_offset),
                    max_event_time,
                    max(source.max_event_time, source.stored_max_event_time),
                    rule.lateness,
                    tuple(source.ahead),
                    rule.placement.partitioner,
                    source.identities,
                    source.change,
                )
            )
        self._read_at_snapshot = [source.read_offset for source in self.sources]
        return Position(watermark, max(position.lateness or 0 for position in stored), tuple(stored))


def _drops_late(machine: StateMachine[E]) -> tuple[bool, ...]:
    """By source index: late events are rejected."""
    order = machine.order
    if not isinstance(order, EventTime) or not order.drop_late:
        return (False,) * len(machine.topics)
    return tuple(topic not in order.unawaited for topic in machine.topics)
