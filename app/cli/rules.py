"""`vigil rules`: shows the rules in force on a day and their changes, and checks rulebook files."""

import itertools
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vigil.app.domain.rulebook import EffectiveVersion, Rulebook, RulebookError
from vigil.app.domain.rulebook.beginnings import Beginning, beginning_of
from vigil.app.domain.rulebook.changes import LimitChange, changes_between, compare_rulebooks
from vigil.app.domain.rulebook.formatting import format_leaf, limit_lines
from vigil.app.domain.rulebook.groups import Group, groups
from vigil.app.domain.rulebook.reader import SECTIONS, load_rulebook, section_type
from vigil.app.domain.rulebook.validation import hint
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.observability.terminal import WIDTH, mask_control_chars

_NARROW: Final = 100
"""Terminals with fewer columns are narrow."""
_NUMBERS: Final = 26
"""Width of the column of numbers on a narrow terminal."""


class _When(click.ParamType):
    """A day or an instant in the form of the rulebook, and in no other."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            beginning_of(value, _ANY_ZONE)
        except ValueError:
            self.fail(
                f"{value!r} is not a date: write YYYY-MM-DD, for example 2022-07-19, or 2022-07-19T09:30:00-07:00.",
                param,
                ctx,
            )
        return str(value)


_WHEN: Final = _When()
_ANY_ZONE: Final = ZoneInfo("UTC")
"""The rulebook's own is known only once it is read; whether a day exists is the same in all."""


@click.group(short_help="Show or check a rulebook.", invoke_without_command=True)
@click.option(
    "--on",
    type=_WHEN,
    metavar="DATE",
    help="Show the rules at midnight of this day, YYYY-MM-DD in the rulebook's time zone, or at an instant, "
    "2022-07-19T09:30:00-07:00. [default: today]",
)
@click.option(
    "--between", "days", type=_WHEN, nargs=2, metavar="DATE DATE", help="Show the changes from one day to another."
)
@click.option("--only", multiple=True, metavar="NAME", help="Show only this rule or section. Repeatable.")
@click.option("--rulebook", "file", metavar="FILE", help="Rulebook to show. [default: the built-in one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def rules(
    context: click.Context,
    on: str | None,
    days: tuple[str, str] | None,
    only: tuple[str, ...],
    file: str | None,
    as_json: bool,
) -> None:
    """Show the rules in force on a day: every number, its date and its source.

    \b
    vigil rules                                  rules in force today
    vigil rules --on 2022-08-01 --only absence   one rule on a day
    vigil rules --between 2022-07-01 2022-09-01  changes between two days
    vigil rules check candidate.toml             validate a file and show its changes

    Exits with status 1 if a rulebook is invalid; each problem is reported on a line of its own.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    if on is not None and days is not None:
        raise click.UsageError("Give either --on or --between.")
    _check_sections(only)
    book = _read(file)
    shown = [section for section in book.sections if section in only or not only]
    if days is not None:
        _print_changes(book, _span(book, days), shown, as_json)
    else:
        when = beginning_of(on or datetime.now(book.zone).date().isoformat(), book.zone)
        _print_rules(book, file, when, shown, as_json)


def _refuse_options(context: click.Context, command: str) -> None:
    """Raise UsageError if options stand before the name of a command, which would ignore them."""
    if any(context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT for name in context.params):
        raise click.UsageError(f"{command} takes its own options after its name.")


def _span(book: Rulebook, days: tuple[str, str]) -> tuple[Beginning, Beginning]:
    """The two ends of --between; raise UsageError if the first one is the later one."""
    since, until = (beginning_of(day, book.zone) for day in days)
    if since.at > until.at:
        raise click.UsageError(f"--between: {days[0]} is after {days[1]}; give the earlier day first.")
    return since, until


def _check_sections(only: tuple[str, ...]) -> None:
    for name in only:
        if section_type(name) is None:
            raise click.BadParameter(f"{name!r} is not a rule or section; {hint(name, SECTIONS)}", param_hint="--only")


@rules.command()
@click.argument("file")
@click.option("--against", metavar="FILE", help="Rulebook to compare with. [default: the built-in one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: str, against: str | None, as_json: bool) -> None:
    """Validate the rulebook FILE as a worker would, and show its changes."""
    book, base = _read(file), _read(against)
    changes = compare_rulebooks(base, book)
    versions = sum(len(book.versions(section)) for section in book.sections)
    if as_json:
        facts = {"file": file, "digest": book.digest, "time_zone": book.time_zone, "versions": versions}
        _print_json({**facts, "against": against or "built-in", "changes": [_as_json(change) for change in changes]})
        return
    other = against or "the built-in rulebook"
    console = _console()
    summary = f"{file} is valid: {len(book.sections)} sections, {versions} dated tables,"
    console.print(_clean(f"{summary} days begin in {book.time_zone}, digest {book.digest[:12]}."), soft_wrap=True)
    if not changes:
        console.print(_clean(f"It does not differ from {other}."), soft_wrap=True)
        return
    console.print(_changes_table(changes, f"Changes compared with {other}"))


def _read(file: str | None) -> Rulebook:
    """Read a rulebook; if it is invalid, print its problems to standard error and exit with status 1."""
    try:
        return load_rulebook(Path(file)) if file else load_rulebook()
    except RulebookError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from error


# ---- what is in force --------------------------------------------------------------------------------------------


def _print_rules(book: Rulebook, file: str | None, when: Beginning, shown: list[str], as_json: bool) -> None:
    at, day = when
    if as_json:
        sections = {name: _section(book, name, at) for name in shown}
        facts = {"on": day, "time_zone": book.time_zone, "file": file or "built-in", "digest": book.digest}
        _print_json({**facts, "sections": sections})
        return
    console = _console()
    console.print(_clean(f"{file or 'The built-in rulebook'} on {day} in {book.time_zone}, digest {book.digest[:12]}"))
    for group in groups(book, shown):
        console.print()
        console.print(_rules_table(book, group, at))


def _rules_table(book: Rulebook, group: Group, at: int) -> Table:
    table = Table(title=group.title, title_justify="left", title_style="bold", show_lines=True)
    table.add_column(group.kind, overflow="fold")
    table.add_column("description, source", overflow="fold")
    # On a narrow terminal the texts are wrapped first: names of numbers and dates stay in one piece.
    table.add_column("numbers", overflow="fold", width=_NUMBERS if _width() < _NARROW else None)
    table.add_column("since", no_wrap=True)
    for name in group.sections:
        heading, dated = book.headings[name], book.at(name, at)
        called, says = _clean(name), _clean(dated.description if dated else heading.description)
        if heading.family is not None:
            called.append(f"\n{heading.family}", style="dim")
        if dated is None:
            first = book.versions(name)[0]
            table.add_row(called, says, "not in force", f"from {first.effective_date}")
            continue
        since = Text(dated.effective_date)
        if dated.until != MAX_TIME:
            since.append(f"\nuntil\n{_next(book, name, dated).effective_date}", style="yellow")
        numbers = "\n".join(words if key == "rungs" else f"{key}: {words}" for key, words in limit_lines(dated.limits))
        says.append(_clean(f"\n{dated.citation}").plain, style="dim")
        table.add_row(called, says, _clean(numbers), since)
    return table


def _next(book: Rulebook, name: str, dated: EffectiveVersion[Any]) -> EffectiveVersion[Any]:
    return next(later for later in book.versions(name) if later.start == dated.until)


def _section(book: Rulebook, name: str, at: int) -> dict[str, Any]:
    dated = book.at(name, at)
    later = next((version for version in book.versions(name) if version.start > at), None)
    heading = book.headings[name]
    return {
        "says": dated.description if dated else heading.description,
        **({} if heading.family is None else {"family": heading.family}),
        "since": dated.effective_date if dated else None,
        "until": later.effective_date if later else None,
        "source": dated.citation if dated else None,
        "limits": msgspec.to_builtins(dated.limits) if dated else None,
    }


# ---- what changed ------------------------------------------------------------------------------------------------


def _print_changes(book: Rulebook, span: tuple[Beginning, Beginning], shown: list[str], as_json: bool) -> None:
    (since, first), (until, last) = span
    changes = [change for change in changes_between(book, since, until) if change.section in shown]
    if as_json:
        listed = [_as_json(change) for change in changes]
        _print_json({"between": [first, last], "time_zone": book.time_zone, "changes": listed})
        return
    console = _console()
    if not changes:
        console.print(f"Nothing changed from {first} to {last}.")
        return
    console.print(_changes_table(changes, f"Changes from {first} to {last} in {book.time_zone}"))


def _changes_table(changes: list[LimitChange], title: str) -> Table:
    table = Table(title=_clean(title), title_justify="left", title_style="bold")
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
    was, now = ("–" if value is None else format_leaf(change.key, value) for value in (change.was, change.now))
    numbers = [_clean(change.key), _clean(was), _clean(now)]
    if not first:
        return ["", "", *numbers, ""]
    return [change.effective_date or "always", _clean(change.section), *numbers, _clean(change.citation or "")]


def _as_json(change: LimitChange) -> dict[str, Any]:
    return {
        "section": change.section or None,
        "from": change.effective_date,
        "start": change.start,
        "key": change.key,
        "was": change.was,
        "now": change.now,
        "source": change.citation,
    }


# ---- output -----------------------------------------------------------------------------------------------------


def _console() -> Console:
    return Console(width=_width(), highlight=False)


def _width() -> int:
    return shutil.get_terminal_size((WIDTH, 40)).columns


def _clean(text: str) -> Text:
    """Return a text of a file as plain text that is safe in a terminal."""
    return Text("\n".join(mask_control_chars(line) for line in text.split("\n")))


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))
