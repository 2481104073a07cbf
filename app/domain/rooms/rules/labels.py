"""Upstream's labels of frames and comments: a rule names them whole, or by what they start with (`rights:`)."""

from collections.abc import Mapping
from typing import TypeVar

V = TypeVar("V")


def of_label(table: Mapping[str, V], label: str) -> V | None:
    """What a table has for a label, else for its beginning up to the first colon; None for neither."""
    found = table.get(label)
    return table.get(label.partition(":")[0] + ":") if found is None and ":" in label else found
