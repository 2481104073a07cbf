"""What the commands print: tables that fit where they go, and texts of others that cannot harm a terminal."""

import logging
import sys
import unicodedata
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH: Final = 120
"""Of what is printed where no terminal says how wide it is."""


def console() -> Console:
    """Standard output."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def table(*headings: str) -> Table:
    """A plain table, narrow enough for 80 columns."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1), collapse_padding=True)
    for number, heading in enumerate(headings):
        made.add_column(heading, no_wrap=number == 0)
    return made


def escape_control_chars(text: str) -> str:
    """Somebody else's text with every sign written out that a terminal could take for an order, or hide behind."""
    return "".join(sign if _shown(sign) else sign.encode("unicode_escape").decode() for sign in text)


def mask_control_chars(text: str) -> str:
    """As `harmless`, but of the same length: each such sign is mask_control_chars by one that says so."""
    return "".join(sign if _shown(sign) else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _shown(sign: str) -> bool:
    # Blanks of other widths hide nothing, and Chinese texts are full of them.
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def silence_kafka_logs() -> None:
    """What Kafka's client logs while it tries is told in the command's own words."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
