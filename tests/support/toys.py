"""Three small subjects for shards, each with what is hard about the real ones, and their expected results.

    OrderedToy   event-time order, late events are dropped: the order shows in a running `trail`; alarms by timers, ids
                 remembered in chunks, expiry by a timer and by an event, rate-limited state outputs
    PatientToy   event-time order, late events are applied on arrival: its result does not depend on the order
    ArrivalToy   arrival order: its result does not depend on the order

`expected` computes the result of a story by sorting it as a whole: no shard, no batches, no watermark that advances.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from zlib import crc32

import msgspec
from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.app.engine.subject import (
    Arrival,
    EventTime,
    KeyStateDefaults,
    Order,
    OriginOf,
    StateChunks,
    StateMachineDefaults,
)
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.decoder import decode_own, nobody
from vigil.topics.envelope import Output, encode_body
from vigil.topics.fields import InvalidEvent
from vigil.topics.labels import OnIgnored

ALARM = 700
"""Time from an event that arms a key to its alarm, ms."""
REMEMBER = 3000
"""How long ids are remembered, ms."""
EXPIRE_AFTER = 6000
"""A key expires after this long without events, ms."""
THROTTLE = 900
"""Least time between two state outputs of a key, ms."""
CHUNK_MS = 500
"""Ids of this many milliseconds share a chunk."""

Do = Literal["say", "arm", "calm", "leave"]


class Event(Struct, frozen=True):
    key: str
    at: int
    do: Do = "say"
    id: str | None = None


class SourceRecord(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


class Summary(Struct, frozen=True):
    trail: int
    said: int


decode_event = msgspec.json.Decoder(Event)
encode = msgspec.msgpack.Encoder().encode


def message(offset: int, event: Event | None) -> SourceRecord:
    """An event as a record; None makes one that is rejected."""
    if event is None:
        return SourceRecord(offset, b"?", b"{nonsense")
    return SourceRecord(offset, event.key.encode(), msgspec.json.encode(event))


def event_of(message: SourceRecord) -> Event | None:
    """The event of a record; None if it will be rejected."""
    try:
        return decode_own(decode_event, message.value)
    except InvalidEvent:
        return None


class Main(Struct, array_like=True):
    trail: int = 0
    said: int = 0
    alarm: int = MAX_TIME
    last: int = MIN_TIME
    published_at: int = MIN_TIME
    unpublished: bool = False
    left: bool = False


class OrderedState(KeyStateDefaults[Event]):
    def __init__(self, key: str, chunks: StateChunks) -> None:
        self.key = key
        self.main = msgspec.msgpack.decode(chunks[b""], type=Main) if b"" in chunks else Main()
        self.ids: dict[int, dict[str, int]] = {
            int(name): msgspec.msgpack.decode(stored) for name, stored in chunks.items() if name
        }
        self.changed: set[int | None] = set()

    def is_duplicate(self, event: Event) -> bool:
        return any(event.id in chunk and event.at < chunk[event.id] + REMEMBER for chunk in self.ids.values())

    def apply(self, event: Event, watermark: int, collector: OutputCollector) -> None:
        if self.main.left:  # left, and came back before anybody looked
            self.main = Main()
            self.changed |= set(self.ids)
            self.ids.clear()
        main = self.main
        main.trail = crc32(f"{main.trail}|{event.at}|{event.do}|{event.id}".encode())
        main.said += 1
        main.last = max(main.last, event.at)
        main.unpublished = True
        if event.id is not None:
            self.ids.setdefault(event.at // CHUNK_MS, {})[event.id] = event.at
            self.changed.add(event.at // CHUNK_MS)
        if event.do == "arm":
            main.alarm = min(main.alarm, event.at + ALARM)
        elif event.do == "calm":
            main.alarm = MAX_TIME
        elif event.do == "leave":
            main.left = True
        elif event.do == "say":
            collector.emit("said", self.key, f"said|{self.key}|{event.at}|{main.said}", event.at, self.summary())
        self.changed.add(None)

    def next_timer(self) -> int:
        if self.main.left:
            return MAX_TIME
        oldest = min(self.ids, default=None)
        expires = MAX_TIME if oldest is None else (oldest + 1) * CHUNK_MS + REMEMBER
        return min(self.main.alarm, self.main.last + EXPIRE_AFTER, expires)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        main = self.main
        if main.alarm <= at:
            main.alarm = MAX_TIME
            main.trail = crc32(f"{main.trail}|alarm|{at}".encode())
            main.unpublished = True
            collector.emit("alarm", self.key, f"alarm|{self.key}|{at}", at, self.summary())
        for chunk in [chunk for chunk in self.ids if (chunk + 1) * CHUNK_MS + REMEMBER <= at]:
            del self.ids[chunk]
            self.changed.add(chunk)
        if main.last + EXPIRE_AFTER <= at:
            main.left = True
            main.unpublished = False
            collector.emit("status", self.key, f"status|{self.key}|{at}", at, None)
        self.changed.add(None)

    def summary(self) -> Summary:
        return Summary(self.main.trail, self.main.said)

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        main = self.main
        if not final and not (main.unpublished and (main.left or watermark >= main.published_at + THROTTLE)):
            return ()
        body = None if main.left else self.summary()
        return (Output("status", self.key.encode(), f"status|{self.key}|{watermark}", watermark, body),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        for output in outputs:
            self.main.published_at = output.at
            self.main.unpublished = False
            self.changed.add(None)

    def has_deferred_output(self) -> bool:
        return self.main.unpublished

    def expired(self) -> bool:
        return self.main.left

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        chunks: dict[bytes, bytes | None] = {}
        for chunk in self.changed:
            if chunk is None:
                chunks[b""] = encode(self.main)
            else:
                chunks[b"%d" % chunk] = encode(self.ids[chunk]) if chunk in self.ids else None
        self.changed.clear()
        return chunks

    def everything(self) -> Any:
        """Everything that must be equal: not when a state output was published."""
        main = self.main
        return main.trail, main.said, main.alarm, main.last, sorted(self.ids.items())


class SumMain(Struct, array_like=True):
    total: int = 0
    due: dict[str, int] = {}
    done: list[str] = []
    published_at: int = MIN_TIME
    unpublished: bool = False


class SumState(KeyStateDefaults[Event]):
    """What it says of an id depends on that id's event alone."""

    def __init__(self, key: str, chunks: StateChunks) -> None:
        self.key = key
        self.main = msgspec.msgpack.decode(chunks[b""], type=SumMain) if b"" in chunks else SumMain()
        self.changed = False

    def is_duplicate(self, event: Event) -> bool:
        return event.id in self.main.due or event.id in self.main.done

    def apply(self, event: Event, watermark: int, collector: OutputCollector) -> None:
        assert event.id is not None
        assert not self.is_duplicate(event), "a duplicate was applied"
        self.main.total += crc32(f"{event.id}|{event.at}".encode())
        self.main.due[event.id] = event.at + ALARM
        self.main.unpublished = self.changed = True
        collector.emit("said", self.key, f"said|{event.id}", event.at, Summary(event.at, 1))

    def next_timer(self) -> int:
        return min(self.main.due.values(), default=MAX_TIME)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        for id_ in sorted(id_ for id_, due in self.main.due.items() if due <= at):
            due = self.main.due.pop(id_)
            self.main.done.append(id_)
            collector.emit("alarm", self.key, f"alarm|{id_}", due, Summary(due, 1))
        self.main.unpublished = self.changed = True

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        main = self.main
        if not final and not (main.unpublished and watermark >= main.published_at + THROTTLE):
            return ()
        body = Summary(main.total, len(main.done))
        return (Output("status", self.key.encode(), f"status|{self.key}|{watermark}", watermark, body),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        for output in outputs:
            self.main.published_at = output.at
            self.main.unpublished = False
            self.changed = True

    def has_deferred_output(self) -> bool:
        return self.main.unpublished

    def expired(self) -> bool:
        return False

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        changed, self.changed = self.changed, False
        return {b"": encode(self.main)} if changed else {}

    def everything(self) -> Any:
        return self.main.total, sorted(self.main.due.items()), sorted(self.main.done)


def drops_late(toy: "Toy") -> bool:
    """True if the toy sends late events to `dead-letter`."""
    return isinstance(toy.order, EventTime) and toy.order.drop_late


class Toy(StateMachineDefaults[Event]):
    """What the three have in common."""

    state: type[Any]
    topics: tuple[str, ...] = ("entry", "remark", "look")
    order: Order = EventTime(drop_late=True)

    def decode(
        self, source_index: int, record: Any, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> Event:
        return decode_own(decode_event, record.value)

    def key_of(self, event: Event) -> str:
        return event.key

    def dedup_key(self, event: Event) -> str | None:
        return None if event.id is None else f"{event.key}|{event.id}"

    def load(self, key: str, chunks: StateChunks) -> Any:
        return self.state(key, chunks)


class OrderedToy(Toy):
    state = OrderedState


class PatientToy(Toy):
    state = SumState
    order: Order = EventTime(drop_late=False)


class ArrivalToy(Toy):
    state = SumState
    order: Order = Arrival()


class Outcome(NamedTuple):
    """The result of a story: outputs by topic and identity, and by key the last state output and the state."""

    outputs: dict[tuple[str, str], bytes | None]
    state_outputs: dict[str, bytes | None]
    states: dict[str, Any]


def expected(toy: Toy, sources: list[list[SourceRecord]], lateness: int, until: int) -> Outcome:
    """What must come of the messages by the specification once the clock has passed `until`, judged as a whole."""
    collector = OutputCollector()
    events: list[tuple[int, int, int, Event]] = []
    for source_index, messages in enumerate(sources):
        largest = MIN_TIME
        known: set[tuple[str, str]] = set()
        for record in messages:
            offset, key, value = record
            watermark = max(largest - lateness, 0)
            try:
                event = toy.decode(source_index, record, 0, lambda record: (0, record.offset), nobody)
            except InvalidEvent as refused:
                rejected = RejectedRecord(toy.topics[source_index], 0, offset, key, value)
                collector.emit_dead_letter(rejected, "malformed", refused.detail, watermark)
                continue
            if drops_late(toy) and event.at < largest - lateness:
                detail = f"at {event.at} is {largest - lateness - event.at} ms below the clock"
                rejected = RejectedRecord(toy.topics[source_index], 0, offset, key, value)
                collector.emit_dead_letter(rejected, "late", detail, watermark)
                continue
            largest = max(largest, event.at)
            if event.id is not None:
                if (event.key, event.id) in known:
                    continue
                known.add((event.key, event.id))
            events.append((event.at, source_index, offset, event))
    states: dict[str, Any] = {}
    state_outputs: dict[str, bytes | None] = {}

    def fire_before(at: int) -> None:
        while states:
            due, key = min((state.next_timer(), key) for key, state in states.items())
            if due >= at:
                return
            states[key].on_timer(due, collector)
            if states[key].expired():
                del states[key]

    for at, _, _, event in sorted(events, key=lambda entry: entry[:3]):
        fire_before(at)
        state = states.setdefault(event.key, toy.load(event.key, {}))
        state.apply(event, at, collector)
        state_outputs[event.key] = None
        if state.expired():
            del states[event.key]
    fire_before(until + 1)
    for key, state in states.items():
        for status in state.pending_outputs(until + 1, True):
            state_outputs[key] = encode_body(status.body)
    outputs = {(o.topic, o.id): encode_body(o.body) for o in collector.outputs if o.topic != "status"}
    return Outcome(outputs, state_outputs, {key: state.everything() for key, state in states.items()})
