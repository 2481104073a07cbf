"""Parquet files of tables, one folder a day, written with bounded memory whatever the order of the days.

    batches ──▶ a buffer for each table and day ──▶ row group ──▶ open file ──▶ closed file
                  the largest is written first        files of the days that were written least recently are closed;
                  where all together are too large    a day that comes again begins another file

Files have names of their own while they are written, so that what stops early leaves no file that looks whole.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from vigil.topics.topic import DAY_MS

UNFINISHED: Final = ".unfinished"
"""The end of the name of a file that is being written."""

COLUMN_OVERHEAD: Final = 256
"""Bytes that a column of a batch takes beside its values: many small batches must count for what they are."""


class StoreLimits(NamedTuple):
    """What is in memory at most, and how large files get."""

    buffered_bytes: int = 64 * 1024 * 1024
    """Of all buffers together."""
    group_bytes: int = 16 * 1024 * 1024
    """Of a buffer, from which on it is written. Larger ones compress no better."""
    group_rows: int = 122_880
    """Rows of a buffer, from which on it is written: as many as a thread of DuckDB reads at a time."""
    file_groups: int = 64
    """Row groups after which a file is closed: an open one keeps what its end says of each of them in memory."""
    open_files: int = 24
    """More would keep more dictionaries and statistics in memory; the days of a topic come nearly in order."""


class DayOfTable(NamedTuple):
    """One day of one table."""

    table: str
    day: int
    """Days since the epoch."""


@dataclass
class DayBuffer:
    """Rows that are not written yet."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    """Bytes."""

    def add(self, batch: pa.RecordBatch) -> int:
        """Add rows, and return the bytes that they take."""
        size: int = batch.nbytes + COLUMN_OVERHEAD * batch.num_columns
        self.batches.append(batch)
        self.rows += batch.num_rows
        self.size += size
        return size


class DayFile:
    """One Parquet file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + UNFINISHED)
        self._writer = pq.ParquetWriter(self._unfinished, schema, compression="zstd")
        self.groups = 0

    def write(self, batches: list[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write one row group."""
        rows = pa.Table.from_batches(batches, schema)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        self.groups += 1

    def close(self) -> None:
        """Complete the file, and give it its name."""
        self._writer.close()
        self._unfinished.rename(self._path)


class ParquetStore:
    """Writes the tables of one export below a folder."""

    def __init__(self, folder: Path, limits: StoreLimits = StoreLimits()) -> None:  # noqa: B008 - immutable
        self._folder = folder
        self._limits = limits
        self._schemas: dict[str, pa.Schema] = {}
        self._buffers: dict[DayOfTable, DayBuffer] = {}
        self.buffered = 0
        """Bytes of all buffers."""
        self._open: OrderedDict[DayOfTable, DayFile] = OrderedDict()
        self.files = 0
        """Files begun so far: their numbers are unique, so that nothing needs to be remembered of a closed one."""

    def add(self, table: str, day: int, batch: pa.RecordBatch) -> None:
        """Add rows of one day (since the epoch) of a table. All batches of a table have the same schema."""
        self._schemas.setdefault(table, batch.schema)
        where = DayOfTable(table, day)
        buffer = self._buffers.setdefault(where, DayBuffer())
        self.buffered += buffer.add(batch)
        if buffer.size >= self._limits.group_bytes or buffer.rows >= self._limits.group_rows:
            self._write(where)
        while self.buffered > self._limits.buffered_bytes:
            self._write(max(self._buffers, key=lambda one: self._buffers[one].size))

    def close(self) -> None:
        """Write what is buffered, and complete all files."""
        for where in sorted(self._buffers):
            self._write(where)
        while self._open:
            self._close_oldest()

    def _write(self, where: DayOfTable) -> None:
        buffer = self._buffers.pop(where)
        self.buffered -= buffer.size
        file = self._file(where)
        file.write(buffer.batches, self._schemas[where.table])
        if file.groups >= self._limits.file_groups:
            self._open.pop(where).close()

    def _file(self, where: DayOfTable) -> DayFile:
        file = self._open.get(where)
        if file is not None:
            self._open.move_to_end(where)
            return file
        while len(self._open) >= self._limits.open_files:
            self._close_oldest()
        folder = self._folder / where.table / f"day={day_name(where.day)}"
        folder.mkdir(parents=True, exist_ok=True)
        file = DayFile(folder / f"part-{self.files:06}.parquet", self._schemas[where.table])
        self.files += 1
        self._open[where] = file
        return file

    def _close_oldest(self) -> None:
        _, file = self._open.popitem(last=False)
        file.close()


def day_name(day: int) -> str:
    """A day since the epoch as folders name it, UTC."""
    return f"{datetime.fromtimestamp(day * DAY_MS // 1000, UTC):%Y-%m-%d}"
