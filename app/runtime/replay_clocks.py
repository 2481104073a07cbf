"""The clocks of a recording: one of the file, and one of each partition number that room lines carry.

A dump that was written partition by partition is not in order as a whole, but each partition of it is. Lines without a
partition go by the clock of the file, which every accepted event moves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shard_input import ShardOptions
from vigil.app.engine.shards import EventTimeShard
from vigil.app.engine.subject import AnyStateMachine, EventTime, SourceRecord
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME, SourcePosition
from vigil.app.runtime.clocked_shard import ClockedShard
from vigil.app.runtime.recorded_events import readers
from vigil.topics.envelope import Output
from vigil.topics.topic import Topic

LATENESS_MS: Final = 2000
"""The default of `allowed_lateness`."""


class AllowedLateness(NamedTuple):
    """By how much events may be out of order, ms."""

    default: int = LATENESS_MS
    by_topic: Mapping[str, int] = {}

    @property
    def largest(self) -> int:
        """That of the topic which has the most."""
        return max((self.default, *self.by_topic.values()))


class Jump(NamedTuple):
    """A line that moved a clock ahead."""

    ms: int
    """By how much."""
    line: int
    """Its number, from 1."""


class PlacedRecord(SourceRecord, Protocol):
    """A record of a recording; its offset is the number of the line."""

    @property
    def place(self) -> tuple[int | None, int]:
        """The recorded partition, if any; the recorded offset, or the number of the line."""


class RecordingClock:
    """The largest event time of some lines so far."""

    __slots__ = ("_lateness", "furthest", "position")

    def __init__(self, lateness: int) -> None:
        """`lateness`: by which events are judged, ms."""
        self._lateness = lateness
        self.position: Final = SourcePosition()
        self.furthest = Jump(0, 0)
        """The line that moved it furthest ahead; the first one moves nothing."""

    @property
    def watermark(self) -> int:
        """Everything below it is judged; MIN_TIME before the first event."""
        newest = self.position.max_event_time
        return newest - self._lateness if newest > MIN_TIME else MIN_TIME

    def moves_little(self, until: int) -> bool:
        """True if no event up to `until` can move the clock further ahead than a line has."""
        return until - self.position.max_event_time <= self.furthest.ms

    def moved(self, before: int, line: int) -> None:
        """Note that a line may have moved the clock; `before`: the largest event time without it."""
        ahead = self.position.max_event_time - before
        if ahead > self.furthest.ms and before > MIN_TIME:
            self.furthest = Jump(ahead, line)


def shard_options(
    machine: AnyStateMachine,
    lateness: AllowedLateness,
    clock: RecordingClock,
    collector: OutputCollector,
    topics: Mapping[str, Topic],
) -> ShardOptions:
    """Of a shard that goes by a clock; its internal topics have positions of their own."""
    return {
        "lateness_by_topic": lateness.by_topic,
        "sources": [
            clock.position if topics[topic].direction == "in" else SourcePosition() for topic in machine.topics
        ],
        "readers": readers(machine, topics),
        "origin_of": attrgetter("place"),
        "collector": collector,
        "clock": lambda: clock.watermark,
    }


def kind_of(machine: AnyStateMachine) -> type[AnyShard]:
    """The kind of shard in which a replay judges by a machine."""
    return EventTimeShard if isinstance(machine.order, EventTime) else ClockedShard


def drops_late(machine: AnyStateMachine) -> bool:
    """Return True if events of the machine can be late."""
    return isinstance(machine.order, EventTime) and machine.order.drop_late


class PartitionedShards:
    """The shards of a subject whose events can be late: one by the clock of the file, one for each partition number."""

    def __init__(self, file: RecordingClock, make: Callable[[RecordingClock], AnyShard], lateness: int) -> None:
        """`make`: a shard that goes by a clock; `lateness`: by which events are judged, ms."""
        self._file = file
        self._make = make
        self._lateness = lateness
        self._unnumbered = make(file)
        self._by_partition: dict[int, tuple[RecordingClock, AnyShard]] = {}
        self._ended = MIN_TIME
        self.begin = MAX_TIME
        """The event time at which the events begin, MAX_TIME before the first."""

    def ingest(self, source_index: int, records: Sequence[PlacedRecord]) -> None:
        """Ingest lines of one partition in its shard; they move the clock of the file, too.

        More than one at a time only if `moves_little`: of a line that moves a clock further it is noted which it was.
        """
        partition = records[0].place[0]
        if partition is None:
            any_event = self._unnumbered.ingest(source_index, records)
            if any_event and self._file.position.max_event_time < self.begin:
                self.begin = self._file.position.max_event_time
            return
        clock, shard = self._by_partition.get(partition) or self._add(partition)
        before = clock.position.max_event_time
        if shard.ingest(source_index, records) and clock.position.max_event_time < self.begin:
            self.begin = clock.position.max_event_time
        clock.moved(before, records[0].offset)
        self._file.position.max_event_time = max(self._file.position.max_event_time, clock.position.max_event_time)

    def moves_little(self, partition: int | None, until: int) -> bool:
        """True if events up to `until` move the clock of a partition less than others have, and begin nothing."""
        clock = self._file
        if partition is not None:
            if partition not in self._by_partition:
                return False
            clock, _ = self._by_partition[partition]
        return clock.position.max_event_time >= self.begin and clock.moves_little(until)

    def input_ended(self, until: int) -> None:
        """Let every clock move to the largest event time of the input."""
        self._ended = until + 1

    def advance_watermark(self, watermark: int) -> None:
        """Advance the shard without a partition to `watermark`, and each other one to that of its clock."""
        self._unnumbered.advance_watermark(watermark)
        for clock, shard in self._in_order():
            shard.advance_watermark(max(clock.watermark, self._ended))

    def end_of_input(self, until: int) -> None:
        for shard in self._shards():
            shard.end_of_input(until)

    def final_outputs(self, until: int) -> list[Output]:
        return [output for shard in self._shards() for output in shard.final_outputs(until)]

    def furthest(self) -> Jump:
        """The line that moved a clock of these shards furthest ahead."""
        jumps = [clock.furthest for clock, _ in self._in_order()]
        return max(jumps, default=Jump(0, 0))

    def _add(self, partition: int) -> tuple[RecordingClock, AnyShard]:
        clock = RecordingClock(self._lateness)
        self._by_partition[partition] = (clock, self._make(clock))
        return self._by_partition[partition]

    def _in_order(self) -> list[tuple[RecordingClock, AnyShard]]:
        return [self._by_partition[partition] for partition in sorted(self._by_partition)]

    def _shards(self) -> Iterator[AnyShard]:
        yield self._unnumbered
        for _, shard in self._in_order():
            yield shard
