"""The input side of a shard: records become events, which wait for their order or are applied.

records ──decode──▶ rejected: dead letter      waits ──▶ reorder buffer
              └───▶ event ──duplicate?──▶ ─────┴ applied on arrival ──▶ key states

The first test that fails gives the reason: malformed, ahead of the clock, late, duplicate. A record that is rejected
changes nothing else (I-13).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypedDict, TypeVar

from vigil.app.engine.admission import UNCHECKED, KeyPlacement, PartitionOf, SourceRule
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.keyed_states import KeyedStates
from vigil.app.engine.lateness import IN_ORDER_MS
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.reorder_buffer import ReorderBuffer
from vigil.app.engine.source_reader import SourceReader
from vigil.app.engine.subject import Event, EventTime, Origin, OriginOf, ReadEvent, SourceRecord, StateMachine
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME, SourcePosition
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent
from vigil.topics.labels import OnIgnored

E = TypeVar("E", bound=Event)


class ShardOptions(TypedDict, total=False):
    """What a shard may be given: a worker gives the first part, a replay the last five."""

    lateness_by_topic: Mapping[str, int]
    """The allowed lateness (ms) of topics that have their own."""
    inputs: Collection[str]
    """The topics that others write: only of these it is checked where records lie and how far ahead they are. By
    default all."""
    max_ahead: int
    """By how much an event may be ahead of the wall clock, ms."""
    partitioner: str
    """By which its keys are placed; by default that is not checked."""
    partitioners: Mapping[str, PartitionOf]
    """The known partitioners by name."""
    partition: int
    """Its partition, for dead letters and where its keys belong."""
    store: ChangelogStore
    """What to restore it from."""
    rulebook: str
    """Digest of the rulebook, stored with every checkpoint."""
    topics: tuple[str, ...]
    """The names of its source topics on the cluster, stored with every checkpoint; by default the machine's."""
    sources: list[SourcePosition]
    """Its sources, shared with other shards so that they have one watermark."""
    collector: OutputCollector
    """Shared with other shards so that their outputs have one order."""
    origin_of: OriginOf
    """Partition and offset of a record for dead letters; by default the shard's partition and the record's offset."""
    readers: Sequence[ReadEvent[Any]]
    """What reads the records of each source, in the place of the machine's own."""
    clock: Callable[[], int]
    """What the watermark would be if it advanced with every record; by default the watermark itself."""


class ShardInput(ABC, Generic[E]):
    """Sources, reorder buffer and key states of a shard, and how records get into them."""

    event_time_order: ClassVar[bool]
    """Events are applied in the order of event time; otherwise on arrival."""

    def __init__(self, machine: StateMachine[E], lateness: int, options: ShardOptions) -> None:
        """Restore the positions and keys of `options["store"]`. `lateness`: the default of allowed lateness, ms."""
        self.machine = machine
        self.partition = options.get("partition")
        self.collector = options.get("collector") or OutputCollector()
        self.sources = options.get("sources") or [SourcePosition() for _ in machine.topics]
        self.store = options.get("store") or ChangelogStore()
        order = machine.order
        unawaited = order.unawaited if isinstance(order, EventTime) else ()
        self.awaited = tuple(topic not in unawaited for topic in machine.topics)
        """By source index: the watermark waits for the source; see EventTime."""
        self._origin_of: OriginOf = options.get("origin_of") or self._own_origin_of
        self._clock = options.get("clock")
        self._readers: Sequence[ReadEvent[E]] = options.get("readers") or readers_of(machine)
        rules = _source_rules(machine.topics, lateness, options)
        self.lateness = tuple(rule.lateness for rule in rules)
        """The allowed lateness of each source, ms."""
        self.reader = SourceReader(machine, self.sources, rules, self.collector, self._origin_of)
        self.reorder_buffer: ReorderBuffer[E] = ReorderBuffer()
        self.states = KeyedStates(machine, self.store, self.collector)
        self._events_counter = [f"events:{topic}" for topic in machine.topics]
        self._duplicates_counter = [f"duplicates:{topic}" for topic in machine.topics]
        self.topics = options.get("topics") or machine.topics
        self._on_ignored = [self._ignored_counter(topic) for topic in machine.topics]
        self.known_until = MAX_TIME
        """The rules are known for event times below it: nothing else is applied on arrival. The owner sets it; in
        event-time order, where it advances the watermark only so far instead, it leaves it as it is."""
        self.watermark = MIN_TIME
        """Everything below it was judged."""
        if self.store.marker is not None:
            self.watermark = self.store.marker.watermark
            self.reader.restore(self.store.marker, self.topics)

    def ingest(self, source_index: int, records: Sequence[SourceRecord], wall: int | None = None) -> bool:
        """Read records of one source in the order of their offsets; return True if any of them was an event.

        `wall`: the wall clock in ms if the worker is live; an event too far ahead of it is rejected. Records that were
        read before are skipped. In arrival order the first event that is not below `known_until` ends the reading:
        the source's read offset says how far it came. The loop runs for each event: it makes no call that it can do
        without.
        """
        source, reader, watermark = self.sources[source_index], self.reader, self.watermark
        records, any_event = self._not_read_before(source_index, records)
        read, origin_of = self._readers[source_index], self._origin_of
        buffer_event, rule = self.reorder_buffer.add, reader.rules[source_index]
        own_keys = rule.placement.own_keys
        buffered_from = watermark if self.event_time_order else MAX_TIME
        now = max(watermark, 0)
        on_ignored = self._on_ignored[source_index]
        accepted = MAX_TIME if wall is None else wall + rule.max_ahead
        latest = accepted if accepted < self.known_until else self.known_until - 1
        before = source.max_event_time
        newest = max(before, watermark + rule.lateness)
        late_from = rule.lateness if reader.drops_late[source_index] else MAX_TIME
        noted_from = MAX_TIME if wall is None else min(late_from, IN_ORDER_MS)
        behind: list[tuple[int, E]] = []
        event: E | None = None
        for record in records:
            try:
                event, key, dedup_key = read(record, now, origin_of, on_ignored)
                at = event.at
                if (at > latest or (own_keys is not None and record.key not in own_keys)) and self._must_wait(
                    rule, record, event, wall
                ):
                    records = _before(record, records)
                    break
            except InvalidEvent as invalid:
                self._note_misplaced(invalid.event, wall, accepted)
                reader.reject(source_index, record, invalid, watermark, wall)
                continue
            any_event = True
            max_event_time_before = before
            if at >= newest:
                source.max_event_time = before = newest = at
            elif at > before or newest - at > late_from:
                if self._came_late(source_index, record, event, newest - at, wall):
                    before, buffered_from = source.max_event_time, self._note_late(key, event)
                    continue
                before = source.max_event_time
            elif newest - at > noted_from:
                behind.append((newest - at, event))
            if dedup_key is not None and not self._register(dedup_key, key, event):
                self.collector.count(self._duplicates_counter[source_index])
            elif at >= buffered_from:
                buffer_event((at, source_index, record.offset, key, event, max_event_time_before, dedup_key))
            else:
                self._apply_on_arrival(key, event, source_index, record)
        source.read_offset = records[-1].offset + 1 if records else source.read_offset
        self._count_lateness(source_index, behind, None if wall is None else event, len(records))
        self.collector.count(self._events_counter[source_index], len(records))
        return any_event

    def _must_wait(self, rule: SourceRule, record: SourceRecord, event: E, wall: int | None) -> bool:
        """Return True if an event cannot be applied yet, because the rules of its time are not known; raise
        InvalidEvent if it is rejected."""
        rule.check(record.key, event, wall)
        return event.at >= self.known_until

    def _note_misplaced(self, event: E | None, wall: int | None, latest: int) -> None:
        """Live, let the machine take note of an event of which only the place is wrong, unless it is after `latest`."""
        if wall is not None and event is not None and event.at <= latest:
            self.machine.on_misrouted(event, self.collector)

    def _came_late(self, source_index: int, record: SourceRecord, event: E, behind: int, wall: int | None) -> bool:
        """Note an event that is `behind` (ms) the newest of its source; if it is late, reject it and return True."""
        source, at = self.sources[source_index], event.at
        if at > source.max_event_time:  # after idleness: below the watermark, and yet the newest
            source.max_event_time = at
            source.late_mover = min(source.late_mover, at)
        if not self.reader.drops_late[source_index]:
            return False
        if wall is not None:
            self.collector.lateness.note((self.machine.topics[source_index], self.machine.kind_of(event)), behind)
        lateness = self.reader.rules[source_index].lateness
        if behind <= lateness:
            return False
        why = InvalidEvent(f"at {at} is {behind - lateness} ms below the clock", "late")
        self.reader.reject(source_index, record, why, self.watermark, wall)
        return True

    def _count_lateness(self, source_index: int, behind: Iterable[tuple[int, E]], last: E | None, number: int) -> None:
        """Count a batch of `number` records, of which `last` is the last event, where lateness matters.

        `behind`: events that are out of order and not late, and by how much (ms). Not live, there is no `last`.
        """
        if last is not None and self.reader.drops_late[source_index]:
            topic, kind_of, lateness = self.machine.topics[source_index], self.machine.kind_of, self.collector.lateness
            for delay, event in behind:
                lateness.note((topic, kind_of(event)), delay)
            lateness.arrived((topic, kind_of(last)), number)

    def _note_late(self, key: str, event: E) -> int:
        """Judge what is due by now, and let the key of a late event take note of it; return the watermark."""
        if self._clock is not None:
            self.advance_watermark(self._clock())
        self.states.on_late(key, event, self.watermark)
        return self.watermark

    def _apply_on_arrival(self, key: str, event: E, source_index: int, record: SourceRecord) -> None:
        states = self.states
        try:
            states.apply(key, event, self.watermark)
        except InvalidEvent as refused:  # by its key; its time counts for the source all the same
            self.reader.reject(source_index, record, refused, self.watermark, None)
        if states.timers.earliest < self.watermark:
            states.fire(self.watermark)  # its timer had passed when it came

    def _ignored_counter(self, topic: str) -> OnIgnored:
        return lambda field, number: self.collector.count(f"fields_ignored:{topic}:{field}", number)

    def _own_origin_of(self, record: SourceRecord) -> Origin:
        return self.partition, record.offset

    def _not_read_before(
        self, source_index: int, records: Sequence[SourceRecord]
    ) -> tuple[Sequence[SourceRecord], bool]:
        """Return the records that were never read, and if any of the others was an event; ingest those that waited."""
        source = self.sources[source_index]
        if records and ((first := records[0].offset) < source.read_offset or first < source.stored_read_offset):
            return self._ingest_again(source_index, records)
        return records, False

    def _ingest_again(self, source_index: int, records: Sequence[SourceRecord]) -> tuple[Sequence[SourceRecord], bool]:
        """Ingest what was read before a restart and not applied; return the records that were never read."""
        source = self.sources[source_index]
        waited, any_event = self.reader.read_again(source_index, records, self.watermark)
        for record, event, max_event_time_before in waited:
            key, dedup_key = self.machine.key_of(event), self.machine.dedup_key(event)
            if dedup_key is not None and not self._register(dedup_key, key, event):
                continue
            if self.event_time_order and event.at >= self.watermark:
                pending = (event.at, source_index, record.offset, key, event, max_event_time_before, dedup_key)
                self.reorder_buffer.add(pending)
            else:
                self._apply_on_arrival(key, event, source_index, record)
        first = max(source.read_offset, source.stored_read_offset)
        return [record for record in records if record.offset >= first], any_event

    @abstractmethod
    def advance_watermark(self, watermark: int, limit: int | None = None) -> bool:
        """Advance to `watermark` (never back): apply every event and fire every timer with a time below it.

        In arrival order at most `limit` timers fire, and the watermark advances as far as they do: return True if there
        are more. Every supplier has one at the end of a month, and together they would block the worker.
        """

    @abstractmethod
    def _register(self, dedup_key: str, key: str, event: E) -> bool:
        """Note the identity of an event; return False if it is a duplicate of one that waits or was applied."""


def _before(record: SourceRecord, records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
    """The records of a source that come before one of them."""
    return [each for each in records if each.offset < record.offset]


def readers_of(machine: StateMachine[E]) -> list[ReadEvent[E]]:
    """What reads the records of each source."""
    return [machine.reader(source_index) for source_index in range(len(machine.topics))]


def _source_rules(topics: Sequence[str], lateness: int, options: ShardOptions) -> list[SourceRule]:
    by_topic, inputs = options.get("lateness_by_topic", {}), options.get("inputs", topics)
    placement = KeyPlacement(
        options.get("partitioner", UNCHECKED), options.get("partition"), options.get("partitioners", {})
    )
    max_ahead = options.get("max_ahead", MAX_AHEAD_MS)
    rules = []
    for topic in topics:
        allowed = by_topic.get(topic, lateness)
        rules.append(SourceRule(allowed, placement, max_ahead) if topic in inputs else SourceRule(allowed))
    return rules
