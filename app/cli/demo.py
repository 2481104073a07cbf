"""`vigil demo`: a complete Vigil on this machine, with nothing else to install."""

import asyncio
from pathlib import Path

import click
from rich.console import Console

from vigil.app.cli.common import OperatorError, on_shutdown_signal, read_rulebook
from vigil.app.kafka.embedded_broker import BrokerError
from vigil.app.kafka.settings import SettingsError
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.observability.logs import configure_logging
from vigil.app.simulate import InvalidSimulationError
from vigil.app.simulate.kafka import CannotProduceError


@click.command(short_help="Run a complete Vigil on simulated rooms.")
@click.option("--rooms", default=24, show_default=True, help="Hosts on air.")
@click.option("--suppliers", default=30, show_default=True, help="Suppliers who quote and sell.")
@click.option("--seed", default=1, show_default=True, help="Seed of the simulation.")
@click.option(
    "--for", "for_s", type=click.FloatRange(1), metavar="SECONDS", help="Stop after this time. [default: at Ctrl-C]"
)
@click.option("--broker", metavar="HOST:PORT", help="Run on this Apache Kafka. [default: an embedded broker]")
@click.option("--no-console", is_flag=True, help="Do not start the web console.")
@click.option("--plain", is_flag=True, help="Print lines instead of the live view.")
@click.option(
    "--rulebook",
    "rulebook_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Rulebook to use. [default: the built-in one]",
)
def demo(
    rulebook_file: Path | None,
    rooms: int,
    suppliers: int,
    seed: int,
    for_s: float | None,
    broker: str | None,
    no_console: bool,
    plain: bool,
) -> None:
    """Run Vigil on simulated rooms: a broker, a worker, a simulator and the web console, until Ctrl-C.

    The simulator first sends the last ten minutes, so that the rules of five minutes show at once, and then continues
    in real time. The first verdict appears within seconds. A worker that you kill is started again.
    """
    from vigil.app.demo.run import Demo, DemoOptions
    from vigil.app.demo.supervised_worker import DemoError

    configure_logging("error", "text")  # the screen shows the progress
    console = Console(force_terminal=False if plain else None)

    rulebook = read_rulebook(rulebook_file)
    options = DemoOptions(rooms, suppliers, seed, for_s, not no_console, broker, rulebook_file)

    async def run() -> None:
        load_settings(environment={}, broker=broker)  # raises SettingsError if the broker is not host:port
        running = Demo(console, rulebook, options)
        on_shutdown_signal(running.stop)
        await running.run()

    try:
        asyncio.run(run())
    except (DemoError, BrokerError, CannotProduceError) as error:
        raise click.ClickException(str(error)) from error
    except (InvalidSimulationError, SettingsError) as error:
        raise OperatorError(str(error)) from error
