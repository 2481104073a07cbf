"""Reading a recording: most lines are decoded in one step, the line and the event in it.

    line ──its topic's type──▶ RecordedEvent                                  nearly all lines
      └──▶ envelope ──▶ RecordedMessage: its value is decoded where it is read
              └──▶ RejectedLine

Both ways come to the same event, or to the same dead letter: a line that is no valid event of its topic is always read
the second way. tests/runtime/replay/test_recorded_events.py compares the two.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import reduce
from operator import attrgetter, or_
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from vigil.app.engine.subject import AnyStateMachine, Event, OriginOf, ReadEvent, SourceRecord
from vigil.app.runtime.recorded_lines import CutLine
from vigil.app.runtime.recording import (
    Line,
    Offset,
    Partition,
    RecordedLine,
    RejectedLine,
    decode_line,
    key_bytes,
    read_again,
    unknown_topic,
    unreadable,
    value_bytes,
)
from vigil.topics.diagnosis import BYTE_ORDER_MARK
from vigil.topics.fields import MAX_MESSAGE_BYTES, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import Topic


class RecordedEvent(Struct, kw_only=True, gc=False, tag_field="topic"):
    """A line whose value is an event as it should be. As a record its offset is the number of the line, from 1."""

    topic: ClassVar[str]
    decoded: ClassVar = True
    event: Any = field(name="value")
    written_key: str | UnsetType | None = field(default=UNSET, name="key")
    partition: Partition | None = None
    recorded_offset: Offset | None = field(default=None, name="offset")
    # The other two are set by whoever has decoded the line, whatever it says of them.
    offset: int = field(default=0, name="")
    raw: str = field(default="", name=" ")

    @property
    def key(self) -> bytes | None:
        return key_bytes(self.written_key)

    @property
    def value(self) -> bytes | None:
        """As the line has it: asked for where the event is rejected."""
        return value_bytes(decode_line(self.raw).value)

    @property
    def place(self) -> tuple[int | None, int]:
        """The recorded partition, if any; the recorded offset, or the number of the line."""
        return self.partition, self.offset if self.recorded_offset is None else self.recorded_offset


class RecordedMessage(NamedTuple):
    """A line whose value is decoded where it is read."""

    topic: str
    partition: int | None
    record: Line
    decoded: bool = False


Read: TypeAlias = RecordedEvent | RecordedMessage | RejectedLine
"""What becomes of a line."""


class LineReader:
    """Reads the lines of a recording of some topics."""

    def __init__(self, topics: Collection[Topic]) -> None:
        """`topics`: all topics that a recording may have."""
        self._inputs = tuple(topic.name for topic in topics)
        self._known = frozenset(self._inputs)
        self._decode: Final = event_decoder(topics)
        self._number = 0

    def read(self, lines: Iterable[bytes]) -> Iterator[Read]:
        """Read further lines; blank ones are skipped."""
        decode = self._decode
        for raw in lines:
            self._number += 1
            try:
                text = raw.decode()
                event = decode(text)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                event = None
            if event is None or len(raw) > MAX_MESSAGE_BYTES:
                yield from self._read_message(raw)
                continue
            event.offset = self._number
            event.raw = text
            yield event

    def _read_message(self, raw: bytes) -> Iterator[RecordedMessage | RejectedLine]:
        try:
            line: RecordedLine | None = decode_line(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            line = read_again(raw)
            if line is None and raw.removeprefix(BYTE_ORDER_MARK).strip():
                whole = raw if isinstance(raw, CutLine) else raw.rstrip(b"\r\n")
                yield unreadable(whole, self._number, error, self._inputs)
        if line is None:
            return
        if line.topic not in self._known:
            yield unknown_topic(line, self._number, self._inputs)
            return
        place = line.partition, self._number if line.offset is None else line.offset
        record = Line(self._number, key_bytes(line.key), value_bytes(line.value), place)
        yield RecordedMessage(line.topic, line.partition, record)


def event_decoder(topics: Iterable[Topic]) -> Callable[[str], RecordedEvent]:
    """Return what decodes a line whose value is an event of one of the topics; it raises msgspec.DecodeError."""
    kinds = tuple(
        msgspec.defstruct(
            "RecordedEvent",
            [("event", topic.carries, field(name="value"))],
            bases=(RecordedEvent,),
            namespace={"topic": topic.name},
            kw_only=True,
            gc=False,
            tag=topic.name,
        )
        for topic in topics
        if topic.complete is not None
    )
    decode: Any = msgspec.json.Decoder(reduce(or_, kinds)).decode if kinds else _no_event
    typed: Callable[[str], RecordedEvent] = decode
    return typed


def _no_event(line: str) -> RecordedEvent:
    raise msgspec.DecodeError("no topic whose events are decoded with their lines")


def reader(machine: AnyStateMachine, source_index: int, topic: Topic) -> ReadEvent[Any]:
    """Return what reads both kinds of records of an input topic of a machine."""
    read_message, dedup_key, complete = machine.reader(source_index), machine.dedup_key, topic.complete
    if complete is None:
        return read_message
    key_field, key_of = topic.key, attrgetter(topic.key)

    def read(
        record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> tuple[Event, str, str | None]:
        if not isinstance(record, RecordedEvent):
            return read_message(record, watermark, origin_of, on_ignored)
        event = record.event
        key = key_of(event)
        if record.written_key != key and record.written_key is not UNSET:
            check_key(record.key, key_field, key)
        event = complete(event, on_ignored)
        if event is None:
            return read_message(record, watermark, origin_of, on_ignored)
        return event, key, dedup_key(event)

    return read


def readers(machine: AnyStateMachine, topics: Mapping[str, Topic]) -> list[ReadEvent[Any]]:
    """Return what reads a recording's lines and internal messages, by source index."""
    return [reader(machine, source_index, topics[topic]) for source_index, topic in enumerate(machine.topics)]
