"""The built-in rulebook with something in it changed, by table and key, whatever its numbers are."""

import re
from collections.abc import Callable

import pytest

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook

TEXT = BUILT_IN.read_text(encoding="utf-8")
FILE = "rules.toml"


def header(table: str) -> str:
    """The line with which a table begins; where it ends without a date, its first one."""
    if table.endswith(".from"):
        found = re.search(rf"^\[{re.escape(table)}\.[\d-]+\]$", TEXT, re.MULTILINE)
        assert found, table
        return found[0]
    return f"[{table}]"


def line_of(table: str, key: str = "", text: str = TEXT) -> int:
    """The number of the line of a table, or of a key in it."""
    lines = text.splitlines()
    start = lines.index(header(table))
    if not key:
        return start + 1
    return next(n for n, line in enumerate(lines[start:], start + 1) if re.match(rf"{key}\s*=", line))


def with_lines(table: str, change: Callable[[list[str]], list[str]], text: str = TEXT) -> str:
    """The text with the lines of one table (its header is the first) changed."""
    lines = text.splitlines()
    start = lines.index(header(table))
    end = next((n for n, line in enumerate(lines) if n > start and line.startswith("[")), len(lines))
    return "\n".join([*lines[:start], *change(lines[start:end]), *lines[end:]]) + "\n"


def with_value(table: str, key: str, value: str | None, text: str = TEXT) -> str:
    """The text with another value of a key in a table (of one line or many); None takes the key out."""

    def change(lines: list[str]) -> list[str]:
        body = "\n".join(lines)
        pattern = rf"^{key}\s*=\s*(?:\[\n.*?^\]|[^\n]*)$"
        new, times = re.subn(
            pattern,
            lambda _: "" if value is None else f"{key} = {value}",
            body,
            count=1,
            flags=re.MULTILINE | re.DOTALL,
        )
        assert times == 1, (table, key)
        return new.split("\n")

    return with_lines(table, change, text)


def with_line(table: str, line: str, text: str = TEXT) -> str:
    """The text with one more line in a table."""
    return with_lines(table, lambda lines: [*lines[:1], line, *lines[1:]], text)


def with_table(table: str, *lines: str, text: str = TEXT) -> str:
    """The text with one more table at its end."""
    return "\n".join([text.rstrip("\n"), "", f"[{table}]", *lines]) + "\n"


def without(table: str, text: str = TEXT) -> str:
    """The text without a section and its dated tables."""
    tables = re.findall(rf"^\[{re.escape(table)}(?:\.from\.[\d-]+)?\]$", text, re.MULTILINE)
    assert tables, table
    for found in tables:
        lines = text.splitlines()
        start = lines.index(found)
        end = next((n for n, line in enumerate(lines) if n > start and line.startswith("[")), len(lines))
        text = "\n".join(lines[:start] + lines[end:]) + "\n"
    return text


def dated(section: str, day: str, **values: str) -> str:
    """The text with one more version of a section: its last one with values changed. `day`: as a key of the file."""
    found = re.findall(rf"^\[{re.escape(section)}\.from\.[\d-]+\]$", TEXT, re.MULTILINE)
    lines = TEXT.splitlines()
    start = lines.index(found[-1])
    end = next((n for n, line in enumerate(lines) if n > start and line.startswith("[")), len(lines))
    text = "\n".join([TEXT.rstrip("\n"), "", f"[{section}.from.{day}]", *lines[start + 1 : end]]) + "\n"
    for key, value in values.items():
        text = with_value(f"{section}.from.{day}", key, value, text)
    return text


def read(text: str) -> Rulebook:
    return parse_rulebook(text, FILE)


def problems(text: str) -> list[str]:
    """What the reader says of a file that it must refuse, a problem each."""
    with pytest.raises(RulebookError) as refused:
        read(text)
    return str(refused.value).split("\n")


def problem(text: str) -> str:
    """The one problem that a file has."""
    (only,) = problems(text)
    return only
