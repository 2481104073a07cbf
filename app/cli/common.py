"""What the commands share: options, and errors of the operator's told in one way."""

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
from vigil.app.kafka.settings import Settings, SettingsError, load_settings

F = TypeVar("F", bound=Callable[..., Any])


class OperatorError(click.ClickException):
    """A setting or a rulebook that cannot be used."""

    exit_code = 2


def read_rulebook(file: str | Path | None) -> Rulebook:
    """A rulebook from a file, or the built-in one; raise OperatorError with every problem of the file."""
    try:
        return load_rulebook(Path(file)) if file else load_rulebook()
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def rulebook_option(command: F) -> F:
    """`--rulebook FILE`, given to the command as a Rulebook."""

    @click.option("--rulebook", "rulebook_file", metavar="FILE", help="A rulebook; the built-in one by default.")
    @functools.wraps(command)
    def with_rulebook(*args: Any, rulebook_file: str | None, **options: Any) -> Any:
        return command(*args, rulebook=read_rulebook(rulebook_file), **options)

    return with_rulebook  # type: ignore[return-value]


def settings_options(command: F) -> F:
    """`--config FILE` and `--broker HOST:PORT`, given to the command as Settings."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Settings in TOML; else VIGIL_CONFIG names it. The environment (VIGIL_…) goes before it.",
    )
    @click.option("--broker", metavar="HOST:PORT", help="Kafka's bootstrap servers. [default: localhost:9092]")
    @functools.wraps(command)
    def with_settings(*args: Any, config: Path | None, broker: str | None, **options: Any) -> Any:
        try:
            settings: Settings = load_settings(config, broker=broker)
        except SettingsError as error:
            raise OperatorError(str(error)) from error
        return command(*args, settings=settings, **options)

    return with_settings  # type: ignore[return-value]


def on_shutdown_signal(stop: Callable[[], object]) -> None:
    """Call `stop` in the running event loop at Ctrl-C or SIGTERM. On Windows Ctrl-C breaks off instead."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
