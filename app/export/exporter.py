"""Reads messages of topics and lines of recordings into tables; counts what cannot be read."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.export.parquet_store import ParquetStore
from vigil.app.export.tables import EVENTS, RESULTS, ExportRow, ExportTable
from vigil.app.runtime.recorded_events import LineReader, RecordedMessage
from vigil.app.runtime.recorded_lines import CutLine
from vigil.app.runtime.recording import RejectedLine
from vigil.topics.catalog import BY_NAME, TOPICS
from vigil.topics.fields import InvalidEvent
from vigil.topics.labels import OnIgnored
from vigil.topics.read_back import ForeignMessageError, most_bytes_of, read_back
from vigil.topics.topic import DAY_MS, Topic

STAGED_ROWS: Final = 8192
"""Rows of a table that become Arrow's columns at a time: with fewer, a day's columns are made for a handful of rows."""

STAGED_BYTES: Final = 4 * 1024 * 1024
"""Bytes of messages that wait for that as Python's objects, which are several times as large."""

_UNKNOWN: Final = "unknown"
"""Where the rejections of lines count that name no topic."""


class ExportMessage(NamedTuple):
    """One message, wherever it stands."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None
    offset: int
    at: int | None = None
    """Event time (ms) of a message without a value; None: not known, it counts as the largest so far."""


@dataclass
class TopicRejections:
    """The messages of one topic that could not be read."""

    first: str
    """Which the first one is, and why it was rejected."""
    number: int = 0


@dataclass
class ExportCounts:
    """What an export has read and written so far."""

    rows: Counter[str] = field(default_factory=Counter)
    """By table."""
    left_out: Counter[str] = field(default_factory=Counter)
    """By topic: messages that were read and are in no wanted table."""
    rejected: dict[str, TopicRejections] = field(default_factory=dict)
    """By topic."""
    ignored: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By topic and field: optional values that could not be read, and are null."""

    def as_json(self) -> dict[str, Any]:
        """The counts, for the export's manifest."""
        return {
            "rows": dict(self.rows),
            "left_out": dict(self.left_out),
            "rejected": {topic: {"number": one.number, "first": one.first} for topic, one in self.rejected.items()},
            "ignored_fields": {f"{topic}.{field}": number for (topic, field), number in self.ignored.items()},
        }

    def reject(self, topic: str, partition: int | None, offset: int, why: str) -> None:
        """Count a message that cannot be read."""
        place = f"line {offset}" if partition is None else f"partition {partition}, offset {offset}"
        self.rejected.setdefault(topic, TopicRejections(f"{place}: {why}")).number += 1


class Exporter:
    """Writes messages to the tables of their topics."""

    def __init__(self, store: ParquetStore, events: bool = False) -> None:
        """`events`: export the other inputs, too."""
        self.tables: Final = (*RESULTS, *(EVENTS if events else ()))
        self.counts: Final = ExportCounts()
        self._store = store
        self._tables: dict[str, list[ExportTable]] = {}
        for table in self.tables:
            self._tables.setdefault(table.topic.name, []).append(table)
        self._decoders = {topic: self._decoder(BY_NAME[topic]) for topic in self._tables}
        self._newest: dict[str, int] = {}
        """By topic: the largest event time so far."""
        self._staged: dict[str, list[ExportRow]] = {table.name: [] for table in self.tables}
        self._staged_bytes = 0
        self._lines: dict[str, Iterator[int]] = {}
        """By topic: the numbers of lines of files that have no offsets, which go on from file to file."""
        self._reader = LineReader([replace(topic, complete=None) for topic in TOPICS if topic.direction != "internal"])
        """Without `complete` it reads envelopes only: a line is decoded as a message of its topic is, in one way."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are exported."""
        return tuple(self._tables)

    def add(self, message: ExportMessage) -> None:
        """Add a message of any topic."""
        tables = self._tables.get(message.topic)
        if tables is None:
            self.counts.left_out[message.topic] += 1
            return
        try:
            rows = self._rows(tables, message)
        except (InvalidEvent, ForeignMessageError) as error:
            self.counts.reject(message.topic, message.partition, message.offset, str(error))
            return
        for table, row in rows:
            self._stage(table, row)
        self._staged_bytes += len(message.value or b"")
        if self._staged_bytes >= STAGED_BYTES:
            self._flush_all()

    def add_recording(self, lines: Iterable[bytes]) -> None:
        """Add the lines of a recording."""
        for line in self._reader.read(lines):
            if isinstance(line, RejectedLine):
                self.counts.reject(line.topic or _UNKNOWN, line.partition, line.offset, line.detail)
            elif isinstance(line, RecordedMessage):
                partition, offset = line.record.place
                self.add(ExportMessage(line.topic, line.record.key, line.record.value, partition, offset))

    def add_replayed(self, topic: str, lines: Iterable[bytes]) -> None:
        """Add the lines of a file of one topic that a replay wrote: values alone."""
        numbers = self._lines.setdefault(topic, count(1))
        for line, number in zip(lines, numbers, strict=False):
            if isinstance(line, CutLine):
                self.counts.reject(topic, None, number, f"{line.size:,} bytes, more than a message has")
            elif value := line.strip():
                self.add(ExportMessage(topic, None, value, None, number))

    def close(self) -> None:
        """Write what is not written yet. A table without rows gets a file without rows, so that it can be queried."""
        self._flush_all()
        for table in self.tables:
            if not self.counts.rows[table.name]:
                self._store.add(table.name, 0, table.batch([]))
        self._store.close()

    def _rows(self, tables: list[ExportTable], message: ExportMessage) -> list[tuple[ExportTable, ExportRow]]:
        topic, partition, offset = message.topic, message.partition, message.offset
        if message.value is None and BY_NAME[topic].tombstone is not None:
            at = self._newest.get(topic) if message.at is None else message.at
            if not message.key or at is None:
                raise InvalidEvent("it has no value, and no key or no time, so that it deletes nothing")
            key = message.key.decode(errors="replace")
            return [(table, table.deletion(key, at, partition, offset)) for table in tables]
        body = self._decoders[topic](message)
        self._newest[topic] = max(self._newest.get(topic, 0), body.at)  # type: ignore[attr-defined]
        return [(table, row) for table in tables for row in table.rows(body, partition, offset)]

    def _decoder(self, topic: Topic) -> Callable[[ExportMessage], Struct]:
        if topic.decode is not None:
            decode, on_ignored = topic.decode, self._on_ignored(topic.name)

            def read_input(message: ExportMessage) -> Struct:
                event: Struct = decode(message.key, message.value, message.at or 0, on_ignored)
                return event

            return read_input
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(topic.carries)
        most = most_bytes_of(topic.name)

        def read_output(message: ExportMessage) -> Struct:
            body: Struct = read_back(decoder, message.value or b"", most)
            return body

        return read_output

    def _on_ignored(self, topic: str) -> OnIgnored:
        def ignored(field: str, number: int) -> None:
            self.counts.ignored[topic, field] += number

        return ignored

    def _stage(self, table: ExportTable, row: ExportRow) -> None:
        rows = self._staged[table.name]
        rows.append(row)
        self.counts.rows[table.name] += 1
        if len(rows) >= STAGED_ROWS:
            self._flush(table)

    def _flush_all(self) -> None:
        for table in self.tables:
            self._flush(table)
        self._staged_bytes = 0

    def _flush(self, table: ExportTable) -> None:
        """Give the rows of a table to the store, day by day."""
        days: dict[int, list[ExportRow]] = {}
        for row in self._staged[table.name]:
            days.setdefault(row.at // DAY_MS, []).append(row)
        self._staged[table.name] = []
        for day, rows in days.items():
            self._store.add(table.name, day, table.batch(rows))
