"""Runs the scenarios, prints the table, and ends with 1 if anything differs: `python -m tools.reality`."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.packages import PackageMissing
from tools.reality.catalogue import SCENARIOS
from tools.reality.replays import ReplayFailed
from tools.reality.report import Report
from tools.reality.run import runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a comparison has a difference, 2 if a package or a replay failed."""
    parser = argparse.ArgumentParser(description="Real data through the whole product, counted again in SQL.")
    parser.add_argument("names", nargs="*", help="scenarios (all by default)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth room or supplier")
    parser.add_argument("--write", action="store_true", help="renew the table in docs/reality.md")
    options = parser.parse_args(arguments)
    names = [scenario.name for scenario in SCENARIOS]
    if unknown := sorted({*options.names} - {*names}):
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(names)}")
    report = Report()
    try:
        for scenario in SCENARIOS:
            if scenario.name in (options.names or names):
                with tempfile.TemporaryDirectory(prefix="vigil-reality-") as work:
                    for run in runs(scenario, Path(work), options.every):
                        report.add(run)
    except (PackageMissing, ReplayFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    again = frozenset(scenario.name for scenario in SCENARIOS if scenario.again)
    print(report.totals(again))
    if options.write:
        report.write(names, again)
    return int(report.differences > 0)


if __name__ == "__main__":
    sys.exit(main())
