"""`vigil notify`: incidents and suppliers' lines as alerts to Alertmanager, webhooks and chats."""

import asyncio
from pathlib import Path

import click

from vigil.app.cli.common import OperatorError, on_shutdown_signal, read_rulebook, settings_options
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.group(invoke_without_command=True, short_help="Send alerts to chats, webhooks, Alertmanager.")
@settings_options
@click.option(
    "--routes",
    "routes_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="VIGIL_NOTIFY_ROUTES",
    metavar="FILE",
    help="Which alerts go to which targets, in TOML: see docs/notify.md.",
)
@click.option(
    "--secrets",
    "secrets_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="VIGIL_NOTIFY_SECRETS",
    metavar="FILE",
    help='Secrets of the targets in TOML, name = "value"; VIGIL_NOTIFY_SECRET_… has precedence.',
)
@click.option("--from-beginning", is_flag=True, help="With a new consumer group, send what is in the topics now too.")
@click.option("--check", is_flag=True, help="Check the files and the secrets, then exit.")
@click.option("--try", "try_target", metavar="TARGET", help="Send a test message to one target, then exit.")
@click.option("--web-port", type=click.IntRange(0, 65535), help="Port of /metrics and /health; 0: a free port.")
@click.pass_context
def notify(
    context: click.Context,
    settings: Settings,
    routes_file: Path | None,
    secrets_file: Path | None,
    from_beginning: bool,
    check: bool,
    try_target: str | None,
    web_port: int | None,
) -> None:
    """Send alerts: one for each incident, which opens, is updated, and ends.

    Run one process or several: they divide the work. On SIGTERM or Ctrl-C a process finishes the requests in flight and
    exits; what is pending then is delivered by the others, or by the next process.
    """
    if context.invoked_subcommand is not None:
        return
    if routes_file is None:
        raise click.UsageError("Missing option '--routes' (VIGIL_NOTIFY_ROUTES).")
    import msgspec

    from vigil.app.notify.routing_file import load_routing, names_of
    from vigil.app.notify.secrets import load_secrets
    from vigil.app.notify.service import NotifyService, run_notify
    from vigil.app.notify.trial import check_targets, send_trial

    if web_port is not None:
        settings = msgspec.structs.replace(settings, web_port=web_port)
    rulebook = read_rulebook(settings.rulebook)
    try:
        routing = load_routing(routes_file, names_of(rulebook))
        secrets = load_secrets(secrets_file)
        if check or try_target:
            asyncio.run(check_targets(routing, secrets))
            if check:
                click.echo(f"{routes_file}: {len(routing.targets)} targets, {len(routing.routes)} routes: no problems")
            if try_target:
                click.echo(asyncio.run(send_trial(routing, secrets, try_target)))
            return
        configure_logging(settings.log_level, settings.log_format)

        async def run() -> None:
            stop = asyncio.Event()
            on_shutdown_signal(stop.set)
            await run_notify(NotifyService(settings, routing, secrets, from_beginning=from_beginning), stop)

        asyncio.run(run())
    except SettingsError as error:
        raise OperatorError(str(error)) from error


@notify.command(short_help="Decide about what a route's brake holds back.")
@settings_options
@click.option("--route", required=True, metavar="NAME", help="The route's name in the routing file.")
@click.option("--rule", required=True, help="The rule of which violations are held back.")
@click.option("--discard", is_flag=True, help="Send none of them, instead of all.")
def release(settings: Settings, route: str, rule: str, discard: bool) -> None:
    """Send what a route's brake holds back of a rule, or discard it. The count of new violations begins again.

    The processes that run deliver it. Exit code 2 where nothing is held back.
    """
    from vigil.app.notify.brake_log import decide, held_back
    from vigil.app.notify.brakes import BrakeDecision

    decision = BrakeDecision(route=route, rule=rule, decision="discard" if discard else "release")
    try:
        count = asyncio.run(decide(settings, decision))
        if not count:
            there = [f"{name} {of}: {many}" for name, of, many in asyncio.run(held_back(settings))]
            raise OperatorError(
                f"nothing of {rule} is held back on route {route}; held back now: {', '.join(there) or 'nothing'}"
            )
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    click.echo(f"{count} violations of {rule} on route {route} {'discarded' if discard else 'released'}")
