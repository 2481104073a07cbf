"""`vigil backtest`: one recording under two rulebooks, or under every value of one number, and what would change."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vigil.app.cli.common import OperatorError, read_rulebook
from vigil.app.cli.replay import lines_with_progress
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.changes import LimitChange, compare_rulebooks
from vigil.app.domain.rulebook.formatting import format_leaf
from vigil.app.observability.terminal import console, escape_control_chars, table
from vigil.app.runtime.replay import LATENESS_MS
from vigil.app.runtime.whatif.backtest import CURVES, Point, Row, as_json, by_host, by_rule, curve, point
from vigil.app.runtime.whatif.compare import Comparison, compare
from vigil.app.runtime.whatif.impact import Sentence, blast_radius, count
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay, Outcome
from vigil.app.runtime.whatif.patch import patched, sweep

_BAR: Final = 40
"""Characters of the longest bar."""

_PARTS: Final = " ▏▎▍▌▋▊▉█"
"""Eighths of a character."""


@click.command()
@click.argument("events")
@click.option("--base", metavar="RULEBOOK", help="What is in force; the built-in rulebook by default.")
@click.option("--with", "other", metavar="RULEBOOK", help="The candidate; the built-in rulebook by default.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help="A number changed in the candidate, such as absence.lasts_s=240; may be given again.",
)
@click.option("--sweep", "swept", metavar="SWEEP", help="The curve of one number, such as greeting-miss.within_s=8:15.")
@click.option("--json", "as_machine", is_flag=True, help="For machines: everything that would change.")
@click.option(
    "--hosts", type=click.IntRange(0), default=20, show_default=True, help="Hosts and suppliers that are listed."
)
@click.option(
    "--lateness", type=click.IntRange(0), default=LATENESS_MS, show_default=True, metavar="MS", help="As in a replay."
)
def backtest(
    events: str,
    base: str | None,
    other: str | None,
    changes: tuple[str, ...],
    swept: str | None,
    as_machine: bool,
    hosts: int,
    lateness: int,
) -> None:
    """Tell what another rulebook would have made of recorded EVENTS.

    \b
    vigil backtest day.jsonl.zst --with candidate.toml           what would change, and for whom
    vigil backtest day.jsonl.zst --set absence.lasts_s=240       one number, without a file
    vigil backtest day.jsonl.zst --sweep greeting-miss.within_s=8:15
    vigil backtest day.jsonl.zst --sweep harassment.similarity=0.8:0.95:0.05

    EVENTS is a recording as `vigil replay` takes it, read once however many rulebooks are compared. --set and --sweep
    change the rulebook of --with, where it is given, else that of --base.
    """
    in_force = read_rulebook(base)
    # Without --with, a change is a change of what is in force.
    start = read_rulebook(other) if other or not (changes or swept) else in_force
    try:
        candidate = patched(start, changes) if changes else start
        candidates = sweep(candidate, swept) if swept else [(0, candidate)]
    except RulebookError as error:
        raise OperatorError(str(error)) from error
    fan = MultiCandidateReplay(in_force, [book for _, book in candidates], lateness)
    fan.feed(lines_with_progress(events, "replaying"))
    was, *outcomes = fan.outcomes()
    names = {"events": events, "base": _name(base, in_force), "with": _name(other, candidate, changes)}
    if swept:
        points = [
            _point(value, book.digest == candidate.digest, was, outcome)
            for (value, book), outcome in zip(candidates, outcomes, strict=True)
        ]
        _tell_sweep(swept, points, names, as_machine)
    else:
        _tell(names, compare_rulebooks(in_force, candidate), was, outcomes[0], as_machine, hosts)


def _name(file: str | None, book: Rulebook, changes: tuple[str, ...] = ()) -> dict[str, Any]:
    told: dict[str, Any] = {"rulebook": file or "built-in", "digest": book.digest}
    return {**told, "set": list(changes)} if changes else told


def _point(value: int | float, in_force: bool, was: Outcome, outcome: Outcome) -> Point:
    changes = compare(was, outcome)
    return point(value, in_force, outcome, changes, len(by_host(was, outcome, changes)))


def _print_json(told: dict[str, Any]) -> None:
    click.echo(json.dumps(told, indent=2))  # every sign beyond ASCII is written out


# ---- two rulebooks -----------------------------------------------------------------------------------------------


def _tell(
    names: dict[str, Any], numbers: list[LimitChange], was: Outcome, now: Outcome, as_machine: bool, most: int
) -> None:
    changes = compare(was, now)
    sentences = blast_radius(was, now, changes)
    if as_machine:
        differences = [_change_as_json(change) for change in numbers]
        _print_json({**names, "rulebook_changes": differences, **as_json(was, now, changes, sentences)})
        return
    out = console()
    _tell_numbers(out, numbers)
    _tell_radius(out, sentences, changes)
    rules = by_rule(was, now, changes)
    if any(row.touched for row in rules):
        _print_table(out, _rows_table(rules, "rule"), "By rule")
    hosts = by_host(was, now, changes)
    if hosts:
        _print_table(out, _rows_table(hosts[:most], "host"), "By host, the most changed first")
        _tell_rest(out, len(hosts) - most, "host")
    if changes.scores:
        _print_table(out, _scores_table(changes, most), "Suppliers whose figures would be others")
        _tell_rest(out, len(changes.scores) - most, "supplier")
    if was.lines_refused:
        number = was.lines_refused
        told = f"{count(number, 'line')} of the recording {'was' if number == 1 else 'were'} refused"
        out.print(f"\n{told}: `vigil replay` tells why.")


def _change_as_json(change: LimitChange) -> dict[str, Any]:
    return {
        "section": change.section or None,
        "effective": change.effective_date,
        "start": change.start,
        "key": change.key,
        "was": change.was,
        "now": change.now,
        "source": change.citation,
    }


def _tell_numbers(out: Console, numbers: list[LimitChange]) -> None:
    if not numbers:
        out.print("Both rulebooks judge alike: give another one by --with, or a change by --set.")
        return
    made = table("from", "section", "number", "was", "is")
    for change in numbers:
        cells = (
            change.effective_date or "always",
            change.section,
            change.key,
            "–" if change.was is None else format_leaf(change.key, change.was),
            "–" if change.now is None else format_leaf(change.key, change.now),
        )
        made.add_row(*(Text(escape_control_chars(cell)) for cell in cells))
    _print_table(out, made, "What is another in the rulebook")


def _tell_radius(out: Console, sentences: Sequence[Sentence], changes: Comparison) -> None:
    out.print("\nWhat it would do", style="bold")
    if not sentences:
        words = "nothing" if changes.nothing else "nothing to any host or supplier"
        out.print(f"  {words}: verdicts, actions, scores and pins would be the same")
    for sentence in sentences:
        out.print(Text(f"  {escape_control_chars(sentence.words)}"))
    for kind, (was, now) in changes.notices.items():
        out.print(f"  notices {kind}: {was:,} → {now:,}", style="dim", highlight=False)
    if restated := len(changes.verdicts.restated):
        out.print(f"  {restated:,} verdicts would stand as they are, in other words or under another date", style="dim")


def _rows_table(rows: Sequence[Row], name: str) -> Table:
    made = table(name, "verdicts", "added", "gone", "moved", "actions", "added", "gone", "moved", "other", "ban days")
    for column in made.columns[1:]:
        column.justify = "right"
    for row in rows:
        actions = row.actions_added - row.actions_gone
        made.add_row(
            Text(escape_control_chars(row.name)),
            _from_to(row.was, row.now),
            *(_number(number, style) for number, style in zip(row[3:6], ("red", "green", "yellow"), strict=True)),
            f"{actions:+,}" if actions else "·",
            *(
                _number(number, style)
                for number, style in zip(row[6:10], ("red", "green", "yellow", "red"), strict=True)
            ),
            _from_to(row.ban_days_was, row.ban_days_now),
        )
    return made


def _from_to(was: int, now: int) -> str:
    return f"{was:,}" if was == now else f"{was:,} → {now:,}"


def _number(number: int, style: str) -> Text:
    return Text(f"{number:,}", style=style) if number else Text("·", style="dim")


def _scores_table(changes: Comparison, most: int) -> Table:
    made = table("supplier", "predicted", "assessed", "what else")
    for change in changes.scores[:most]:
        figures = change.figures()
        rest = [
            f"{path} {_value(was)} → {_value(now)}"
            for path, (was, now) in figures.items()
            if path not in ("predicted", "assessed.score")
        ]
        cells = [
            f"{_value(figures[path][0])} → {_value(figures[path][1])}" if path in figures else "·"
            for path in ("predicted", "assessed.score")
        ]
        shown = ", ".join(rest[:4]) + (f", and {len(rest) - 4} more" if len(rest) > 4 else "")
        made.add_row(Text(escape_control_chars(change.supplier_id)), *cells, Text(escape_control_chars(shown)))
    return made


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _print_table(out: Console, made: Table, title: str) -> None:
    out.print()
    out.print(title, style="bold")
    out.print(made)


def _tell_rest(out: Console, number: int, what: str) -> None:
    if number > 0:
        out.print(
            f"and {number:,} more {what}{'s' if number != 1 else ''}: --hosts shows more, --json all", style="dim"
        )


# ---- every value of one number -----------------------------------------------------------------------------------


def _tell_sweep(swept: str, points: list[Point], names: dict[str, Any], as_machine: bool) -> None:
    if as_machine:
        _print_json({**names, "sweep": swept, "curve": curve(points), "points": [each._asdict() for each in points]})
        return
    out = console()
    headings = ["value", "verdicts", "added", "gone", "moved", "actions", "bans", "ban days", "hosts banned"]
    made = table(*headings, "hosts touched", "scores moved", "mean predicted")
    for column in made.columns:
        column.justify = "right"
    for each in points:
        cells = [each.verdicts, each.added, each.gone, each.moved, each.actions, each.bans, each.ban_days]
        cells += [each.hosts_banned, each.hosts_touched, each.scores_moved]
        predicted = "–" if each.predicted is None else f"{each.predicted:.2f}"
        mark = " ◀" if each.in_force else "  "
        made.add_row(
            f"{each.value:g}{mark}",
            *(f"{cell:,}" for cell in cells),
            predicted,
            style="bold" if each.in_force else None,
        )
    _print_table(out, made, f"Sensitivity of {escape_control_chars(swept.partition('=')[0].strip())}")
    figure = curve(points)
    out.print()
    out.print(f"{CURVES[figure].capitalize()} by its value", style="bold")
    for line in chart([(f"{each.value:g}", getattr(each, figure) or 0, each.in_force) for each in points]):
        out.print(Text(line))
    if any(each.in_force for each in points):
        out.print("◀ the value that it has now", style="dim")


def chart(bars: Sequence[tuple[str, float, bool]]) -> list[str]:
    """Bars as lines of text: a name, how long, and whether it is marked."""
    most = max((value for _, value, _ in bars), default=0) or 1
    width = max((len(name) for name, _, _ in bars), default=0)
    lines = []
    for name, value, marked in bars:
        eighths = round(value / most * _BAR * 8)
        bar = _PARTS[-1] * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")
        lines.append(f"{name:>{width}} {bar} {value:,.6g}{' ◀' if marked else ''}")
    return lines
