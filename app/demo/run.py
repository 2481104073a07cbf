"""Starts the processes and tasks of the demo, shows the outputs, and stops everything in any case."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer
from rich.console import Console, RenderableType
from rich.live import Live

from vigil.app.console.http.server import serve as serve_console
from vigil.app.console.settings import ConsoleSettings
from vigil.app.demo.picture import picture
from vigil.app.demo.view import DemoView, lines
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.admin import ensure_topics
from vigil.app.kafka.embedded_broker import HOST, EmbeddedBroker, free_port, start_child, stop_child
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.simulate import Simulation
from vigil.app.simulate.kafka import SendCallbacks, SendOptions, produce

BACKLOG_S: Final = 600
"""The demo starts with a backlog of ten minutes, so that the rules of five minutes show at once."""

TOPICS: Final = ("verdict", "notice", "enforcement", "room-status", "supplier-score")

CONSOLE_PORT: Final = 8080

SESSION_MS: Final = 3000
"""Session timeout of the demo's worker: the embedded broker delays the start of a group by half of it."""


class DemoError(Exception):
    """The demo cannot continue; the text says why and where to look."""


class DemoOptions(NamedTuple):
    """What `vigil demo` can be asked for."""

    rooms: int
    suppliers: int
    seed: int
    for_s: float | None = None
    """Stop after this number of seconds; None: on Ctrl-C."""
    web: bool = True
    """Whether to start the web console."""


class DemoParts(NamedTuple):
    """What runs while the demo shows the outputs."""

    worker: "subprocess.Popen[bytes]"
    log: Path
    """Log file of the worker."""
    sending: "asyncio.Task[Any]"
    serving: "asyncio.Task[None] | None"
    """The web console, if it was asked for."""

    async def all_run(self) -> None:
        """Raise DemoError, or the error of the task, if one of them has ended."""
        if self.worker.poll() is not None:
            raise DemoError(f"the worker ended with status {self.worker.returncode}: see {self.log}")
        for task, name in ((self.sending, "simulator"), (self.serving, "web console")):
            if task is not None and task.done():
                await task
                raise DemoError(f"the {name} ended")


class Demo:
    """One run of the demo."""

    def __init__(self, console: Console, rulebook: Rulebook, options: DemoOptions) -> None:
        self._console = console
        self._rulebook = rulebook
        self._options = options
        self.url = ""
        """URL of the web console."""
        self._stop = asyncio.Event()
        self._sent = asyncio.Event()
        self._began = time.monotonic()
        self._first: float | None = None
        """Seconds from the start to the first verdict."""
        self._web_port = 0
        self.view = DemoView(rulebook)

    async def run(self) -> None:
        """Run the demo to its end; raise DemoError if a part of it ends by itself."""
        say = self._console.print
        folder = Path(tempfile.mkdtemp(prefix="vigil-demo-"))
        with EmbeddedBroker() as broker:
            say(f"broker      {broker.address} (embedded, in memory)", highlight=False)
            settings = Settings(broker=broker.address, session_timeout_ms=SESSION_MS)
            await ensure_topics(settings, REGISTRY.sources)
            rooms, suppliers, seed, *_ = self._options
            say(
                f"simulator   {rooms} rooms, {suppliers} suppliers, seed {seed}; starts with the last ten minutes",
                highlight=False,
            )
            simulation = Simulation(
                seed=seed,
                rooms=rooms,
                suppliers=suppliers,
                start_ms=wall_ms() - BACKLOG_S * 1000,
                duration_s=None,
                fault_every_s=90.0,
                history_days=45,
                rfq_every_s=60.0,
            )
            sending = asyncio.create_task(
                produce(
                    simulation,
                    broker.address,
                    SendOptions(backlog_s=BACKLOG_S),
                    SendCallbacks(on_backlog_sent=self._sent.set),
                    self._stop,
                )
            )
            async with _ending(sending):
                await _first_of(self._sent.wait(), sending)
                log = folder / "worker.log"
                with log.open("ab") as output:
                    worker = start_child(
                        [sys.executable, "-m", "vigil", "worker"],
                        output,
                        self._environment(broker.address),
                    )
                serving = asyncio.create_task(self._serve(broker.address)) if self._options.web else None
                try:
                    say(f"worker      process {worker.pid}, log file {log}", highlight=False, soft_wrap=True)
                    await self._show(broker.address, DemoParts(worker, log, sending, serving))
                finally:
                    self._stop.set()
                    if serving is not None:
                        async with _ending(serving):
                            pass
                    await asyncio.to_thread(stop_child, worker, 10)
        say(
            f"Stopped broker, worker and simulator. The log of the worker is kept in {log}",
            highlight=False,
            soft_wrap=True,
        )

    async def _serve(self, broker: str) -> None:
        """Run the web console, on its default port if that is free."""

        def listening(url: str) -> None:
            self.url = url
            self._console.print(f"console     {url}", highlight=False)

        async def serve(port: int) -> None:
            console = ConsoleSettings(port=port)
            await serve_console(Settings(broker=broker), console, self._rulebook, self._stop, listening)

        try:
            await serve(CONSOLE_PORT if _is_free(CONSOLE_PORT) else free_port())
        except SettingsError:  # another process has taken the port meanwhile
            await serve(free_port())

    def stop(self) -> None:
        """Stop the demo soon."""
        self._stop.set()

    def _environment(self, broker: str) -> dict[str, str]:
        self._web_port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VIGIL_")}
        return kept | {
            "VIGIL_BROKER": broker,
            "VIGIL_WEB_PORT": str(self._web_port),
            "VIGIL_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "VIGIL_IDEMPOTENT_PRODUCER": "false",
        }

    async def _show(self, broker: str, parts: "DemoParts") -> None:
        consumer = AIOKafkaConsumer(*TOPICS, bootstrap_servers=broker, auto_offset_reset="earliest")
        await consumer.start()
        live = None
        if self._console.is_terminal:
            live = Live(console=self._console, screen=True, auto_refresh=False)
        try:
            with live or contextlib.nullcontext():
                while not self._stop.is_set():
                    await self._show_next(consumer, live)
                    if self._stop.is_set():
                        return
                    await parts.all_run()
                    if self._time_is_over():
                        return
        finally:
            await consumer.stop()

    async def _show_next(self, consumer: AIOKafkaConsumer, live: Live | None) -> None:
        """Show the outputs that have arrived: as a picture of the whole, or without `live` as lines."""
        received = await _received(consumer)
        for line in lines(self.view, received):
            if live is None:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._first is None and self.view.verdicts:
            self._first = time.monotonic() - self._began
        if live is not None:
            live.update(self.picture(self._console), refresh=True)

    def _time_is_over(self) -> bool:
        limit = self._options.for_s
        return limit is not None and time.monotonic() - self._began >= limit

    def picture(self, console: Console) -> RenderableType:
        """Return what a terminal shows now."""
        return picture(self.view, wall_ms(), self._footer(), console)

    def _footer(self) -> str:
        first = "" if self._first is None else f" · first verdict after {self._first:.0f} s"
        console = f"console {self.url} · " if self.url else ""
        metrics = f"metrics http://127.0.0.1:{self._web_port}/metrics"
        return f"running for {time.monotonic() - self._began:.0f} s{first}\n{console}{metrics} · Ctrl-C to stop"


async def _received(consumer: AIOKafkaConsumer) -> list[tuple[str, bytes | None, Any]]:
    """The topic, key and decoded value of each record that has arrived; wait for one at most 250 ms."""
    fetched = await consumer.getmany(timeout_ms=250, max_records=2000)
    return [
        (tp.topic, record.key, None if record.value is None else orjson.loads(record.value))
        for tp, records in fetched.items()
        for record in records
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


@contextlib.asynccontextmanager
async def _ending(task: "asyncio.Task[Any]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(asyncio.CancelledError, asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(task), 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first_of(wanted: Any, other: "asyncio.Task[Any]") -> None:
    """Wait for `wanted`; if the other task ends first, raise its error."""
    waiting = asyncio.ensure_future(wanted)
    await asyncio.wait({waiting, other}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await other
