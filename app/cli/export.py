"""`vigil export`: writes what was judged to Parquet, from topics or recordings."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import orjson
from click.core import ParameterSource
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from vigil.app.cli.common import OperatorError, TimeParam, settings_options
from vigil.app.cli.replay import lines_with_progress
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.observability.terminal import silence_kafka_logs

if TYPE_CHECKING:
    from vigil.app.export.exporter import ExportCounts, Exporter

_MESSAGES_PER_UPDATE: Final = 5000
"""Messages between two updates of the progress line."""

_ENDINGS: Final = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""How the files that a replay writes are named, packed or not."""

_SHOWN: Final = 300
"""Characters of a reason that are shown."""

_OF_TOPICS: Final = {"config": "--config", "broker": "--broker", "since": "--since", "until": "--until"}
"""Options that say what is read from topics."""


@click.command(short_help="Write verdicts and other results to Parquet.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@settings_options
@click.option("--events", is_flag=True, help="Also the events that were judged.")
@click.option("--since", type=TimeParam(), metavar="TIME", help="From topics: only messages written at TIME or later.")
@click.option("--until", type=TimeParam(), metavar="TIME", help="From topics: only messages written before TIME.")
@click.option("--replace", is_flag=True, help="Replace the export that is in DIR.")
def export(
    settings: Settings,
    folder: Path,
    sources: tuple[str, ...],
    events: bool,
    since: int | None,
    until: int | None,
    replace: bool,
) -> None:
    """Write verdicts, evidence, actions, reviews, incidents, scores and obligations to Parquet files in DIR.

    They are read from the topics, or from each SOURCE: a folder that `vigil replay` wrote, a file of it, or a recording
    (which has reviews and, with --events, events). DIR gets a folder for each table, with one for each day of event
    time in UTC. It gets them once all are complete. docs/analysis.md has questions in SQL.

    \b
    vigil export lake --broker localhost:9092                from topics
    vigil export lake replayed day.jsonl.zst --events        from a replay and its recording
    """
    if sources:
        _refuse_options_of_topics(click.get_current_context())
    try:
        from vigil.app.export.exporter import Exporter
        from vigil.app.export.folder import MANIFEST, ExportFolderError, export_folder
        from vigil.app.export.parquet_store import ParquetStore
        from vigil.app.export.tables import EVENTS, RESULTS, VERSIONS
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        raise OperatorError("pyarrow is not installed: pip install 'vigil-live[export]'") from error
    files = _files_of(sources)
    names = [table.name for table in (*RESULTS, *EVENTS)]
    try:
        with _ended_by_sigterm(), export_folder(folder, names, replace) as unfinished:
            exporter = Exporter(ParquetStore(unfinished), events)
            missing = _read_files(exporter, files) if sources else _read_topics(exporter, settings, since, until)
            exporter.close()
            if not exporter.counts.rows:
                raise click.ClickException(f"there was nothing to export{_rejections(exporter.counts)}")
            manifest = {**VERSIONS, "sources": list(sources) or "topics", **exporter.counts.as_json()}
            (unfinished / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")
    except ExportFolderError as error:
        raise click.UsageError(str(error)) from error
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    except OSError as error:  # of what is read, others report it
        raise click.ClickException(f"cannot write to {folder}: {error.strerror or error}") from error
    _summarise(exporter, folder, missing)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C: what is unfinished is removed."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _refuse_options_of_topics(context: click.Context) -> None:
    for name, option in _OF_TOPICS.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} is about topics, and SOURCE names files")


def _files_of(sources: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each file to read, and the topic of its lines; None for a recording, whose lines name it themselves."""
    from vigil.app.export.tables import EVENTS, RESULTS

    topics = list(dict.fromkeys(table.topic.name for table in (*RESULTS, *EVENTS)))
    found: list[tuple[str, str | None]] = []
    for source in sources:
        if not Path(source).is_dir():
            name = Path(source).name
            outputs = [topic for topic in topics if any(name == topic + ending for ending in _ENDINGS)]
            found.append((source, outputs[0] if outputs else None))
            continue
        paths = [(Path(source) / (topic + ending), topic) for topic in topics for ending in _ENDINGS]
        there = [(str(path), topic) for path, topic in paths if path.exists()]
        if not there:
            raise click.UsageError(f"{source} has no file that a replay writes, such as verdict.jsonl")
        found += there
    return found


def _read_files(exporter: "Exporter", files: Sequence[tuple[str, str | None]]) -> list[str]:
    for file, topic in files:
        lines = lines_with_progress(file, "exporting")
        if topic is None:
            exporter.add_recording(lines)
        else:
            exporter.add_replayed(topic, lines)
    return []


def _read_topics(exporter: "Exporter", settings: Settings, since: int | None, until: int | None) -> list[str]:
    from vigil.app.export.topics import export_topics

    silence_kafka_logs()
    with _progress() as on_progress:
        return asyncio.run(export_topics(settings, exporter, since, until, on_progress))


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the topic and the number of its messages, if standard error is a terminal."""
    columns = (TextColumn("exporting {task.description}"), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("", total=None)
        number = 0

        def update(topic: str) -> None:
            nonlocal number
            number += 1
            if number % _MESSAGES_PER_UPDATE == 0:
                bar.update(task, description=topic, completed=number)

        yield update


def _summarise(exporter: "Exporter", folder: Path, missing: Sequence[str]) -> None:
    """Print how many rows were written, and everything that was not."""
    counts, console = exporter.counts, Console(stderr=True)
    table = Table(title="Export", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for one in exporter.tables:
        table.add_row(one.name, f"{counts.rows[one.name]:,}")
    console.print(table)

    def warn(words: str) -> None:
        console.print(words, markup=False, highlight=False, soft_wrap=True, style="yellow")

    if missing:
        warn(f"topics that do not exist: {', '.join(missing)}")
    if counts.left_out:
        numbers = ", ".join(f"{topic} {number:,}" for topic, number in sorted(counts.left_out.items()))
        warn(f"left out: {numbers} (--events exports events)")
    for (topic, field), number in sorted(counts.ignored.items()):
        warn(f"not readable, and null: {topic} {field} {number:,}")
    if counts.rejected:
        warn(_rejections(counts).removeprefix("; "))
    console.print(f"written to {folder}", markup=False, highlight=False, soft_wrap=True)


def _rejections(counts: "ExportCounts") -> str:
    """The messages that could not be read, by topic; empty if there are none."""
    return "".join(
        f"; {one.number:,} of {topic} rejected (the first: {one.first[:_SHOWN]})"
        for topic, one in sorted(counts.rejected.items())
    )
