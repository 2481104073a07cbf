"""`vigil doctor`: checks everything that workers need, and suggests remedies."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Final

import click
from rich.text import Text

from vigil.app.cli.common import settings_options
from vigil.app.kafka.settings import Settings
from vigil.app.observability.terminal import console, escape_control_chars, silence_kafka_logs
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.examine import examine
from vigil.app.runtime.doctor.producers.sample import LAST, examine_producers

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}

_LINES: Final = 4
"""Lines of one check's text that are shown after the first."""


@click.command(short_help="Check everything that workers need.")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.option("--producers", is_flag=True, help="Check what producers write, by the ends of the input topics.")
@click.option(
    "--last",
    type=click.IntRange(1, 1_000_000),
    default=LAST,
    show_default=True,
    metavar="N",
    help="With --producers: how many messages of each partition are read.",
)
@click.option(
    "--metrics",
    multiple=True,
    metavar="URL",
    help="Metrics of a worker, for how late events come; may be repeated. Default: web_host and web_port.",
)
def doctor(settings: Settings, as_json: bool, producers: bool, last: int, metrics: tuple[str, ...]) -> None:
    """Check what workers need: rulebook, broker, topics, consumer group, lag, state, clocks, lateness, dead letters.

    With --producers, check what producers write: partitions, clocks, order and lateness, frames, labels, fields.

    \b
    vigil doctor
    vigil doctor --producers --last 20000 --json

    It changes nothing and joins no group, and may run while workers do. Each line is ok, warn or fail, with a remedy.
    Exits with status 1 if a check failed.
    """
    silence_kafka_logs()
    found = examine_producers(settings, last) if producers else examine(settings, metrics=metrics)
    checks = asyncio.run(_all(found, as_json))
    if as_json:
        click.echo(json.dumps([check._asdict() for check in checks], indent=2))
    if any(check.level == "fail" for check in checks):
        sys.exit(1)


async def _all(found: AsyncIterator[Check], quiet: bool) -> list[Check]:
    checks = []
    screen = console()
    async for check in found:
        checks.append(check)
        if quiet:
            continue
        line = Text(f"{check.level:<5}", style=_STYLES[check.level]) + Text(f"{check.name}: ", style="bold")
        screen.print(line + Text(_lines(check.words)), soft_wrap=True)
        if check.remedy:
            screen.print(Text(f"      → {escape_control_chars(check.remedy)}"), soft_wrap=True)
    return checks


def _lines(text: str) -> str:
    first, *others = (escape_control_chars(line) for line in text.split("\n"))
    more = len(others) - _LINES
    if more > 0:
        others = [*others[:_LINES], f"… and {more} more"]
    return "\n      ".join([first, *others])
