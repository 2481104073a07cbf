"""`vigil repair`: puts stored state right that a wrong clock has spoilt."""

import asyncio
from datetime import UTC, datetime

import click

from vigil.app.cli.common import OperatorError, read_rulebook, settings_options
from vigil.app.domain.rulebook import Rulebook
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.terminal import escape_control_chars, silence_kafka_logs
from vigil.app.runtime.clock_repair import RepairedShard, repair_clocks


@click.group(short_help="Repair stored state, with all workers stopped.")
def repair() -> None:
    """Repair stored state. All workers must be stopped."""


@repair.command(short_help="Set stored clocks back that are ahead of the time.")
@settings_options
def clock(settings: Settings) -> None:
    """Set back the stored clocks of shards that lie more than max_ahead_ms ahead of the time.

    Rooms whose latest event lies in the future are forgotten. Both are listed. A worker that meets such a clock refuses
    to start; the cause is a wrong clock of a worker or a producer.
    """
    silence_kafka_logs()
    rulebook = read_rulebook(settings.rulebook)
    try:
        click.echo(asyncio.run(_repair(settings, rulebook)), err=True)
    except SettingsError as error:
        raise OperatorError(str(error)) from error


async def _repair(settings: Settings, rulebook: Rulebook) -> str:
    number = 0
    async for repaired in repair_clocks(settings, rulebook):
        number += 1
        for line in _lines(repaired):
            click.echo(line)
    return f"{number} clocks were set back" if number else "no stored clock is ahead of the time"


def _lines(repaired: RepairedShard) -> list[str]:
    shard = f"{repaired.subject}, partition {repaired.partition}"
    lines = [f"{shard}: clock set back from {_time(repaired.clock)} to {_time(repaired.set_to)}"]
    return lines + [f"{shard}: room {escape_control_chars(room)} forgotten" for room in repaired.forgotten]


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
