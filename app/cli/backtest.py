"""`vigil backtest`: replays a recording under candidate rulebooks and shows what would change."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vigil.app.cli.common import OperatorError, lateness_option, read_rulebook
from vigil.app.cli.replay import lines_with_progress
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.changes import LimitChange, compare_rulebooks
from vigil.app.domain.rulebook.formatting import format_leaf
from vigil.app.observability.terminal import console, escape_control_chars, table
from vigil.app.runtime.interpreter import tune_collector
from vigil.app.runtime.replay_clocks import AllowedLateness
from vigil.app.runtime.whatif.backtest import CURVES, Point, Row, by_host, by_rule, curve, point
from vigil.app.runtime.whatif.backtest import as_json as comparison_as_json
from vigil.app.runtime.whatif.compare import Comparison, compare
from vigil.app.runtime.whatif.impact import Sentence, count, impact_summary
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.outcome import Outcome
from vigil.app.runtime.whatif.patch import patched, sweep

_BAR: Final = 40
"""Length of the longest bar in characters."""

_PARTS: Final = " ▏▎▍▌▋▊▉█"
"""Bars of zero to eight eighths of a character."""


@click.command(short_help="Compare rulebooks on recorded events.")
@click.argument("events")
@click.option("--base", metavar="RULEBOOK", help="The rulebook in force. [default: the built-in one]")
@click.option("--with", "other", metavar="RULEBOOK", help="The candidate. [default: the built-in one]")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="CHANGE",
    help="Change a number of the candidate, such as absence.lasts_s=240. Repeatable.",
)
@click.option(
    "--sweep", "sweep_spec", metavar="SWEEP", help="Try each value of a number, such as greeting-miss.within_s=8:15."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything that would change as JSON.")
@click.option(
    "--hosts", type=click.IntRange(0), default=20, show_default=True, help="The number of hosts and suppliers to list."
)
@lateness_option
def backtest(
    events: str,
    base: str | None,
    other: str | None,
    changes: tuple[str, ...],
    sweep_spec: str | None,
    as_json: bool,
    hosts: int,
    lateness: AllowedLateness,
) -> None:
    """Show what other rulebooks would have decided about recorded EVENTS.

    \b
    vigil backtest day.jsonl.zst --with candidate.toml           compare two rulebooks
    vigil backtest day.jsonl.zst --set absence.lasts_s=240       change one number
    vigil backtest day.jsonl.zst --sweep greeting-miss.within_s=8:15
    vigil backtest day.jsonl.zst --sweep harassment.similarity=0.8:0.95:0.05

    EVENTS is a recording as for `vigil replay`. It is read once, however many rulebooks are compared. --set and --sweep
    change the rulebook of --with, or that of --base without it.
    """
    in_force = read_rulebook(base)
    # Without --with, --set and --sweep change the rulebook in force.
    start = read_rulebook(other) if other or not (changes or sweep_spec) else in_force
    candidate, candidates = _candidates(start, changes, sweep_spec)
    tune_collector()
    run = MultiCandidateReplay(in_force, [book for _, book in candidates], lateness)
    run.feed(lines_with_progress(events, "replaying"))
    was, *outcomes = run.outcomes()
    names = {"events": events, "base": _name(base, in_force), "with": _name(other, candidate, changes)}
    if sweep_spec:
        points = [
            _point(value, book.digest == candidate.digest, was, outcome)
            for (value, book), outcome in zip(candidates, outcomes, strict=True)
        ]
        _print_sweep(sweep_spec, points, names, as_json)
    elif as_json:
        _print_comparison_as_json(names, compare_rulebooks(in_force, candidate), was, outcomes[0])
    else:
        _print_comparison(compare_rulebooks(in_force, candidate), was, outcomes[0], hosts)


def _candidates(
    start: Rulebook, changes: tuple[str, ...], sweep_spec: str | None
) -> tuple[Rulebook, list[tuple[int | float, Rulebook]]]:
    """The rulebook after --set, and those to replay: itself, or one for each value of --sweep."""
    try:
        candidate = patched(start, changes) if changes else start
        return candidate, sweep(candidate, sweep_spec) if sweep_spec else [(0, candidate)]
    except RulebookError as error:
        raise OperatorError(str(error)) from error


def _name(file: str | None, book: Rulebook, changes: tuple[str, ...] = ()) -> dict[str, Any]:
    name: dict[str, Any] = {"rulebook": file or "built-in", "digest": book.digest}
    return {**name, "set": list(changes)} if changes else name


def _point(value: int | float, in_force: bool, was: Outcome, outcome: Outcome) -> Point:
    changes = compare(was, outcome)
    return point(value, in_force, outcome, changes, len(by_host(was, outcome, changes)))


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2))  # non-ASCII characters are escaped: the output is safe in a terminal


# ---- two rulebooks -----------------------------------------------------------------------------------------------


def _print_comparison_as_json(names: dict[str, Any], limits: list[LimitChange], was: Outcome, now: Outcome) -> None:
    changes = compare(was, now)
    differences = [_change_as_json(change) for change in limits]
    _print_json(
        {
            **names,
            "rulebook_changes": differences,
            **comparison_as_json(was, now, changes, impact_summary(was, now, changes)),
        }
    )


def _print_comparison(limits: list[LimitChange], was: Outcome, now: Outcome, most: int) -> None:
    """Print what would change; list at most `most` hosts and suppliers."""
    changes = compare(was, now)
    out = console()
    _print_limits(out, limits)
    _print_impact(out, impact_summary(was, now, changes), changes)
    rules = by_rule(was, now, changes)
    if any(row.touched for row in rules):
        _print_table(out, _rows_table(rules, "rule"), "By rule")
    hosts = by_host(was, now, changes)
    if hosts:
        _print_table(out, _rows_table(hosts[:most], "host"), "By host, largest change first")
        _print_rest(out, len(hosts) - most, "host")
    if changes.scores:
        _print_table(out, _scores_table(changes, most), "Suppliers whose scores or metrics would change")
        _print_rest(out, len(changes.scores) - most, "supplier")
    if was.lines_rejected:
        number = was.lines_rejected
        were = "was" if number == 1 else "were"
        out.print(f"\n{count(number, 'line')} of the recording {were} rejected: `vigil replay` shows why.")


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


def _print_limits(out: Console, limits: list[LimitChange]) -> None:
    if not limits:
        out.print("The rulebooks do not differ: choose another one with --with, or change a number with --set.")
        return
    grid = table("from", "section", "number", "was", "is")
    for change in limits:
        cells = (
            change.effective_date or "always",
            change.section,
            change.key,
            "–" if change.was is None else format_leaf(change.key, change.was),
            "–" if change.now is None else format_leaf(change.key, change.now),
        )
        grid.add_row(*(Text(escape_control_chars(cell)) for cell in cells))
    _print_table(out, grid, "Changes of the rulebook")


def _print_impact(out: Console, sentences: Sequence[Sentence], changes: Comparison) -> None:
    out.print("\nImpact", style="bold")
    if not sentences:
        words = "nothing" if changes.nothing else "nothing to any host or supplier"
        out.print(f"  {words}: verdicts, actions, scores and pins would be the same")
    for sentence in sentences:
        out.print(Text(f"  {escape_control_chars(sentence.words)}"))
    for kind, (was, now) in changes.notices.items():
        out.print(f"  notices {kind}: {was:,} → {now:,}", style="dim", highlight=False)
    if restated := len(changes.verdicts.restated):
        out.print(
            f"  {restated:,} verdicts would be the same with other evidence or another rulebook version", style="dim"
        )


def _rows_table(rows: Sequence[Row], name: str) -> Table:
    grid = table(name, "verdicts", "added", "gone", "moved", "actions", "added", "gone", "moved", "other", "ban days")
    for column in grid.columns[1:]:
        column.justify = "right"
    for row in rows:
        actions = row.actions_added - row.actions_gone
        grid.add_row(
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
    return grid


def _from_to(was: int, now: int) -> str:
    return f"{was:,}" if was == now else f"{was:,} → {now:,}"


def _number(number: int, style: str) -> Text:
    return Text(f"{number:,}", style=style) if number else Text("·", style="dim")


def _scores_table(changes: Comparison, most: int) -> Table:
    grid = table("supplier", "predicted", "assessed", "what else")
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
        grid.add_row(Text(escape_control_chars(change.supplier_id)), *cells, Text(escape_control_chars(shown)))
    return grid


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _print_table(out: Console, grid: Table, title: str) -> None:
    out.print()
    out.print(title, style="bold")
    out.print(grid)


def _print_rest(out: Console, number: int, what: str) -> None:
    if number > 0:
        out.print(
            f"and {number:,} more {what}{'s' if number != 1 else ''}: --hosts shows more, --json all", style="dim"
        )


# ---- every value of one number -----------------------------------------------------------------------------------


def _print_sweep(sweep_spec: str, points: list[Point], names: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(
            {**names, "sweep": sweep_spec, "curve": curve(points), "points": [each.as_json() for each in points]}
        )
        return
    out = console()
    key = sweep_spec.partition("=")[0].strip()
    _print_table(out, _sweep_table(points), f"Sensitivity of {escape_control_chars(key)}")
    figure = curve(points)
    out.print()
    out.print(f"{CURVES[figure].capitalize()} by its value", style="bold")
    for line in chart([(f"{each.value:g}", getattr(each, figure) or 0, each.in_force) for each in points]):
        out.print(Text(line))
    if any(each.in_force for each in points):
        out.print("◀ the present value", style="dim")


def _sweep_table(points: Sequence[Point]) -> Table:
    headings = ["value", "verdicts", "added", "gone", "moved", "actions", "bans", "ban days", "hosts banned"]
    grid = table(*headings, "hosts touched", "scores moved", "mean predicted")
    for column in grid.columns:
        column.justify = "right"
    for each in points:
        cells = [each.verdicts, each.added, each.gone, each.moved, each.actions, each.bans, each.ban_days]
        cells += [each.hosts_banned, each.hosts_touched, each.scores_moved]
        predicted = "–" if each.predicted is None else f"{each.predicted:.2f}"
        mark = " ◀" if each.in_force else "  "
        grid.add_row(
            f"{each.value:g}{mark}",
            *(f"{cell:,}" for cell in cells),
            predicted,
            style="bold" if each.in_force else None,
        )
    return grid


def chart(bars: Sequence[tuple[str, float, bool]]) -> list[str]:
    """Return one line of text for each bar: its name, its value and whether it is marked."""
    largest = max((value for _, value, _ in bars), default=0) or 1
    width = max((len(name) for name, _, _ in bars), default=0)
    lines = []
    for name, value, marked in bars:
        eighths = round(value / largest * _BAR * 8)
        bar = _PARTS[-1] * (eighths // 8) + (_PARTS[eighths % 8] if eighths % 8 else "")
        lines.append(f"{name:>{width}} {bar} {value:,.6g}{' ◀' if marked else ''}")
    return lines
