"""Data that nobody here wrote, through the whole product, and counted again in SQL: `make reality`.

    registry package ─▶ source: events with shifted dates ─▶ events.jsonl ─▶ vigil replay ─▶ verdict.jsonl, …
       (packages.py)           (sources/)                        │                                 │
                                                                 └──────▶ recount in DuckDB ◀──────┘
                                                                            (recount.py, sql/)

docs/reality.md names the sources, what is done to their dates, and what each comparison means.
"""
