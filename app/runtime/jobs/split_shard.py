"""The replay's side of a shard whose keys are judged by jobs.

It reads each line as every shard does: so it rejects what is invalid or late, moves the clocks and counts lines. An
event that is accepted goes to the job of its key.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, Unpack

from vigil.app.domain.registry import REGISTRY
from vigil.app.engine.reorder_buffer import PendingEvent, ReorderBuffer
from vigil.app.engine.shard import Shard
from vigil.app.engine.shard_input import ShardOptions
from vigil.app.engine.subject import AnyStateMachine, Event, SourceRecord
from vigil.app.runtime.clocked_shard import ClockedShard
from vigil.app.runtime.jobs.messages import Lines
from vigil.app.runtime.recorded_events import RecordedEvent
from vigil.topics.envelope import Output

REMEMBERED: Final = 100_000
"""Keys of which a shard remembers the job; then it finds all of them out again."""


class Link(Protocol):
    """The way to a shard in all jobs."""

    def lines_of(self, key: str) -> Lines:
        """The lines that wait to be sent to the job of a key."""

    def next_number(self) -> int:
        """A number larger than all before."""

    def added(self, number: int) -> bool:
        """Note that so many lines were added to those that wait; return True if all were sent."""

    def record(self, key: bytes, source_index: int, record: SourceRecord, offset: int | None, watermark: int) -> None:
        """Send a record that is decoded where it is read to the job of its key; None: its offset is its number."""

    def late(self, key: str, event: Event) -> None:
        """Report a late event to the job of its key."""

    def advance(self, watermark: int) -> None:
        """Advance the shard in all jobs."""

    def advance_early(self, watermark: int) -> None:
        """Let the jobs judge so far already; what is published is part of the next `advance`."""

    def advance_later(self, watermark: int) -> None:
        """Advance it before anything is gathered."""

    def end_of_input(self, until: int) -> None:
        """Let every key act on the end of the input."""

    def final_outputs(self, until: int) -> list[Output]:
        """The final outputs of all keys, in their order."""


class SplitShard(Shard[Any]):
    """What shards of both orders have in common."""

    def __init__(self, machine: AnyStateMachine, lateness: int, link: Link, **options: Unpack[ShardOptions]) -> None:
        super().__init__(machine, lateness, **options)
        self._link = link
        self._internal = tuple(not REGISTRY.is_input(topic) for topic in machine.topics)
        """By source index."""
        self._lines: dict[str, Lines] = {}
        """By key: the lines that wait to be sent to its job."""

    def end_of_input(self, until: int) -> None:
        self._link.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        return self._link.final_outputs(until)

    def _register(self, dedup_key: str, key: str, event: Event) -> bool:
        return True  # its job knows what is a duplicate

    def _lines_of(self, key: str) -> Lines:
        if len(self._lines) >= REMEMBERED:
            self._lines.clear()
        lines = self._lines[key] = self._link.lines_of(key)
        return lines

    def _send_internal(self, source_index: int, records: Sequence[SourceRecord]) -> bool:
        for record in records:
            self._link.record(record.key or b"", source_index, record, None, self.watermark)
        return True


class AcceptedEvents(ReorderBuffer[Event]):
    """Events on their way to the jobs, in order of arrival."""

    __slots__ = ()

    def take(self) -> list[PendingEvent[Event]]:
        """Remove and return all of them."""
        taken = self._added.copy()
        self._added.clear()
        return taken


class EventTimeSplit(SplitShard):
    """Of a subject whose events wait for their order."""

    event_time_order = True

    def __init__(self, machine: AnyStateMachine, lateness: int, link: Link, **options: Unpack[ShardOptions]) -> None:
        super().__init__(machine, lateness, link, **options)
        self.reorder_buffer = self._accepted = AcceptedEvents()
        self._records: Iterator[SourceRecord] = iter(())
        """Those that are being ingested and come after the last one that was sent."""

    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        if watermark > self.watermark:
            self.watermark = watermark
            self._link.advance(watermark)
        return False

    def ingest(self, source_index: int, records: Sequence[SourceRecord], wall: int | None = None) -> bool:
        if self._internal[source_index]:
            return self._send_internal(source_index, records)
        self._records = iter(records)
        any_event = super().ingest(source_index, records)
        self._send_accepted()
        return any_event

    def _send_accepted(self) -> None:
        """Send the events that were accepted, in the order of their lines."""
        accepted = self._accepted.take()
        known, records = self._lines.get, self._records
        for _, source_index, offset, key, _, _, _ in accepted:
            record = next(records)
            while record.offset != offset:  # those between were rejected
                record = next(records)
            if isinstance(record, RecordedEvent):
                lines = known(key) or self._lines_of(key)
                lines.offsets.append(offset)
                lines.texts.append(record.raw)
            else:
                self._link.record(key.encode(), source_index, record, offset, self.watermark)
        if self._link.added(len(accepted)) and self._clock is not None:
            self._link.advance_early(self._clock())

    def _note_late(self, key: str, event: Event) -> int:
        self._send_accepted()
        if self._clock is not None:
            self.advance_watermark(self._clock())
        self._link.late(key, event)
        return self.watermark


class ArrivalSplit(SplitShard, ClockedShard):
    """Of a subject that judges on arrival."""

    event_time_order = False

    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        if watermark > self.watermark:
            self.watermark = watermark
            self._link.advance_later(watermark)
        return False

    def ingest(self, source_index: int, records: Sequence[SourceRecord], wall: int | None = None) -> bool:
        if self._internal[source_index]:
            return self._send_internal(source_index, records)
        return self.ingest_lines(source_index, records)

    def ingest_lines(self, source_index: int, records: Sequence[SourceRecord]) -> bool:
        any_event = super().ingest_lines(source_index, records)
        self._link.added(len(records))
        return any_event

    def _apply_on_arrival(self, key: str, event: Event, source_index: int, record: SourceRecord) -> None:
        if isinstance(record, RecordedEvent):
            lines = self._lines.get(key) or self._lines_of(key)
            lines.offsets.append(self._link.next_number())
            lines.watermarks.append(self.watermark)
            lines.texts.append(record.raw)
        else:
            self._link.record(key.encode(), source_index, record, None, self.watermark)
