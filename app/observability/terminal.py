"""Output of the commands: tables of a fitting width, and escaping of texts that come from outside."""

import logging
import sys
import unicodedata
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH: Final = 120
"""Width of the output in columns where there is no terminal that has one."""


def console() -> Console:
    """Return a console on standard output."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def table(*headings: str) -> Table:
    """Return an empty table, plain enough for 80 columns."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1), collapse_padding=True)
    for number, heading in enumerate(headings):
        made.add_column(heading, no_wrap=number == 0)
    return made


def escape_control_chars(text: str) -> str:
    """Return a text with every character escaped that could control a terminal or hide other text."""
    return "".join(char if _is_safe(char) else char.encode("unicode_escape").decode() for char in text)


def mask_control_chars(text: str) -> str:
    """Like `escape_control_chars`, but of the same length: each such character becomes a replacement character."""
    return "".join(char if _is_safe(char) else "\N{REPLACEMENT CHARACTER}" for char in text)


def _is_safe(char: str) -> bool:
    # Spaces of other widths hide nothing, and Chinese texts use them.
    return char.isprintable() or unicodedata.category(char) == "Zs"


def silence_kafka_logs() -> None:
    """Silence the Kafka client: a command reports its errors itself, once."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
