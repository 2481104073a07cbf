"""An export needs the same memory for any number of rows: 100 million take no more than a few million."""

import subprocess
import sys
import textwrap

import pytest

MORE_MB = 40
"""By how much the peak may differ: allocators keep more or less of what is freed."""

PROGRAM = textwrap.dedent(
    '''
    import resource, sys, tempfile
    from itertools import islice
    from pathlib import Path
    from vigil.app.export.exporter import Exporter
    from vigil.app.export.parquet_store import ParquetStore, StoreLimits
    from vigil.topics.catalog import BY_NAME
    import orjson

    DAY = 86_400_000

    def value(topic, number, at, **changes):
        return orjson.dumps({**BY_NAME[topic].examples[0].value, **changes, "at": at})

    def messages(number):
        """Comments of a year in order, with one in eight of any day before; a verdict for each fifty."""
        for one in range(number):
            day = one * 365 // number
            if one % 8 == 0:
                day = one * 2654435761 % (day + 1)
            at = 1_640_995_200_000 + day * DAY + one % 1000
            yield "comment", value("comment", one, at, comment_id=f"comment-{one}", text=f"hello number {one}")
            if one % 50 == 0:
                yield "verdict", value("verdict", one, at, verdict_id=f"verdict-{one}")

    rows, buffered = int(sys.argv[1]), int(sys.argv[2]) * 1024 * 1024
    with tempfile.TemporaryDirectory() as folder:
        exporter = Exporter(ParquetStore(Path(folder), StoreLimits(buffered_bytes=buffered)), events=True)
        source = messages(rows)
        from vigil.app.export.exporter import ExportMessage
        keys = {"comment": b"room-1", "verdict": b"room-1"}
        for offset, (topic, raw) in enumerate(source):
            exporter.add(ExportMessage(topic, keys[topic], raw, 0, offset))
        exporter.close()
        files = list(Path(folder).glob("*/*/*.parquet"))
        assert not exporter.counts.rejected, exporter.counts.rejected
        print(exporter.counts.rows.total(), len(files), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    '''
)


def peak_mb(rows: int, buffered_mb: int) -> int:
    """The peak of resident memory while so many comments, and what goes with them, are exported."""
    command = [sys.executable, "-c", PROGRAM, str(rows), str(buffered_mb)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    written, files, peak = map(int, result.stdout.split())
    assert written >= rows and files >= 365
    return peak


@pytest.mark.parametrize(
    ("few", "many", "buffered_mb"),
    [
        pytest.param(100_000, 300_000, 8, marks=pytest.mark.ci),
        pytest.param(1_000_000, 3_000_000, 64, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_rows(few: int, many: int, buffered_mb: int) -> None:
    """Where everything was buffered, the rows between the two took 100 MB, and 1,000 MB."""
    of_few, of_many = peak_mb(few, buffered_mb), peak_mb(many, buffered_mb)
    assert of_many < of_few + MORE_MB, (of_few, of_many)
