"""Loading a large state in steps, between which a worker does other work.

    load(chunks) ──▶ decode some ── yield ──▶ decode some ── yield ──▶ … index some ── yield ──▶ … loaded

What is loaded at once takes the same steps, one after the other: `finish`.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")

ENTRIES_A_STEP: Final = 1000
"""Entries that one step of loading decodes, or finds the place of: work for 1 or 2 ms."""


def batches(entries: Iterable[T], size: int = ENTRIES_A_STEP) -> Iterator[list[T]]:
    """Divide entries into lists of `size`, each for one step; the last one may be shorter."""
    left = iter(entries)
    while batch := list(islice(left, size)):
        yield batch


def finish(steps: Iterator[None]) -> None:
    """Take all steps at once."""
    deque(steps, maxlen=0)
