"""Flights as quotes (nycflights13): everything that departed from New York's airports in 2013.

An RFQ is a route on a day, wanted from its first scheduled departure on; a supplier is an aircraft, its industry the
airline. Departing is quoting; the buyer replies where the flight arrives in time, and rejects where it is late. A
quarter of an hour after the scheduled arrival the supplier asks for a pin: so a flight that is late by less was
rejected before it asks, and one that is late by more is rejected afterwards.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tools.packages import member
from tools.reality.events import DAY_MS, MINUTE_MS, RULES_BEGIN_MS, RealEvent

WEEKS: Final = (RULES_BEGIN_MS - 1_356_998_400_000) // (7 * DAY_MS) + 1
"""Whole weeks from 2013-01-01 to the first time within the rules."""

PIN_AFTER_MS: Final = 15 * MINUTE_MS
NOT_KNOWN: Final = "NA"
"""The departure of a flight that was cancelled, the arrival of one that was diverted."""


class Flight(NamedTuple):
    """One flight that departed. Times are the local clock's of New York, read as UTC, and shifted."""

    quote_id: str
    rfq_id: str
    aircraft: str
    airline: str
    scheduled: int
    departed: int
    arrived: int | None
    """None where it was diverted."""
    late_ms: int


def events(archive: Path, every: int) -> Iterator[RealEvent]:
    """The quotes of every nth aircraft, and its profile before the first of them."""
    flown = list(_flights(archive))
    wanted = set(sorted({flight.aircraft for flight in flown})[::every])
    opened: dict[str, int] = {}
    for flight in flown:
        opened[flight.rfq_id] = min(flight.scheduled, opened.get(flight.rfq_id, flight.scheduled))
    for aircraft, airline in {flight.aircraft: flight.airline for flight in flown if flight.aircraft in wanted}.items():
        profile = {"supplier_id": aircraft, "industry": airline, "membership": "standard", "stars": 0}
        yield RealEvent(RULES_BEGIN_MS, "supplier-profile", {**profile, "at": RULES_BEGIN_MS})
    for flight in flown:
        if flight.aircraft in wanted:
            yield from _quote(flight, opened[flight.rfq_id])


def _quote(flight: Flight, rfq_at: int) -> Iterator[RealEvent]:
    """What becomes of one quote."""

    def step(kind: str, at: int, **more: int) -> RealEvent:
        ids = {"supplier_id": flight.aircraft, "quote_id": flight.quote_id, "rfq_id": flight.rfq_id}
        return RealEvent(at, "quote", {**ids, "buyer_id": flight.rfq_id[:7], "kind": kind, "at": at, **more})

    yield step("submitted", flight.departed, rfq_at=rfq_at)
    if flight.arrived is not None:
        yield step("replied" if flight.late_ms <= 0 else "rejected", flight.arrived)
        yield step("pinned", flight.arrived - flight.late_ms + PIN_AFTER_MS)


def _flights(archive: Path) -> Iterator[Flight]:
    with zipfile.ZipFile(io.BytesIO(member(archive, "flights.csv.zip"))) as packed:
        rows = csv.DictReader(io.StringIO(packed.read("flights.csv").decode()))
    for number, row in enumerate(rows):
        if NOT_KNOWN not in (row["dep_delay"], row["tailnum"]):
            yield _flight(number, row)


def _flight(number: int, row: dict[str, str]) -> Flight:
    day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=UTC)
    route = f"{row['origin']}-{row['dest']}-{day:%m%d}"
    midnight = round(day.timestamp() * 1000) + WEEKS * 7 * DAY_MS
    scheduled = midnight + (int(row["hour"]) * 60 + int(row["minute"])) * MINUTE_MS
    departed = scheduled + int(row["dep_delay"]) * MINUTE_MS
    there = NOT_KNOWN not in (row["air_time"], row["arr_delay"])
    arrived = departed + int(row["air_time"]) * MINUTE_MS if there else None
    late = int(row["arr_delay"]) * MINUTE_MS if there else 0
    return Flight(str(number), route, row["tailnum"], row["carrier"], scheduled, departed, arrived, late)
