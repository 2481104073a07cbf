"""One job: the shards of a share of the keys, in a process of its own. It ends when nobody writes to it any more.

commands on standard input ──▶ shards: apply, fire timers ──▶ outputs with their places, on standard output
"""

import pickle
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from vigil.app.domain.registry import REGISTRY
from vigil.app.engine.shard import Shard
from vigil.app.engine.shard_input import ShardOptions
from vigil.app.engine.shards import EventTimeShard
from vigil.app.engine.subject import AnyStateMachine, EventTime
from vigil.app.runtime.interpreter import tune_collector
from vigil.app.runtime.jobs import messages
from vigil.app.runtime.jobs.messages import Counted, Place, PlacedOutput
from vigil.app.runtime.jobs.order import LATER, FiringShard, JobCollector, WatchedBuffer
from vigil.app.runtime.jobs.recipe import Recipe
from vigil.app.runtime.recorded_events import RecordedEvent, event_decoder, readers
from vigil.app.runtime.recording import Line
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.topics.envelope import Output


class JobMachines:
    """The machines and collectors of one replay."""

    def __init__(self, recipe: Recipe, lateness: AllowedLateness) -> None:
        self.collectors = [JobCollector()]
        self.machines: Final = recipe.machines(self._candidate)
        self.lateness: Final = lateness

    def options(self, machine: AnyStateMachine) -> ShardOptions:
        """Of a shard of the machine."""
        return {
            "lateness_by_topic": self.lateness.by_topic,
            "origin_of": attrgetter("place"),
            "collector": self.collectors[0],
            "readers": readers(machine, REGISTRY.topics),
        }

    def _candidate(self) -> JobCollector:
        self.collectors.append(JobCollector(self.collectors[0]))
        return self.collectors[-1]

    def published(self) -> list[PlacedOutput]:
        """What was published since the last call."""
        found = []
        for number, collector in enumerate(self.collectors):
            pairs = zip(collector.places, collector.outputs, strict=True)
            found += [PlacedOutput(place, number, output) for place, output in pairs]
            collector.places.clear()
            collector.outputs.clear()
        return found


class JobShard(ABC):
    """One shard of a job."""

    def __init__(self, group: JobMachines, machine: AnyStateMachine, shard: Shard[Any]) -> None:
        self.collector = group.collectors[0]
        self.shard = shard
        self.index_of: Final = machine.topics.index

    @abstractmethod
    def lines(self, events: list[RecordedEvent], watermarks: list[int]) -> None:
        """Ingest lines."""

    @abstractmethod
    def record(self, command: messages.Record, record: Line) -> None:
        """Ingest one record that is decoded where it is read."""

    @abstractmethod
    def advance(self, number: int, watermark: int) -> None:
        """Apply and fire what is due."""

    @abstractmethod
    def end_of_input(self, number: int, until: int) -> None:
        """Let every key act on the end of the input."""

    def final_outputs(self, until: int) -> list[tuple[str, list[Output]]]:
        """The final outputs by key."""
        states = self.shard.states
        return [(key, list(states.get(key).pending_outputs(until, True))) for key in sorted(states)]


class EventTimeJobShard(JobShard):
    """Of a subject whose events wait for their order."""

    def __init__(self, group: JobMachines, machine: AnyStateMachine) -> None:
        super().__init__(group, machine, EventTimeShard(machine, group.lateness.default, **group.options(machine)))
        self.buffer: Final = WatchedBuffer()
        self.shard.reorder_buffer = self.buffer
        self._collectors: Final = group.collectors
        self._early: Final[list[list[tuple[Place, Output]]]] = [[] for _ in group.collectors]
        """By collector: what was published before the replay has advanced so far."""
        self._named_early: Final[dict[tuple[str, str], Place]] = {}
        """Names from events that were first counted before that."""

    def lines(self, events: list[RecordedEvent], watermarks: list[int]) -> None:
        by_topic: dict[str, list[RecordedEvent]] = {}
        for event in events:
            by_topic.setdefault(event.topic, []).append(event)
        for topic, records in by_topic.items():
            self.shard.ingest(self.index_of(topic), records)

    def record(self, command: messages.Record, record: Line) -> None:
        self.collector.place = lambda: (0, command.number)
        self.shard.ingest(command.source_index, (record,))

    def late(self, number: int, key: str, event: Any) -> None:
        """Report a late event to its key."""
        self.collector.place = lambda: (0, number)
        self.shard.states.on_late(key, event, self.shard.watermark)

    def advance(self, number: int, watermark: int) -> None:
        for collector, early in zip(self._collectors, self._early, strict=True):
            collector.places += ((0, number, *place[2:]) for place, _ in early)
            collector.outputs += (output for _, output in early)
            early.clear()
        for name, place in self._named_early.items():
            self.collector.named_at(name, (0, number, *place[2:]))
        self._named_early.clear()
        self._advance(number, watermark)

    def _advance(self, number: int, watermark: int) -> None:
        self.collector.place = lambda: self._place(number)
        self.shard.advance_watermark(watermark)

    def advance_early(self, watermark: int) -> None:
        """Advance, and keep what is published until the next `advance`."""
        before = [len(collector.outputs) for collector in self._collectors]
        self._advance(LATER, watermark)
        for name, place in self.collector.named_early.items():
            self._named_early.setdefault(name, place)
        self.collector.named_early.clear()
        for collector, early, length in zip(self._collectors, self._early, before, strict=True):
            early += zip(collector.places[length:], collector.outputs[length:], strict=True)
            del collector.places[length:], collector.outputs[length:]

    def end_of_input(self, number: int, until: int) -> None:
        self.collector.place = lambda: self._place(number)
        self.collector.now = until
        self.shard.end_of_input(until)

    def _place(self, number: int) -> Place:
        now, applied = self.collector.now, self.buffer.applied
        if applied is not None and applied[0] == now:
            return 0, number, now, 0, applied[1], applied[2]
        return 0, number, now, 1, self.collector.key


class ArrivalJobShard(JobShard):
    """Of a subject that judges on arrival."""

    def __init__(self, group: JobMachines, machine: AnyStateMachine) -> None:
        self._watermarks: Iterator[int] = iter(())
        options = group.options(machine)
        options["clock"] = lambda: next(self._watermarks)
        self.shard: FiringShard = FiringShard(machine, group.lateness.default, **options)
        super().__init__(group, machine, self.shard)

    def lines(self, events: list[RecordedEvent], watermarks: list[int]) -> None:
        self.collector.place = self._place
        self._watermarks = iter(watermarks)
        for topic, run in groupby(events, attrgetter("topic")):
            self.shard.ingest_lines(self.index_of(topic), list(run))

    def record(self, command: messages.Record, record: Line) -> None:
        self.collector.place = self._place
        self._watermarks = iter((command.watermark,))
        self.shard.ingest_lines(command.source_index, (record,))

    def advance(self, number: int, watermark: int) -> None:
        self.collector.place = self._place
        self.shard.advance_watermark(watermark)

    def end_of_input(self, number: int, until: int) -> None:
        self.collector.place = lambda: (1, until, 3, self.collector.key)
        self.collector.now = until
        self.shard.end_of_input(until)

    def _place(self) -> Place:
        shard = self.shard
        if shard.fires:
            return 1, self.collector.now, 1, self.collector.key
        return 1, shard.watermark - 1, 2, 0 if shard.record is None else shard.record.offset


class Job:
    """All shards of a job."""

    def __init__(self, reply: Callable[[Any], None]) -> None:
        self._reply = reply
        self._groups: dict[int, JobMachines] = {}
        self._shards: dict[int, JobShard] = {}
        self._decode = event_decoder([topic for topic in REGISTRY.topics.values() if topic.direction == "in"])
        self._handlers: Final[dict[type, Callable[[Any], None]]] = {
            messages.Open: self._open,
            messages.NewShard: self._new_shard,
            messages.Lines: self._lines,
            messages.Record: self._record,
            messages.Late: self._late,
            messages.AdvanceTo: lambda each: self._shards[each.shard].advance(each.number, each.watermark),
            messages.AdvanceEarly: self._advance_early,
            messages.EndOfInput: lambda each: self._shards[each.shard].end_of_input(each.number, each.until),
            messages.Gather: lambda each: self._reply(self._groups[each.group].published()),
            messages.FinalOutputs: lambda each: self._reply(self._shards[each.shard].final_outputs(each.until)),
            messages.GatherCounts: self._counts,
        }

    def handle(self, command: messages.Command) -> None:
        """Do what a command says."""
        self._handlers[type(command)](command)

    def _open(self, command: messages.Open) -> None:
        self._groups[command.group] = JobMachines(*pickle.loads(command.setup))  # noqa: S301 - of the replay

    def _new_shard(self, command: messages.NewShard) -> None:
        group = self._groups[command.group]
        machine = group.machines[command.subject]
        kind = EventTimeJobShard if isinstance(machine.order, EventTime) else ArrivalJobShard
        self._shards[command.shard] = kind(group, machine)

    def _lines(self, command: messages.Lines) -> None:
        events = [self._decode(text) for text in command.texts]
        for event, offset in zip(events, command.offsets, strict=True):
            event.offset = offset
        self._shards[command.shard].lines(events, command.watermarks)

    def _record(self, command: messages.Record) -> None:
        line = Line(command.offset, command.key, command.value, (None, command.offset))
        self._shards[command.shard].record(command, line)

    def _late(self, command: messages.Late) -> None:
        event = pickle.loads(command.event)  # noqa: S301 - of the replay
        shard = self._shards[command.shard]
        if isinstance(shard, EventTimeJobShard):
            shard.late(command.number, command.key, event)

    def _advance_early(self, command: messages.AdvanceEarly) -> None:
        shard = self._shards[command.shard]
        if isinstance(shard, EventTimeJobShard):
            shard.advance_early(command.watermark)

    def _counts(self, command: messages.GatherCounts) -> None:
        collector = self._groups[command.group].collectors[0]
        self._reply(Counted(collector.counts, collector.names))


def main() -> None:
    """Run a job."""
    commands, replies = sys.stdin.buffer, sys.stdout.buffer

    def reply(content: Any) -> None:
        messages.write_frame(replies, pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
        replies.flush()

    job = Job(reply)
    tune_collector()
    while (frame := messages.read_frame(commands)) is not None:
        job.handle(messages.decode(frame))


if __name__ == "__main__":
    main()
