"""`vigil demo`: the whole of Vigil on this machine, with nothing to install beside it."""

import asyncio

import click
from rich.console import Console

from vigil.app.cli.common import OperatorError, on_shutdown_signal, rulebook_option
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.embedded_broker import BrokerError
from vigil.app.kafka.settings import SettingsError
from vigil.app.observability.logs import configure_logging
from vigil.app.simulate import InvalidSimulationError
from vigil.app.simulate.kafka import CannotProduceError


@click.command()
@click.option("--rooms", default=24, show_default=True, help="Hosts on air.")
@click.option("--suppliers", default=30, show_default=True, help="Suppliers who quote.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another story.")
@click.option("--for", "for_s", type=click.FloatRange(1), metavar="SECONDS", help="End by itself after so long.")
@click.option("--no-console", is_flag=True, help="Without the web console.")
@click.option("--plain", is_flag=True, help="Lines instead of the live view, also in a terminal.")
@rulebook_option
def demo(
    rulebook: Rulebook,
    rooms: int,
    suppliers: int,
    seed: int,
    for_s: float | None,
    no_console: bool,
    plain: bool,
) -> None:
    """Watch Vigil judge simulated rooms: broker, worker, simulator and console start here, and end with Ctrl-C.

    The simulator begins with the last ten minutes as a backlog, so that the five-minute rules show at once; then it
    goes on in real time. The first verdict comes within seconds.
    """
    from vigil.app.demo.run import Demo, DemoError

    configure_logging("error", "text")  # what goes on is on the screen
    console = Console(force_terminal=False if plain else None)

    async def run() -> None:
        show = Demo(rulebook, rooms, suppliers, seed, for_s, console, not no_console)
        on_shutdown_signal(show.stop)
        await show.run()

    try:
        asyncio.run(run())
    except (DemoError, BrokerError, CannotProduceError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    except InvalidSimulationError as error:
        raise OperatorError(str(error)) from error
