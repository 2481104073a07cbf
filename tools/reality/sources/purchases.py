"""Purchases as payments: a supermarket's (completejourney) and those of a shop for music (CDNOW, in lifetimes)."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from tools.packages import cache, member
from tools.reality.events import DAY_MS, RULES_BEGIN_MS, RealEvent

CREDITED_AFTER_MS: Final = 2 * DAY_MS
"""The marketplace credits what was paid after two days."""


def _weeks(first_ms: int) -> int:
    """Whole weeks, in milliseconds, from a time into the rules' time."""
    return ((RULES_BEGIN_MS - first_ms) // (7 * DAY_MS) + 1) * 7 * DAY_MS


def baskets(archive: Path, every: int) -> Iterator[RealEvent]:
    """Every line of a basket is credited to its shop, and every basket is paid once.

    A line belongs to an RFQ, the household, where the price was reduced. Lines that cost nothing stay in: Vigil rejects
    them. Times are New York's, read as UTC.
    """
    rows = _lines(archive, every)
    shift = _weeks(rows[0][0])
    paid: dict[int, tuple[int, int, int, int]] = {}
    for at, shop, basket, household, product, cents, reduced in rows:
        ids = {"supplier_id": f"shop-{shop}", "order_id": str(basket), "buyer_id": str(household)}
        rfq = {"rfq_id": f"household-{household}" if reduced else None}
        step = {"kind": "settled", "payment_id": f"{basket}-{product}", "amount_usd": f"{cents / 100:.2f}"}
        yield RealEvent(at + shift, "payment", {**ids, **rfq, **step, "at": at + shift})
        paid[basket] = (at, shop, household, paid.get(basket, (0, 0, 0, 0))[3] + cents)
    for basket, (at, shop, household, cents) in paid.items():
        ids = {"supplier_id": f"shop-{shop}", "order_id": str(basket), "buyer_id": str(household)}
        rfq = {"rfq_id": f"household-{household}"}
        step = {"kind": "paid", "payment_id": str(basket), "amount_usd": f"{cents / 100:.2f}"}
        yield RealEvent(at + shift, "payment", {**ids, **rfq, **step, "at": at + shift})


def _lines(archive: Path, every: int) -> list[tuple[int, int, int, int, int, int, bool]]:
    """The lines of the baskets of every nth shop, in order of time."""
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        unpacked = Path(folder) / "transactions.parquet"
        unpacked.write_bytes(member(archive, "data/transactions.parquet"))
        return duckdb.execute(
            "select epoch_ms(transaction_timestamp), store_id, basket_id, household_id, product_id, "
            "round(sales_value * 100)::bigint, retail_disc > 0 from read_parquet($file) "
            "where store_id % $every = 0 order by 1, 3, 5",
            {"file": str(unpacked), "every": every},
        ).fetchall()


def albums(archive: Path, every: int) -> Iterator[RealEvent]:
    """Every purchase of the shop for music: paid on its day, credited two days later, and an order.

    A supplier is the number of discs that were bought at once (ten and more are one), with one product: so some have
    many purchases, others few.
    """
    rows = [line.split() for line in member(archive, "CDNOW_master.txt").decode().splitlines()[1:]]
    shift = _weeks(_day("19970101"))
    offered: set[str] = set()
    for number, (customer, day, discs, dollars) in enumerate(rows):
        if int(customer) % every:
            continue
        supplier = f"discs-{min(int(discs), 10):02}"
        if supplier not in offered:
            offered.add(supplier)
            yield _product(supplier)
        # All purchases of a day have the same time in the data: a second between each two keeps the order of the file.
        yield from _purchase(supplier, f"{number}", customer, _day(day) + shift + number % 86_400 * 1000, dollars)


def _product(supplier: str) -> RealEvent:
    value = {"supplier_id": supplier, "product_id": f"{supplier}-album", "industry": "home", "model": "rts"}
    return RealEvent(RULES_BEGIN_MS, "product", {**value, "info_score": 4.5, "at": RULES_BEGIN_MS})


def _purchase(supplier: str, number: str, customer: str, at: int, dollars: str) -> Iterator[RealEvent]:
    buyer = {"supplier_id": supplier, "buyer_id": customer, "order_id": number}
    money = {"payment_id": number, "rfq_id": f"customer-{customer}", "amount_usd": dollars}
    line = {"product_id": f"{supplier}-album", "amount_usd": dollars}
    later = at + CREDITED_AFTER_MS
    yield RealEvent(at, "payment", {**buyer, **money, "kind": "paid", "at": at})
    yield RealEvent(at, "order", {**buyer, "kind": "paid", "dispatch_by": later, "lines": [line], "at": at})
    yield RealEvent(later, "payment", {**buyer, **money, "kind": "settled", "at": later})


def _day(text: str) -> int:
    """The beginning of a day as in 19970131, in milliseconds."""
    day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    return round(day.timestamp() * 1000)
