"""The demo as a newcomer runs it: verdicts within a minute, with their reasons, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.demo.view import View, plain
from app.rulebook import load_rulebook


def processes_of(environment_mark: str) -> list[int]:
    """The processes whose environment has the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if environment_mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def test_the_demo_shows_verdicts_and_ends_all_of_it_at_ctrl_c(broker: str) -> None:
    mark = f"DEMO_TEST={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    demo = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo", "--rooms", "12", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, name: value},
    )
    assert demo.stdout is not None
    began = time.monotonic()
    said = []
    while time.monotonic() - began < 60:
        line = demo.stdout.readline()
        said.append(line)
        if "VERDICT" in line:
            break
    assert "VERDICT" in said[-1], "".join(said)
    demo.send_signal(signal.SIGINT)
    rest = demo.communicate(timeout=20)[0]
    assert demo.returncode == 0, rest
    assert "ended: broker, worker and simulator" in rest.replace("\n", " ")
    assert processes_of(mark) == []


def test_texts_of_events_cannot_steer_the_terminal() -> None:
    assert plain("\x1b[2Jgone\u202e") == "�[2Jgone�"
    view = View(load_rulebook())
    verdict = {
        "verdict_id": "v",
        "rule": "rights",
        "family": "rights",
        "room_id": "\x1b]0;room\x07",
        "host_id": "host",
        "since": 1,
        "at": 1,
        "evidence": [{"topic": "comment", "at": 1, "note": "says \x1b[31m[bold]red"}],
    }
    view.take("verdict", verdict, b"room")
    line = view.line("verdict", verdict)
    assert line is not None
    assert "\x1b" not in line
