"""Every message becomes rows, or is counted: nothing that cannot be read disappears, or stops an export."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from tests.support.harness import recorded
from vigil.app.export.exporter import Exporter, ExportMessage
from vigil.app.export.parquet_store import ParquetStore
from vigil.app.runtime.recorded_lines import MAX_LINE_BYTES, bounded_lines
from vigil.app.simulate import Simulation
from vigil.app.simulate.files import line_of
from vigil.app.simulate.malformed import KINDS
from vigil.topics.catalog import BY_NAME

AT = 1_662_048_021_000


def exporter(folder: Path, events: bool = False) -> Exporter:
    return Exporter(ParquetStore(folder), events)


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    files = sorted(folder.glob(f"{table}/*/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def example(topic: str, **changes: Any) -> bytes:
    return orjson.dumps({**BY_NAME[topic].examples[0].value, **changes})


def test_no_malformed_message_stops_an_export_and_all_are_counted(tmp_path: Path) -> None:
    simulation = Simulation(
        seed=2, rooms=3, suppliers=4, start_ms=1_662_048_000_000, duration_s=400, products=2, reviews=0.5,
        moderators=2, malformed=0.2, malformed_ahead=True, fault_every_s=20,
    )  # fmt: skip
    messages = list(simulation.messages())
    malformed = sum(message.malformed is not None for message in messages)
    assert len({message.malformed for message in messages}) > len(KINDS) / 2
    export = exporter(tmp_path, events=True)
    export.add_recording(line_of(message) for message in messages)
    export.close()
    counts = export.counts
    rejected = sum(one.number for one in counts.rejected.values())
    assert counts.rows.total() + rejected == len(messages)
    assert 0 < rejected <= malformed
    assert {table: len(rows(tmp_path, table)) for table in counts.rows} == dict(counts.rows)


def test_events_are_left_out_and_counted_unless_they_are_wanted(tmp_path: Path) -> None:
    messages = list(Simulation(1, 2, 0, AT, 200, fault_every_s=20, reviews=1).messages())
    export = exporter(tmp_path)
    export.add_recording(recorded(messages))
    export.close()
    assert set(export.counts.left_out) == {"buyer-entry", "comment", "frame-status"}
    assert export.counts.left_out.total() + export.counts.rows["reviews"] == len(messages)
    assert not (tmp_path / "comments").exists()


def test_what_is_no_message_of_vigils_is_counted_with_the_first_reason(tmp_path: Path) -> None:
    export = exporter(tmp_path)
    for offset, value in enumerate([example("verdict"), b'{"verdict_id":1}', b"\xff", None]):
        export.add(ExportMessage("verdict", b"room-1", value, 1, offset))
    export.close()
    (one,) = export.counts.rejected.values()
    assert one.number == 3
    assert one.first == "partition 1, offset 1: Expected `str`, got `int` - at `$.verdict_id`"
    assert [row["source_offset"] for row in rows(tmp_path, "verdicts")] == [0]
    assert len(rows(tmp_path, "evidence")) == 3


def test_optional_fields_that_cannot_be_read_are_null_and_counted(tmp_path: Path) -> None:
    export = exporter(tmp_path, events=True)
    export.add(ExportMessage("frame-status", b"room-1", example("frame-status", activity="juggling"), 0, 0))
    export.close()
    assert export.counts.ignored == {("frame-status", "activity"): 1}
    assert [row["activity"] for row in rows(tmp_path, "frames")] == [None]


def test_few_large_messages_become_columns_as_many_small_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages wait as Python's objects, several times as large: their bytes are bounded, not only their number."""
    monkeypatch.setattr("vigil.app.export.exporter.STAGED_BYTES", 2 * len(example("verdict")))
    store = ParquetStore(tmp_path)
    export = Exporter(store)
    buffered = []
    for offset in range(4):
        export.add(ExportMessage("verdict", b"room-1", example("verdict"), 0, offset))
        buffered.append(store.buffered > 0)
    assert buffered == [False, True, True, True]


def test_huge_numbers_are_null(tmp_path: Path) -> None:
    export = exporter(tmp_path, events=True)
    layout = {"camera_share": 1, "uncovered_share": 0, "materials": 10**30}
    value = example("frame-status", av_offset_ms=2**63, layout=None).replace(
        b'"layout":null', b'"layout":' + str(layout).replace("'", '"').encode()
    )
    export.add(ExportMessage("frame-status", b"room-1", value, 0, 0))
    export.close()
    assert export.counts.rows["frames"] == 1
    (row,) = rows(tmp_path, "frames")
    assert row["av_offset_ms"] is None


@pytest.mark.parametrize(("table", "topic"), [("incidents", "incident"), ("profiles", "supplier-profile")])
def test_a_deleted_line_is_a_row_of_its_key_on_the_day_of_its_deletion(tmp_path: Path, table: str, topic: str) -> None:
    key_name, value = BY_NAME[topic].key, BY_NAME[topic].examples[0].value
    key = value[key_name].encode()
    export = exporter(tmp_path, events=True)
    export.add(ExportMessage(topic, key, orjson.dumps(value), 0, 5))
    export.add(ExportMessage(topic, key, None, 0, 6, AT + 86_400_000))
    export.add(ExportMessage(topic, key, None, 0, 7))
    export.close()
    alive, deleted, without_time = rows(tmp_path, table)
    assert not alive["deleted"] and deleted["deleted"] and without_time["deleted"]
    named = {name for name, found in deleted.items() if found is not None}
    assert named == {key_name, "at", "deleted", "source_partition", "source_offset", "day"} - {"day"}
    assert deleted[key_name] == value[key_name]
    assert len(list(tmp_path.glob(f"{table}/day=2022-09-02/*"))) == 1


def test_a_deletion_without_key_or_time_is_counted(tmp_path: Path) -> None:
    export = exporter(tmp_path)
    export.add(ExportMessage("incident", None, None, 0, 5, AT))
    export.add(ExportMessage("incident", b"a", None, 0, 6))
    export.close()
    assert export.counts.rejected["incident"].number == 2


def test_lines_of_replayed_files_are_numbered_on_from_file_to_file(tmp_path: Path) -> None:
    export = exporter(tmp_path)
    export.add_replayed("verdict", [example("verdict"), b"\n", example("verdict", verdict_id="second")])
    export.add_replayed("verdict", [example("verdict", verdict_id="third")])
    export.close()
    assert [(row["verdict_id"][:6], row["source_offset"]) for row in rows(tmp_path, "verdicts")] == [
        ("20672b", 1),
        ("second", 3),
        ("third", 4),
    ]


def test_a_line_that_is_too_long_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "verdict.jsonl"
    file.write_bytes(b"x" * (MAX_LINE_BYTES + 10) + b"\n" + example("verdict") + b"\n")
    export = exporter(tmp_path)
    with file.open("rb") as lines:
        export.add_replayed("verdict", bounded_lines(lines))
    export.close()
    assert export.counts.rejected["verdict"].number == 1 and export.counts.rows["verdicts"] == 1


def test_a_table_without_rows_can_be_queried(tmp_path: Path) -> None:
    export = exporter(tmp_path)
    export.close()
    for table in export.tables:
        (file,) = tmp_path.glob(f"{table.name}/*/*.parquet")
        schema = pq.ParquetFile(file).schema_arrow
        assert schema.equals(table.schema)
        assert schema.metadata[b"vigil.table"].decode() == table.name
        assert {b"vigil.layout", b"vigil.contract"} <= set(schema.metadata)
