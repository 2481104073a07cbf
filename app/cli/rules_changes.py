"""How `vigil rules` prints what differs between rulebooks; its other commands share the output."""

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.changes import LimitChange
from vigil.app.domain.rulebook.formatting import format_leaf
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.observability.terminal import WIDTH, mask_control_chars

_DATE_AND_LINES: Final = 29
"""Columns of the table of changes that the date, the lines and the padding take."""
_VALUES: Final = 50
"""Columns that it needs for two values and a source."""


def print_differences(changes: Sequence[LimitChange], other: str) -> None:
    """Print what a rulebook changes in another one, and whom that concerns. `other`: the other one's name."""
    console = rules_console()
    if not changes:
        console.print(clean(f"It does not differ from {other}."), soft_wrap=True)
        return
    print_changes(changes, f"Changes compared with {other}")
    console.print(clean(_concerned(changes)), soft_wrap=True)


def _concerned(changes: Sequence[LimitChange]) -> str:
    """By subject: the sections in which something changes."""
    concerned: dict[str, dict[str, None]] = {}
    for change in changes:
        subject = REGISTRY.subject_of_section(change.section) if change.section else None
        concerned.setdefault(subject or "all", {})[change.section or "time_zone"] = None
    listed = "; ".join(f"{subject} ({', '.join(sections)})" for subject, sections in concerned.items())
    return f"Concerns {listed}."


def print_changes(changes: Sequence[LimitChange], title: str) -> None:
    """Print changes as a table, or one dated section below another where a table would squeeze their values."""
    console = rules_console()
    names = max(len(change.section) + len(change.key) for change in changes)
    if console.width - _DATE_AND_LINES - names >= _VALUES:
        console.print(_changes_table(changes, title))
        return
    console.print(clean(title), style="bold")
    for _, group in itertools.groupby(changes, _dated_section):
        _print_dated_section(console, list(group))


def _print_dated_section(console: Console, changes: list[LimitChange]) -> None:
    first = changes[0]
    console.print()
    console.print(clean(f"{first.effective_date or 'always'}  {first.section}"))
    numbers = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    for column in ("number", "was", "arrow", "is"):
        numbers.add_column(column, overflow="fold", no_wrap=column in ("number", "arrow"))
    for change in changes:
        key, was, now = _numbers(change)
        numbers.add_row(key, was, "→", now)
    for part in (numbers, clean(first.citation or "")):
        console.print(Padding(part, (0, 0, 0, 2), expand=False))


def _changes_table(changes: Sequence[LimitChange], title: str) -> Table:
    """A table of changes, those of one version together."""
    table = Table(title=clean(title), title_justify="left", title_style="bold")
    for column in ("from", "rule", "number", "was", "is", "source"):
        table.add_column(column, overflow="fold", no_wrap=column in ("from", "rule", "number"))
    for number, (_, group) in enumerate(itertools.groupby(changes, _dated_section)):
        if number > 0:
            table.add_section()
        for index, change in enumerate(group):
            table.add_row(*_change_cells(change, first=index == 0))
    return table


def _dated_section(change: LimitChange) -> tuple[str, str | None]:
    return change.section, change.effective_date


def _change_cells(change: LimitChange, *, first: bool) -> list[str | Text]:
    """The cells of a change; date, section and source stand only in the `first` row of a dated section."""
    numbers = _numbers(change)
    if not first:
        return ["", "", *numbers, ""]
    return [change.effective_date or "always", clean(change.section), *numbers, clean(change.citation or "")]


def _numbers(change: LimitChange) -> list[Text]:
    """The name of a number, what it was and what it is."""
    was, now = ("–" if value is None else format_leaf(change.key, value) for value in (change.was, change.now))
    return [clean(change.key), clean(was), clean(now)]


def change_as_json(change: LimitChange) -> dict[str, Any]:
    """A change as JSON."""
    return {
        "section": change.section or None,
        "from": change.effective_date,
        "start": change.start,
        "key": change.key,
        "was": change.was,
        "now": change.now,
        "source": change.citation,
    }


def rules_console() -> Console:
    """The terminal."""
    return Console(width=terminal_width(), highlight=False)


def terminal_width() -> int:
    """The columns of the terminal."""
    return shutil.get_terminal_size((WIDTH, 40)).columns


def clean(text: str) -> Text:
    """Return a text of a file as plain text that is safe in a terminal."""
    return Text("\n".join(mask_control_chars(line) for line in text.split("\n")))


def print_json(content: dict[str, Any]) -> None:
    """Print JSON."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))


def read_or_exit(file: str | None) -> Rulebook:
    """Read a rulebook; if it is invalid, print its problems to standard error and exit with status 1."""
    try:
        return load_rulebook(Path(file)) if file else load_rulebook()
    except RulebookError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from error
