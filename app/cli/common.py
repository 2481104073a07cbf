"""Options and error reporting that the commands share."""

import asyncio
import functools
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.runtime.jobs.pool import JobEndedError, Jobs
from vigil.app.runtime.replay_clocks import LATENESS_MS, AllowedLateness
from vigil.app.runtime.rulebooks.history_file import HISTORY_SUFFIX, newest_in_file
from vigil.topics.catalog import inputs

F = TypeVar("F", bound=Callable[..., Any])


_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class TimeParam(click.ParamType):
    """A time: ISO 8601 with an offset, or a duration before now such as 90s, 10m, 2h or 3d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        ago = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if ago:
            past = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return wall_ms() - round(past.total_seconds() * 1000)
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            when = None
        if when is None or when.tzinfo is None:
            self.fail(f"{value!r} is not a time: write 2h for two hours ago, or 2022-09-01T16:00:00Z.", param, ctx)
        return round(when.timestamp() * 1000)


class OperatorError(click.ClickException):
    """A setting or a rulebook that the operator must correct; exit status 2."""

    exit_code = 2


def read_rulebook(file: str | Path | None) -> Rulebook:
    """Read a rulebook file, or the built-in one for None; raise OperatorError with every problem of the file.

    Of a file that `vigil rules history --export` has written (`….jsonl`), it is the newest publication that counts.
    """
    if file is not None and str(file).endswith(HISTORY_SUFFIX):
        return read_newest(Path(file))
    try:
        return load_rulebook(Path(file)) if file else load_rulebook()
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def read_newest(history: Path) -> Rulebook:
    """Read the newest publication that counts in an exported history; raise OperatorError."""
    try:
        return newest_in_file(history)
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def rulebook_option(command: F) -> F:
    """Add the option `--rulebook FILE`; the command receives a Rulebook."""

    @click.option("--rulebook", "rulebook_file", metavar="FILE", help="Rulebook to use. [default: the built-in one]")
    @functools.wraps(command)
    def with_rulebook(*args: Any, rulebook_file: str | None, **options: Any) -> Any:
        return command(*args, rulebook=read_rulebook(rulebook_file), **options)

    return with_rulebook  # type: ignore[return-value]


def rulebook_is_given() -> bool:
    """True if the present command was given `--rulebook`."""
    source = click.get_current_context().get_parameter_source("rulebook_file")
    return source is not click.core.ParameterSource.DEFAULT


def shared_rulebook_option(command: F) -> F:
    """Add the option `--rulebook FILE` below `settings_options`; the command receives a Rulebook, by default that of
    the settings: the one that workers with the same settings have."""

    @click.option(
        "--rulebook",
        "rulebook_file",
        metavar="FILE",
        help="Rulebook to use. [default: the setting `rulebook`, or the built-in one]",
    )
    @functools.wraps(command)
    def with_rulebook(*args: Any, settings: Settings, rulebook_file: str | None, **options: Any) -> Any:
        rulebook = read_rulebook(rulebook_file or settings.rulebook)
        return command(*args, settings=settings, rulebook=rulebook, **options)

    return with_rulebook  # type: ignore[return-value]


config_option: Final = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="TOML file with settings; overridden by the environment (VIGIL_…). [default: $VIGIL_CONFIG]",
)


def read_settings(config: Path | None, broker: str | None = None) -> Settings:
    """Read the settings of a file, the environment and `--broker`; raise OperatorError where they cannot be used."""
    try:
        return load_settings(config, broker=broker)
    except SettingsError as error:
        raise OperatorError(str(error)) from error


def settings_options(command: F) -> F:
    """Add the options `--config FILE` and `--broker HOST:PORT`; the command receives Settings."""

    @config_option
    @click.option(
        "--broker", metavar="HOST:PORT", help="Kafka bootstrap servers, separated by commas. [default: localhost:9092]"
    )
    @functools.wraps(command)
    def with_settings(*args: Any, config: Path | None, broker: str | None, **options: Any) -> Any:
        return command(*args, settings=read_settings(config, broker=broker), **options)

    return with_settings  # type: ignore[return-value]


def on_shutdown_signal(stop: Callable[[], object]) -> None:
    """Call `stop` in the event loop on Ctrl-C or SIGTERM. (On Windows, Ctrl-C raises KeyboardInterrupt instead.)"""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)


def _allowed_lateness(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> AllowedLateness:
    default, by_topic = LATENESS_MS, {}
    for text in given:
        topic, _, value = text.rpartition("=")
        if not value.isascii() or not value.isdigit():
            raise click.BadParameter(f"{text!r} is neither MS nor TOPIC=MS, for example 2000 or comment=7000")
        if not topic:
            default = int(value)
        elif topic in inputs():
            by_topic[topic] = int(value)
        else:
            raise click.BadParameter(f"{topic} is no topic that Vigil reads; known are {', '.join(inputs())}")
    return AllowedLateness(default, by_topic)


jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Judge rooms and suppliers in so many processes. The result is the same.",
)


@contextmanager
def started_jobs(number: int) -> Iterator[Jobs | None]:
    """The jobs of `--jobs`; None for one. An error message where one of them ends before the block does."""
    if number == 1:
        yield None
        return
    try:
        with Jobs(number) as jobs:
            yield jobs
    except JobEndedError as error:
        remedy = "nothing is written; if memory is short, try fewer --jobs"
        raise click.ClickException(f"{error}: {remedy}") from error


lateness_option = click.option(
    "--lateness",
    multiple=True,
    metavar="[TOPIC=]MS",
    callback=_allowed_lateness,
    help=f"Allowed lateness of events, or of one topic such as comment=7000. Repeatable.  [default: {LATENESS_MS}]",
)
"""How far out of order the events of a recording may be."""
