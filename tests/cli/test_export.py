"""`vigil export` writes the same tables from topics and from a replay, and says what it left out."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaProducer

from tests.support.harness import recorded
from tests.support.judged import story
from tests.support.run_command import run
from vigil.app.export.tables import EVENTS, RESULTS, ExportTable
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.settings import Settings
from vigil.topics.envelope import cloud_event_headers

TABLES = (*RESULTS, *EVENTS)
AT = 1_662_048_021_000


def rows(folder: Path, table: ExportTable) -> list[dict[str, Any]]:
    files = sorted((folder / table.name).glob("*/*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def valid(found: Iterable[dict[str, Any]], table: ExportTable) -> list[dict[str, Any]]:
    """The valid row of each key, as the documentation says, without where it was written, and when."""
    newest: dict[str, dict[str, Any]] = {}
    for row in sorted(found, key=lambda row: row[table.newest or "source_offset"]):
        identity = str([row[name] for name in table.key.split(", ")]) if table.key else str(row)
        newest[identity] = row
    lines = [row for row in newest.values() if not row.get("deleted")]
    return sorted([{name: row[name] for name in row if name not in OF_ITS_PLACE} for row in lines], key=str)


OF_ITS_PLACE = {"source_partition", "source_offset", "published_at", "deleted"}


@pytest.fixture
def replayed(tmp_path: Path) -> Path:
    """The story of the contract's examples as a recording, and what a replay writes of it."""
    lines = recorded(message for message in story() if message.value is not None and b"\x1b" not in message.value)
    (tmp_path / "story.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert run("replay", str(tmp_path / "story.jsonl"), "--out", str(tmp_path / "replayed")).exit_code == 0
    return tmp_path


def test_topics_and_a_replay_give_the_same_tables(judged: str, replayed: Path) -> None:
    live, from_files = replayed / "live", replayed / "files"
    result = run("export", str(live), "--broker", judged, "--events")
    assert result.exit_code == 0, result.output
    assert "1 of comment rejected (the first: partition" in result.stderr
    result = run("export", str(from_files), str(replayed / "replayed"), str(replayed / "story.jsonl"), "--events")
    assert result.exit_code == 0, result.output
    for table in TABLES:
        found = valid(rows(live, table), table)
        assert found == valid(rows(from_files, table), table), table.name
        assert found, table.name
    for folder in live.glob("*/day=*"):
        table = next(one for one in TABLES if one.name == folder.parent.name)
        at = "verdict_at" if table.name == "evidence" else "at"
        found = [row for file in folder.glob("*") for row in pq.ParquetFile(file).read().to_pylist()]
        assert {f"day={row[at]:%Y-%m-%d}" for row in found} == {folder.name}


async def deletions(broker: str) -> None:
    """Write two messages without a value to `export-incident`, the second with a header that names no time."""
    settings = Settings(broker=broker, replication=1)
    async with Cluster(settings) as cluster:
        await cluster.create({"export-incident": (1, {})})
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for key, headers in (b"a", cloud_event_headers("incident", "a", AT)), (b"b", [("ce_time", b"yesterday")]):
            await producer.send_and_wait("export-incident", key=key, headers=headers, timestamp_ms=AT + 86_400_000)


def test_a_deletion_counts_on_the_day_that_its_header_names(any_broker: str, tmp_path: Path) -> None:
    asyncio.run(deletions(any_broker))
    result = run("export", str(tmp_path / "lake"), "--broker", any_broker, topic_prefix="export-")
    assert result.exit_code == 0, result.output
    assert "topics that do not exist: verdict, enforcement, review, supplier-score, obligation" in result.stderr
    incidents = next(table for table in RESULTS if table.name == "incidents")
    found = rows(tmp_path / "lake", incidents)
    assert [(row["incident_id"], row["deleted"], row["kind"]) for row in found] == [
        ("a", True, None),
        ("b", True, None),
    ]
    assert [row["at"].timestamp() * 1000 - AT for row in found] == [0, 86_400_000]


def test_since_and_until_select_by_the_time_of_writing(judged: str, tmp_path: Path) -> None:
    for limits in ("--until", "2020-01-01T00:00Z"), ("--since", "2100-01-01T00:00Z"):
        result = run("export", str(tmp_path / "none"), "--broker", judged, *limits)
        assert result.exit_code == 1 and "there was nothing to export" in result.stderr
        assert not (tmp_path / "none").exists()
    limits = ("--since", "2020-01-01T00:00Z", "--until", "2100-01-01T00:00Z")
    result = run("export", str(tmp_path / "all"), "--broker", judged, *limits)
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "all" / "export.json").read_bytes())
    assert manifest["sources"] == "topics" and manifest["rows"]["verdicts"] > 0


def test_the_end_of_the_output_says_what_is_missing(replayed: Path) -> None:
    broken = replayed / "broken.jsonl"
    broken.write_bytes((replayed / "story.jsonl").read_bytes() + b"{}\n" + b'{"topic":"review","value":{}}\n')
    result = run("export", str(replayed / "lake"), str(broken))
    assert result.exit_code == 0, result.output
    assert "left out: activity 2, buyer-entry" in result.stderr and "--events" in result.stderr
    assert "1 of review rejected (the first: line" in result.stderr
    assert "1 of unknown rejected" in result.stderr
    manifest = json.loads((replayed / "lake" / "export.json").read_bytes())
    assert manifest["rejected"]["review"]["number"] == 1
    assert manifest["rows"] == {"reviews": len(rows(replayed / "lake", RESULTS[3]))}


def test_one_file_of_a_replay_may_be_packed(replayed: Path) -> None:
    import zstandard

    packed = replayed / "verdict.jsonl.zst"
    packed.write_bytes(zstandard.compress((replayed / "replayed" / "verdict.jsonl").read_bytes()))
    assert run("export", str(replayed / "lake"), str(packed)).exit_code == 0
    expected = [json.loads(line) for line in (replayed / "replayed" / "verdict.jsonl").read_text().splitlines()]
    assert [row["verdict_id"] for row in rows(replayed / "lake", RESULTS[0])] == [one["verdict_id"] for one in expected]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lake", "story.jsonl", "--since", "1d"), "--since is about topics, and SOURCE names files"),
        (("lake", "story.jsonl", "--broker", "a:1"), "--broker is about topics, and SOURCE names files"),
        (("lake", "."), ". has no file that a replay writes, such as verdict.jsonl"),
        (("replayed", "story.jsonl"), "replayed is not empty, and not the folder of an export"),
        (("lake", "--broker", "127.0.0.1:1"), "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(
    replayed: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(replayed)
    result = run("export", *words)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not Path("lake").exists()


def test_a_source_that_cannot_be_read_leaves_nothing(replayed: Path) -> None:
    result = run("export", str(replayed / "lake"), str(replayed / "replayed"), str(replayed / "missing.jsonl"))
    assert result.exit_code == 1 and "missing.jsonl cannot be read" in result.stderr
    assert not (replayed / "lake").exists()


def test_without_pyarrow_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("vigil.app.export", "pyarrow"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("export", str(tmp_path / "lake"), "x.jsonl")
    assert result.exit_code == 2
    assert "pip install 'vigil-live[export]'" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
def test_a_disk_that_is_full_is_reported_and_nothing_is_left(replayed: Path) -> None:
    """A limit of what a file may have stands for the disk's end."""
    import resource

    command = [sys.executable, "-m", "vigil.app.cli.main", "export", str(replayed / "lake"), str(replayed / "replayed")]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )
    assert result.returncode == 1
    assert f"Error: cannot write to {replayed / 'lake'}: " in result.stderr and "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (replayed / "lake").exists()


def test_an_export_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM while it waits for more of its standard input."""
    lake = tmp_path / "lake"
    command = [sys.executable, "-m", "vigil.app.cli.main", "export", str(lake), "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ)
    try:
        assert process.stdin is not None
        line = orjson.dumps({"topic": "review", "value": REVIEW}) + b"\n"
        process.stdin.write(line * 2000)
        process.stdin.flush()
        asyncio.run(until_there(lake / ".unfinished"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert not lake.exists()


REVIEW = {"verdict_id": "a", "host_id": "b", "decision": "upheld", "by": "c", "reason": "d", "at": AT}


async def until_there(path: Path) -> None:
    async with asyncio.timeout(30):
        while not path.exists():
            await asyncio.sleep(0.02)
