"""`vigil probe` writes a recording that `vigil replay` judges, sends to Kafka, and refuses what it cannot use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.probe.stages import BrightnessDetectors
from tests.support.camera import write_clip
from tests.support.run_command import run
from vigil.app.cli.probe import probe

WHO = ("--room", "room-1", "--host", "merchant-7")


@pytest.fixture(autouse=True)
def brightness_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors that load no models."""
    from vigil.app.probe.detector import Detectors

    monkeypatch.setattr(Detectors, "load", lambda options: BrightnessDetectors())


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_file_becomes_a_recording(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "frames.jsonl"
    result = run("probe", str(clip), *WHO, "--out", str(out), "--start", "2022-09-01T16:00:00Z")
    assert result.exit_code == 0, result.output
    frames = lines(out)
    assert {(frame["topic"], frame["key"]) for frame in frames} == {("frame-status", "room-1")}
    assert [frame["value"]["at"] - 1_662_048_000_000 for frame in frames] == list(range(0, 10_000, 1000))
    assert [frame["value"]["black"] for frame in frames] == [False] * 3 + [True] * 3 + [False] * 4
    assert [frame["value"]["stream"] for frame in frames] == ["live"] * 9 + ["ended"]
    again = tmp_path / "again.jsonl"
    run("probe", str(clip), *WHO, "--out", str(again))
    assert again.read_bytes() == out.read_bytes(), "the same file gives the same recording"


def test_the_recordings_of_several_rooms_are_one_in_order_of_time(clip: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "short.mp4", [("moving", 4)])
    (tmp_path / "rooms.txt").write_text(f"{clip} room-1 host-1\nshort.mp4 room-2 host-2\n")
    result = run("probe", "--rooms", str(tmp_path / "rooms.txt"), "--out", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 0, result.output
    frames = lines(tmp_path / "out.jsonl")
    times = [frame["value"]["at"] for frame in frames]
    assert times == sorted(times)
    assert [sum(frame["key"] == room for frame in frames) for room in ("room-1", "room-2")] == [10, 5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give either SOURCE with --room and --host, or --rooms FILE."),
        (("rtmp://h/a",), "SOURCE needs --room and --host."),
        (("rtmp://h/a", "--rooms", "rooms.txt"), "Give either SOURCE"),
        (("--rooms", "rooms.txt", "--room", "r"), "with --rooms the file has them"),
        (("--rooms", "gone.txt"), "gone.txt: cannot be read: No such file"),
        (("gone.mp4", *WHO), "SOURCE: there is no file gone.mp4"),
        (("rtmp://h/a", *WHO, "--interval", "nan"), "nan is no number of seconds"),
        (("rtmp://h/a", "--room", "r" * 129, "--host", "h"), "SOURCE: --room has no or more than 128 characters"),
        (("rtmp://h/a", "--room", "r", "--host", ""), "SOURCE: --host has no or more than 128 characters"),
        (("/", *WHO), "SOURCE: / is a folder; write the path of a file in it"),
        (("ftp://h/a", *WHO), "SOURCE: the source begins with ftp://"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_the_remedy(arguments: tuple[str, ...], words: str) -> None:
    result = run("probe", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    (tmp_path / "out.jsonl").write_text("an earlier recording")
    result = run("probe", str(tmp_path / "notes.mp4"), *WHO, "--out", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 2
    assert (tmp_path / "out.jsonl").read_text() == "an earlier recording"
    assert "notes.mp4: cannot be read as video" in result.stderr


@pytest.mark.parametrize("package", ["av", "cv2", "numpy"])
def test_without_the_extra_the_command_says_how_to_install_it(package: str, tmp_path: Path, clip: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from vigil.app.cli.main import main; main()"
    command = [sys.executable, "-c", code, "probe", str(clip), *WHO, "--out", str(tmp_path / "out.jsonl")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"needs the package {package}" in result.stderr
    assert "pip install 'vigil-live[probe]'" in result.stderr


def test_no_broker_is_an_error_of_the_operator(clip: Path) -> None:
    result = run("probe", str(clip), *WHO, "--broker", "127.0.0.1:9")
    assert result.exit_code == 2
    assert "127.0.0.1:9" in result.stderr


def test_the_help_names_every_kind_of_source() -> None:
    text = probe.help or ""
    assert all(scheme in text for scheme in ("rtmp://", "rtmps://", "rtsp://", "rtsps://", "srt://", "http://"))
