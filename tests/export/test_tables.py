"""Exported tables hold what the contract's messages say, in columns that follow from its types."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vigil.app.export.columns import JSON, form_of, sql_name
from vigil.app.export.tables import EVENTS, RESULTS, EvidenceTable, ExportTable
from vigil.topics.catalog import TOPICS
from vigil.topics.decoder import nobody
from vigil.topics.rooms import FrameStatus

TABLES = (*RESULTS, *EVENTS)
NAMES = {table.name: table for table in TABLES}


def plain(value: Any) -> Any:
    """A stored value as the message's JSON has it."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return dict(value) if value and isinstance(value[0], tuple) else [plain(inner) for inner in value]
    return value


def says(found: Any, expected: Any) -> bool:
    """True if a stored value says what a message says; it has defaults besides, and what has several forms as JSON."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(says(found[name], inner) for name, inner in expected.items())
    if isinstance(found, str) and not isinstance(expected, str):
        found = orjson.loads(found)
    return bool(found == expected)


def texts(value: Any) -> Any:
    """JSON with what a map of texts makes of numbers."""
    return {name: str(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def stored(table: ExportTable, value: dict[str, Any]) -> list[dict[str, Any]]:
    topic = table.topic
    raw = orjson.dumps(value)
    if topic.decode is not None:
        body = topic.decode(topic.key_of(value).encode(), raw, 0, nobody)
    else:
        body = msgspec.json.decode(raw, type=topic.carries)
    rows: list[dict[str, Any]] = table.batch(list(table.rows(body, 3, 17))).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("table", "value"),
    [
        pytest.param(table, example.value, id=table.name)
        for table in TABLES
        if not isinstance(table, EvidenceTable)
        for example in table.topic.examples
        if example.value.get("buyer_id") != ""  # the example that is rejected
    ],
)
def test_a_row_says_what_its_message_says(table: ExportTable, value: dict[str, Any]) -> None:
    (row,) = stored(table, value)
    for name, expected in value.items():
        assert name == "evidence" or says(plain(row[name]), expected), name
    assert (row["source_partition"], row["source_offset"], row.get("deleted")) in [(3, 17, None), (3, 17, False)]


def test_each_piece_of_evidence_is_a_row_with_its_verdict() -> None:
    verdict = NAMES["verdicts"].topic.examples[0].value
    rows = stored(NAMES["evidence"], verdict)
    assert [row["ordinal"] for row in rows] == [0, 1, 2]
    for row, piece in zip(rows, verdict["evidence"], strict=True):
        assert row["verdict_id"] == verdict["verdict_id"] and plain(row["verdict_at"]) == verdict["at"]
        assert {name: plain(row[name]) for name in piece} == {**piece, "params": texts(piece["params"])}


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("verdicts.at", "TIMESTAMP WITH TIME ZONE"),
        ("actions.ban_until", "TIMESTAMP WITH TIME ZONE"),
        ("actions.steps", "VARCHAR[]"),
        ("evidence.params", "MAP(VARCHAR, VARCHAR)"),
        ("scores.assessed", "STRUCT(month VARCHAR, score BIGINT)"),
        ("obligations.compensation_usd", "DECIMAL(20,2)"),
        ("payments.amount_usd", "DECIMAL(20,2)"),
        ("quotes.rfq_at", "TIMESTAMP WITH TIME ZONE"),
    ],
)
def test_types_of_the_contract_become_types_of_sql(column: str, kind: str) -> None:
    table, name = column.split(".")
    assert [sql_name(one.form.type) for one in NAMES[table].columns if one.name == name] == [kind]


def test_only_what_has_several_forms_is_json() -> None:
    as_json = {
        f"{table.name}.{column.name}" for table in TABLES for column in table.columns if column.form.convert
        and column.form.type == JSON
    }  # fmt: skip
    assert as_json == {"actions.choice"}
    choice = next(column for column in NAMES["incidents"].columns if column.name == "action").form.type
    assert choice.field("choice").type == pa.string()


def test_every_input_has_a_table_and_no_table_occurs_twice() -> None:
    assert {table.topic.name for table in TABLES} >= {topic.name for topic in TOPICS if topic.direction == "in"}
    assert len(NAMES) == len(TABLES)


def test_keys_and_marks_of_the_valid_row_are_columns() -> None:
    for table in TABLES:
        columns = {column.name for column in table.columns}
        assert {*(table.key or "source_offset").split(", "), table.newest or "source_offset"} <= columns


def test_a_number_beyond_64_bits_is_null() -> None:
    types = {field.name: field.type for field in msgspec.inspect.type_info(FrameStatus).fields}  # type: ignore[attr-defined]
    form = form_of(types["av_offset_ms"])
    assert form.convert is not None
    assert [form.convert(number) for number in (2**63 - 1, -(2**63), 2**63)] == [2**63 - 1, -(2**63), None]


@pytest.mark.parametrize("table", TABLES, ids=NAMES)
def test_duckdb_reads_the_types_that_the_page_names(table: ExportTable, tmp_path: Any) -> None:
    pq.write_table(pa.Table.from_batches([table.batch([])]), tmp_path / "empty.parquet")
    described = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{tmp_path}/empty.parquet')").fetchall()
    named = [(column.name, sql_name(column.form.type)) for column in table.columns]
    assert [(name, kind.replace('"', "")) for name, kind, *_ in described] == named
