"""Prints what `vigil backtest` found out about two rulebooks: who would be touched, and how; for people or as JSON."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vigil.app.domain.quality.rule_quality import RuleQuality
from vigil.app.domain.rulebook.changes import LimitChange
from vigil.app.domain.rulebook.formatting import format_leaf
from vigil.app.observability.terminal import console, escape_control_chars, table
from vigil.app.runtime.whatif.backtest import Row, by_host, by_rule
from vigil.app.runtime.whatif.backtest import as_json as comparison_as_json
from vigil.app.runtime.whatif.compare import Comparison, compare
from vigil.app.runtime.whatif.impact import Sentence, count, gone_by_rule, impact_summary
from vigil.app.runtime.whatif.line_changes import line_changes
from vigil.app.runtime.whatif.line_groups import SupplierEffects, by_supplier
from vigil.app.runtime.whatif.outcome import Outcome

_MARKS: Final = {"gain": ("▲ ", "green"), "loss": ("▼ ", "red")}
"""Before what is a gain or a loss of suppliers, and its colour."""


def print_json(content: dict[str, Any]) -> None:
    """Print JSON."""
    click.echo(json.dumps(content, indent=2))  # non-ASCII characters are escaped: the output is safe in a terminal


def print_comparison_as_json(names: dict[str, Any], limits: list[LimitChange], was: Outcome, now: Outcome) -> None:
    """Print everything that would change as JSON."""
    changes = compare(was, now)
    differences = [_change_as_json(change) for change in limits]
    print_json(
        {
            **names,
            "rulebook_changes": differences,
            **comparison_as_json(was, now, changes, impact_summary(was, now, changes)),
        }
    )


def print_comparison(limits: list[LimitChange], was: Outcome, now: Outcome, most: int) -> None:
    """Print what would change; list at most `most` hosts and suppliers."""
    changes = compare(was, now)
    out = console()
    _print_limits(out, limits)
    _print_impact(out, impact_summary(was, now, changes), changes)
    rules = by_rule(was, now, changes)
    if any(row.touched for row in rules):
        print_table(out, _rows_table(rules, "rule"), "By rule")
    gone = gone_by_rule(was, changes)
    if any(rule.reviewed for rule in gone):
        print_table(out, _gone_table(gone), "Verdicts that would be gone, by what moderators had decided")
    hosts = by_host(was, now, changes)
    if hosts:
        print_table(out, _rows_table(hosts[:most], "host"), "By host, largest change first")
        _print_rest(out, len(hosts) - most, "host")
    if changes.scores:
        print_table(out, _scores_table(changes, most), "Suppliers whose scores or metrics would change")
        _print_rest(out, len(changes.scores) - most, "supplier")
    effects = by_supplier(line_changes(changes.others))
    if effects:
        print_table(out, _effects_table(effects[:most]), "Suppliers who would gain or lose, largest change first")
        _print_rest(out, len(effects) - most, "supplier")
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
    print_table(out, grid, "Changes of the rulebook")


def _print_impact(out: Console, sentences: Sequence[Sentence], changes: Comparison) -> None:
    out.print("\nImpact", style="bold")
    if not sentences:
        words = "nothing" if changes.nothing else "nothing to any host or supplier"
        out.print(f"  {words}: verdicts, actions, scores, pins and suppliers' lines would be the same")
    for sentence in sentences:
        mark, style = _MARKS.get(sentence.facts["change"], ("", ""))
        out.print(Text(f"  {mark}{escape_control_chars(sentence.words)}", style=style))
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


def _gone_table(rules: Sequence[RuleQuality]) -> Table:
    grid = table("rule", "label", "gone", "overturned", "upheld", "neither")
    for column in grid.columns[2:]:
        column.justify = "right"
    for rule in rules:
        names = (Text(escape_control_chars(name or "")) for name in (rule.rule, rule.subject))
        numbers = (rule.verdicts, rule.overturned, rule.upheld, rule.verdicts - rule.reviewed)
        grid.add_row(*names, *(_number(*each) for each in zip(numbers, ("", "green", "red", ""), strict=True)))
    return grid


def _from_to(was: int, now: int) -> str:
    return f"{was:,}" if was == now else f"{was:,} → {now:,}"


def _number(number: int, style: str) -> Text:
    return Text(f"{number:,}", style=style) if number else Text("·", style="dim")


def _effects_table(effects: Sequence[SupplierEffects]) -> Table:
    grid = table("supplier", "gains", "losses", "other changes")
    for column in grid.columns[1:]:
        column.justify = "right"
    for each in effects:
        numbers = zip(each[1:], ("green", "red", "yellow"), strict=True)
        grid.add_row(Text(escape_control_chars(each.supplier_id)), *(_number(*number) for number in numbers))
    return grid


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


def print_table(out: Console, grid: Table, title: str) -> None:
    """Print a table under its title."""
    out.print()
    out.print(title, style="bold")
    out.print(grid)


def _print_rest(out: Console, number: int, what: str) -> None:
    if number > 0:
        out.print(
            f"and {number:,} more {what}{'s' if number != 1 else ''}: --hosts shows more, --json all", style="dim"
        )
