"""Counts again in SQL what Vigil published, from the raw events, and compares.

    events.jsonl ──────────▶ tables ─▶ sql/NAME.sql ─▶ views X__recount ──┐
    verdict.jsonl, … (replay) ─▶ table `published` ──▶ views X__published ┴─▶ rows that only one of them has

The SQL is written from the rules, and DuckDB computes it: nothing of Vigil is imported here. What SQL does not know
about Unicode, Python's `unicodedata` adds (unicode_functions.py).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

from tools.reality import unicode_functions

SQL: Final = Path(__file__).parent / "sql"
RECOUNT: Final = "__recount"
PUBLISHED: Final = "__published"
MEMORY: Final = "3GB"
"""Otherwise DuckDB takes what the machine has."""
SHOWN: Final = 20
"""Differences of one comparison that are shown."""


class Compared(NamedTuple):
    """The result of one comparison."""

    name: str
    rows: int
    """Rows that the recount has."""
    differences: int
    """Rows that only the recount has, and rows that only Vigil published."""
    shown: tuple[str, ...]
    """The first differences, one a line, sorted by key."""


def recounted(events: Path, outputs: Path, scripts: Iterable[str], variables: Mapping[str, object]) -> list[Compared]:
    """Run SQL scripts over a recording and the outputs of its replay, and compare each pair of views.

    `variables` are what the scripts read with getvariable(): limits in milliseconds, the end of the input.
    """
    with duckdb.connect(config={"memory_limit": MEMORY}) as database:
        unicode_functions.register(database)
        for name, value in variables.items():
            database.execute(f"set variable {name} = {value!r}")
        database.execute(f"set variable events = '{events}'")
        database.execute(f"set variable outputs = '{outputs}'")
        for script in ("input", *scripts):
            database.execute((SQL / f"{script}.sql").read_text())
        return [_compared(database, name) for name in _comparisons(database)]


def _comparisons(database: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of all pairs of views, in the order in which they were made."""
    found = database.execute("select view_name from duckdb_views() where not internal order by view_oid").fetchall()
    names = {name for (name,) in found}
    wanted = [name.removesuffix(RECOUNT) for (name,) in found if name.endswith(RECOUNT)]
    alone = [name for name in wanted if f"{name}{PUBLISHED}" not in names]
    if alone or not wanted:
        raise ValueError(f"no view {PUBLISHED} for {alone or 'anything'}")
    return wanted


def _compared(database: duckdb.DuckDBPyConnection, name: str) -> Compared:
    recount, published = f'"{name}{RECOUNT}"', f'"{name}{PUBLISHED}"'
    database.execute(f"create or replace temp table one as from {recount}")
    database.execute(f"create or replace temp table other as from {published}")
    rows = _number(database, "select count(*) from one")
    database.execute(
        "create or replace temp table unlike as "
        "select 'recount' as by, * from (from one except all from other) union all "
        "select 'vigil' as by, * from (from other except all from one)"
    )
    differences = _number(database, "select count(*) from unlike")
    found = database.execute(f"select * from unlike order by all limit {SHOWN}").fetchall() if differences else []
    by_key = sorted(found, key=lambda row: ([str(value) for value in row[1:]], row[0]))
    return Compared(name.replace("_", " "), rows, differences, tuple(_line(row) for row in by_key))


def _line(row: tuple[Any, ...]) -> str:
    return f"{row[0]:>8}: " + ", ".join(str(value) for value in row[1:])


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    found = database.execute(query).fetchone()
    return int(found[0]) if found else 0
