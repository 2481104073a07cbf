"""The main chunk of a supplier's stored state. Its other chunks are buckets of entries (see entries.py)."""

from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.suppliers.metric_table import TOTALS
from vigil.app.domain.suppliers.profiles import ProfileVersion
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME
from vigil.topics.internal import AssessedScore, RankingEntry

VERSION: Final = 1
"""Of the stored state. Fields and totals are added at the end, with a default; any other change is a new version."""


class SupplierMainChunk(Struct, array_like=True):
    """The main chunk of a supplier's stored state. Stored by position: add fields at the end, with a default."""

    version: int = VERSION
    watermark: int = MIN_TIME
    """The shard's watermark when the supplier was called last."""
    expired_until: int = MIN_TIME
    """The watermark when old entries were deleted last."""
    now: int = MIN_TIME
    latest_at: int = MIN_TIME
    """The largest event time of the supplier, deletions of its profile included."""
    first_at: int = MAX_TIME
    """The smallest event time of the supplier."""
    active: bool = False
    """True if it had a quote or a payment."""
    profiles: list[ProfileVersion] = []
    month_end_totals: dict[int, str] = {}
    """By month, the numbers in the order of TOTALS as text: sums may be larger than msgpack's integers."""
    current_entry: RankingEntry | None = None
    """The current entry as it was sent last."""
    month_entry: RankingEntry | None = None
    """The latest month's entry as it was sent last."""
    assessed: AssessedScore | None = None
    resend_at: int = MAX_TIME
    """When the current entry is sent again after a move."""


_MAIN: Final = msgspec.msgpack.Decoder(SupplierMainChunk)
encode: Final = msgspec.msgpack.Encoder().encode


def load_main_chunk(supplier_id: str, chunks: StateChunks) -> SupplierMainChunk:
    """The stored main chunk, or a new one if nothing is stored; raise ValueError if it has another version."""
    main = _MAIN.decode(chunks[b""]) if chunks else SupplierMainChunk()
    if main.version != VERSION:
        raise ValueError(f"the state of supplier {supplier_id!r} has the unknown version {main.version}")
    return main


def load_month_ends(main: SupplierMainChunk) -> dict[int, list[int]]:
    """The month-end totals; those that were added to TOTALS since are 0."""
    months = {month: [int(number) for number in text.split()] for month, text in main.month_end_totals.items()}
    return {month: numbers + [0] * (len(TOTALS) - len(numbers)) for month, numbers in months.items()}


def store_month_ends(main: SupplierMainChunk, month_ends: dict[int, list[int]]) -> None:
    main.month_end_totals = {month: " ".join(map(str, totals)) for month, totals in month_ends.items()}
