"""Suppliers who quote, get replies, ask for pins and are paid, each with its own activity and success.

    quote submitted ─▶ replied ─▶ paid ─▶ settled ─▶ perhaps refunded
        ├─▶ perhaps pinned (suppliers of one industry compete for the same RFQs)
        └─▶ or rejected

In the history before the start each step takes hours or days; after it, seconds or minutes, so that there is something
to see.
"""

import heapq
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple, Protocol

import orjson

from vigil.app.simulate.merchants.desk import Frame, KnownProfile, OnFault
from vigil.app.simulate.merchants.merchant import merchant_of
from vigil.app.simulate.message import SimulatedMessage
from vigil.app.simulate.script import industry_of
from vigil.topics.fields import Tier

HOUR_MS: Final = 3_600_000
TIERS: Final[tuple[Tier, ...]] = ("L0", "L0", "L1", "L1", "L2", "L3", "L4")


@dataclass(frozen=True)
class ActivityRate:
    """Mean times between the steps, in seconds."""

    between_quotes: float
    reply: float
    pay: float
    settle: float
    popular: float
    """In each period of this length one RFQ of each industry gets quotes from many suppliers: its pins run out."""


HISTORY: Final = ActivityRate(
    between_quotes=4 * 3600, reply=20 * 3600, pay=30 * 3600, settle=48 * 3600, popular=6 * 3600
)


GRADES: Final[tuple[str | None, ...]] = ("gold", "silver", None)


class SupplierSettings(NamedTuple):
    """What all suppliers of a simulation have in common."""

    seed: int
    frame: Frame
    """Its times."""
    products: int = 0
    """Of each supplier; 0: they only quote."""


class SupplierPlayer:
    """Generates the events of one supplier; `next_at` is the time of the next one."""

    def __init__(self, number: int, settings: SupplierSettings) -> None:
        seed, frame, products = settings
        since, start = frame.since, frame.start
        self._rng = rng = Random(f"{seed}/supplier/{number}")
        self._supplier_id = f"merchant-{number:05d}"
        self._key = self._supplier_id.encode()
        self._industry = industry_of(number)
        self._start = start
        self._on_air = ActivityRate(frame.quote_every_s, reply=90, pay=150, settle=120, popular=600)
        self._disorder = frame.disorder_ms
        self._graded = products > 0
        self._merchant: dict[str, Any] = {}
        self._skill = rng.random()
        """From 0, a supplier who answers late and rarely sells, to 1."""
        self._verified = rng.random() < 0.4
        self._stars = rng.randint(0, 5)
        self._quotes = 0
        self._agenda: list[tuple[int, int, str, dict[str, Any]]] = []
        self._numbers = 0
        exists = rng.random() < 0.95  # a few have no profile
        if exists:
            self._schedule(since + rng.randint(0, 2_000), "profile")
        steady = rng.random() >= 0.02
        if not steady:  # a few lose their profile and get another one
            gone = start + rng.randint(60_000, 1_800_000)
            self._schedule(gone, "no-profile")
            self._schedule(gone + rng.randint(60_000, 300_000), "profile")
        self.membership = KnownProfile(exists, exists and self._verified, self._stars if exists else 0, steady)
        self._schedule(since + int(rng.random() * self._rate(since).between_quotes * 1000) + 3_000, "quote")

    def has_in_profile(self, fields: dict[str, Any]) -> None:
        """Add these fields to each profile."""
        self._merchant = fields

    @property
    def next_at(self) -> int:
        """The time of the next event."""
        return self._agenda[0][0]

    def act(self, out: list[SimulatedMessage]) -> None:
        """Generate the next event and schedule those that follow from it."""
        at, _, what, about = heapq.heappop(self._agenda)
        if what == "quote":
            self._submit(at, out)
        elif what in ("profile", "no-profile"):
            self._profile(at, what == "profile", out)
        elif what in ("paid", "settled", "refunded"):
            self._send("payment", {**about, "kind": what}, at, out)
            if what == "paid":
                self._after(at, self._rate(at).settle, "settled", about)
            elif what == "settled" and self._rng.random() < 0.08:
                self._after(at, self._rate(at).settle, "refunded", about)
        else:
            self._send("quote", {**about, "kind": what}, at, out)
            if what == "replied":
                self._maybe_order(at, about)

    def _rate(self, at: int) -> ActivityRate:
        return self._on_air if at >= self._start else HISTORY

    def _schedule(self, at: int, what: str, about: dict[str, Any] | None = None) -> None:
        self._numbers += 1
        heapq.heappush(self._agenda, (at, self._numbers, what, about or {}))

    def _after(self, at: int, mean_s: float, what: str, about: dict[str, Any]) -> None:
        self._schedule(at + 1_000 + int(self._rng.expovariate(1 / mean_s) * 1000), what, about)

    def _submit(self, at: int, out: list[SimulatedMessage]) -> None:
        rng, rate = self._rng, self._rate(at)
        self._quotes += 1
        buyer = rng.randrange(50_000)
        if rng.random() < 0.4:
            rfq_at = at - at % round(rate.popular * 1000)
            rfq_id = f"rfq-{self._industry}-{rfq_at // 1000}"
        else:
            # Good suppliers answer within hours, bad ones within a day and a half.
            waited = rng.expovariate(1 / (2 + 20 * (1 - self._skill)))
            rfq_at = at - 1_000 - int(min(waited, 72) * HOUR_MS)
            rfq_id = f"rfq-{self._supplier_id}-{self._quotes}"
        about = {
            "quote_id": f"q-{self._supplier_id}-{self._quotes}",
            "rfq_id": rfq_id,
            "buyer_id": f"buyer-{buyer:06d}",
            "buyer_tier": TIERS[buyer % len(TIERS)],
        }
        submitted = {**about, "kind": "submitted", "rfq_at": rfq_at}
        if self._graded:
            submitted["rfq_grade"] = GRADES[rfq_at // 1000 % len(GRADES)]
        self._send("quote", submitted, at, out)
        if rng.random() < 0.25:
            self._after(at, 20, "pinned", about)
        luck = rng.random()
        if luck < 0.1 + 0.6 * self._skill:
            self._after(at, rate.reply, "replied", about)
        elif luck > 0.85:
            self._after(at, rate.reply, "rejected", about)
        again = at + 1_000 + int(rng.expovariate(1 / rate.between_quotes) * 1000)
        if at < self._start <= again:  # the first quote with the activity after the start
            again = self._start + int(rng.random() * self._on_air.between_quotes * 1000)
        self._schedule(again, "quote")

    def _maybe_order(self, at: int, about: dict[str, Any]) -> None:
        rng = self._rng
        if rng.random() > 0.25 + 0.4 * self._skill:
            return
        cents = int(10 ** rng.uniform(3.5, 5.2 + self._skill))
        amount: str | float = f"{cents // 100}.{cents % 100:02d}" if rng.random() < 0.8 else cents // 100
        order = {
            "payment_id": f"p-{about['quote_id']}",
            "order_id": f"o-{about['quote_id']}",
            "buyer_id": about["buyer_id"],
            "amount_usd": amount,
        }
        if rng.random() < 0.85:
            order["rfq_id"] = about["rfq_id"]
        elif rng.random() < 0.5:
            order["rfq_id"] = None
        self._after(at, self._rate(at).pay, "paid", order)

    def _profile(self, at: int, exists: bool, out: list[SimulatedMessage]) -> None:
        if not exists:
            out.append(SimulatedMessage("supplier-profile", self._key, None, at, self._arrives(at)))
            return
        profile = {
            "industry": self._industry,
            "membership": "verified" if self._verified else "standard",
            "stars": self._stars,
            **self._merchant,
        }
        self._send("supplier-profile", profile, at, out)
        self._stars = min(5, self._stars + 1)
        if at >= self._start:
            self._after(at, 3_600, "profile", {})

    def _send(self, topic: str, fields: dict[str, Any], at: int, out: list[SimulatedMessage]) -> None:
        value = orjson.dumps({"supplier_id": self._supplier_id, "at": at, **fields})
        out.append(SimulatedMessage(topic, self._key, value, at, self._arrives(at)))

    def _arrives(self, at: int) -> int:
        return at + int(self._rng.random() * self._disorder)


class Player(Protocol):
    """Generates the events of one supplier of some kind, in order of time."""

    @property
    def next_at(self) -> int:
        """The time of the next event."""
        ...

    def act(self, out: list[SimulatedMessage]) -> None:
        """Generate the next event."""
        ...


class Suppliers:
    """All suppliers; their events are generated in order of time."""

    def __init__(
        self, number: int, settings: SupplierSettings, on_fault: OnFault, *, merchants_only: bool = False
    ) -> None:
        """`on_fault` gets the faults of those who sell products; `merchants_only`: nobody quotes."""
        players: list[Player] = []
        for n in range(number):
            quoting = SupplierPlayer(n, settings)
            if not merchants_only:
                players.append(quoting)
            if settings.products:
                about = quoting.membership, settings.products
                merchant = merchant_of(n, settings.seed, settings.frame, about, on_fault)
                quoting.has_in_profile(merchant.profile())
                players.append(merchant)
        self._due = [(player.next_at, n, player) for n, player in enumerate(players)]
        heapq.heapify(self._due)

    def play(self, until: int, out: list[SimulatedMessage]) -> None:
        """Add every message with `at` before `until`. Its faults are reported as they happen."""
        due = self._due
        while due and due[0][0] < until:
            _, number, player = due[0]
            player.act(out)
            heapq.heapreplace(due, (player.next_at, number, player))
