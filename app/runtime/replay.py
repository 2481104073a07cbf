"""Replay: recorded events from a file through the same shards that the worker runs, with no clock but the events'.

    lines ──▶ one watermark of the file (largest `at` accepted − lateness) ──▶ shards ──▶ outputs
                                                                               ▲    │ internal topics
                                                                               └────┘ until nothing more comes of it

The file is one source: all its topics share one watermark. Consecutive lines of one topic are ingested together where
events wait for their order anyway. Room lines that carry a partition go by a watermark of that
partition instead (`replay_clocks.py`). The same lines give the same outputs, byte for byte.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from vigil.app.domain.registry import DEAD_LETTER, REGISTRY, Registry
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.subject import OutputTopic
from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.app.runtime.clocked_shard import ClockedShard
from vigil.app.runtime.jobs.group import SPLIT, JobGroup
from vigil.app.runtime.recorded_events import LineReader, Read, RecordedEvent, RecordedMessage
from vigil.app.runtime.recording import Line, RejectedLine
from vigil.app.runtime.replay_clocks import (
    AllowedLateness,
    Jump,
    PartitionedShards,
    RecordingClock,
    drops_late,
    kind_of,
    shard_options,
)
from vigil.app.runtime.replay_schedule import ReplayShard, Schedule
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output

_AT: Final = attrgetter("event.at")
_RUN: Final = attrgetter("topic", "partition", "decoded")

BATCH: Final = 2000
"""Lines after which all watermarks advance; it changes the speed, never the outcome."""


@dataclass(frozen=True)
class Outputs:
    """What a replay published."""

    by_topic: Mapping[str, list[Output]]
    """Each list in the order in which it is written: events by time and identity, of states the last of each key by
    key, dead letters as they came. The topics have the order of the catalogue."""
    counts: Mapping[str, int]
    """As counted by the shards: `events:<topic>`, `duplicates:<topic>`, `refused:<topic>:<reason>`, …"""
    until: int
    """The largest event time of the input; 0 where it had none."""
    furthest: Jump = Jump(0, 0)  # noqa: RUF009 - a value
    """The line that moved a clock furthest ahead of all events before it."""
    rooms_begin: int | None = None
    """The event time at which the events of rooms begin; None where there are none."""

    def __getitem__(self, topic: str) -> list[Output]:
        return self.by_topic[topic]

    @property
    def rejected(self) -> list[Output]:
        """The dead letters."""
        return self.by_topic[DEAD_LETTER]


class Replay:
    """One run over one recording; feed it lines in order of arrival, then end it."""

    def __init__(
        self,
        rulebook: Rulebook,
        lateness: AllowedLateness = AllowedLateness(),  # noqa: B008 - a value
        machines: Mapping[SubjectName, AnyStateMachine] | None = None,
        registry: Registry = REGISTRY,
        jobs: JobGroup | None = None,
    ) -> None:
        """`machines` in the place of the rulebook's; `jobs`: they judge rooms and suppliers, by the same machines."""
        self._registry = registry
        self._reader = LineReader([topic for topic in registry.topics.values() if topic.direction == "in"])
        self._lateness = lateness
        self._jobs = jobs
        self._file = RecordingClock(lateness.largest)
        self._partitioned: dict[str, PartitionedShards] = {}
        """By input: the shards of the subjects whose lines may have clocks of their own."""
        self._collector = OutputCollector()
        self._published: dict[str, list[Output]] = {}
        self._final: list[Output] = []
        self._shards: dict[SubjectName, ReplayShard] = {}
        self._route: dict[str, tuple[ReplayShard, int]] = {}
        self._internal_offsets: dict[str, int] = {}
        machines = machines or registry.machines(rulebook, replay=True)
        for subject, machine in machines.items():
            shard = self._shards[subject] = self._new_shard(subject, machine)
            for source_index, topic in enumerate(machine.topics):
                self._route[topic] = (shard, source_index)
        self._clocked: dict[str, tuple[ClockedShard, int]] = {
            topic: (shard, source_index)
            for topic, (shard, source_index) in self._route.items()
            if isinstance(shard, ClockedShard) and registry.is_input(topic)
        }
        """By input: the shards that judge on arrival, and follow the clock of the file by themselves."""
        schedule = Schedule(registry, machines)
        self._at_the_end = schedule.at_the_end
        self._advanced_with_others = schedule.inputs_of(schedule.in_order_of_time)
        """Inputs of subjects whose watermark may advance later: only then do they judge what they have read."""
        self._advancing_all = schedule.inputs_of(set(registry.upstream))
        """Inputs that may refer to what other subjects publish: all that is due by then is judged first."""

    @property
    def watermark(self) -> int:
        """The file's watermark; MIN_TIME before its first event."""
        return self._file.watermark

    def _new_shard(self, subject: SubjectName, machine: AnyStateMachine) -> ReplayShard:
        kind = self._jobs.maker(subject) if self._jobs is not None and subject in SPLIT else kind_of(machine)

        def make(clock: RecordingClock) -> AnyShard:
            options = shard_options(machine, self._lateness, clock, self._collector, self._registry.topics)
            return kind(machine, self._lateness.default, **options)

        if not drops_late(machine):
            return make(self._file)
        partitioned = PartitionedShards(self._file, make, self._lateness.largest)
        self._partitioned |= {topic: partitioned for topic in machine.topics if self._registry.is_input(topic)}
        return partitioned

    def feed(self, lines: Iterable[bytes]) -> None:
        """Read lines of the recording; blank ones are skipped."""
        self.take(self._reader.read(lines))

    def take(self, lines: Iterator[Read]) -> None:
        """Take further lines as they were read."""
        while batch := list(islice(lines, BATCH)):
            for (topic, partition, decoded), run in groupby(batch, _RUN):
                self._take_run(topic, partition, decoded, list(run))
            self._advance()

    def _take_run(self, topic: str, partition: int | None, decoded: bool, run: list[Any]) -> None:
        """Take lines of one topic and partition: together where that comes to the same as one by one."""
        partitioned = self._partitioned.get(topic) if decoded else None
        if partitioned is not None and partitioned.moves_little(partition, max(map(_AT, run))):
            shard, source_index = self._route[topic]
            shard.ingest(source_index, run)
            return
        if decoded and topic in self._clocked and topic not in self._advancing_all and self._moves_little(run):
            clocked, source_index = self._clocked[topic]
            clocked.ingest_lines(source_index, run)
            return
        for line in run:
            if isinstance(line, RejectedLine):
                self._reject(line)
            else:
                self._take_one(line)

    def _moves_little(self, run: list[Any]) -> bool:
        """True if no line of a run can move the clock of the file further ahead than one has."""
        return self._file.moves_little(max(map(_AT, run)))

    def _take_one(self, line: RecordedEvent | RecordedMessage) -> None:
        file, topic = self._file, line.topic
        shard, source_index = self._route[topic]
        if topic not in self._advanced_with_others:
            if topic in self._advancing_all:
                self._advance()
            shard.advance_watermark(file.watermark)
        record = line.record if isinstance(line, RecordedMessage) else line
        before = file.position.max_event_time
        shard.ingest(source_index, (record,))
        if file.position.max_event_time - before > file.furthest.ms and line.partition is None:
            file.moved(before, record.offset)

    def end(self) -> Outputs:
        """The input has ended: judge what is at or before its largest `at`, and return all outputs."""
        self._advance()
        until = self._file.position.max_event_time
        if until > MIN_TIME:
            for partitioned in set(self._partitioned.values()):
                partitioned.input_ended(until)
            for shard in self._shards.values():
                shard.advance_watermark(until + 1)
                self._deliver()
            for shard in self._shards.values():
                shard.end_of_input(until)
                self._deliver()
            for shard in self._shards.values():
                self._final += shard.final_outputs(until)
                self._deliver()
        if self._jobs is not None:
            self._jobs.add_counts(self._collector)
        by_topic = {output.topic: self._written(output) for output in self._registry.replayed}
        by_topic[DEAD_LETTER] = self._published.get(DEAD_LETTER, [])
        partitions = self._partitioned.values()
        furthest = max([self._file.furthest, *(partitioned.furthest() for partitioned in partitions)])
        begin = min((partitioned.begin for partitioned in partitions), default=MAX_TIME)
        rooms_begin = None if begin == MAX_TIME else begin
        return Outputs(by_topic, dict(self._collector.counts), max(until, 0), furthest, rooms_begin)

    def _written(self, topic: OutputTopic) -> list[Output]:
        if topic.kind == "event":
            return in_order(topic, self._published.get(topic.topic, ()))
        return last_states(output for output in self._final if output.topic == topic.topic)

    def _advance(self) -> None:
        """Advance every shard to the file's watermark, in the order in which outputs flow."""
        watermark = self.watermark
        for subject, shard in self._shards.items():
            if subject not in self._at_the_end:
                shard.advance_watermark(watermark)
                self._deliver()

    def _deliver(self) -> None:
        """Deliver what was emitted; internal messages are ingested until nothing more comes of them."""
        emitted = self._collector.outputs
        self._gather()
        while emitted:
            outputs = emitted.copy()
            emitted.clear()
            self._deliver_all(outputs)
            self._gather()

    def _gather(self) -> None:
        """Take what the jobs have published."""
        if self._jobs is not None:
            self._jobs.gather((self._collector,))

    def _deliver_all(self, outputs: list[Output]) -> None:
        for output in outputs:
            if output.topic in self._route:
                self._ingest_internal(output)
            else:
                self._published.setdefault(output.topic, []).append(output)

    def _ingest_internal(self, output: Output) -> None:
        shard, source_index = self._route[output.topic]
        offset = self._internal_offsets.get(output.topic, 0)
        self._internal_offsets[output.topic] = offset + 1
        shard.ingest(source_index, (internal_message(output, offset),))

    def _reject(self, line: RejectedLine) -> None:
        """Write a line that no shard can read to the dead letters."""
        topic = line.topic
        at = max(self.watermark, 0)
        record = RejectedRecord(topic, line.partition, line.offset, line.key, line.value)
        self._collector.emit_dead_letter(record, "malformed", line.detail, at)
        if topic is not None:
            self._collector.count(f"events:{topic}")
        self._collector.count(f"refused:{topic or 'unknown'}:malformed")
        self._deliver()


def internal_message(output: Output, offset: int) -> Line:
    """An output as the shard that reads its topic gets it."""
    value = None if output.body is None else msgspec.json.encode(output.body)
    return Line(offset, output.key, value, (None, offset))


def in_order(topic: OutputTopic, outputs: Iterable[Output]) -> list[Output]:
    """Events by `at` and identity, of revised ones by revision."""
    if topic.revision is None:
        return sorted(outputs, key=lambda output: (output.at, output.id))
    identity, revision = attrgetter(f"body.{topic.identity}"), attrgetter(f"body.{topic.revision}")
    return sorted(outputs, key=lambda output: (output.at, identity(output), revision(output)))


def last_states(outputs: Iterable[Output]) -> list[Output]:
    """The last state of each key that is not deleted, by key."""
    last = {output.key: output for output in outputs if output.body is not None}
    return sorted(last.values(), key=lambda output: output.key or b"")


def json_line(output: Output) -> bytes:
    """One line of a replay's output: `published_at`, where there is one, equals `at`."""
    body: Struct | None = output.body
    if body is not None and "published_at" in body.__struct_fields__:
        body = msgspec.structs.replace(body, published_at=output.at)
    return orjson.dumps(msgspec.to_builtins(body)) + b"\n"


def replay(lines: Iterable[bytes], rulebook: Rulebook) -> Outputs:
    """Replay a whole recording."""
    run = Replay(rulebook)
    run.feed(lines)
    return run.end()


def written(outputs: Outputs) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Each file of a replay's output: its name and its lines."""
    for topic, messages in outputs.by_topic.items():
        yield f"{topic}.jsonl", map(json_line, messages)
