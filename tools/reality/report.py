"""The table of `make reality`: every comparison in the terminal, and one row for each kind in docs/reality.md."""

import re
import sys
from pathlib import Path
from typing import Final, NamedTuple, Self

from tools.reality.run import ScenarioRun

PAGE: Final = Path(__file__).parents[2] / "docs" / "reality.md"

FRAMES: Final = "frame-status"
"""Frames are not in any of the data: they are added, so that there is something to judge."""


class ResultRow(NamedTuple):
    """One kind of comparison of one scenario, over all its replays."""

    scenario: str
    compared: str
    events: int
    """Events of the data."""
    frames: int
    """Frames that were added."""
    replays: int
    rows: int
    differences: int

    def plus(self, rows: int, differences: int, events: int, frames: int) -> Self:
        """The row with one more replay; events and frames are those of the largest."""
        return self._replace(
            events=max(self.events, events),
            frames=max(self.frames, frames),
            replays=self.replays + 1,
            rows=self.rows + rows,
            differences=self.differences + differences,
        )

    @property
    def line(self) -> str:
        """The row of the documentation."""
        numbers = " | ".join(f"{number:,}" for number in self[2:])
        return f"| `{self.scenario}` | {self.compared} | {numbers} |"


class Report:
    """The rows of the table, printed as they come."""

    def __init__(self) -> None:
        self.differences = 0
        self._rows: dict[tuple[str, str], ResultRow] = {}
        self._curve: dict[int, int] = {}
        """Missed entries by the limit of the greeting in seconds."""

    def add(self, run: ScenarioRun) -> None:
        """Add one run and print its comparisons, each with its differences below."""
        frames = run.events.get(FRAMES, 0)
        events = sum(run.events.values()) - frames
        scenario, words = run.scenario, run.variant.words
        package = f"{scenario.package.name} {scenario.package.version}"
        for compared in run.compared:
            self.differences += compared.differences
            key = scenario.name, compared.name
            row = self._rows.get(key, ResultRow(*key, 0, 0, 0, 0, 0))
            self._rows[key] = row.plus(compared.rows, compared.differences, events, frames)
            print(
                f"{package:36}  {scenario.name:13}  {words:21}  {events:>9,}  {compared.name:17}  "
                f"{compared.rows:>9,}  {compared.differences}",
                *(f"    {line}" for line in compared.shown),
                sep="\n",
            )
            if compared.name == "missed entries" and len(scenario.variants) > 1:
                self._curve[run.variant.within_s] = compared.rows
        sys.stdout.flush()

    def totals(self, again: frozenset[str]) -> str:
        """The last line; `again`: the scenarios whose data are those of another one."""
        return _totals(list(self._rows.values()), again)

    def write(self, order: list[str], again: frozenset[str]) -> None:
        """Renew the rows of the scenarios that were run in the documentation, which lists them in this order."""
        text = PAGE.read_text()
        ran = {name for name, _ in self._rows}
        kept = [row for row in rows_of(text) if row.scenario in order and row.scenario not in ran]
        rows = sorted([*kept, *self._rows.values()], key=lambda row: order.index(row.scenario))
        lines = [row.line for row in rows]
        text = _between(text, "results", "\n".join((*_HEAD, *lines, "", f"{_totals(rows, again)}.")))
        if self._curve:
            text = _between(text, "curve", "\n".join(_curve(self._curve)))
        PAGE.write_text(text)


_HEAD: Final = (
    "| scenario | compared | events | frames added | replays | rows | differences |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)

_ROW: Final = re.compile(r"^\| `([\w-]+)` \| ([a-z ]+) \| ([\d,]+(?: \| [\d,]+){4}) \|$", re.MULTILINE)


def rows_of(page: str) -> list[ResultRow]:
    """The rows of the table in the documentation."""
    found = _ROW.findall(page)
    return [
        ResultRow(name, compared, *(int(n.replace(",", "")) for n in numbers.split(" | ")))
        for name, compared, numbers in found
    ]


def _totals(rows: list[ResultRow], again: frozenset[str]) -> str:
    """Real events once, frames, events of data that were used before, rows and differences, in words."""
    events = {row.scenario: row.events for row in rows}
    real = sum(number for name, number in events.items() if name not in again)
    repeated = sum(number for name, number in events.items() if name in again)
    frames = sum({row.scenario: row.frames for row in rows}.values())
    compared, differences = sum(row.rows for row in rows), sum(row.differences for row in rows)
    return (
        f"{real:,} events of real data, {repeated:,} made of the same data again, {frames:,} frames added; "
        f"{compared:,} rows compared, {differences:,} differences"
    )


def _curve(missed: dict[int, int]) -> tuple[str, ...]:
    """A table of the missed entries by limit."""
    limits = sorted(missed)
    return (
        f"| seconds | {' | '.join(map(str, limits))} |",
        f"| --- |{' --- |' * len(limits)}",
        f"| missed | {' | '.join(f'{missed[limit]:,}' for limit in limits)} |",
    )


def _between(text: str, name: str, content: str) -> str:
    """Replace what stands between two comments of a page."""
    begin, end = f"<!-- {name}: written by `python -m tools.reality --write` -->", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"
