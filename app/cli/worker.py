"""`vigil worker`: one process of the group that judges rooms and keeps suppliers' metrics."""

import click

from vigil.app.cli.common import OperatorError, read_rulebook, settings_options
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.logs import configure_logging


@click.command()
@settings_options
@click.option("--web-port", type=click.IntRange(0, 65535), help="Where /metrics and /health listen; 0: a free port.")
def worker(settings: Settings, web_port: int | None) -> None:
    """Run a worker; run as many as there are partitions to share.

    It creates the topics that are missing, and refuses to start where those that exist do not fit. Settings come
    from a TOML file and the environment (VIGIL_BROKER, VIGIL_WEB_PORT, …): see docs/settings.md. SIGTERM or
    Ctrl-C ends it after a last checkpoint.
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
