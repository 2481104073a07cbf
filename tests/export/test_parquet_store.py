"""Files of days are whole at any time, and neither buffers nor open files grow with the days."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil.app.export.parquet_store import UNFINISHED, ParquetStore, StoreLimits, day_name

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string())])
SMALL = StoreLimits(buffered_bytes=4000, group_bytes=1500, group_rows=6, file_groups=4, open_files=3)


def batch(*numbers: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"number": number, "text": "x" * 20} for number in numbers], SCHEMA)


def whole(folder: Path) -> dict[str, list[int]]:
    """The rows of all complete files, by day."""
    found: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*/*/*.parquet")):
        found.setdefault(file.parent.name, []).extend(pq.ParquetFile(file).read().column("number").to_pylist())
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=60))
def test_every_row_is_in_a_file_of_its_day_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, added: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    store, expected, number = ParquetStore(folder, SMALL), {}, 0
    for day, rows in added:
        numbers = list(range(number, number + rows))
        number += rows
        store.add("table", day, batch(*numbers))
        expected.setdefault(f"day={day_name(day)}", []).extend(numbers)
        assert len(list(folder.glob(f"*/*/*{UNFINISHED}"))) <= SMALL.open_files
        assert sum(map(len, whole(folder).values())) <= number
    store.close()
    assert {day: sorted(rows) for day, rows in whole(folder).items()} == expected
    assert not list(folder.glob(f"*/*/*{UNFINISHED}"))


def test_buffers_of_many_days_are_written_before_they_are_too_large(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, SMALL._replace(group_bytes=10**6, group_rows=10**6))
    for number in range(100):
        store.add("table", number, batch(number))
        assert store.buffered <= SMALL.buffered_bytes
    assert store.files > 80


def test_a_day_that_comes_again_begins_another_file(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, StoreLimits(group_rows=1, open_files=1))
    for day in (1, 2, 1):
        store.add("table", day, batch(day))
    store.close()
    assert [path.name for path in sorted(tmp_path.glob("*/day=1970-01-02/*"))] == [
        "part-000000.parquet",
        "part-000002.parquet",
    ]


def test_a_long_file_ends_and_another_begins(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, SMALL)
    for number in range(0, 60, 6):
        store.add("table", 0, batch(*range(number, number + 6)))
    store.close()
    rows = [pq.ParquetFile(file).metadata.num_rows for file in sorted(tmp_path.glob("*/*/*.parquet"))]
    assert rows == [24, 24, 12]
