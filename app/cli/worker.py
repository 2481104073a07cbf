"""`vigil worker`: one process of the group that judges events."""

import click

from vigil.app.cli.common import OperatorError, read_rulebook, settings_options
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.command(short_help="Run a worker.")
@settings_options
@click.option("--web-port", type=click.IntRange(0, 65535), help="Port of /metrics and /health; 0: a free port.")
def worker(settings: Settings, web_port: int | None) -> None:
    """Run a worker. Workers of one group share the partitions.

    A worker creates missing topics, and refuses to start if existing ones do not fit. Settings come from a TOML file
    and the environment (VIGIL_BROKER, VIGIL_WEB_PORT, …): see docs/settings.md. On SIGTERM or Ctrl-C it writes a
    last checkpoint and exits.
    """
    import msgspec

    from vigil.app.runtime.worker import run_worker

    if web_port is not None:
        settings = msgspec.structs.replace(settings, web_port=web_port)
    configure_logging(settings.log_level, settings.log_format)
    try:
        candidate = read_rulebook(settings.shadow_rulebook) if settings.shadow_rulebook else None
        run_worker(settings, read_rulebook(settings.rulebook), candidate)
    except SettingsError as error:
        raise OperatorError(str(error)) from error
