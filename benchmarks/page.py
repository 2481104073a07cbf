"""docs/performance.md and README's figures: what a benchmark measured on a quiet machine is written between markers.

    <!-- peers: written by `make bench` -->  …  <!-- end of peers -->

`docs/performance.json` has the figures that other texts quote. `python -m benchmarks page` writes what follows from it.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.quiet import Quiet

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
README: Final = ROOT / "README.md"
FIGURES: Final = ROOT / "docs" / "performance.json"
PICTURES: Final = ROOT / "docs" / "pictures"

GOALS: Final = (
    ("backlog", "a worker on a backlog of rooms, all rules and checkpoints: CPU s per million events", "≤ 5.0"),
    ("job", "the job below, beside the peers: CPU s per million further events", "≤ 9"),
    ("replay", "a replay of mixed events: thousands of events per CPU second", "≥ 150"),
    ("latency-base", "from a deadline plus the allowed lateness to a verdict that can be read, p99, ms", "≤ 80"),
    ("latency-5000", "the same at 5,000 events per second", "≤ 80"),
    ("room-memory", "a loaded room in memory, KB", "≤ 12"),
    ("room-stored", "a loaded room as it is stored, KB", "≤ 5"),
    ("recovery", "recovery of a million rooms without a standby, s", "≤ 30"),
)  # fmt: skip
"""By the name of the figure: what it is, and the goal."""


def record(section: str, lines: list[str], figures: Mapping[str, float], quiet: Quiet) -> None:
    """Print a result, and write it to the page if the machine was quiet."""
    print("\n".join(lines))
    problem = quiet.problem()
    if problem is None and os.environ.get("VIGIL_BENCH_RECORD") == "no":
        problem = "VIGIL_BENCH_RECORD=no"
    if problem is not None:
        print(f"not recorded: {problem}", flush=True)
        return
    provenance = quiet.provenance()
    print(f"recorded in {PAGE.relative_to(ROOT)}: {provenance}", flush=True)
    PAGE.write_text(between(PAGE.read_text(), section, [*lines, "", f"*{provenance}*"]))
    if figures:
        known = read_figures() | {name: round(value, 1) for name, value in figures.items()}
        FIGURES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    write()


def write() -> None:
    """Write what follows from the figures."""
    PAGE.write_text(page(PAGE.read_text(), read_figures()))
    README.write_text(readme(README.read_text(), read_figures()))


def read_figures() -> dict[str, float]:
    """Return the recorded figures by name."""
    found: dict[str, float] = json.loads(FIGURES.read_text())
    return found


def page(text: str, figures: Mapping[str, float]) -> str:
    """Return the page with the table of goals."""
    rows = ["| what | goal | measured |", "| --- | --- | --- |"]
    rows += [f"| {what} | {goal} | {_shown(figures, name)} |" for name, what, goal in GOALS]
    return between(text, "goals", rows)


def readme(text: str, figures: Mapping[str, float]) -> str:
    """Return the README with its figures; as it is while one of them was never recorded."""
    needed = ("backlog", "job", "latency-base", "latency-base-p50", "replay", "recovery")
    if any(name not in figures for name in needed):
        return text
    backlog, job, p99, p50, replay, recovery = (_shown(figures, name) for name in needed)
    lines = [
        f"On two cores that also run the broker: {backlog} CPU seconds for a million room events with all rules and",
        f"checkpoints; {job} on a small job that Kafka Streams, Flink and others do beside it; {p50} ms (p50) and",
        f"{p99} ms (p99) from a deadline plus the allowed lateness to a verdict that can be read; {replay},000 mixed",
        f"events replayed per CPU second. One worker recovers the state of a million rooms in {recovery} s; a standby",
        "takes over at once ([performance](docs/performance.md), [capacity](docs/capacity.md)).",
    ]
    return between(text, "figures", lines)


def between(text: str, section: str, lines: list[str]) -> str:
    """Return the text with these lines between the markers of a section; raise ValueError if it has none."""
    begin, end = f"<!-- {section}: written by `make bench` -->", f"<!-- end of {section} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no section {section}: {begin}")
    return pattern.sub(lambda _: "\n".join((begin, *lines, end)), text, count=1)


def _shown(figures: Mapping[str, float], name: str) -> str:
    value = figures.get(name)
    return "not yet" if value is None else f"{value:,.0f}" if value >= 20 else f"{value:,.1f}"


def main() -> None:
    """Write what follows from the recorded figures."""
    write()
