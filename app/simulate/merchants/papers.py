"""Certificates of a merchant: accepted, renewed in time or lapsed; and the declarations that follow from them."""

from datetime import date
from typing import Any, Final

from vigil.app.simulate.merchants import calendar, tables
from vigil.app.simulate.merchants.desk import Desk, Rhythm
from vigil.app.simulate.merchants.shop import Shop
from vigil.app.simulate.permits import permits_of

VALID: Final = Rhythm(history_s=14 * 86_400, on_air=12)
"""How long a certificate is valid. Short, so that renewals are seen."""
DECLARATION: Final = "epr-declaration"


class Paperwork:
    """The certificates and declarations of one merchant."""

    def __init__(self, desk: Desk, shop: Shop, places: list[str], service: str, industry: str) -> None:
        self._desk = desk
        self._shop = shop
        since = desk.frame.since
        for number, place in enumerate(places):
            self._first(since + 3_000 + number * 50, place)
        if service != "none":
            self._first(since + 4_000, "warranty-agreement")
        if service == "local":
            self._first(since + 4_100, "local-service")
        if industry == "apparel":
            self._first(since + 4_200, "quality-system")
        for number, permit in enumerate(sorted(permits_of(desk.seed, desk.number))):
            desk.at(since + 4_300 + number * 50, self._permitted, permit)
        desk.at(calendar.start_of(calendar.months_after(calendar.month_of(since))), self._month)

    # ---- certificates -------------------------------------------------------------------------------------------

    def _first(self, at: int, what: str) -> None:
        """The first event of a certificate; that of a forgetful merchant may not count yet."""
        desk = self._desk
        if desk.happens(desk.character.forgetful * 0.6):
            desk.at(at, self._rejected, what, desk.rng.randrange(3))
        else:
            desk.at(at, self._accepted, what)

    def _accepted(self, at: int, what: str) -> None:
        """It is valid for a while, and renewed before, or by a forgetful merchant after that."""
        desk = self._desk
        until = desk.next_time(at + 60_000, VALID) + 60_000
        self._send(at, what, "accepted", until)
        if desk.happens(desk.character.forgetful):
            if desk.happens(0.3):
                withdrawn = at + int((until - at) * desk.rng.uniform(0.3, 0.9))
                desk.at(withdrawn, self._rejected, what, 2)
            else:
                desk.at(until + desk.span(at, (6, 60), (60, 400)), self._accepted, what)
        else:
            ahead = desk.rng.choice((0, 1, 10_000, 30_000))  # renewed at its last moment at the latest
            desk.at(until - ahead, self._accepted, what)

    def _rejected(self, at: int, what: str, why: int) -> None:
        """It does not count: it was rejected, has no proof, or is withdrawn. Later it is in order again."""
        if why == 1 and "/" in what:
            self._send(at, what, "accepted", None, holder="upstream")
        else:
            self._send(at, what, "withdrawn" if why == 2 else "rejected", None)
        self._desk.at(at + self._desk.span(at, (24, 120), (90, 500)), self._accepted, what)

    def _send(self, at: int, what: str, status: str, until: int | None, holder: str = "self") -> None:
        certificate_id = f"c-{self._desk.number:05d}-{what.replace('/', '-')}"
        fields: dict[str, Any] = {"kind": what, "status": status, "valid_until": until}
        if "/" in what:
            country, category = what.split("/")
            fields |= {"kind": "epr", "country": country, "category": category}
            fields |= {"number": f"{country}{self._desk.number:07d}", "holder": holder, "invoice": False}
        self._desk.send("certificate", at, certificate_id=certificate_id, **fields)
        self._shop.certified(certificate_id, what, status == "accepted" and holder == "self", until)

    def _permitted(self, at: int, permit: str) -> None:
        """The certificate by which it may sell certain goods: its rooms show them."""
        certificate_id = f"c-{self._desk.number:05d}-{permit}"
        self._desk.send_promptly("certificate", at, certificate_id=certificate_id, kind=permit, status="accepted")

    # ---- declarations -------------------------------------------------------------------------------------------

    def _month(self, at: int) -> None:
        """A month begins: what ended is declared within it, for each number that was in force."""
        first = calendar.day_of(at)
        for category in tables.CATEGORIES:
            if (first.month - 1) % category.months == 0 and self._shop.in_force(category.place, at - 1):
                self._declare(at, f"{category.place}/{_period(first, category.months)}", calendar.end_of_month(first))
        self._desk.at(calendar.start_of(calendar.months_after(first)), self._month)

    def _declare(self, at: int, ref: str, due: int) -> None:
        desk = self._desk
        if at < tables.DUTIES_FROM:
            return
        if desk.happens(desk.character.forgetful):
            desk.breach(DECLARATION, ref, at, due, "what was sold is not declared in time")
            if desk.happens(0.5):
                desk.at(due + desk.rng.randint(1, 5 * tables.DAY_MS), self._done, ref)
        else:
            desk.at(due if desk.happens(0.1) else at + int((due - at) * desk.rng.uniform(0.02, 0.9)), self._done, ref)

    def _done(self, at: int, ref: str) -> None:
        self._desk.send("activity", at, kind="done", duty=DECLARATION, ref=ref)


def _period(begins_next: date, months: int) -> str:
    """The name of the period that ended before a day: `2022-07`, `2022-H1`, `2022`."""
    first = calendar.months_after(begins_next, -months)
    if months == 1:
        return f"{first:%Y-%m}"
    return f"{first.year}-H{1 if first.month == 1 else 2}" if months == 6 else f"{first.year}"
