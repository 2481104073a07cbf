"""A full disk beneath whatever Vigil writes: told in words with a status of failure, and never a traceback.

`/dev/full` takes nothing; a link to it is a file on a full disk. Kafka's own disk: tests/kafka/test_full_disk.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from app.contracts.files import files

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")

RECORDING = Path(__file__).parent / "replay" / "stories" / "ladder.jsonl"


def said(*words: str) -> str:
    """What a command says that fails for want of room."""
    with FULL.open("wb") as out:
        command = [sys.executable, "-m", "app.cli", *words]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode in (1, 2), done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "words",
    [["--help"], ["rules"], ["schema", "verdict"], ["simulate", "--duration", "20s", "--out", "-"]],
    ids=lambda words: words[0],
)
def test_standard_output(words: list[str]) -> None:
    assert "standard output" in said(*words) or words[0] == "simulate"


@pytest.mark.parametrize("name", ["some.jsonl", "some.jsonl.gz", "some.jsonl.zst"])
def test_a_simulation(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(FULL)
    assert f"cannot write {tmp_path / name}" in said("simulate", "--duration", "1m", "--out", str(tmp_path / name))


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest").symlink_to(FULL)
    told = said(
        "simulate", "--duration", "3m", "--out", str(tmp_path / "some.jsonl"), "--manifest", str(tmp_path / "manifest")
    )
    assert "manifest" in told


def test_a_replay(tmp_path: Path) -> None:
    (tmp_path / "verdict.jsonl").symlink_to(FULL)
    assert f"cannot write to {tmp_path}" in said("replay", str(RECORDING), "--out", str(tmp_path))


def test_schemas(tmp_path: Path) -> None:
    for name in files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(FULL)
    assert f"cannot write to {tmp_path}" in said("schema", "--out", str(tmp_path))
