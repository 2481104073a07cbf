"""What one event of each kind costs: Python calls, C calls and bytecode instructions.

    python -m benchmarks counts                    print the table, beside what is recorded
    python -m benchmarks counts --functions KIND   print the functions that a kind spends most in
    python -m benchmarks counts --check            fail if a kind is more than 3 % dearer or cheaper than recorded
    python -m benchmarks counts --write            record the counts: `make counts`

The counts are the same on every machine, busy or not (`benchmarks/counting/`); they differ between minor versions of
Python, so that `counts.json` has them by version.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.counting.kinds import costs_by_kind
from benchmarks.counting.tracer import Cost, Costs

RECORDED: Final = Path(__file__).with_name("counts.json")
VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
TOLERANCE: Final = 0.03
"""By what share a kind may differ from what is recorded."""

SLACK: Final = 0.05
"""By how much it may differ in any case: what is rare costs less than one call an event."""

NOT_RECORDED: Final = 3
"""Exit status of `--check` if there are no counts of this version of Python."""

SHOWN: Final = 20
"""Functions that are printed."""

Counts = Mapping[str, Cost]
"""By kind."""


def main(arguments: Sequence[str] = ()) -> int:
    """Count, and do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks counts", description="count what each event costs")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--functions", metavar="KIND", help="the functions that a kind spends most in")
    what.add_argument("--check", action="store_true", help="fail if a kind differs from what is recorded")
    what.add_argument("--write", action="store_true", help="record the counts")
    options = parser.parse_args(arguments)
    known = read()
    if options.check and known is None:
        print(f"no counts are recorded for Python {VERSION}")
        return NOT_RECORDED
    costs = costs_by_kind()
    if options.functions is not None:
        return _print_functions(costs, options.functions)
    counts = {kind: each.total() for kind, each in costs.items()}
    if options.check:
        problems = differences(counts, known or {})
        print("\n".join(problems) or f"{len(counts)} kinds cost what is recorded")
        return bool(problems)
    print("\n".join(table(counts, known or {})))
    if options.write:
        write(counts)
    return 0


def differences(counts: Counts, known: Counts) -> list[str]:
    """Return a sentence for each kind that differs by more than TOLERANCE from what is recorded."""
    found = [f"{kind}: not recorded yet; renew the counts: make counts" for kind in counts if kind not in known]
    found += [f"{kind}: not counted any more; renew the counts: make counts" for kind in known if kind not in counts]
    for kind in counts.keys() & known.keys():
        for name, now, before in zip(Cost._fields, counts[kind], known[kind], strict=True):
            change = f"{kind}: {before:,.2f} {name} are recorded, and now there are {now:,.2f}"
            if abs(now - before) <= max(SLACK, before * TOLERANCE):
                continue
            if now > before:
                found.append(f"{change}: dearer. See --functions {kind!r}; if that is its price: make counts")
            else:
                found.append(f"{change}: cheaper. Renew the counts, so that it stays so: make counts")
    return sorted(found)


def table(counts: Counts, known: Counts) -> list[str]:
    """Return the lines of the table; with a change of half a percent or more behind a number."""
    rows = [("of one", *Cost._fields)]
    for kind, cost in counts.items():
        before = known.get(kind, cost)
        rows.append((kind, *(_shown(now, then) for now, then in zip(cost, before, strict=True))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def read() -> dict[str, Cost] | None:
    """Return what is recorded for this version of Python, None if nothing is."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    if VERSION not in recorded:
        return None
    return {kind: Cost(*cost) for kind, cost in recorded[VERSION].items()}


def write(counts: Counts) -> None:
    """Record the counts for this version of Python, one kind a line."""
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded[VERSION] = {kind: [round(number, 3) for number in cost] for kind, cost in counts.items()}
    versions = [
        f'"{version}": {{\n'
        + ",\n".join(f"{json.dumps(kind)}: {json.dumps(cost)}" for kind, cost in recorded[version].items())
        + "\n}"
        for version in sorted(recorded)
    ]
    RECORDED.write_text("{\n" + ",\n".join(versions) + "\n}\n")
    print(f"recorded in {RECORDED.name} for Python {VERSION}")


def _shown(now: float, before: float) -> str:
    change = (now - before) / before if before else 0.0
    return f"{now:,.2f}" + (f" ({change:+.1%})" if abs(change) >= 0.005 else " " * 9)


def _print_functions(costs: Mapping[str, Costs], kind: str) -> int:
    if kind not in costs:
        print(f"unknown kind: {kind}; known are: {'; '.join(costs)}", file=sys.stderr)
        return 2
    by_code = costs[kind].by_code
    dearest = sorted(by_code, key=lambda code: by_code[code].instructions, reverse=True)[:SHOWN]
    print(f"{'calls':>10} {'c_calls':>10} {'instructions':>12}  function, and the line where it begins")
    for code in dearest:
        calls, c_calls, instructions = by_code[code]
        where = f"{_short(code.co_filename)}:{code.co_firstlineno}"
        print(f"{calls:10.2f} {c_calls:10.2f} {instructions:12.1f}  {code.co_qualname}  {where}")
    return 0


def _short(path: str) -> str:
    root = f"{Path(__file__).resolve().parents[1]}/"
    return path.removeprefix(root) if path.startswith(root) else "/".join(Path(path).parts[-2:])
