"""Starts the processes and tasks of the demo, shows the outputs, and stops everything in any case."""

import asyncio
import contextlib
import socket
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
from vigil.app.demo.merchants import TOPICS as MERCHANT_TOPICS
from vigil.app.demo.picture import picture
from vigil.app.demo.supervised_worker import DemoError, SupervisedWorker
from vigil.app.demo.view import DemoView, lines
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.admin import Cluster, ensure_topics
from vigil.app.kafka.embedded_broker import HOST, EmbeddedBroker, free_port
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.simulate import Simulation
from vigil.app.simulate.kafka import WORKER_STARTS_MS, SendCallbacks, SendOptions, produce

BACKLOG_S: Final = 600
"""The demo starts with a backlog of ten minutes, so that the rules of five minutes show at once."""

TOPICS: Final = ("verdict", "notice", "enforcement", "room-status", "supplier-score", "dead-letter", *MERCHANT_TOPICS)

PRODUCTS: Final = 3
"""Of each supplier."""

MODERATORS: Final = 4
"""Simulated people. They leave two in five violations to whoever uses the console."""

CONSOLE_PORT: Final = 8080

SESSION_MS: Final = 3000
"""Session timeout of the demo's worker: the embedded broker delays the start of a group by half of it."""

KAFKA_SESSION_MS: Final = 6000
"""On Apache Kafka: the least that its default settings accept. A worker that is started again waits for it."""


class DemoOptions(NamedTuple):
    """What `vigil demo` can be asked for."""

    rooms: int
    suppliers: int
    seed: int
    for_s: float | None = None
    """Stop after this number of seconds; None: on Ctrl-C."""
    web: bool = True
    """Whether to start the web console."""
    broker: str | None = None
    """An Apache Kafka to run on, without Vigil's topics; None: the embedded broker."""
    rulebook_file: Path | None = None
    """The rulebook of the worker; None: the built-in one."""


class DemoParts(NamedTuple):
    """What runs while the demo shows the outputs."""

    worker: SupervisedWorker
    sending: "asyncio.Task[Any]"
    serving: "asyncio.Task[None] | None"
    """The web console, if it was asked for."""

    async def keep_running(self) -> str | None:
        """Start a killed worker again and return a line that says so; None if all run.

        Raise DemoError, or the error of the task, if one of them has ended by itself.
        """
        restarted = self.worker.restart_if_killed()
        for task, name in ((self.sending, "simulator"), (self.serving, "web console")):
            if task is not None and task.done():
                await task
                raise DemoError(f"the {name} ended")
        return restarted


def worker_settings(broker: str, embedded: bool, rulebook_file: Path | None) -> dict[str, str]:
    """Return the settings of the demo's worker. The embedded broker has no idempotent producers."""
    rulebook = {} if rulebook_file is None else {"VIGIL_RULEBOOK": str(rulebook_file.absolute())}
    return rulebook | {
        "VIGIL_BROKER": broker,
        "VIGIL_SESSION_TIMEOUT_MS": str(SESSION_MS if embedded else KAFKA_SESSION_MS),
        "VIGIL_IDEMPOTENT_PRODUCER": str(not embedded).lower(),
    }


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
        self._worker: SupervisedWorker | None = None
        self._waiting: asyncio.Task[None] | None = None
        """Waits until a worker that was started again is ready."""
        self._last_note = ""
        self.view = DemoView(rulebook, since=wall_ms() - BACKLOG_S * 1000)

    async def run(self) -> None:
        """Run the demo to its end; raise DemoError if a part of it ends by itself."""
        if self._options.broker is not None:
            await self._check_is_unused(self._options.broker)
            self._say(f"broker      {self._options.broker} (yours)")
            await self._run_on(self._options.broker, embedded=False)
        else:
            with EmbeddedBroker() as broker:
                self._say(f"broker      {broker.address} (embedded, in memory)")
                await self._run_on(broker.address, embedded=True)

    async def _check_is_unused(self, broker: str) -> None:
        names = {topic for topics in REGISTRY.sources.values() for topic in topics}
        async with Cluster(Settings(broker=broker)) as cluster:
            found = sorted(await cluster.partitions(names))
        if found:
            raise DemoError(
                f"the broker {broker} already has topics of Vigil ({', '.join(found)}): the demo would mix its events "
                "with those there. Name a broker without them"
            )

    async def _run_on(self, broker: str, embedded: bool) -> None:
        await ensure_topics(Settings(broker=broker), REGISTRY.sources)
        simulation = self._simulation()
        rooms, suppliers, seed, *_ = self._options
        self._say(f"simulator   {rooms} rooms, {suppliers} suppliers, seed {seed}; starts with the last ten minutes")
        options, callbacks = (
            SendOptions(backlog_s=BACKLOG_S, stamped=True),
            SendCallbacks(on_backlog_sent=self._sent.set),
        )
        sending = asyncio.create_task(produce(simulation, Settings(broker=broker), options, callbacks, self._stop))
        async with _ending(sending):
            await _first_of(self._sent.wait(), sending)
            worker = self._worker = SupervisedWorker(
                Path(tempfile.mkdtemp(prefix="vigil-demo-")) / "worker.log",
                worker_settings(broker, embedded, self._options.rulebook_file),
            )
            serving = asyncio.create_task(self._serve(broker)) if self._options.web else None
            try:
                self._say(f"worker      process {worker.process.pid}, log file {worker.log}")
                await self._show(broker, DemoParts(worker, sending, serving))
            finally:
                self._stop.set()
                if serving is not None:
                    async with _ending(serving):
                        pass
                await asyncio.to_thread(worker.stop)
        stopped = "broker, worker" if embedded else "worker"
        self._say(f"Stopped {stopped} and simulator. The log of the worker is kept in {worker.log}")

    def _simulation(self) -> Simulation:
        now = wall_ms()
        return Simulation(
            seed=self._options.seed,
            rooms=self._options.rooms,
            suppliers=self._options.suppliers,
            start_ms=now - BACKLOG_S * 1000,
            duration_s=None,
            fault_every_s=90.0,
            history_days=45,
            rfq_every_s=60.0,
            products=PRODUCTS,
            moderators=MODERATORS,
            moderators_from_ms=now + WORKER_STARTS_MS,
        )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    async def _serve(self, broker: str) -> None:
        """Run the web console, on its default port if that is free."""

        def listening(url: str) -> None:
            self.url = url
            why = "" if url.endswith(f":{CONSOLE_PORT}/") else f" (another program uses port {CONSOLE_PORT})"
            self._say(f"console     {url}{why}")

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
                    if restarted := await parts.keep_running():
                        self._note(restarted)
                        self._waiting = asyncio.create_task(self._note_when_ready(parts.worker))
                    if self._time_is_over():
                        return
        finally:
            await consumer.stop()

    async def _show_next(self, consumer: AIOKafkaConsumer, live: Live | None) -> None:
        """Show the outputs that have arrived: as a picture of the whole, or without `live` as lines."""
        received = await _received(consumer)
        for line in lines(self.view, received):
            if live is None:
                self._say(line)
        if self._first is None and self.view.verdicts:
            self._first = time.monotonic() - self._began
        if live is not None:
            live.update(self.picture(self._console), refresh=True)

    def _note(self, line: str) -> None:
        """Show what has happened to a part of the demo: in the picture, or as a line without one."""
        self._last_note = line
        if not self._console.is_terminal:
            self._say(line)

    async def _note_when_ready(self, worker: SupervisedWorker) -> None:
        began = time.monotonic()
        if await worker.ready():
            seconds = time.monotonic() - began
            self._note(
                f"worker      ready again after {seconds:.1f} s; nothing is lost: it reads on where its state ends"
            )

    def _time_is_over(self) -> bool:
        limit = self._options.for_s
        return limit is not None and time.monotonic() - self._began >= limit

    def picture(self, console: Console) -> RenderableType:
        """Return what a terminal shows now."""
        return picture(self.view, wall_ms(), self._footer(), console)

    def _footer(self) -> str:
        first = "" if self._first is None else f" · first verdict after {self._first:.0f} s"
        console = f"console {self.url} · " if self.url else ""
        metrics = f"metrics http://{HOST}:{self._worker.web_port}/metrics · " if self._worker else ""
        note = f"\n{self._last_note}" if self._last_note else ""
        return f"running for {time.monotonic() - self._began:.0f} s{first}{note}\n{console}{metrics}Ctrl-C to stop"


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
