"""`vigil record`: writes what the topics have into a file that `vigil replay` reads."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vigil.app.cli.common import OperatorError, TimeParam, settings_options
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.terminal import silence_kafka_logs
from vigil.app.runtime.recorder import Recorder, Selection
from vigil.app.simulate.files import CannotWriteError, ReaderGoneError, open_output
from vigil.topics.catalog import inputs
from vigil.topics.rulebooks import RULEBOOK

_LINES_PER_UPDATE: Final = 1000
"""Lines between two updates of the progress bar."""


@click.command(short_help="Record topics into a file for replay.")
@click.argument("file")
@settings_options
@click.option("--since", type=TimeParam(), metavar="TIME", help="Only messages written at TIME or later.")
@click.option("--until", type=TimeParam(), metavar="TIME", help="Only messages written before TIME.")
@click.option("--room", "rooms", multiple=True, metavar="ROOM", help="Only this room, of the room topics; repeatable.")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="TOPIC",
    type=click.Choice(inputs()),
    help="Only this topic; repeatable. [default: all]",
)
@click.option("--all", "everything", is_flag=True, help="Also what workers rejected as misrouted or future.")
def record(
    settings: Settings,
    file: str,
    since: int | None,
    until: int | None,
    rooms: tuple[str, ...],
    topics: tuple[str, ...],
    everything: bool,
) -> None:
    """Record the input topics into FILE, merged in time, so that a replay gives what the workers gave. Rulebooks that
    were published stand first, and a replay judges by them.

    FILE is JSON Lines, or "-" for standard output; names in .gz or .zst are compressed. Each line has its partition
    and offset. Only committed messages are recorded. What workers rejected as misrouted or future is left out, because
    a replay checks neither. TIME is as for `vigil dead-letter`, for example 2h or 2026-12-01T18:00Z.

    \b
    vigil record day.jsonl.zst --since 1d                    the last day
    vigil record room.jsonl --since 3h --room room-7         one room
    vigil replay day.jsonl.zst
    """
    silence_kafka_logs()
    selection = Selection(topics or inputs(), since, until, frozenset(rooms), everything)
    if not selection.wanted:
        raise click.UsageError("--room selects within the room topics, and --topic names none of them")
    recorder = Recorder(settings, selection)
    try:
        _write(recorder, file)
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    except CannotWriteError as error:
        raise click.ClickException(str(error)) from error
    except ReaderGoneError:
        return
    _summarise(recorder, file)


def _write(recorder: Recorder, file: str) -> None:
    """Write the lines; a file gets its name once it is complete."""
    if file == "-":
        with open_output(file) as out:
            asyncio.run(_copy(recorder, out.write))
        return
    path = Path(file)
    unfinished = path.with_name(f".unfinished-{path.name}")
    try:
        with open_output(str(unfinished)) as out:
            asyncio.run(_copy(recorder, out.write))
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


async def _copy(recorder: Recorder, write: Callable[[bytes], object]) -> None:
    bar = Progress(
        TextColumn("recording"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task: TaskID = bar.add_task("recording", total=None)
        number = 0
        async for line in recorder.lines():
            write(line)
            number += 1
            if number % _LINES_PER_UPDATE == 0:
                bar.update(task, total=recorder.total, completed=recorder.read)


def _summarise(recorder: Recorder, file: str) -> None:
    console = Console(stderr=True)
    by_topic = ", ".join(f"{topic} {number:,}" for topic, number in sorted(recorder.written.items()))
    number = recorder.written.total()
    console.print(
        f"{number:,} messages in {file}{': ' + by_topic if by_topic else ''}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if recorder.left_out:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(recorder.left_out.items()))
        words = f"left out, because workers rejected them and a replay would not: {reasons} (--all records them)"
        console.print(words, markup=False, highlight=False, soft_wrap=True, style="yellow")
    if number == recorder.written[RULEBOOK]:
        raise click.ClickException("there was nothing to record")
