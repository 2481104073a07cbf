"""The demo shows verdicts with their reasons within a minute and leaves no process behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.harness import make_topics
from vigil.app.demo.picture import picture
from vigil.app.demo.run import Demo, DemoOptions, DemoParts, worker_settings
from vigil.app.demo.supervised_worker import RESTARTS, DemoError, SupervisedWorker
from vigil.app.demo.view import DemoView, lines, plain
from vigil.app.domain.rooms.emitter import shown
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.kafka.settings import SettingsError


def processes_of(environment_mark: str) -> list[int]:
    """Return the processes whose environment has the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if environment_mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


@pytest.mark.ci
def test_the_demo_shows_verdicts_and_stops_every_process_on_ctrl_c(broker: str) -> None:
    mark = f"DEMO_TEST={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    demo = subprocess.Popen(
        [sys.executable, "-m", "vigil", "demo", "--rooms", "12", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, name: value},
    )
    assert demo.stdout is not None
    began = time.monotonic()
    output = []
    while time.monotonic() - began < 60:
        line = demo.stdout.readline()
        output.append(line)
        if "VERDICT" in line:
            break
    assert "VERDICT" in output[-1], "".join(output)
    worker = next(int(line.split()[2].rstrip(",")) for line in output if line.startswith("worker "))
    os.kill(worker, signal.SIGKILL)
    while "ready again" not in output[-1]:
        output.append(demo.stdout.readline())
        assert output[-1], "".join(output)
    assert any("killed by signal 9; started again" in line for line in output)
    demo.send_signal(signal.SIGINT)
    rest = demo.communicate(timeout=20)[0]
    assert demo.returncode == 0, rest
    assert "Stopped broker, worker and simulator" in rest.replace("\n", " ")
    assert processes_of(mark) == []


def test_texts_of_events_cannot_control_the_terminal() -> None:
    assert plain("\x1b[2Jgone\u202e") == "�[2Jgone�"
    view = DemoView(load_rulebook())
    verdict = {
        "verdict_id": "v",
        "rule": "rights",
        "rulebook": "2022-07-19",
        "family": "rights",
        "room_id": "\x1b]0;room\x07",
        "host_id": "host",
        "since": 1,
        "at": 1,
        "evidence": [{"topic": "comment", "at": 1, "note": "says \x1b[31m[bold]red"}],
    }
    view.add("verdict", verdict, b"room")
    line = view.line("verdict", verdict)
    assert line is not None
    assert "\x1b" not in line


def test_a_quotation_is_shown_to_its_end() -> None:
    note = f"comment c-11-397 labelled 'rights:portrait': {shown('she does not have a contract with us ' * 9)}"
    verdict = {"rule": "rights", "rulebook": "2022-07-19", "since": 1, "at": 1}
    verdict["evidence"] = [{"topic": "comment", "at": 1, "note": note}]
    assert DemoView(load_rulebook()).reason(verdict).endswith("…'.")


def duty(supplier_id: str, at: int, status: str) -> dict[str, Any]:
    """Return an obligation that is due an hour after it began."""
    of_request = {"supplier_id": supplier_id, "duty": "service-answer", "ref": f"r-{at}", "owed_by": "supplier"}
    return of_request | {"status": status, "at": at, "since": at, "due": at + 3_600_000}


def product(at: int, stars: int | None, *, blocked: bool = False) -> dict[str, Any]:
    epr = {"DE": {"blocked": blocked}}
    return {"supplier_id": "s", "product_id": "lamp", "at": at, "stars": stars, "epr": epr}


def busy_view() -> DemoView:
    """Return a view with more content than any terminal has lines."""
    view = DemoView(load_rulebook())
    for number in range(20):
        at = 1_660_000_000_000 + number * 1000
        evidence = [{"topic": "comment", "at": at, "note": f"comment {n}: {'much the same ' * 6}"} for n in range(5)]
        verdict = {"verdict_id": f"v{number}", "rule": "harassment", "family": "harassment", "since": at, "at": at}
        verdict["rulebook"] = "2022-07-19"
        view.add("verdict", verdict | {"room_id": f"room-{number:02}", "host_id": "h", "evidence": evidence}, b"r")
        due = {"rule": "absence", "since": at, "due": at + 300_000}
        room = {"room_id": f"risk-{number:02}", "stream": "live", "open": [due], "waiting": []}
        view.add("room-status", room, b"risk-%d" % number)
        notice = {"kind": "signal-lost", "room_id": f"lost-{number:02}", "priority": "normal", "since": at, "at": at}
        view.add("notice", notice, b"lost")
        metrics = {"response_rate": 0.5, "reply_rate": None, "gmv_90d": "12.50"}
        view.add("supplier-score", {"supplier_id": f"s-{number:02}", "predicted": number, "metrics": metrics}, b"s")
        view.add("obligation", duty(f"s-{number:02}", at, "open"), b"d%d" % number)
    return view


@pytest.mark.parametrize("width, height", [(60, 20), (80, 24), (100, 30), (140, 40), (120, 50), (220, 70)])
def test_the_live_view_fits_its_terminal_and_shows_the_latest_rows_and_the_footer(width: int, height: int) -> None:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(picture(busy_view(), 1_660_000_020_000, "Ctrl-C to stop", console))
    shown = captured.get().rstrip("\n").split("\n")
    assert len(shown) <= height
    text = "\n".join(shown)
    assert "room-19" in text
    assert "Ctrl-C to stop" in text
    if height >= 40:
        for latest_or_first in ("room-17", "risk-00", "lost-19", "s-19", "service-answer"):
            assert latest_or_first in text


def test_before_the_first_verdict_the_live_view_says_what_it_waits_for() -> None:
    for width in (80, 140):
        console = Console(width=width, height=24, force_terminal=True, color_system=None)
        with console.capture() as captured:
            console.print(picture(DemoView(load_rulebook()), 0, "Ctrl-C to stop", console))
        assert "The worker is joining its group" in captured.get()


async def test_a_part_that_ends_by_itself_ends_the_demo_with_an_error(tmp_path: Path) -> None:
    async def runs() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise SettingsError("no port")

    async def ends() -> None:
        return

    worker = SupervisedWorker(tmp_path / "worker.log", {}, ("/bin/sh", "-c", "sleep 60"))
    good, bad, over = (asyncio.create_task(part()) for part in (runs, fails, ends))
    try:
        await asyncio.sleep(0)
        assert await DemoParts(worker, good, None).keep_running() is None
        assert await DemoParts(worker, good, good).keep_running() is None
        with pytest.raises(SettingsError, match="no port"):
            await DemoParts(worker, good, bad).keep_running()
        with pytest.raises(DemoError, match="the web console ended"):
            await DemoParts(worker, good, over).keep_running()
        with pytest.raises(DemoError, match="the simulator ended"):
            await DemoParts(worker, over, good).keep_running()
    finally:
        good.cancel()
        worker.stop()


@pytest.mark.parametrize("status", [0, 1])
def test_a_worker_that_ends_by_itself_ends_the_demo_with_an_error(tmp_path: Path, status: int) -> None:
    worker = SupervisedWorker(tmp_path / "worker.log", {}, ("/bin/sh", "-c", f"exit {status}"))
    worker.process.wait()
    with pytest.raises(DemoError, match=f"the worker ended with status {status}: see .*worker.log"):
        worker.restart_if_killed()


def test_a_killed_worker_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    worker = SupervisedWorker(tmp_path / "worker.log", {}, ("/bin/sh", "-c", "echo started; kill -KILL $$"))
    for _ in range(RESTARTS):
        worker.process.wait()
        line = worker.restart_if_killed()
        assert line is not None
        assert "killed by signal 9; started again" in line
    worker.process.wait()
    with pytest.raises(DemoError, match="the worker ended with status -9"):
        worker.restart_if_killed()
    assert worker.log.read_text().count("started") == RESTARTS + 1


def test_rejected_events_are_shown() -> None:
    view = DemoView(load_rulebook())
    letter = {"topic": "comment", "reason": "late", "detail": "at 1 is 350 ms below the clock", "at": 1_660_000_000_000}
    assert "rejected late" in (view.line("dead-letter", letter) or "")
    for _ in range(3):
        view.add("dead-letter", letter, None)
    console = Console(width=100, height=24, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(picture(view, 0, "Ctrl-C to stop", console))
    assert "events rejected: late 3" in captured.get()


def test_what_merchants_lose_is_printed_once_and_only_since_the_start() -> None:
    view = DemoView(load_rulebook(), since=1000)
    claim = {"supplier_id": "s", "programme": "strength-pack", "edition": "2022-08", "at": 1000, "reason": None}
    received: list[tuple[str, bytes | None, dict[str, Any] | None]] = [
        ("obligation", b"old", duty("s", 999, "breached")),
        ("obligation", b"d", duty("s", 1000, "breached")),
        ("obligation", b"d", duty("s", 1000, "breached") | {"done_at": 1001}),
        ("obligation", b"gone", duty("s", 1000, "open")),
        ("obligation", b"gone", None),
        ("product-standing", b"p", product(1001, 2)),
        ("product-standing", b"p", product(1002, 1, blocked=True)),
        ("product-standing", b"p", product(1003, 1, blocked=True)),
        ("participation", b"c", claim | {"status": "claimed"}),
        ("participation", b"c", claim | {"status": "refused", "reason": "closed", "at": 1001}),
    ]
    shown = [line.split(maxsplit=1)[1] for step in received for line in lines(view, [step])]
    assert [" ".join(line.split()) for line in shown] == [
        "duty service-answer s r-1000 breached, owed by the supplier",
        "product star-lost s lamp had 2 stars, has 1",
        "claim strength-pack s 2022-08 refused: closed",
    ]
    expected = "products: 1 with 1 star, 1 blocked · duties: 2 breached · claims: 1 refused"
    assert view.merchants.summary() == expected


def test_the_duty_that_is_due_next_is_shown_first_and_none_that_is_over() -> None:
    view = DemoView(load_rulebook())
    for number in (3, 1, 2):
        view.add("obligation", duty(f"s-{number}", number * 1000, "at-risk"), b"d%d" % number)
    view.add("obligation", duty("s-1", 1000, "met"), b"d1")
    assert [due.supplier_id for due in view.merchants.due_next(3_600_000, 5)] == ["s-2", "s-3"]
    assert [due.supplier_id for due in view.merchants.due_next(3_602_000, 5)] == ["s-3"]


@pytest.mark.parametrize(
    ("port", "words"),
    [(8080, "console     http://127.0.0.1:8080/"), (28449, "28449/ (another program uses port 8080)")],
)
async def test_the_demo_says_why_the_console_has_another_port(
    port: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(*arguments: Any) -> None:
        *_, listening = arguments
        listening(f"http://127.0.0.1:{port}/")

    monkeypatch.setattr("vigil.app.demo.run.serve_console", serve)
    console = Console(record=True, width=120)
    await Demo(console, load_rulebook(), DemoOptions(2, 1, 1))._serve("127.0.0.1:1")
    assert console.export_text().rstrip().endswith(words)


async def test_the_demo_does_not_mix_its_events_with_those_of_a_broker_in_use() -> None:
    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 2)
        demo = Demo(Console(), load_rulebook(), DemoOptions(2, 1, 1, 5, web=False, broker=broker.address))
        with pytest.raises(DemoError, match=r"already has topics of Vigil \(.*comment"):
            await demo.run()


def test_the_worker_judges_by_the_demos_rulebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "VIGIL_RULEBOOK" not in worker_settings("b:1", True, None)
    assert worker_settings("b:1", True, Path("own.toml"))["VIGIL_RULEBOOK"] == str(tmp_path / "own.toml")
