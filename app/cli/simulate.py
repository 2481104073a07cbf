"""`vigil simulate`: generates events of rooms and suppliers, to a file or to Kafka, with a manifest of faults."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vigil.app.cli.common import config_option, on_shutdown_signal, read_settings
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.observability.terminal import silence_kafka_logs
from vigil.app.simulate import Fault, InvalidSimulationError, Simulation, files
from vigil.app.simulate.kafka import WORKER_STARTS_MS, CannotProduceError, SendCallbacks, SendOptions, produce
from vigil.app.simulate.options import Duration, Instant, Speed

RECORDED_START: Final = 1_662_048_000_000
"""Default start of a file, 2022-09-01T16:00:00Z: fixed, so that the same command gives the same file."""

_SETTINGS: Final = {
    "duration_s": "duration",
    "start_ms": "start",
    "disorder_ms": "disorder",
    "fault_every_s": "fault-every",
    "rfq_every_s": "rfq-every",
    "history_days": "history",
    "backlog_s": "backlog",
}
"""Options whose name differs from that of the setting."""


@click.command(short_help="Generate events of rooms and suppliers.")
@click.option("--broker", metavar="HOST:PORT", help="Send to this Kafka broker; the topics must exist.")
@config_option
@click.option(
    "--out",
    metavar="FILE",
    help="Write to this file, for vigil replay; - for standard output; names in .gz or .zst are compressed.",
)
@click.option(
    "--manifest", metavar="FILE", help="Write each planned fault to this file (JSON Lines): what Vigil should find."
)
@click.option("--rooms", default=20, show_default=True, help="Hosts on air, each with one room after another.")
@click.option(
    "--suppliers", default=20, show_default=True, help="Suppliers who quote and sell; the first ones are hosts."
)
@click.option(
    "--products",
    default=3,
    show_default=True,
    help="Products of each supplier, with orders, certificates, service and programmes; 0: they only quote.",
)
@click.option(
    "--duration",
    type=Duration("endless"),
    help="Length in simulated time: 90s, 10m, 2h or endless. [default: 10m to a file, endless to a broker]",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    help="Seed of the simulation: the same seed gives the same messages, whatever the speed.",
)
@click.option(
    "--start",
    type=Instant(),
    help="When the rooms start: ISO 8601 with an offset, or now. [default: "
    "2022-09-01T16:00:00Z to a file, now minus the backlog to a broker]",
)
@click.option(
    "--speed",
    type=Speed(),
    default="1",
    show_default=True,
    help="To a broker: simulated seconds per second after the backlog, or max. A worker with a live clock needs 1.",
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="To a broker: maximum number of messages per second."
)
@click.option(
    "--backlog",
    type=Duration(),
    default="0s",
    show_default=True,
    help="To a broker: simulated time that is sent at once, for a worker that starts afterwards. For a "
    "running worker these messages would be late.",
)
@click.option(
    "--fault-every",
    type=Duration("never"),
    default="40s",
    show_default=True,
    help="Mean time between the faults of a host who makes them; never: hosts and suppliers are attentive.",
)
@click.option(
    "--disorder",
    type=Duration(),
    default="1.2s",
    show_default=True,
    help="Maximum delay of a message; must be below the allowed lateness of 2 s.",
)
@click.option(
    "--malformed",
    type=float,
    default=0.0,
    show_default=True,
    help="Malformed messages for each valid one: 0.01 is one in a hundred.",
)
@click.option(
    "--malformed-ahead",
    is_flag=True,
    help="Include event times more than a day ahead, which only a worker with a live clock rejects.",
)
@click.option(
    "--duplicates",
    type=float,
    default=0.002,
    show_default=True,
    help="Share of comments, quotes, payments, orders, requests, activities, commands and results that are sent twice.",
)
@click.option(
    "--reviews", type=float, default=0.0, show_default=True, help="Share of the violations that a moderator reviews."
)
@click.option(
    "--moderators",
    type=int,
    default=0,
    show_default=True,
    help="People who claim, note, snooze and decide incidents, while the marketplace reports what it did.",
)
@click.option(
    "--rfq-every", type=Duration(), default="2m", show_default=True, help="Mean time between two quotes of a supplier."
)
@click.option(
    "--history",
    type=Duration(),
    default="0d",
    show_default=True,
    help="Start the suppliers this long before the rooms.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="To a file: add the partition and offset of each message, for this number of partitions.",
)
def simulate(
    broker: str | None,
    config: Path | None,
    out: str | None,
    manifest: str | None,
    duration: float | None,
    start: int | None,
    speed: float | None,
    rate: float | None,
    backlog: float,
    fault_every: float | None,
    disorder: float,
    rfq_every: float,
    history: float,
    partitions: int | None,
    **settings: Any,
) -> None:
    """Generate events of realistic rooms, buyers and suppliers, and record the planned faults.

    Hosts greet or do not greet, walk away, show black, disconnect and come back, and break the rules of layout and
    conduct; suppliers quote, are answered and get paid, sell products, ship, give service, register and take part in
    programmes, or neglect it. The same seed gives the same messages. Ctrl-C stops it.

    \b
    vigil simulate --out day.jsonl.zst --rooms 50 --duration 1h --manifest faults.jsonl
    vigil simulate --broker localhost:9092 --rooms 30 --manifest faults.jsonl
    """
    context = click.get_current_context()
    _check_destination(context, broker, out)
    if duration is None and not _given(context, "duration") and out is not None:
        duration = 600.0
    if start is None:
        start = RECORDED_START if out is not None else wall_ms() - round(backlog * 1000)
    simulation = _simulation(
        start_ms=start,
        moderators_from_ms=start if broker is None else start + round(backlog * 1000) + WORKER_STARTS_MS,
        duration_s=duration,
        disorder_ms=round(disorder * 1000),
        fault_every_s=fault_every,
        rfq_every_s=rfq_every,
        history_days=history / 86_400,
        **settings,
    )
    try:
        with _manifest_to(manifest) as faults, _progress(simulation) as progress:
            if out is not None:
                sent = _to_file(simulation, out, partitions, faults, progress)
            else:
                options = SendOptions(speed, backlog, rate)
                sent = _to_broker(
                    simulation,
                    read_settings(config, broker=broker),
                    options,
                    SendCallbacks(on_progress=progress, on_fault=faults),
                )
    except files.ReaderGoneError:
        return
    except (CannotProduceError, files.CannotWriteError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{sent:,} messages, {faults.number:,} planned faults{faults.where}", err=True)


def _simulation(**settings: Any) -> Simulation:
    """Return the simulation with these settings; raise BadParameter naming the option that is invalid."""
    try:
        return Simulation(**settings)
    except InvalidSimulationError as error:
        name = _SETTINGS.get(error.setting, error.setting.replace("_", "-"))
        raise click.BadParameter(error.text, param_hint=f"--{name}") from error


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _check_destination(context: click.Context, broker: str | None, out: str | None) -> None:
    """Raise UsageError unless there is one destination and every option that was given is one of its options."""
    if (broker is None) == (out is None):
        raise click.UsageError("Give either --out FILE (- for standard output) or --broker HOST:PORT.")
    _only_with(context, "--broker", broker is not None, ("config", "speed", "rate", "backlog"))
    _only_with(context, "--out", out is not None, ("partitions",))


def _only_with(context: click.Context, other: str, given: bool, names: tuple[str, ...]) -> None:
    for name in names:
        if not given and _given(context, name):
            raise click.UsageError(f"--{name} requires {other}.")


class _Faults:
    """Writes the manifest and counts the faults."""

    def __init__(self, out: IO[bytes] | None, name: str | None) -> None:
        self._out = out
        self.number = 0
        self.where = f", written to {name}" if name else ""

    def __call__(self, fault: Fault) -> None:
        self.number += 1
        if self._out is not None:
            self._out.write(files.manifest_line(fault))
            self._out.flush()


@contextlib.contextmanager
def _manifest_to(name: str | None) -> Iterator[_Faults]:
    if name is None:
        yield _Faults(None, None)
        return
    with files.open_output(name) as out:
        yield _Faults(out, name)


@contextlib.contextmanager
def _progress(simulation: Simulation) -> Iterator[Callable[[int, int], None] | None]:
    """On a terminal, show a bar over simulated time; for an endless simulation, only its present time."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=simulation.duration_s, status="")

        def update(sent: int, at: int) -> None:
            status = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC, {sent:,} messages"
            done = max(0.0, (at - simulation.start_ms) / 1000)
            bar.update(task, status=status, completed=0 if simulation.duration_s is None else done)

        yield update


def _to_file(
    simulation: Simulation,
    name: str,
    partitions: int | None,
    faults: _Faults,
    progress: Callable[[int, int], None] | None,
) -> int:
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    previous = signal.signal(signal.SIGINT, stop)
    try:
        with files.open_output(name) as out:
            return files.write(
                simulation.messages(faults), out, partitions=partitions, on_progress=progress, stopped=lambda: stopped
            )
    finally:
        signal.signal(signal.SIGINT, previous)


def _to_broker(simulation: Simulation, settings: Settings, options: SendOptions, callbacks: SendCallbacks) -> int:
    silence_kafka_logs()

    async def run() -> int:
        stop = asyncio.Event()
        on_shutdown_signal(stop.set)
        return await produce(simulation, settings, options, callbacks, stop)

    return asyncio.run(run())
