"""`vigil replay`: judges recorded events from a file as a worker judges them."""

import contextlib
import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import click
import zstandard
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vigil.app.cli.common import (
    OperatorError,
    jobs_option,
    lateness_option,
    read_newest,
    rulebook_is_given,
    rulebook_option,
    started_jobs,
)
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rooms.emitter import shown
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.runtime.interpreter import tune_collector
from vigil.app.runtime.jobs.group import JobGroup
from vigil.app.runtime.jobs.recipe import RulebookRecipe
from vigil.app.runtime.recorded_lines import LineFile, bounded_lines
from vigil.app.runtime.replay import Outputs, Replay, written
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.app.runtime.replay_warnings import accepted, warnings
from vigil.app.runtime.rulebooks.history_file import take_publications

_LINES_PER_UPDATE: Final = 5000
"""Lines between two updates of the progress bar."""

_UNPACK_BYTES: Final = 512
"""Bytes that are unpacked at once: zstd packs up to 128 KiB of one character in four bytes."""

_BUFFER_BYTES: Final = 256 * 1024


class UnreadableError(click.ClickException):
    """An input that cannot be read; exit status 1."""

    exit_code = 1


class _ZstdFrames(io.RawIOBase):
    """The content of a .zst file, frame by frame. zstandard's own reader accepts a truncated frame as a short one."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._remaining = b""
        """Bytes that were read and not decompressed yet."""
        self._frame: Any = None
        """The decompressor of the present frame."""
        self._out = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._out:
            packed = self._remaining or self._packed.read(_UNPACK_BYTES)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the file ends in the middle of a frame")
                return 0
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._out = memoryview(frame.decompress(packed))
            self._remaining = frame.unused_data
            self._frame = None if frame.eof else frame
        size = min(len(into), len(self._out))
        into[:size] = self._out[:size]
        self._out = self._out[size:]
        return size


@contextlib.contextmanager
def open_events(name: str) -> Iterator[tuple[LineFile, IO[bytes] | None]]:
    """Open a recording: its lines, and the underlying file whose position is the progress (None if unknown)."""
    try:
        if name == "-":
            yield sys.stdin.buffer, None
            return
        with Path(name).open("rb") as raw:
            if name.endswith(".gz"):
                yield gzip.GzipFile(fileobj=raw), raw
            elif name.endswith(".zst"):
                yield io.BufferedReader(_ZstdFrames(raw), _BUFFER_BYTES), raw
            else:
                yield raw, raw
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UnreadableError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def lines_with_progress(name: str, what: str) -> Iterator[bytes]:
    """Yield the lines of a recording, with a progress bar on standard error if that is a terminal."""
    with open_events(name) as (lines, raw):
        if raw is None or not sys.stderr.isatty():
            yield from bounded_lines(lines)
            return
        bar = Progress(
            TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)
        )
        with bar:
            task = bar.add_task(what, total=Path(name).stat().st_size)
            for number, line in enumerate(bounded_lines(lines)):
                if number % _LINES_PER_UPDATE == 0:
                    bar.update(task, completed=raw.tell())
                yield line
            bar.update(task, completed=raw.tell())


def open_recording(name: str, what: str) -> tuple[Rulebook | None, Iterator[bytes]]:
    """Open a recording: the newest rulebook that was published in it, None without one, and its lines, as above.

    Raise OperatorError if this version of Vigil cannot judge by that rulebook.
    """
    try:
        return take_publications(lines_with_progress(name, what), name)
    except RulebookError as error:
        raise OperatorError(f"{error}; --rulebook names another one to judge by") from error


def make_folder(folder: Path) -> None:
    """Create the output folder; raise UsageError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: cannot create {folder}: {error.strerror}") from error


def write_outputs(outputs: Outputs, folder: Path) -> None:
    """Write each file of a replay's output; raise UsageError if that is not possible."""
    make_folder(folder)
    try:
        for name, lines in written(outputs):
            with (folder / name).open("wb") as file:
                file.writelines(lines)
    except OSError as error:
        raise click.UsageError(f"--out: cannot write to {folder}: {error.strerror}") from error


def summary(outputs: Outputs) -> Table:
    """Return a table of the numbers of inputs and outputs."""
    table = Table(title="Replay", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    _add_inputs(table, outputs.counts)
    _add_ignored(table, outputs.counts)
    table.add_section()
    _add_outputs(table, outputs)
    table.add_section()
    table.add_row("rejected", f"{len(outputs.rejected):,}", style="yellow" if outputs.rejected else None)
    return table


def _add_inputs(table: Table, counts: Mapping[str, int]) -> None:
    for name, number in sorted(counts.items()):
        if name.startswith("events:") and REGISTRY.is_input(name.removeprefix("events:")):
            table.add_row(f"read, {name.removeprefix('events:')}", f"{number:,}")
    for kind, words in (("duplicates", "duplicates"), ("too_old", "too old to matter")):
        number = sum(number for name, number in counts.items() if name.split(":")[0] == kind)
        if number:
            table.add_row(words, f"{number:,}")
    for name, number in sorted(counts.items()):
        if name.startswith("unknown_label:"):
            label = shown(name.partition(":")[2])
            table.add_row(Text(f"label that no rule knows, {label}"), f"{number:,}", style="yellow")


def _add_outputs(table: Table, outputs: Outputs) -> None:
    by_rule = Counter(verdict.body.rule for verdict in outputs["verdict"])  # type: ignore[union-attr]
    for rule, number in sorted(by_rule.items()):
        table.add_row(f"verdicts, {rule}", f"{number:,}")
    for output in REGISTRY.replayed:
        table.add_row(output.summary or output.topic, f"{len(outputs[output.topic]):,}")


def _add_ignored(table: Table, counts: Mapping[str, int]) -> None:
    for name, number in sorted(counts.items()):
        if name.startswith("fields_ignored:"):
            _, topic, field = name.split(":", 2)
            table.add_row(f"not readable, {topic} {field}", f"{number:,}", style="yellow")


@click.command(short_help="Judge recorded events from a file.")
@click.argument("events")
@rulebook_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("replayed"),
    show_default=True,
    help="Output folder; one JSON Lines file for each topic.",
)
@click.option(
    "--rulebook-history",
    "history",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Judge by what `vigil rules history --export` wrote: as the workers did, whatever they took over meanwhile.",
)
@lateness_option
@jobs_option
def replay(
    events: str, rulebook: Rulebook, out: Path, history: Path | None, lateness: AllowedLateness, jobs: int
) -> None:
    """Judge recorded EVENTS and write the outputs.

    EVENTS is a JSON Lines file, or "-" for standard input; .gz and .zst are decompressed. Each line is
    {"topic": …, "value": {…}}, with optional "key", "partition" and "offset", in order of arrival. The same
    file gives the same outputs, byte for byte. Rejected lines are counted and written to dead-letter.jsonl; the exit
    status is 1 if no line is accepted. Without --rulebook and --rulebook-history, rulebooks that were published judge,
    if the recording has them.
    """
    recorded, lines = open_recording(events, "replaying")  # an unreadable file is reported before anything is created
    if history is not None:
        rulebook = read_newest(history)
    elif recorded is not None and not rulebook_is_given():
        rulebook = recorded
    make_folder(out)  # now rather than at the end: a long replay must not fail then
    tune_collector()
    with started_jobs(jobs) as processes:
        group = None if processes is None else JobGroup(processes, RulebookRecipe(rulebook), lateness)
        run = Replay(rulebook, lateness, jobs=group)
        run.feed(lines)
        outputs = run.end()
    write_outputs(outputs, out)
    console = Console(stderr=True)
    console.print(summary(outputs))
    number = len(outputs.rejected)
    were = "line was" if number == 1 else "lines were"
    result = f"{number:,} {were} rejected: see {out / 'dead-letter.jsonl'}"
    console.print(result if outputs.rejected else f"written to {out}", markup=False, highlight=False)
    for warning in warnings(outputs, rulebook):
        console.print(f"warning: {warning}", markup=False, highlight=False, style="yellow", soft_wrap=True)
    if not accepted(outputs):
        raise UnreadableError(f"no line of {events} was accepted")
