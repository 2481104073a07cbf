"""Three small subjects that a shard can carry, each with what is hard about the real ones, and what must come of them.

    OrderedToy   judged in event time, refuses late ones: the order shows in a running `trail`; alarms, a memory of ids
              in pieces, forgetting by a deadline and by an event, a throttled status
    PatientToy   judged in event time, takes late ones on arrival: its result does not depend on the order
    ArrivalToy   judged on arrival: likewise

`expected` says what must come of a story by sorting it as a whole: no shard, no batches, no clock that moves.
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
from vigil.topics.envelope import Output, encode_body
from vigil.topics.fields import InvalidEvent, decode_json

ALARM = 700
"""An armed key sounds its alarm so much later."""
REMEMBER = 3000
"""Ids are remembered for so long."""
FORGET = 6000
"""A key is forgotten after so much silence."""
THROTTLE = 900
"""A status is told at most so often."""
PIECE = 500
"""Ids of so much time are stored together."""

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


class Told(Struct, frozen=True):
    trail: int
    said: int


decode_event = msgspec.json.Decoder(Event)
encode = msgspec.msgpack.Encoder().encode


def message(offset: int, event: Event | None) -> SourceRecord:
    """An event as a message; None makes one that is refused."""
    if event is None:
        return SourceRecord(offset, b"?", b"{nonsense")
    return SourceRecord(offset, event.key.encode(), msgspec.json.encode(event))


def event_of(message: SourceRecord) -> Event | None:
    """The event of a message; None where it will be refused."""
    try:
        return decode_json(decode_event, message.value)
    except InvalidEvent:
        return None


class Main(Struct, array_like=True):
    trail: int = 0
    said: int = 0
    alarm: int = MAX_TIME
    last: int = MIN_TIME
    told_at: int = MIN_TIME
    untold: bool = False
    gone: bool = False


class OrderedState(KeyStateDefaults[Event]):
    def __init__(self, key: str, chunks: StateChunks) -> None:
        self.key = key
        self.main = msgspec.msgpack.decode(chunks[b""], type=Main) if b"" in chunks else Main()
        self.ids: dict[int, dict[str, int]] = {
            int(name): msgspec.msgpack.decode(stored) for name, stored in chunks.items() if name
        }
        self.changed: set[int | None] = set()

    def is_duplicate(self, event: Event) -> bool:
        return any(event.id in piece and event.at < piece[event.id] + REMEMBER for piece in self.ids.values())

    def apply(self, event: Event, watermark: int, collector: OutputCollector) -> None:
        if self.main.gone:  # left, and came back before anybody looked
            self.main = Main()
            self.changed |= set(self.ids)
            self.ids.clear()
        main = self.main
        main.trail = crc32(f"{main.trail}|{event.at}|{event.do}|{event.id}".encode())
        main.said += 1
        main.last = max(main.last, event.at)
        main.untold = True
        if event.id is not None:
            self.ids.setdefault(event.at // PIECE, {})[event.id] = event.at
            self.changed.add(event.at // PIECE)
        if event.do == "arm":
            main.alarm = min(main.alarm, event.at + ALARM)
        elif event.do == "calm":
            main.alarm = MAX_TIME
        elif event.do == "leave":
            main.gone = True
        elif event.do == "say":
            collector.emit("said", self.key, f"said|{self.key}|{event.at}|{main.said}", event.at, self.told())
        self.changed.add(None)

    def next_timer(self) -> int:
        if self.main.gone:
            return MAX_TIME
        oldest = min(self.ids, default=None)
        forgets = MAX_TIME if oldest is None else (oldest + 1) * PIECE + REMEMBER
        return min(self.main.alarm, self.main.last + FORGET, forgets)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        main = self.main
        if main.alarm <= at:
            main.alarm = MAX_TIME
            main.trail = crc32(f"{main.trail}|alarm|{at}".encode())
            main.untold = True
            collector.emit("alarm", self.key, f"alarm|{self.key}|{at}", at, self.told())
        for piece in [piece for piece in self.ids if (piece + 1) * PIECE + REMEMBER <= at]:
            del self.ids[piece]
            self.changed.add(piece)
        if main.last + FORGET <= at:
            main.gone = True
            main.untold = False
            collector.emit("status", self.key, f"status|{self.key}|{at}", at, None)
        self.changed.add(None)

    def told(self) -> Told:
        return Told(self.main.trail, self.main.said)

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        main = self.main
        if not final and not (main.untold and (main.gone or watermark >= main.told_at + THROTTLE)):
            return ()
        body = None if main.gone else self.told()
        return (Output("status", self.key.encode(), f"status|{self.key}|{watermark}", watermark, body),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        for output in outputs:
            self.main.told_at = output.at
            self.main.untold = False
            self.changed.add(None)

    def has_deferred_output(self) -> bool:
        return self.main.untold

    def expired(self) -> bool:
        return self.main.gone

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        told: dict[bytes, bytes | None] = {}
        for piece in self.changed:
            if piece is None:
                told[b""] = encode(self.main)
            else:
                told[b"%d" % piece] = encode(self.ids[piece]) if piece in self.ids else None
        self.changed.clear()
        return told

    def everything(self) -> Any:
        """All that counts: when a status was told is no part of it."""
        main = self.main
        return main.trail, main.said, main.alarm, main.last, sorted(self.ids.items())


class SumMain(Struct, array_like=True):
    total: int = 0
    due: dict[str, int] = {}
    done: list[str] = []
    told_at: int = MIN_TIME
    untold: bool = False


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
        self.main.untold = self.changed = True
        collector.emit("said", self.key, f"said|{event.id}", event.at, Told(event.at, 1))

    def next_timer(self) -> int:
        return min(self.main.due.values(), default=MAX_TIME)

    def on_timer(self, at: int, collector: OutputCollector) -> None:
        for id_ in sorted(id_ for id_, due in self.main.due.items() if due <= at):
            due = self.main.due.pop(id_)
            self.main.done.append(id_)
            collector.emit("alarm", self.key, f"alarm|{id_}", due, Told(due, 1))
        self.main.untold = self.changed = True

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        main = self.main
        if not final and not (main.untold and watermark >= main.told_at + THROTTLE):
            return ()
        body = Told(main.total, len(main.done))
        return (Output("status", self.key.encode(), f"status|{self.key}|{watermark}", watermark, body),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        for output in outputs:
            self.main.told_at = output.at
            self.main.untold = False
            self.changed = True

    def has_deferred_output(self) -> bool:
        return self.main.untold

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

    def decode(self, source_index: int, record: Any, watermark: int, origin_of: OriginOf) -> Event:
        return decode_json(decode_event, record.value)

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
    """What came of a story: outputs by topic and identity, and by key what was told last and what is remembered."""

    outputs: dict[tuple[str, str], bytes | None]
    statuses: dict[str, bytes | None]
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
                event = toy.decode(source_index, record, 0, lambda record: (0, record.offset))
            except InvalidEvent as refused:
                rejected = RejectedRecord(toy.topics[source_index], 0, offset, key, value)
                collector.emit_dead_letter(rejected, "malformed", refused.detail, watermark)
                continue
            if drops_late(toy) and event.at < largest - lateness:
                told = f"at {event.at} is {largest - lateness - event.at} ms below the clock"
                rejected = RejectedRecord(toy.topics[source_index], 0, offset, key, value)
                collector.emit_dead_letter(rejected, "late", told, watermark)
                continue
            largest = max(largest, event.at)
            if event.id is not None:
                if (event.key, event.id) in known:
                    continue
                known.add((event.key, event.id))
            events.append((event.at, source_index, offset, event))
    states: dict[str, Any] = {}
    statuses: dict[str, bytes | None] = {}

    def deadlines_before(at: int) -> None:
        while states:
            due, key = min((state.next_timer(), key) for key, state in states.items())
            if due >= at:
                return
            states[key].on_timer(due, collector)
            if states[key].expired():
                del states[key]

    for at, _, _, event in sorted(events, key=lambda entry: entry[:3]):
        deadlines_before(at)
        state = states.setdefault(event.key, toy.load(event.key, {}))
        state.apply(event, at, collector)
        statuses[event.key] = None
        if state.expired():
            del states[event.key]
    deadlines_before(until + 1)
    for key, state in states.items():
        for status in state.pending_outputs(until + 1, True):
            statuses[key] = encode_body(status.body)
    outputs = {(o.topic, o.id): encode_body(o.body) for o in collector.outputs if o.topic != "status"}
    return Outcome(outputs, statuses, {key: state.everything() for key, state in states.items()})
