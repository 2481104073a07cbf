"""Replay: recorded events from a file through the same shards that the worker runs, with no clock but the events'.

    lines ──▶ one file clock (largest `at` accepted − lateness) ──▶ shards ──▶ outputs
                                                                    ▲    │ internal topics
                                                                    └────┘ until nothing more comes of it

The file is one source: all its topics share one clock. The same lines give the same output, byte for byte.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from vigil.app.domain.registry import GROUPS, is_input, subjects
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.shard import Shard
from vigil.app.engine.subject import OutputCollector, StateMachine
from vigil.app.engine.watermark import MIN_TIME, SourcePosition
from vigil.topics.catalog import BY_NAME, SubjectName
from vigil.topics.envelope import Output
from vigil.topics.fields import MAX_MESSAGE_BYTES, UNKEYED, why_not_json
from vigil.topics.verdicts import Action, Verdict

LATENESS_MS: Final = 2000
"""`allowed_lateness` where nothing else is told."""

BATCH: Final = 2000
"""Lines after which the clock is moved on; it changes the speed, never the outcome."""


Offset = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""As Kafka counts."""

Partition = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""As Kafka numbers them."""


class RecordedLine(Struct):
    """One line of a recording."""

    topic: str
    value: msgspec.Raw
    key: str | UnsetType | None = UNSET
    partition: Partition | None = None
    offset: Offset | None = None


class Parts(Struct):
    """What there is of a line that is no line of a recording."""

    topic: msgspec.Raw = msgspec.Raw(b"null")
    value: msgspec.Raw | UnsetType = UNSET
    key: msgspec.Raw = msgspec.Raw(b"null")
    partition: msgspec.Raw = msgspec.Raw(b"null")
    offset: msgspec.Raw = msgspec.Raw(b"null")


class Line(NamedTuple):
    """A recorded message as a shard reads it."""

    offset: int
    """The number of the line, from 1: the order of arrival."""
    key: bytes | None
    value: bytes | None
    place: tuple[int | None, int]
    """The partition written down, if any; the offset written down, or the number of the line."""


_decode: Final = msgspec.json.Decoder(RecordedLine).decode
_decode_parts: Final = msgspec.json.Decoder(Parts).decode

_SURROGATE: Final = re.compile(rb"\\u[dD][89A-Fa-f][0-9A-Fa-f]{2}")
_NO_SURROGATE: Final = rb"\u0000"
"""As long as what it stands for."""


class Outputs(NamedTuple):
    """What a replay gave, each list in the order in which it is written."""

    verdicts: list[Output]
    notices: list[Output]
    actions: list[Output]
    scores: list[Output]
    statuses: list[Output]
    pins: list[Output]
    refused: list[Output]
    counts: dict[str, int]
    """As counted by the shards: `events:<topic>`, `duplicates:<topic>`, `refused:<topic>:<reason>`, …"""
    until: int
    """The largest event time of the input; 0 where it had none."""

    def by_topic(self) -> dict[str, list[Output]]:
        """The lists by the topic that they would go to."""
        return {
            "verdict": self.verdicts,
            "notice": self.notices,
            "enforcement": self.actions,
            "supplier-score": self.scores,
            "room-status": self.statuses,
            "pin-decision": self.pins,
            "dead-letter": self.refused,
        }


class ReplayShard(Protocol):
    """What a replay does with a shard."""

    def ingest(self, source_index: int, messages: Iterable[Line]) -> object: ...

    def advance_watermark(self, clock: int) -> object: ...

    def end_of_input(self, until: int) -> None: ...

    def final_outputs(self, until: int) -> list[Output]: ...


class Replay:
    """One run over one recording; feed it lines in order of arrival, then end it."""

    def __init__(
        self,
        rulebook: Rulebook,
        lateness: int = LATENESS_MS,
        machines: Mapping[SubjectName, StateMachine] | None = None,
    ) -> None:
        """`lateness`: how far out of order events may arrive, in ms; `logics` in the place of the rulebook's."""
        self._lateness = lateness
        self._file = SourcePosition()
        self._collector = OutputCollector()
        self._told: dict[str, list[Output]] = {}
        self._shards: dict[SubjectName, ReplayShard] = {}
        self._route: dict[str, tuple[ReplayShard, int]] = {}
        self._internal_offsets: dict[str, int] = {}
        self._number = 0
        self._since_pump = 0
        for group, machine in (machines or subjects(rulebook, review_wait_ms=None)).items():
            sources = [self._file if is_input(topic) else SourcePosition() for topic in machine.topics]
            shard = Shard(
                machine,
                lateness,
                sources=sources,
                place=attrgetter("place"),
                collector=self._collector,
            )
            self._shards[group] = shard
            for source_index, topic in enumerate(machine.topics):
                self._route[topic] = (shard, source_index)
        self._rooms = self._shards["rooms"]

    @property
    def clock(self) -> int:
        """The file's clock; the beginning of time before its first event."""
        return self._file.max_event_time - self._lateness if self._file.max_event_time > MIN_TIME else MIN_TIME

    def feed(self, lines: Iterable[bytes]) -> None:
        """Take lines of the recording in; blank ones are skipped."""
        rooms, route = self._rooms, self._route
        for raw in lines:
            self._number += 1
            try:
                line = _decode(raw)
                shard, source_index = route[line.topic]
                if not is_input(line.topic):
                    raise KeyError(line.topic)
                place = line.partition, self._number if line.offset is None else line.offset
                message = Line(self._number, _key(line.key), _value(line.value), place)
            except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError) as error:
                if raw.strip():
                    self._refuse(raw, error)
                continue
            if shard is not rooms:
                if line.topic == "review":
                    self._pump()  # the verdicts that it may name come first
                shard.advance_watermark(self.clock)
            shard.ingest(source_index, (message,))
            self._since_pump += 1
            if self._since_pump >= BATCH:
                self._pump()

    def end(self) -> Outputs:
        """The input has ended: judge what is at or before its largest `at`, and give everything that came out."""
        self._pump()
        until = self._file.max_event_time
        if until > MIN_TIME:
            for group in GROUPS:
                self._shards[group].advance_watermark(until + 1)
                self._deliver()
            for group in GROUPS:
                self._shards[group].end_of_input(until)
                self._deliver()
            for group in GROUPS:
                self._told.setdefault("status", []).extend(self._shards[group].final_outputs(until))
                self._deliver()
        by_topic = {topic: sorted(outputs, key=in_order) for topic, outputs in self._told.items()}
        last = {(output.topic, output.key): output for output in self._told.get("status", ()) if output.body}
        states = sorted(last.values(), key=lambda output: output.key or b"")
        return Outputs(
            verdicts=by_topic.get("verdict", []),
            notices=by_topic.get("notice", []),
            actions=by_topic.get("enforcement", []),
            scores=[output for output in states if output.topic == "supplier-score"],
            statuses=[output for output in states if output.topic == "room-status"],
            pins=by_topic.get("pin-decision", []),
            refused=self._told.get("dead-letter", []),
            counts=dict(self._collector.counts),
            until=max(until, 0),
        )

    def _pump(self) -> None:
        """Move every shard on to the file's clock, in the order in which outputs flow."""
        self._since_pump = 0
        clock = self.clock
        for group in GROUPS:
            if group != "rfqs":  # pins come late, and in no order of time: they are judged when all of them are there
                self._shards[group].advance_watermark(clock)
                self._deliver()

    def _deliver(self) -> None:
        """Hand on what was emitted; internal messages go in again until nothing more comes of them."""
        emitted = self._collector.outputs
        while emitted:
            outputs = emitted.copy()
            emitted.clear()
            self._hand_on(outputs)

    def _hand_on(self, outputs: list[Output]) -> None:
        """Internal messages go in again, the rest is told."""
        for output in outputs:
            if output.topic in self._route:
                self._again(output)
            else:
                self._told.setdefault(output.topic, []).append(output)

    def _again(self, output: Output) -> None:
        shard, source_index = self._route[output.topic]
        offset = self._internal_offsets.get(output.topic, 0)
        self._internal_offsets[output.topic] = offset + 1
        value = None if output.body is None else msgspec.json.encode(output.body)
        shard.ingest(source_index, (Line(offset, output.key, value, (None, offset)),))

    def _refuse(self, raw: bytes, error: Exception) -> None:
        """A line that no shard can be asked about."""
        raw = raw.rstrip(b"\r\n")
        topic: str | None = None
        key: bytes | None = None
        value: bytes | None = raw
        partition, place = None, self._number
        if isinstance(error, KeyError):
            line = _decode(raw)
            detail = f"unknown topic {line.topic[:128]!r}; known here: {', '.join(_INPUTS)}"
            key = _key(line.key)
            value = bytes(line.value)
            partition, place = line.partition, self._number if line.offset is None else line.offset
        else:
            if isinstance(error, RecursionError):
                why = "it is nested too deeply"
            elif type(error) is msgspec.DecodeError:
                why = why_not_json(error, raw)
            else:
                why = str(error)
            detail = f"not a line of a recording: {why}"
            parts = _parts(raw)
            topic = _as(str, parts.topic)
            if topic in _INPUTS:
                key = _key(_as(str, parts.key))
                value = raw if parts.value is UNSET else bytes(parts.value)
                partition = _as(Partition, parts.partition)
                told = _as(Offset, parts.offset)
                place = self._number if told is None else told
            else:
                topic = None
        self._collector.emit_dead(topic, partition, place, "malformed", detail, max(self.clock, 0), key, value)
        if topic is not None:
            self._collector.count(f"events:{topic}")
        self._collector.count(f"refused:{topic or 'unknown'}:malformed")
        self._deliver()


_INPUTS: Final = tuple(name for name in BY_NAME if is_input(name))


def _parts(raw: bytes) -> Parts:
    """As far as a line can be read: lone surrogates alone do not keep it from that."""
    try:
        whole = _SURROGATE.sub(lambda _: _NO_SURROGATE, raw)
        parts = _decode_parts(whole)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Parts()
    if _NO_SURROGATE in bytes(parts.key):
        parts.key = msgspec.Raw(b"null")
    if parts.value is not UNSET:
        begin = whole.find(bytes(parts.value))
        parts.value = msgspec.Raw(raw[begin : begin + len(bytes(parts.value))])
    return parts


def _as(kind: Any, written: msgspec.Raw) -> Any:
    """A part of a line where it is of a kind, else None."""
    try:
        return msgspec.json.decode(written, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _key(written: str | UnsetType | None) -> bytes | None:
    if written is UNSET:
        return UNKEYED
    return written.encode() if isinstance(written, str) else None


def _value(raw: msgspec.Raw) -> bytes | None:
    value = bytes(raw)
    if value == b"null":
        return None
    if len(value) > MAX_MESSAGE_BYTES:
        # The limit holds for the compact form, which is what a producer would have sent.
        try:
            return orjson.dumps(orjson.loads(value))
        except orjson.JSONDecodeError:
            return value
    return value


def in_order(output: Output) -> tuple[int, str, int]:
    """`at`, identity, and the revision of an action."""
    if isinstance(output.body, Action):
        return output.at, output.body.action_id, output.body.revision
    return output.at, output.id, 0


def json_line(output: Output) -> bytes:
    """One line of a replay's output: `published_at`, where there is one, equals `at`."""
    body: Any = output.body
    if isinstance(body, Verdict):
        body = msgspec.structs.replace(body, published_at=body.at)
    return orjson.dumps(msgspec.to_builtins(body)) + b"\n"


def replay(lines: Iterable[bytes], rulebook: Rulebook, lateness: int = LATENESS_MS) -> Outputs:
    """Replay a whole recording."""
    run = Replay(rulebook, lateness)
    run.feed(lines)
    return run.end()


def written(outputs: Outputs) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Each file of a replay's output: its name and its lines."""
    for topic, told in outputs.by_topic().items():
        yield f"{topic}.jsonl", map(json_line, told)
