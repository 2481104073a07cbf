"""Prints what `vigil backtest --sweep` found out: the figures of each value, and their curve."""

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from vigil.app.cli.backtest_comparison import print_json, print_table
from vigil.app.observability.terminal import console, escape_control_chars, table
from vigil.app.runtime.whatif.backtest import CURVES, Point, curve

_BAR: Final = 40
"""Length of the longest bar in characters."""

_PARTS: Final = " ▏▎▍▌▋▊▉█"
"""Bars of zero to eight eighths of a character."""


def print_sweep(sweep_spec: str, points: list[Point], names: dict[str, Any], as_json: bool) -> None:
    """Print the figures of each value, for people or as JSON."""
    if as_json:
        print_json(
            {**names, "sweep": sweep_spec, "curve": curve(points), "points": [each.as_json() for each in points]}
        )
        return
    out = console()
    key = sweep_spec.partition("=")[0].strip()
    print_table(out, _sweep_table(points), f"Sensitivity of {escape_control_chars(key)}")
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
