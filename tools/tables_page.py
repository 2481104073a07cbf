"""Writes the tables of docs/tables.md from `app/export/tables.py`: `python -m tools.tables_page`."""

from pathlib import Path
from typing import Final

from vigil.app.export.columns import sql_name
from vigil.app.export.tables import EVENTS, LAYOUT, RESULTS, VERSIONS, ExportTable

PAGE: Final = Path(__file__).parents[1] / "docs" / "tables.md"

_BEGIN: Final = "<!-- tables: made by tools/tables_page.py -->\n"


def page() -> str:
    """Return the page with current tables; the text before them is written by hand."""
    head = PAGE.read_text(encoding="utf-8").partition(_BEGIN)[0]
    parts = [
        f"Layout {LAYOUT}, contract {VERSIONS['contract']}.\n",
        *_overview((*RESULTS, *EVENTS)),
        *(line for table in (*RESULTS, *EVENTS) for line in _table(table)),
    ]
    return head + _BEGIN + "\n".join(parts)


def _overview(tables: tuple[ExportTable, ...]) -> list[str]:
    rows = ["| table | topic | a row is | key | valid is the greatest | |", "| --- | --- | --- | --- | --- | --- |"]
    for table in tables:
        key = "–" if table.key is None else f"`{table.key}`"
        newest = "–" if table.newest is None else f"`{table.newest}`"
        when = "`--events`" if table in EVENTS else ""
        name = f"[`{table.name}`](#{table.name})"
        rows.append(f"| {name} | `{table.topic.name}` | {table.row} | {key} | {newest} | {when} |")
    return [*rows, ""]


def _table(table: ExportTable) -> list[str]:
    rows = [f"## {table.name}\n", "| column | type | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{one.name}` | `{sql_name(one.form.type)}` | {one.words} |" for one in table.columns]
    return [*rows, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
