"""`vigil console`: runs the web console, on which moderators watch rooms and review verdicts."""

import asyncio
import sys
from typing import Any

import click

from vigil.app.cli.common import OperatorError, on_shutdown_signal, settings_options, shared_rulebook_option
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.command(short_help="Run the web console for moderators.")
@settings_options
@shared_rulebook_option
@click.option("--host", help="Address to listen on; any but loopback requires authentication.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 for any free port.  [default: 8080]")
@click.option(
    "--read-minutes", type=click.IntRange(1, 1440), help="Minutes of history that timelines show.  [default: 15]"
)
@click.option("--time-zone", help="Time zone for times, such as Asia/Shanghai.  [default: UTC]")
@click.option("--tokens-file", metavar="FILE", help="Tokens that may sign in, one a line: ROLE NAME sha256:HEX.")
@click.option("--new-token", metavar="NAME", help="Create a token for NAME, print it and its line, and exit.")
@click.option(
    "--role", type=click.Choice(["view", "review"]), default="view", show_default=True, help="Role of a new token."
)
def console(settings: Settings, rulebook: Rulebook, new_token: str | None, role: Any, **options: Any) -> None:
    """Run the web console for moderators: live rooms, verdicts and reviews.

    The console reads the topics and keeps no state of its own, so any number of them may run. On a loopback address it
    needs no sign-in; on any other it starts only with tokens or behind an authenticating proxy: see docs/console.md.

    \b
    vigil console --broker localhost:9092
    vigil console --new-token mei --role review
    """
    from vigil.app.console.auth.tokens import new_token as make_token
    from vigil.app.console.http.server import serve
    from vigil.app.console.settings import load_console_settings

    if new_token is not None:
        if not new_token or any(char.isspace() or char in "#;" for char in new_token):
            raise click.UsageError("--new-token: the name must not be empty or contain white space, # or ;")
        token, line = make_token(new_token, role)
        click.echo(f"Token for {new_token} (shown once, stored nowhere):  {token}", err=True)
        if sys.stdout.isatty():  # redirected, the line is in its file already
            click.echo("Line for the tokens file:", err=True)
        click.echo(line)
        return
    configure_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        stop = asyncio.Event()
        on_shutdown_signal(stop.set)
        await serve(settings, load_console_settings(**options), rulebook, stop, _announce)

    try:
        asyncio.run(run())
    except SettingsError as error:
        raise OperatorError(str(error)) from error


def _announce(address: str) -> None:
    click.echo(f"Vigil console: {address}  (Ctrl-C to stop)", err=True)
