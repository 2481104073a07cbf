"""`vigil simulate`: believable rooms and suppliers, to a file or to Kafka, and what was done wrong on purpose."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from vigil.app.cli.common import on_shutdown_signal
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.simulate import Fault, InvalidSimulationError, Simulation, files
from vigil.app.simulate.kafka import CannotProduceError, produce
from vigil.app.simulate.options import Duration, Instant, Speed

RECORDED_START: Final = 1_662_048_000_000
"""Where a file begins unless told otherwise, 2022-09-01T16:00:00Z: the same command gives the same file."""

_SETTINGS: Final = {
    "duration_s": "duration",
    "start_ms": "start",
    "disorder_ms": "disorder",
    "fault_every_s": "fault-every",
    "rfq_every_s": "rfq-every",
    "history_days": "history",
    "backlog_s": "backlog",
}
"""The options whose settings are named otherwise."""


@click.command()
@click.option("--broker", metavar="HOST:PORT", help="Send to this Kafka broker; a worker must have made the topics.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write to this file as vigil replay reads it; - is standard output, "
    "a name that ends in .gz or .zst is compressed.",
)
@click.option(
    "--manifest", metavar="FILE", help="Write down each fault done on purpose (JSON Lines): what Vigil should find."
)
@click.option("--rooms", default=20, show_default=True, help="Hosts on air, each with one room after the other.")
@click.option("--suppliers", default=20, show_default=True, help="Suppliers who quote; the first are the hosts.")
@click.option(
    "--duration",
    type=Duration("endless"),
    help="How long it lasts in simulated time: 90s, 10m, 2h, endless. [default: 10m to a file, endless to a broker]",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    help="Another seed is another story; the same gives the same messages, whatever the speed.",
)
@click.option(
    "--start",
    type=Instant(),
    help="When the rooms begin: ISO 8601 with an offset, or now. [default: "
    "2022-09-01T16:00:00Z to a file, to a broker the backlog before now]",
)
@click.option(
    "--speed",
    type=Speed(),
    default="1",
    show_default=True,
    help="To a broker: simulated seconds a second "
    "once the backlog is sent, or max. A live worker keeps to the wall clock: use 1 there.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="To a broker: at most so many messages a second.")
@click.option(
    "--backlog",
    type=Duration(),
    default="0s",
    show_default=True,
    help="To a broker: so much of the beginning is sent at once, for a worker that starts after it. To one that runs "
    "already it would be late.",
)
@click.option(
    "--fault-every",
    type=Duration("never"),
    default="40s",
    show_default=True,
    help="How long a host who goes wrong is calm in between, on average, or never.",
)
@click.option(
    "--disorder",
    type=Duration(),
    default="1.2s",
    show_default=True,
    help="Messages arrive up to this late; it must stay below the allowed lateness of 2 s.",
)
@click.option(
    "--malformed",
    type=float,
    default=0.0,
    show_default=True,
    help="Malformed messages per good one: 0.01 is one in a hundred.",
)
@click.option(
    "--malformed-ahead",
    is_flag=True,
    help="Let some of them be times more than a day ahead, which only a live worker refuses.",
)
@click.option(
    "--duplicates",
    type=float,
    default=0.002,
    show_default=True,
    help="Share of comments, quotes and payments that come twice.",
)
@click.option(
    "--reviews", type=float, default=0.0, show_default=True, help="Share of the violations that a moderator reviews."
)
@click.option("--rfq-every", type=Duration(), default="2m", show_default=True, help="How often each supplier quotes.")
@click.option(
    "--history",
    type=Duration(),
    default="0d",
    show_default=True,
    help="Begin the suppliers' quotes and payments so long before the rooms.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="To a file: also tell the partition and offset that each message would have with so many partitions.",
)
def simulate(
    broker: str | None,
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
    """Make believable rooms, buyers and suppliers, and write down what they do wrong.

    Rooms have hosts who greet and hosts who do not, who walk away, go black, drop out and come back, break the rules
    of the canvas and of good manners; suppliers quote, are answered and get paid. The same seed gives the same
    messages. Ctrl-C ends it.

    \b
    vigil simulate --out day.jsonl.zst --rooms 50 --duration 1h --manifest faults.jsonl
    vigil simulate --broker localhost:9092 --rooms 30 --manifest faults.jsonl
    """
    if (broker is None) == (out is None):
        raise click.UsageError("Say where to: either --out FILE (- is standard output) or --broker HOST:PORT.")
    context = click.get_current_context()
    _only_with(context, "--broker", broker is not None, ("speed", "rate", "backlog"))
    _only_with(context, "--out", out is not None, ("partitions",))
    if duration is None and not _given(context, "duration") and out is not None:
        duration = 600.0
    if start is None:
        start = RECORDED_START if out is not None else wall_ms() - round(backlog * 1000)
    try:
        simulation = Simulation(
            start_ms=start,
            duration_s=duration,
            disorder_ms=round(disorder * 1000),
            fault_every_s=fault_every,
            rfq_every_s=rfq_every,
            history_days=history / 86_400,
            **settings,
        )
    except InvalidSimulationError as error:
        name = _SETTINGS.get(error.setting, error.setting.replace("_", "-"))
        raise click.BadParameter(error.text, param_hint=f"--{name}") from error
    try:
        with _written_down(manifest) as faults, _progress(simulation) as progress:
            if out is not None:
                sent = _to_file(simulation, out, partitions, faults, progress)
            else:
                assert broker is not None  # noqa: S101
                sent = _to_broker(simulation, broker, speed, backlog, rate, faults, progress)
    except files.ReaderGoneError:
        return
    except (CannotProduceError, files.CannotWriteError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{sent:,} messages, {faults.number:,} faults done on purpose{faults.where}", err=True)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _only_with(context: click.Context, other: str, there: bool, names: tuple[str, ...]) -> None:
    for name in names:
        if not there and _given(context, name):
            raise click.UsageError(f"--{name} has no meaning without {other}.")


class _Faults:
    """The manifest as it grows."""

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
def _written_down(name: str | None) -> Iterator[_Faults]:
    if name is None:
        yield _Faults(None, None)
        return
    with files.opened(name) as out:
        yield _Faults(out, name)


@contextlib.contextmanager
def _progress(simulation: Simulation) -> Iterator[Callable[[int, int], None] | None]:
    """A bar over simulated time on a terminal; without end, only how far it is."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=simulation.duration_s, told="")

        def tell(sent: int, at: int) -> None:
            told = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC, {sent:,} messages"
            done = max(0.0, (at - simulation.start_ms) / 1000)
            bar.update(task, told=told, completed=0 if simulation.duration_s is None else done)

        yield tell


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
        with files.opened(name) as out:
            return files.write(
                simulation.messages(faults), out, partitions=partitions, on_progress=progress, stopped=lambda: stopped
            )
    finally:
        signal.signal(signal.SIGINT, previous)


def _to_broker(
    simulation: Simulation,
    broker: str,
    speed: float | None,
    backlog: float,
    rate: float | None,
    faults: _Faults,
    progress: Callable[[int, int], None] | None,
) -> int:
    async def run() -> int:
        stop = asyncio.Event()
        on_shutdown_signal(stop.set)
        return await produce(
            simulation,
            broker,
            speed=speed,
            backlog_s=backlog,
            rate=rate,
            on_progress=progress,
            on_fault=faults,
            stop=stop,
        )

    return asyncio.run(run())
