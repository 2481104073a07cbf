"""What SQL does not know about Unicode, from Python's `unicodedata`, as functions for DuckDB.

The rules say how texts are compared in the words of the Unicode standard. DuckDB's regular expressions know the
categories of characters; its functions know neither the compatibility forms nor the width of a character.
"""

import unicodedata

import duckdb


def nfkd(text: str) -> str:
    """The text in Unicode's normalisation form KD."""
    return unicodedata.normalize("NFKD", text)


def nfkc_casefold(text: str) -> str:
    """The text in normalisation form KC, then case-folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def screen_columns(text: str) -> int:
    """The columns of a text: East Asian wide and full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1 for character in text)


def register(database: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to a connection."""
    database.create_function("nfkd", nfkd, ["VARCHAR"], "VARCHAR")
    database.create_function("nfkc_casefold", nfkc_casefold, ["VARCHAR"], "VARCHAR")
    database.create_function("screen_columns", screen_columns, ["VARCHAR"], "INTEGER")
