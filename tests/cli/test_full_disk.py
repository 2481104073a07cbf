"""A full disk is reported with a message and a failure status, never with a traceback.

A link to `/dev/full` stands for a file on a full disk. tests/system/test_full_disk.py tests the disk of Kafka.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vigil.app.cli.main import main
from vigil.topics.contracts.files import files

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")

RECORDING = Path(__file__).parents[1] / "runtime" / "replay" / "stories" / "ladder.jsonl"


def checked(status: int, words: str) -> str:
    """Check the message of a command that failed because of a full disk, and return it."""
    assert status in (1, 2), words
    assert "No space left on device" in words
    assert "Traceback" not in words
    assert "Exception ignored" not in words
    return words


@pytest.mark.parametrize("words", ["rules", "simulate --duration 5s --rooms 1 --out -"])
def test_standard_output(words: str) -> None:
    with FULL.open("wb") as out:
        command = [sys.executable, "-m", "vigil", *words.split()]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert "cannot write standard output" in checked(done.returncode, done.stderr)


def message_of(*words: str) -> str:
    """Return the message of a command that writes to a file on a full disk."""
    done = CliRunner().invoke(main, words)
    assert isinstance(done.exception, SystemExit), done.exception
    return checked(done.exit_code, done.output)


@pytest.mark.parametrize("name", ["some.jsonl", "some.jsonl.gz", "some.jsonl.zst"])
def test_a_simulation(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(FULL)
    assert f"cannot write {tmp_path / name}" in message_of(
        "simulate", "--duration", "1m", "--out", str(tmp_path / name)
    )


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest").symlink_to(FULL)
    output = message_of(
        "simulate", "--duration", "3m", "--out", str(tmp_path / "some.jsonl"), "--manifest", str(tmp_path / "manifest")
    )
    assert "manifest" in output


def test_a_replay(tmp_path: Path) -> None:
    (tmp_path / "verdict.jsonl").symlink_to(FULL)
    assert f"cannot write to {tmp_path}" in message_of("replay", str(RECORDING), "--out", str(tmp_path))


def test_schemas(tmp_path: Path) -> None:
    for name in files({}):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(FULL)
    assert f"cannot write to {tmp_path}" in message_of("schema", "--out", str(tmp_path))
