"""The shards of all subjects, fed as a worker feeds them, with the cost of each kind of event.

    messages of a window ──batch of each topic──▶ ingest ──▶ advance ──▶ snapshot ──▶ outputs ──▶ shards that read them

In event-time order a batch has all records of a topic in the window. Then the watermark advances twice for each event,
to its time and past it, so that timers, events and what they bring about are distinguished. In arrival order a batch
has one record. What a batch or an advance costs without any event is not part of an event's cost: it has a row of its
own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

import orjson

from benchmarks.counting.tracer import Costs, counted
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.shards import make_shard
from vigil.app.engine.snapshot import Snapshot
from vigil.app.runtime.replay_clocks import LATENESS_MS
from vigil.topics.catalog import SubjectName

VERDICT: Final = "an event or timer with a verdict"


MOST_LOADED: Final = 5
"""Keys of each subject."""


class CountedMessage(NamedTuple):
    """One message, and what kind of event it is."""

    topic: str
    key: bytes | None
    value: bytes | None
    at: int
    sent_at: int
    kind: str


class CountedRecord(NamedTuple):
    """One record as a shard reads it."""

    offset: int
    key: bytes | None
    value: bytes | None


class EventCosts:
    """The costs of a number of events."""

    def __init__(self) -> None:
        self.number = 0
        self.costs = Costs()

    def add(self, costs: Costs, number: int) -> None:
        """Add the costs of `number` events."""
        self.number += number
        self.costs.add(costs)

    def each(self) -> Costs:
        """The costs of one event."""
        return self.costs.over(self.number)


class Advance(NamedTuple):
    """An advance of a watermark past `number` events of one kind; past timers only if `kind` is None."""

    kind: str | None
    number: int
    costs: Costs
    verdicts: int

    def named(self, subject: SubjectName) -> str:
        """The kind that its costs belong to."""
        if self.verdicts:
            return VERDICT
        if self.kind is not None:
            return self.kind
        return f"a timer of {subject}" if self.costs.calls_of("on_timer") else _not_due(subject)

    def counts_for(self) -> int:
        """How many of that kind it is."""
        if self.kind is None:
            return self.verdicts or self.costs.calls_of("on_timer")
        return self.verdicts or self.number


class CountedShards:
    """One shard of each of some subjects. What they publish for others goes nowhere."""

    def __init__(self, subjects: Sequence[SubjectName]) -> None:
        """`subjects`: in the order in which outputs flow."""
        machines = REGISTRY.machines(load_rulebook(), LATENESS_MS)
        self.shards = {name: make_shard(machines[name], LATENESS_MS, partition=0) for name in subjects}
        self.counting = False
        """Count the costs of each kind; otherwise the watermark advances once in a window, past all events at once."""
        self._offsets: dict[str, int] = defaultdict(int)
        self._waiting: dict[SubjectName, list[tuple[int, str]]] = defaultdict(list)
        """Event time and kind of what is not judged yet."""
        self._changed: dict[SubjectName, set[bytes | None]] = defaultdict(set)
        """The keys of what was read since the last checkpoint."""
        self._topics: dict[str, str] = {}
        """Of each kind that is judged in the order of event time."""
        self._ingested: dict[str, EventCosts] = defaultdict(EventCosts)
        """By topic; in arrival order by kind, and events are judged meanwhile."""
        self._others: dict[str, EventCosts] = defaultdict(EventCosts)
        """What is no event."""
        self._advances: dict[SubjectName, list[Advance]] = defaultdict(list)

    def window(self, messages: Iterable[CountedMessage], until: int) -> None:
        """Read what arrives before `until` (ms), judge what is due by then, and take checkpoints."""
        by_topic: dict[str, list[CountedMessage]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic].append(message)
        for topic, batch in by_topic.items():
            self._read(topic, batch, until)
        for subject, shard in self.shards.items():
            if shard.event_time_order:
                self._judge(subject, until - LATENESS_MS)
            self._advance(subject, until - LATENESS_MS, None)
            self._checkpoint(subject, until)

    def load(self) -> None:
        """Evict all states after a checkpoint, and load some again."""
        for subject, shard in self.shards.items():
            shard.confirm(shard.snapshot())
            shard.evict(0)
            keys = sorted(shard.states)[:MOST_LOADED]

            for key in keys:
                self._others[f"loading a key of {subject}"].add(counted(shard.states.get, key), 1)

    def results(self) -> dict[str, Costs]:
        """The costs of one of each kind; of an event: reading it into its shard, and judging it."""
        found = {kind: spent.each() for kind, spent in [*self._others.items(), *self._ingested.items()]}
        judged: dict[str, EventCosts] = defaultdict(EventCosts)
        for subject, advances in self._advances.items():
            bare = Costs()
            if self.shards[subject].event_time_order:
                bare = min((one.costs for one in advances if one.kind is None), key=Costs.total).over(1)
                found[f"an advance of {subject} without events"] = bare
                judged[_not_due(subject)].number = sum(one.number for one in advances if one.kind is not None)
            for one in advances:
                one.costs.add(bare, -1)
                judged[one.named(subject)].add(one.costs, one.counts_for())
        for kind, spent in judged.items():
            if spent.number:
                found[kind] = spent.each()
                if kind in self._topics:
                    found[kind].add(self._ingested[_ingesting(self._topics[kind])].each())
        return found

    # ---- the steps of a worker ----------------------------------------------------------------------------------

    def _read(self, topic: str, messages: Sequence[CountedMessage], now: int) -> None:
        subject = REGISTRY.readers[topic]
        shard = self.shards[subject]
        first = self._offsets[topic]
        self._offsets[topic] += len(messages)
        self._changed[subject].update(message.key for message in messages)
        records = [CountedRecord(first + number, one.key, one.value) for number, one in enumerate(messages)]
        if shard.event_time_order:
            self._topics.update((message.kind, topic) for message in messages)
            self._waiting[subject] += [(message.at, message.kind) for message in messages]
            self._ingest(topic, records, _ingesting(topic), now)
            return
        for record, message in zip(records, messages, strict=True):
            self._ingest(topic, [record], message.kind, now)

    def _ingest(self, topic: str, records: list[CountedRecord], kind: str, now: int) -> None:
        subject = REGISTRY.readers[topic]
        shard, source_index = self.shards[subject], REGISTRY.sources[subject].index(topic)
        if not self.counting:
            shard.ingest(source_index, records, now)
            return
        empty, costs = counted(shard.ingest, source_index, [], now), counted(shard.ingest, source_index, records, now)
        costs.add(empty, -1)
        self._others[f"a batch of {subject} without records"].add(empty, 1)
        self._ingested[kind].add(costs, len(records))

    def _judge(self, subject: SubjectName, target: int) -> None:
        shard, waiting = self.shards[subject], self._waiting[subject]
        due = sorted(each for each in waiting if each[0] < target)
        self._waiting[subject] = [each for each in waiting if each[0] >= target]
        for at, group in groupby(due if self.counting else (), key=itemgetter(0)):
            if at >= shard.watermark:  # else it was applied on arrival
                kinds = [kind for _, kind in group]
                self._advance(subject, at, None)
                self._advance(subject, at + 1, kinds[0] if len(set(kinds)) == 1 else "", len(kinds))

    def _advance(self, subject: SubjectName, to: int, kind: str | None, number: int = 1) -> None:
        shard = self.shards[subject]
        if not self.counting or to <= shard.watermark:
            shard.advance_watermark(to)
            return
        outputs = shard.collector.outputs
        known = len(outputs)
        costs = counted(shard.advance_watermark, to)
        if kind != "":  # events of several kinds at one time
            verdicts = sum(output.topic == "verdict" for output in outputs[known:])
            self._advances[subject].append(Advance(kind, number, costs, verdicts))

    def _checkpoint(self, subject: SubjectName, now: int) -> None:
        shard, changed = self.shards[subject], len(self._changed[subject])
        self._changed[subject].clear()
        if not shard.has_unsaved_state:
            return
        taken: list[Snapshot] = []

        def checkpoint() -> None:
            taken.append(shard.snapshot())
            shard.confirm(taken[0])

        if self.counting and changed:
            self._others[f"a checkpoint, a key of {subject}"].add(counted(checkpoint), changed)
        else:
            checkpoint()
        internal: dict[str, list[CountedMessage]] = defaultdict(list)
        for output in taken[0].outputs:
            if REGISTRY.readers.get(output.topic) in self.shards:
                at = output.at if output.payload is None else orjson.loads(output.payload)["at"]
                internal[output.topic].append(
                    CountedMessage(output.topic, output.key, output.payload, at, now, output.topic)
                )
        for topic, messages in internal.items():
            self._read(topic, messages, now)


def _not_due(subject: SubjectName) -> str:
    return f"timers of {subject} that are not due yet, an event"


def _ingesting(topic: str) -> str:
    return f"ingesting {topic}"
