"""When the shards of a replay advance, and what else it does with them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vigil.app.domain.registry import Registry
from vigil.app.engine.subject import AnyStateMachine, EventTime
from vigil.app.runtime.replay_clocks import PlacedRecord
from vigil.topics.catalog import SubjectName
from vigil.topics.envelope import Output


class ReplayShard(Protocol):
    """What a replay does with a shard."""

    def ingest(self, source_index: int, records: Sequence[PlacedRecord]) -> object: ...

    def advance_watermark(self, watermark: int) -> object: ...

    def end_of_input(self, until: int) -> None: ...

    def final_outputs(self, until: int) -> list[Output]: ...


class Schedule:
    """Which shards of a replay advance when.

    A shard in order of event time that drops late events judges the same whenever it advances: it does so every BATCH
    lines. Any other judges a line by the watermark at its arrival: it advances before each line. Where its line may
    refer to what other subjects publish, as a review refers to a verdict, those advance first.

    A shard in order of event time that reads what an arrival-order shard writes gets events in no order of time. In a
    recording none of them is to be late for the order of lines: it advances when all of them are there, at the end.
    """

    def __init__(self, registry: Registry, machines: Mapping[SubjectName, AnyStateMachine]) -> None:
        self._registry = registry
        by_time = {subject for subject, machine in machines.items() if isinstance(machine.order, EventTime)}
        self.in_order_of_time = {
            subject
            for subject, machine in machines.items()
            if isinstance(machine.order, EventTime) and machine.order.drop_late
        }
        self.at_the_end = {
            subject for subject in by_time if any(writer not in by_time for writer in registry.depends_on[subject])
        }

    def inputs_of(self, subjects: set[SubjectName]) -> frozenset[str]:
        """The inputs that these subjects read."""
        sources = self._registry.sources
        return frozenset(topic for subject in subjects for topic in sources[subject] if self._registry.is_input(topic))
