"""`vigil console`: the web page on which moderators see rooms, verdicts, hosts and suppliers, and review."""

import asyncio
import sys
from typing import Any

import click

from vigil.app.cli.common import OperatorError, on_shutdown_signal, rulebook_option, settings_options
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.command()
@settings_options
@rulebook_option
@click.option("--host", help="Where to listen; beyond this machine only with a sign-in.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0: a free one.  [default: 8080]")
@click.option("--read-minutes", type=click.IntRange(1, 1440), help="How far back timelines are read.  [default: 15]")
@click.option("--time-zone", help="In which times are shown, such as Asia/Shanghai.  [default: UTC]")
@click.option("--tokens-file", metavar="FILE", help="Who may sign in, a line each: ROLE NAME sha256:HEX.")
@click.option("--new-token", metavar="NAME", help="Make a token for somebody, print it with its line, and end.")
@click.option(
    "--role", type=click.Choice(["view", "review"]), default="view", show_default=True, help="Of a new token."
)
def console(settings: Settings, rulebook: Rulebook, new_token: str | None, role: Any, **told: Any) -> None:
    """Show moderators the live rooms, and let them review verdicts.

    It reads the topics and holds nothing of its own: run as many as you like. On this machine alone nobody signs in;
    beyond it the console starts only with tokens or behind a signing-in proxy: see docs/console.md.

    \b
    vigil console --broker localhost:9092
    vigil console --new-token mei --role review
    """
    from vigil.app.console.auth.authenticator import new_token as make_token
    from vigil.app.console.http.server import serve
    from vigil.app.console.settings import load_console_settings

    if new_token is not None:
        if not new_token or any(sign.isspace() or sign in "#;" for sign in new_token):
            raise click.UsageError("--new-token: the name must have no white space, # or ;")
        token, line = make_token(new_token, role)
        click.echo(f"Token, for {new_token} alone (it is not kept anywhere):  {token}", err=True)
        if sys.stdout.isatty():  # else it has gone where it was to go
            click.echo("Line for the tokens file:", err=True)
        click.echo(line)
        return
    configure_logging(settings.log_level, settings.log_format)

    async def run() -> None:
        stop = asyncio.Event()
        on_shutdown_signal(stop.set)
        await serve(settings, load_console_settings(**told), rulebook, stop, _tell)

    try:
        asyncio.run(run())
    except SettingsError as error:
        raise OperatorError(str(error)) from error


def _tell(address: str) -> None:
    click.echo(f"Vigil console: {address}  (Ctrl-C ends it)", err=True)
