"""The result of one check, and the words that the checks share."""

from typing import Literal, NamedTuple

CheckLevel = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """The result of one check."""

    name: str
    level: CheckLevel
    words: str
    remedy: str = ""
    """What to do; empty where the level is ok."""


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural where there are several."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def span(ms: int) -> str:
    """A time span for people."""
    seconds = max(0, ms) / 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s"


def first_few(lines: list[str], most: int = 4) -> str:
    """The first lines, each on its own, and how many more there are."""
    more = [f"… and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join([*lines[:most], *more])
