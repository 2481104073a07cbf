"""Runs Vigil on a live stream on this machine: `make demo-video`.

    drawn camera ─RTMP─▶ vigil probe ─▶ embedded broker ─▶ vigil worker ─▶ verdicts ─▶ console, and this terminal

The camera shows a room, then black bars beside it, then nothing, over and over. All but the camera is what a user runs.
"""

import argparse
import asyncio
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer

from tests.support.camera import Scene, rtmp_camera, write_clip
from vigil.app.cli.common import on_shutdown_signal
from vigil.app.console.http.server import serve
from vigil.app.console.settings import ConsoleSettings
from vigil.app.demo.run import worker_settings
from vigil.app.demo.supervised_worker import DemoError, SupervisedWorker
from vigil.app.demo.view import DemoView, clock, lines
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.embedded_broker import BrokerError, EmbeddedBroker, free_port, start_child, stop_child
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging

SCENES: Final[tuple[tuple[Scene, float], ...]] = (("moving", 8), ("letterbox", 25), ("black", 140))
ROOM: Final = "camera-room"
HOST: Final = "camera-host"
TOPICS: Final = ("frame-status", "verdict", "notice", "enforcement")


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)


def say_console(url: str) -> None:
    """Print where the room's page is."""
    say(f"console     {url}room?id={ROOM}")


@contextmanager
def probing(address: str, broker: str, log: Path) -> Iterator[Any]:
    """Run `vigil probe` on an address, until the end of the block."""
    command = [sys.executable, "-m", "vigil", "probe", address, "--room", ROOM, "--host", HOST, "--broker", broker]
    say(f"probe       vigil {shlex.join(command[3:])}")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIL_")}
    settings = {"VIGIL_IDEMPOTENT_PRODUCER": "false", "VIGIL_LOG_FORMAT": "text"}
    with log.open("ab") as output:
        child = start_child(command, output, inherited | settings)
    try:
        yield child
    finally:
        stop_child(child, 10)


@contextmanager
def working_folder() -> Iterator[Path]:
    """Yield a folder for the clip and the logs; it is kept where an error names a log file in it."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-demo-video-"))
    kept = False
    try:
        yield folder
    except DemoError:
        kept = True
        say(f"log files   {folder}")
        raise
    finally:
        if not kept:
            shutil.rmtree(folder)


class Looks:
    """What the frames show, a line when it changes."""

    def __init__(self) -> None:
        self._last = ""

    def line(self, frame: dict[str, Any]) -> str | None:
        layout = frame["layout"] or {}
        uncovered = layout.get("uncovered_share") or 0
        shown = [
            frame["stream"],
            "a face" if frame["face"] else "no face",
            *(word for word in ("black", "silent") if frame[word]),
            *([f"{uncovered:.0%} of the canvas uncovered"] if uncovered else []),
        ]
        look = ", ".join(shown)
        if look == self._last:
            return None
        self._last = look
        return f"{clock(frame['at'])}  frame    {look}"


async def show(broker: str, until_s: float, stop: asyncio.Event, children: list[Any]) -> None:
    """Print what is sent and concluded until `until_s` (monotonic), or `stop`; raise DemoError if a child ends."""
    view, looks = DemoView(load_rulebook()), Looks()
    consumer = AIOKafkaConsumer(*TOPICS, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while not stop.is_set() and time.monotonic() < until_s:
            fetched = await consumer.getmany(timeout_ms=250)
            received = [
                (part.topic, record.key, orjson.loads(record.value))
                for part, records in fetched.items()
                for record in records
            ]
            frames = [value for topic, _, value in received if topic == "frame-status"]
            for line in filter(None, map(looks.line, frames)):
                say(line)
            for line in lines(view, [each for each in received if each[0] != "frame-status"]):
                say(line)
            if any(child.poll() is not None for child in children):
                raise DemoError("the probe or the worker has ended by itself")
    finally:
        await consumer.stop()


async def run(for_s: float) -> None:
    """Run everything for so many seconds, or until Ctrl-C."""
    stop = asyncio.Event()
    on_shutdown_signal(stop.set)
    with ExitStack() as stack:
        folder = stack.enter_context(working_folder())
        say("camera      is drawn")
        clip = await asyncio.to_thread(write_clip, folder / "camera.mp4", SCENES)
        broker = stack.enter_context(EmbeddedBroker()).address
        say(f"broker      {broker} (embedded, in memory)")
        await ensure_topics(Settings(broker=broker), REGISTRY.sources)
        worker = SupervisedWorker(folder / "worker.log", worker_settings(broker, True, None))
        stack.callback(worker.stop)
        say(f"worker      process {worker.process.pid}, log file {worker.log}")
        console = ConsoleSettings(port=free_port())
        serving = asyncio.create_task(serve(Settings(broker=broker), console, load_rulebook(), stop, say_console))
        try:
            if not await worker.ready():
                raise DemoError(f"the worker is not ready: see {worker.log}")
            port = free_port()
            stack.enter_context(rtmp_camera(clip, port))
            scenes = ", ".join(f"{scene} {seconds:.0f} s" for scene, seconds in SCENES)
            say(f"camera      rtmp://127.0.0.1:{port}/live/camera shows over and over: {scenes}")
            probe = stack.enter_context(probing(f"rtmp://127.0.0.1:{port}/live/camera", broker, folder / "probe.log"))
            say(f"            log file {folder / 'probe.log'}")
            await show(broker, time.monotonic() + for_s, stop, [worker.process, probe])
        finally:
            stop.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(serving, 5)
    say("Stopped probe, camera, worker and broker.")


def main() -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="for_s", type=float, default=float("inf"), metavar="SECONDS")
    configure_logging("error", "text")
    try:
        asyncio.run(run(parser.parse_args().for_s))
    except (DemoError, BrokerError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
