"""`vigil rules`: shows the rules in force on a day and their changes, and checks rulebook files."""

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.table import Table
from rich.text import Text

from vigil.app.cli.rules_changes import (
    change_as_json,
    clean,
    print_changes,
    print_differences,
    print_json,
    read_or_exit,
    rules_console,
    terminal_width,
)
from vigil.app.cli.rules_publish import history, publish
from vigil.app.domain.rulebook import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.beginnings import Beginning, beginning_of
from vigil.app.domain.rulebook.changes import changes_between, compare_rulebooks
from vigil.app.domain.rulebook.formatting import limit_lines
from vigil.app.domain.rulebook.groups import Group, groups
from vigil.app.domain.rulebook.reader import SECTIONS, section_type
from vigil.app.domain.rulebook.validation import hint
from vigil.app.engine.watermark import MAX_TIME

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
    vigil rules publish candidate.toml           give it to the workers while they run
    vigil rules history                          who published what, and when

    Exits with status 1 if a rulebook is invalid; each problem is reported on a line of its own.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    if on is not None and days is not None:
        raise click.UsageError("Give either --on or --between.")
    _check_sections(only)
    book = read_or_exit(file)
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
    book, base = read_or_exit(file), read_or_exit(against)
    changes = compare_rulebooks(base, book)
    versions = sum(len(book.versions(section)) for section in book.sections)
    if as_json:
        facts = {"file": file, "digest": book.digest, "time_zone": book.time_zone, "versions": versions}
        print_json(
            {**facts, "against": against or "built-in", "changes": [change_as_json(change) for change in changes]}
        )
        return
    other = against or "the built-in rulebook"
    console = rules_console()
    summary = f"{file} is valid: {len(book.sections)} sections, {versions} dated tables,"
    console.print(clean(f"{summary} days begin in {book.time_zone}, digest {book.digest[:12]}."), soft_wrap=True)
    print_differences(changes, other)


@rules.command()
@click.argument("file")
@click.option("--against", metavar="FILE", help="Rulebook to compare with. [default: the built-in one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(file: str, against: str | None, as_json: bool) -> None:
    """Show what the rulebook FILE changes, from when on, and whom it concerns."""
    changes = compare_rulebooks(read_or_exit(against), read_or_exit(file))
    if as_json:
        print_json({"file": file, "against": against or "built-in", "changes": list(map(change_as_json, changes))})
        return
    print_differences(changes, against or "the built-in rulebook")


rules.add_command(publish)
rules.add_command(history)


# ---- what is in force --------------------------------------------------------------------------------------------


def _print_rules(book: Rulebook, file: str | None, when: Beginning, shown: list[str], as_json: bool) -> None:
    at, day = when
    if as_json:
        sections = {name: _section(book, name, at) for name in shown}
        facts = {"on": day, "time_zone": book.time_zone, "file": file or "built-in", "digest": book.digest}
        print_json({**facts, "sections": sections})
        return
    console = rules_console()
    console.print(clean(f"{file or 'The built-in rulebook'} on {day} in {book.time_zone}, digest {book.digest[:12]}"))
    for group in groups(book, shown):
        console.print()
        console.print(_rules_table(book, group, at))


def _rules_table(book: Rulebook, group: Group, at: int) -> Table:
    table = Table(title=group.title, title_justify="left", title_style="bold", show_lines=True)
    table.add_column(group.kind, overflow="fold")
    table.add_column("description, source", overflow="fold")
    # On a narrow terminal the texts are wrapped first: names of numbers and dates stay in one piece.
    table.add_column("numbers", overflow="fold", width=_NUMBERS if terminal_width() < _NARROW else None)
    table.add_column("since", no_wrap=True)
    for name in group.sections:
        heading, dated = book.headings[name], book.at(name, at)
        called, says = clean(name), clean(dated.description if dated else heading.description)
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
        says.append(clean(f"\n{dated.citation}").plain, style="dim")
        table.add_row(called, says, clean(numbers), since)
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
        listed = [change_as_json(change) for change in changes]
        print_json({"between": [first, last], "time_zone": book.time_zone, "changes": listed})
        return
    if not changes:
        rules_console().print(f"Nothing changed from {first} to {last}.")
        return
    print_changes(changes, f"Changes from {first} to {last} in {book.time_zone}")
