"""Fetches real clips, plants faults into them, and measures how often the probe errs: `python -m tools.clips measure`.

python -m tools.clips fetch               fetch the clips
python -m tools.clips measure             measure, and print the tables
python -m tools.clips measure --write     measure, and write the tables into docs/probe.md
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from tools.clips_catalogue import CLIPS, SPEECH, fetch
from tools.clips_measure import ClipResult, measure

PAGE: Final = Path(__file__).parents[1] / "docs" / "probe.md"
BEGIN: Final = "<!-- errors: made by tools/clips.py -->"
END: Final = "<!-- end of errors -->"
HEADS_S: Final = 600
FOUND: Final = """Seconds from the beginning of each planted fault to the observation that shows it, the slowest of each
clip, and the share of later observations that did not show it:"""


def table(rows: list[list[str]]) -> str:
    """Return rows as a Markdown table; the first is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def clips_table() -> str:
    """Return which clips are measured, and where they are from."""
    rows = [["clip", "shows", "package", "SHA-256 begins"]]
    for clip in (*CLIPS, *SPEECH):
        package = f"{clip.package.name} {clip.package.version} ({clip.package.client})"
        rows.append([clip.name, clip.shows, package, f"`{clip.sha256[:12]}`"])
    return table(rows)


def found_table(results: list[ClipResult]) -> str:
    """Return how fast each fault was found in each clip, and how often it was missed afterwards."""
    kinds = list(dict.fromkeys(fault.kind for result in results for fault in result.faults))
    rows = [["clip", *kinds]]
    for result in results:
        if not result.faults:
            continue
        cells = [result.name]
        for kind in kinds:
            ones = [fault for fault in result.faults if fault.kind == kind]
            if not ones:
                cells.append("")
            elif any(one.found_s is None for one in ones):
                cells.append("never")
            else:
                missed, of = sum(one.missed for one in ones), sum(one.of for one in ones)
                slowest = max(one.found_s or 0.0 for one in ones)
                cells.append(f"{slowest:.1f} s, {100 * missed / of:.0f} %")
        rows.append(cells)
    return table(rows)


def false_table(results: list[ClipResult]) -> str:
    """Return how often what was not there was seen, in per cent of the untouched clip's observations."""
    kinds = list(dict.fromkeys(kind for result in results for kind in result.false))
    rows = [["clip", "observations", *kinds]]
    for result in results:
        shares = {kind: f"{100 * number / result.observations:.1f} %" for kind, number in result.false.items()}
        cells = [shares.get(kind, "") for kind in kinds]
        rows.append([result.name, str(result.observations), *cells])
    return table(rows)


def report(results: list[ClipResult]) -> str:
    """Return the tables of the page."""
    return "\n\n".join(
        (
            FOUND,
            found_table(results),
            "Observations of the untouched clips that showed what was not there:",
            false_table(results),
            "The clips:",
            clips_table(),
        )
    )


def written(page: str, tables: str) -> str:
    """Return the page with its tables replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["fetch", "measure"])
    parser.add_argument("--write", action="store_true", help="write the tables into docs/probe.md")
    options = parser.parse_args()
    fetch((*CLIPS, *SPEECH))
    if options.command == "measure":
        tables = report(measure(CLIPS, HEADS_S))
        if options.write:
            PAGE.write_text(written(PAGE.read_text(), tables))
        else:
            print(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
