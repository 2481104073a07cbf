"""The line on which a key of a TOML text stands. tomllib keeps no line numbers, so they are found by a second scan."""

import re
import tomllib
from collections.abc import Sequence
from typing import Final

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file down to a value."""

_HEADER: Final = re.compile(r"\s*\[{1,2}(?P<name>[^\[\]]+)\]{1,2}\s*(#.*)?$")
_KEY: Final = re.compile(r"\s*(?P<key>[^=#]+?)\s*=")


def _keys(written: str) -> Path | None:
    """The keys of a dotted key, split by tomllib's own rules; None if it is not a key."""
    try:
        value = tomllib.loads(f"{written} = 0")
    except tomllib.TOMLDecodeError:
        return None
    keys: list[str] = []
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        keys.append(key)
    return tuple(keys)


class TomlPositions:
    """The line on which each table and key of a TOML text begins, counted from 1."""

    def __init__(self, text: str) -> None:
        self._found: dict[Path, int] = {}
        table: Path = ()
        quote = ""
        for number, line in enumerate(text.splitlines(), start=1):
            if quote:  # inside a string of several lines
                quote = "" if quote in line else quote
                continue
            if header := _HEADER.match(line):
                table = _keys(header["name"]) or table
                self._found.setdefault(table, number)
            elif key := _KEY.match(line):
                self._found.setdefault((*table, *(_keys(key["key"]) or ())), number)
                quote = next((sign for sign in ('"""', "'''") if line.count(sign) % 2), "")

    def line_of(self, path: Sequence[str | int]) -> int | None:
        """The line of the value at `path`, or of the nearest table around it; None if there is none."""
        for length in range(len(path), 0, -1):
            prefix = tuple(path[:length])
            if prefix in self._found:
                return self._found[prefix]
            # A table that is only implied ([a.b.c] implies [a.b]) begins where its first part does.
            inside = [line for other, line in self._found.items() if other[:length] == prefix]
            if inside:
                return min(inside)
        return None
