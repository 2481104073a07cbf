"""The live path: a camera's stream by RTMP, the probe, Kafka, the worker, a verdict, and the console that shows it."""

import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import pytest

from tools.demo_video import working_folder
from vigil.app.demo.supervised_worker import DemoError


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        page: str = answer.read().decode()
    return page


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, DemoError], ids=["end", "interrupted", "failed"])
def test_the_folder_of_the_demo_is_removed_unless_an_error_names_a_log_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nullcontext() if error is None else pytest.raises(error), working_folder() as folder:
        (folder / "probe.log").touch()
        if error is not None:
            raise error
    assert [path.name for path in tmp_path.rglob("*.log")] == (["probe.log"] if error is DemoError else [])


@pytest.mark.ci
def test_a_live_stream_leads_to_a_verdict_in_the_console() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "tools.demo_video", "--for", "90"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        shown, page = "", ""
        for line in demo.stdout or ():
            shown += line
            if "VERDICT" in line:
                break
        assert re.search(r"VERDICT +layout +camera-room", shown), shown
        assert re.search(r"frame +live, no face, silent, \d\d% of the canvas uncovered", shown), shown
        address = re.search(r"console +(http://[^/]+)(/\S+)", shown)
        assert address is not None, shown
        deadline = time.monotonic() + 10
        while not (link := re.search(r'href="(/verdict\?id=[^"]+)"', page)) and time.monotonic() < deadline:
            page = read(address[1] + address[2])
            time.sleep(0.5)
        assert link is not None, page
        assert "frames in a row with a bad layout" in read(address[1] + link[1])
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate(timeout=25)[0]
        assert demo.returncode == 0, rest
        assert "Stopped probe, camera, worker and broker." in rest
    finally:
        demo.kill()
        demo.wait()
