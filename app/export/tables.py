"""The exported tables: which topic each one has, what a row is, and which of several rows is the newest."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import pyarrow as pa
from msgspec import Struct

from vigil.app.export.columns import TIME, ArrowForm, Column, columns_of
from vigil.topics.catalog import BY_NAME, VERSION
from vigil.topics.topic import Topic
from vigil.topics.verdicts import Evidence, Verdict

LAYOUT: Final = 1
"""Version of what the contract does not decide: tables, and how its types become columns. Raise it when they change."""

VERSIONS: Final = {"layout": str(LAYOUT), "contract": VERSION}
"""The versions that decide the columns; they stand in each file's metadata, as `vigil.layout` and `vigil.contract`."""


class ExportRow(NamedTuple):
    """One row: a message, or one part of it."""

    body: Any
    """The message's struct; of a deleted line what is known of it."""
    at: int
    """Event time, ms: the day of the row."""
    partition: int | None
    offset: int
    deleted: bool = False
    ordinal: int = 0
    part: Any = None
    """The part of the message that the row is of; None: the message as a whole."""


_PLACE: Final = (
    Column(
        "source_partition",
        ArrowForm(pa.int32()),
        "The partition of the message; null where a recording has none.",
        lambda row: row.partition,
    ),
    Column(
        "source_offset",
        ArrowForm(pa.int64()),
        "The offset of the message; of a recording without offsets the number of the line. Of rows of one key, the one "
        "with the greatest offset was written last.",
        lambda row: row.offset,
    ),
)

_DELETED: Final = Column(
    "deleted",
    ArrowForm(pa.bool_()),
    "True if the line was deleted at `at`; all columns but its key, `at` and where it was are null then.",
    lambda row: row.deleted,
)

_VERDICT_AT: Final = Column(
    "verdict_at", ArrowForm(TIME), "The `at` of the verdict, whose day is the row's.", lambda row: row.at
)

_ORDINAL: Final = Column(
    "ordinal", ArrowForm(pa.int32()), "Its place in the verdict's evidence, from 0.", lambda row: row.ordinal
)


class ExportTable:
    """One exported table: a folder of Parquet files."""

    def __init__(self, name: str, topic: str, row: str, key: str | None, newest: str | None = None) -> None:
        """`row`: what a row is. `key`: the columns that identify what it is about, separated by commas; None: rows have
        no identity, each counts. `newest`: the column whose greatest value marks the row of a key that is valid; None:
        rows of one key are repeats."""
        self.name: Final = name
        self.topic: Final[Topic] = BY_NAME[topic]
        self.row: Final = row
        self.key: Final = key
        self.newest: Final = newest
        self.columns: Final = self._columns()
        metadata = {"vigil.table": name, **{f"vigil.{name}": version for name, version in VERSIONS.items()}}
        self.schema: Final = pa.schema(
            [pa.field(column.name, column.form.type) for column in self.columns], metadata=metadata
        )

    def _columns(self) -> tuple[Column, ...]:
        deleted = (_DELETED,) if self.topic.tombstone is not None else ()
        return (*columns_of(self.topic.carries, "body", self._left_out), *deleted, *_PLACE)

    @property
    def _left_out(self) -> tuple[str, ...]:
        """The fields that have a table of their own."""
        return ("evidence",) if self.topic.name == "verdict" else ()

    def rows(self, body: Struct, partition: int | None, offset: int) -> Iterator[ExportRow]:
        """The rows of a message."""
        yield ExportRow(body, body.at, partition, offset)  # type: ignore[attr-defined]

    def deletion(self, key: str, at: int, partition: int | None, offset: int) -> ExportRow:
        """The row of a message without a value, which deletes the line of its key at an event time (ms)."""
        nothing: dict[str, Any] = dict.fromkeys(self.topic.carries.__struct_fields__)
        return ExportRow(SimpleNamespace(**{**nothing, self.topic.key: key, "at": at}), at, partition, offset, True)

    def batch(self, rows: list[ExportRow]) -> pa.RecordBatch:
        """Rows as Arrow stores them."""
        return pa.RecordBatch.from_arrays([column.array(rows) for column in self.columns], schema=self.schema)


class EvidenceTable(ExportTable):
    """The evidence of verdicts, each piece a row."""

    def _columns(self) -> tuple[Column, ...]:
        verdict_id = next(one for one in columns_of(Verdict, "body") if one.name == "verdict_id")
        return (
            verdict_id._replace(words="The verdict that rests on it."),
            _VERDICT_AT,
            _ORDINAL,
            *columns_of(Evidence, "part"),
            *_PLACE,
        )

    def rows(self, body: Struct, partition: int | None, offset: int) -> Iterator[ExportRow]:
        for ordinal, part in enumerate(body.evidence):  # type: ignore[attr-defined]
            at: int = body.at  # type: ignore[attr-defined]
            yield ExportRow(body, at, partition, offset, ordinal=ordinal, part=part)


RESULTS: Final = (
    ExportTable("verdicts", "verdict", "a violation", "verdict_id"),
    EvidenceTable("evidence", "verdict", "a piece of evidence of a verdict", "verdict_id, ordinal"),
    ExportTable("actions", "enforcement", "a revision of an action", "action_id", "revision"),
    ExportTable("reviews", "review", "a review", "verdict_id, decision, at, by"),
    ExportTable("incidents", "incident", "an incident as it stood", "incident_id", "source_offset"),
    ExportTable("scores", "supplier-score", "a supplier as it stood", "supplier_id", "source_offset"),
    ExportTable("obligations", "obligation", "an obligation as it stood", "obligation_id", "source_offset"),
)
"""What Vigil concluded, and what people decided about it."""

EVENTS: Final = (
    ExportTable("entries", "buyer-entry", "a buyer who entered a room", None),
    ExportTable("comments", "comment", "a comment", "room_id, comment_id"),
    ExportTable("frames", "frame-status", "the analysis of a frame", None),
    ExportTable("quotes", "quote", "a step of a quote", "supplier_id, quote_id, kind"),
    ExportTable("payments", "payment", "a step of a payment", "supplier_id, payment_id, kind"),
    ExportTable("profiles", "supplier-profile", "a supplier's profile as of `at`", "supplier_id", "at"),
    ExportTable("products", "product", "a product as of `at`", "supplier_id, product_id", "at"),
    ExportTable("orders", "order", "a step of an order", "supplier_id, order_id, kind"),
    ExportTable("certificates", "certificate", "a certificate as of `at`", "supplier_id, certificate_id", "at"),
    ExportTable("requests", "service-request", "a step of a service request", "supplier_id, request_id, kind"),
    ExportTable("activities", "activity", "a measure, a claim, or a duty asked for or done", None),
    ExportTable("outcomes", "enforcement-result", "what came of a step of an action", None),
    ExportTable("cases", "case", "a command about an incident", None),
)
"""The other events that Vigil reads: one table for each input."""
