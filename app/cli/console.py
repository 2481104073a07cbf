"""`vigil console`: runs the web console, on which moderators watch rooms and review verdicts."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click

from vigil.app.cli.common import OperatorError, on_shutdown_signal, settings_options, shared_rulebook_option
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.group(short_help="Run the web console for moderators.", invoke_without_command=True)
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
@click.pass_context
def console(
    context: click.Context,
    /,
    settings: Settings,
    rulebook: Rulebook,
    new_token: str | None,
    role: Any,
    **options: Any,
) -> None:
    """Run the web console for moderators: live rooms, verdicts and reviews.

    The console reads the topics and keeps no state of its own, so any number of them may run. On a loopback address it
    needs no sign-in; on any other it starts only with tokens or behind an authenticating proxy: see docs/console.md.

    \b
    vigil console --broker localhost:9092
    vigil console --new-token mei --role review
    vigil console link --host merchant-7 --days 7
    """
    if context.invoked_subcommand is not None:
        return
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


@console.command(short_help="Print a link to the record of one host.")
@click.option("--host", "host_id", required=True, metavar="HOST", help="The host whose record the link shows.")
@click.option(
    "--days",
    type=click.IntRange(1, 90),
    default=7,
    show_default=True,
    help="The number of days for which the link works.",
)
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    metavar="URL",
    help="The address of the console as merchants reach it.",
)
def link(host_id: str, days: int, url: str) -> None:
    """Print a link to the record of one host, for its merchant.

    It is signed with the first key of VIGIL_CONSOLE_HOST_LINK_KEYS_FILE, and works on every console with that key.
    Whoever has it sees the record and may appeal. It is stored nowhere; VIGIL_CONSOLE_REVOKED_HOST_LINKS_FILE ends it
    early.

    \b
    vigil console link --host merchant-7 --days 7 --url https://vigil.example
    """
    from vigil.app.console.auth.host_links import load_host_links
    from vigil.app.console.http.host_pages import PATH
    from vigil.app.console.settings import load_console_settings

    if not 1 <= len(host_id) <= 128:
        raise click.UsageError("--host: an id has 1 to 128 characters")
    try:
        links = load_host_links(load_console_settings())
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    if not links:
        raise OperatorError(
            "There is no key to sign a link with. Make one (`openssl rand -hex 32 > keys`) and set "
            "VIGIL_CONSOLE_HOST_LINK_KEYS_FILE, here and for every console."
        )
    until_s = int(time.time()) + days * 24 * 3600
    click.echo(f"It works until {datetime.fromtimestamp(until_s, UTC):%Y-%m-%dT%H:%M:%SZ}.", err=True)
    click.echo(f"{url.rstrip('/')}{PATH}?{urlencode({'token': links.token(host_id, until_s)})}")


def _announce(address: str) -> None:
    click.echo(f"Vigil console: {address}  (Ctrl-C to stop)", err=True)
