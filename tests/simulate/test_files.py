"""A simulation is written to a file as a recording, compressed by the name of the file."""

import contextlib
import gzip
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
import zstandard
from click.testing import CliRunner

from vigil.app.cli.main import main
from vigil.app.cli.simulate import simulate
from vigil.app.simulate import SimulatedMessage
from vigil.app.simulate.files import line_of
from vigil.app.simulate.partitions import partition_of


def run(*options: str):
    return CliRunner().invoke(main, ["simulate", *options])


def test_a_line_has_topic_key_and_value():
    message = SimulatedMessage("comment", b"room-1", b'{"at":5}', 5, 6)
    assert line_of(message) == b'{"topic":"comment","key":"room-1","value":{"at":5}}\n'
    assert orjson.loads(line_of(message, (2, 7)))["partition"] == 2
    assert orjson.loads(line_of(message, (2, 7)))["offset"] == 7


def test_a_tombstone_and_a_missing_key_are_null():
    line = orjson.loads(line_of(SimulatedMessage("supplier-profile", None, None, 5, 6)))
    assert line == {"topic": "supplier-profile", "key": None, "value": None}


def test_a_value_that_is_not_json_is_written_unchanged():
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(line_of(SimulatedMessage("comment", b"room-1", b'{"at":', 5, 6)))
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(line_of(SimulatedMessage("comment", b"\xff", b"{}", 5, 6)))


def test_partitions_are_those_of_kafkas_default_partitioner():
    # Kafka's own test vectors of murmur2.
    assert partition_of(b"21", 2**31) == -973932308 & 0x7FFFFFFF
    assert partition_of(b"foobar", 2**31) == -790332482 & 0x7FFFFFFF
    assert partition_of(b"a-little-bit-long-string", 2**31) == -985981536 & 0x7FFFFFFF
    assert partition_of(None, 4) == 0


def test_compression_does_not_change_the_lines(tmp_path):
    plain, gz, zst = (tmp_path / f"a.jsonl{end}" for end in ("", ".gz", ".zst"))
    for path in (plain, gz, zst):
        result = run("--out", str(path), "--rooms", "2", "--suppliers", "2", "--duration", "60s")
        assert result.exit_code == 0, result.output
        assert "messages" in result.stderr
    lines = plain.read_bytes()
    assert lines.count(b"\n") > 100
    assert gzip.decompress(gz.read_bytes()) == lines
    assert zstandard.ZstdDecompressor().stream_reader(io.BytesIO(zst.read_bytes())).read() == lines
    first = gz.read_bytes()
    run("--out", str(gz), "--rooms", "2", "--suppliers", "2", "--duration", "60s")
    assert gz.read_bytes() == first, "nothing of the clock is in the file"


def test_lines_go_to_standard_output_and_messages_to_standard_error():
    result = run("--out", "-", "--rooms", "1", "--suppliers", "0", "--duration", "20s")
    assert all(orjson.loads(line)["topic"] for line in result.stdout.splitlines())
    assert "planned faults" in result.stderr


def test_offsets_count_by_topic_and_partition(tmp_path):
    path = tmp_path / "a.jsonl"
    run("--out", str(path), "--rooms", "4", "--duration", "60s", "--partitions", "3")
    following = {}
    for line in map(orjson.loads, path.read_bytes().splitlines()):
        place = (line["topic"], line["partition"])
        assert line["offset"] == following.get(place, 0)
        assert line["partition"] == partition_of(line["key"].encode(), 3)
        following[place] = line["offset"] + 1
    assert len({partition for _, partition in following}) == 3


def test_the_manifest_contains_every_fault(tmp_path):
    path = tmp_path / "faults.jsonl"
    result = run("--out", "-", "--rooms", "20", "--manifest", str(path))
    faults = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert f"{len(faults)} planned faults, written to {path}" in result.stderr
    assert {"kind", "rule", "room_id", "host_id", "since", "at", "subject", "words"} == set(faults[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Give either --out"),
        (("--out", "-", "--broker", "localhost:9"), "Give either --out"),
        (("--out", "-", "--rooms", "many"), "not a valid integer"),
        (("--out", "-", "--rooms", "-1"), "--rooms: is -1"),
        (("--out", "-", "--duration", "soon"), "is not a duration"),
        (("--out", "-", "--duration", "0"), "--duration"),
        (("--out", "-", "--disorder", "2s"), "--disorder: is 2000 ms"),
        (("--out", "-", "--malformed", "2"), "--malformed: is 2"),
        (("--out", "-", "--start", "2022-09-01T00:00"), "has no time zone"),
        (("--out", "-", "--start", "yesterday"), "is not a time"),
        (("--out", "-", "--start", "2022-07-18T00:00Z"), "--start: must be from 2022-07-19"),
        (("--out", "-", "--speed", "2"), "--speed requires --broker"),
        (("--broker", "localhost:9", "--speed", "-1"), "is not a speed"),
        (("--broker", "localhost:9", "--rate", "0"), "--rate"),
        (("--broker", "localhost:9", "--partitions", "2"), "--partitions requires --out"),
    ],
)
def test_invalid_options_are_usage_errors(options, words):
    result = run(*options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    result = run("--out", str(tmp_path / "no" / "such.jsonl"))
    assert result.exit_code == 1
    assert "cannot write" in result.stderr


PROGRAM = "from vigil.app.cli.simulate import simulate; simulate(prog_name='vigil simulate')"


def test_ctrl_c_ends_a_file_without_an_error(tmp_path):
    path, manifest = tmp_path / "a.jsonl.zst", tmp_path / "faults.jsonl"
    options = ["--out", str(path), "--manifest", str(manifest), "--duration", "endless", "--seed", "3"]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *options], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 20
    while time.monotonic() < until and not (manifest.exists() and manifest.stat().st_size):
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, words = child.communicate(timeout=20)
    assert child.returncode == 0, words
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read()
    assert f"{len(lines.splitlines()):,} messages" in words
    assert all(orjson.loads(line) for line in lines.splitlines()), "no line is torn"
    assert all(orjson.loads(line) for line in manifest.read_bytes().splitlines())


def test_a_closed_standard_output_is_not_an_error():
    options = ["--out", "-", "--duration", "endless"]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    assert orjson.loads(child.stdout.readline())["topic"]
    child.stdout.close()
    assert child.wait(20) == 0
    assert child.stderr.read() == b""
    child.stderr.close()


def test_a_progress_bar_is_shown_on_a_terminal(tmp_path):
    leader, follower = pty.openpty()
    options = ["--out", str(tmp_path / "a.jsonl"), "--rooms", "50", "--duration", "30m"]
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *options], stderr=follower, env={**os.environ, "TERM": "xterm", "COLUMNS": "99"}
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # raised once the child has ended
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    assert child.wait(20) == 0
    assert b"simulating" in shown
    assert b"2022-09-01" in shown


def test_the_page_names_existing_options():
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    known = {option for parameter in simulate.params for option in parameter.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", page))
    assert named <= known
    assert {"--rooms", "--malformed-ahead", "--backlog"} <= named
