"""One replay's shards in all jobs: what is sent to them, and what they publish, in the order of one process."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.subject import AnyStateMachine, Event, EventTime, SourceRecord
from vigil.app.runtime.jobs import messages
from vigil.app.runtime.jobs.messages import Counted, PlacedOutput
from vigil.app.runtime.jobs.order import BY_KEYS
from vigil.app.runtime.jobs.pool import Jobs
from vigil.app.runtime.jobs.recipe import Recipe
from vigil.app.runtime.jobs.split_shard import ArrivalSplit, EventTimeSplit
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.topics.catalog import SubjectName, inputs
from vigil.topics.envelope import Output

SPLIT: Final[frozenset[SubjectName]] = frozenset({"rooms", "suppliers"})
"""The subjects that jobs judge: nearly all lines are theirs. The others read little, and what all keys publish."""


class JobGroup:
    """One replay's shards in all jobs."""

    def __init__(self, jobs: Jobs, recipe: Recipe, lateness: AllowedLateness) -> None:
        self._jobs = jobs
        self._number = jobs.open(pickle.dumps((recipe, lateness)))
        self._published = False
        """True if a job may have published since the last gathering."""
        self._links: list[ShardLink] = []

    def maker(self, subject: SubjectName) -> Callable[..., AnyShard]:
        """Return what makes a shard of a subject, as `make_shard` does."""

        def make(machine: AnyStateMachine, lateness: int, **options: Any) -> AnyShard:
            link = ShardLink(self, self._jobs, self._jobs.new_shard(self._number, subject))
            self._links.append(link)
            kind = EventTimeSplit if isinstance(machine.order, EventTime) else ArrivalSplit
            return kind(machine, lateness, link, **options)

        return make

    def may_publish(self) -> None:
        """Note that something was sent from which an output may follow."""
        self._published = True

    def gather(self, collectors: Sequence[OutputCollector]) -> None:
        """Add to the replay's collectors what the jobs have published since the last call, in order."""
        for link in self._links:
            link.catch_up()
        if not self._published:
            return
        self._published = False
        replies: Iterable[list[PlacedOutput]] = self._jobs.ask(messages.Gather(self._number))
        for _, number, output in sorted(chain.from_iterable(replies), key=itemgetter(0)):
            collectors[number].outputs.append(output)

    def add_counts(self, collector: OutputCollector) -> None:
        """Add what the jobs have counted; what depends on the line alone, the replay itself has counted."""
        replies: list[Counted] = self._jobs.ask(messages.GatherCounts(self._number))
        for counts, _ in replies:
            for name, number in counts.items():
                if not _of_line(name):
                    collector.count(name, number)
        _add_names(replies, collector)


class ShardLink:
    """The way from a replay to one of its shards."""

    def __init__(self, group: JobGroup, jobs: Jobs, shard: int) -> None:
        self._group = group
        self._jobs = jobs
        self._shard = shard
        self.next_number: Final = jobs.next_number
        self._watermark: int | None = None
        """To which the shard is advanced before anything is gathered."""

    def lines_of(self, key: str) -> messages.Lines:
        return self._jobs.of_key(key.encode()).lines_of(self._shard)

    def added(self, number: int) -> bool:
        self._group.may_publish()
        return self._jobs.added(number)

    def record(self, key: bytes, source_index: int, record: SourceRecord, offset: int | None, watermark: int) -> None:
        number = self.next_number()
        place = number if offset is None else offset
        self._jobs.of_key(key).send(
            messages.Record(self._shard, number, place, watermark, source_index, key, record.value)
        )
        self._group.may_publish()

    def late(self, key: str, event: Event) -> None:
        command = messages.Late(self._shard, self.next_number(), key, pickle.dumps(event))
        self._jobs.of_key(key.encode()).send(command)
        self._group.may_publish()

    def advance(self, watermark: int) -> None:
        self._jobs.send_all(messages.AdvanceTo(self._shard, self._jobs.next_number(), watermark))
        self._group.may_publish()

    def advance_early(self, watermark: int) -> None:
        self._jobs.send_all(messages.AdvanceEarly(self._shard, watermark))

    def advance_later(self, watermark: int) -> None:
        self._watermark = watermark

    def catch_up(self) -> None:
        """Advance the shard as far as it may."""
        if self._watermark is not None:
            self.advance(self._watermark)
            self._watermark = None

    def end_of_input(self, until: int) -> None:
        self.catch_up()
        self._jobs.send_all(messages.EndOfInput(self._shard, self._jobs.next_number(), until))
        self._group.may_publish()

    def final_outputs(self, until: int) -> list[Output]:
        replies: list[list[tuple[str, list[Output]]]] = self._jobs.ask(messages.FinalOutputs(self._shard, until))
        by_key = sorted(chain.from_iterable(replies), key=itemgetter(0))
        return [output for _, outputs in by_key for output in outputs]


def _of_line(name: str) -> bool:
    kind, _, rest = name.partition(":")
    topic, _, what = rest.partition(":")
    if kind == "refused" and what == BY_KEYS:
        return False
    return kind in ("events", "fields_ignored", "refused") and topic in inputs()


def _add_names(replies: Iterable[Counted], collector: OutputCollector) -> None:
    """Count the names that came first by themselves, and the others together, as one collector does."""
    found: dict[tuple[str, str], tuple[messages.Place, int]] = {}
    for _, names in replies:
        for named, (place, number) in names.items():
            first, before = found.get(named, (place, 0))
            found[named] = min(first, place), before + number
    for (counter, name), (_, number) in sorted(found.items(), key=itemgetter(1)):
        for _ in range(number):
            collector.count_name(counter, name)
