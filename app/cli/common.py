"""Options and error reporting that the commands share."""

import asyncio
import functools
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.settings_loader import load_settings

F = TypeVar("F", bound=Callable[..., Any])


class OperatorError(click.ClickException):
    """A setting or a rulebook that the operator must correct; exit status 2."""

    exit_code = 2


def read_rulebook(file: str | Path | None) -> Rulebook:
    """Read a rulebook file, or the built-in one for None; raise OperatorError with every problem of the file."""
    try:
        return load_rulebook(Path(file)) if file else load_rulebook()
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def rulebook_option(command: F) -> F:
    """Add the option `--rulebook FILE`; the command receives a Rulebook."""

    @click.option("--rulebook", "rulebook_file", metavar="FILE", help="Rulebook to use. [default: the built-in one]")
    @functools.wraps(command)
    def with_rulebook(*args: Any, rulebook_file: str | None, **options: Any) -> Any:
        return command(*args, rulebook=read_rulebook(rulebook_file), **options)

    return with_rulebook  # type: ignore[return-value]


def settings_options(command: F) -> F:
    """Add the options `--config FILE` and `--broker HOST:PORT`; the command receives Settings."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="TOML file with settings; overridden by the environment (VIGIL_…). [default: $VIGIL_CONFIG]",
    )
    @click.option(
        "--broker", metavar="HOST:PORT", help="Kafka bootstrap servers, separated by commas. [default: localhost:9092]"
    )
    @functools.wraps(command)
    def with_settings(*args: Any, config: Path | None, broker: str | None, **options: Any) -> Any:
        try:
            settings: Settings = load_settings(config, broker=broker)
        except SettingsError as error:
            raise OperatorError(str(error)) from error
        return command(*args, settings=settings, **options)

    return with_settings  # type: ignore[return-value]


def on_shutdown_signal(stop: Callable[[], object]) -> None:
    """Call `stop` in the event loop on Ctrl-C or SIGTERM. (On Windows, Ctrl-C raises KeyboardInterrupt instead.)"""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
