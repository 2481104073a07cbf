"""Requests of buyers for service, and what the merchant does about them.

requested ─▶ answered ─▶ parts sent, or visited ─▶ completed
    ├─▶ cancelled by the buyer, before anything is due
    └─▶ neglected: each duty that it opens is breached in its turn
"""

from typing import Any, Final

from vigil.app.simulate.merchants import tables
from vigil.app.simulate.merchants.desk import Desk, Rhythm
from vigil.app.simulate.merchants.tables import DAY_MS, REQUEST_DUTIES
from vigil.app.simulate.merchants.trade import SoldLine, Trade

REQUESTS: Final = Rhythm(history_s=36 * 3600, on_air=4)
SHORT_MS: Final = (0, 1, 5_000, 60_000)
"""By how much a near miss is in time."""

FROM_AFAR: Final = ("support", "parts")

Steps = dict[str, int]
"""When each step of a request is made, by its kind."""


class Service:
    """The service requests of one merchant."""

    def __init__(self, desk: Desk, trade: Trade) -> None:
        self._desk = desk
        self._trade = trade
        self._numbers = 0
        since, start = desk.frame.since, desk.frame.start
        desk.at(desk.next_time(since + 60_000, REQUESTS), self._request)
        if start - since > 2 * DAY_MS:
            # Requests of yesterday, which are due soon after the start: there is something to see at once.
            for _ in range(2):
                desk.at(
                    start - DAY_MS + desk.rng.randint(30_000, 1_800_000), self._serve, min(1.0, 3 * desk.character.deaf)
                )

    def _request(self, at: int) -> None:
        self._desk.at(self._desk.next_time(at, REQUESTS), self._request)
        self._serve(at, self._desk.character.deaf)

    def _serve(self, at: int, neglected: float) -> None:
        """A buyer asks for service with what was sold lately; `neglected`: the share of requests that are."""
        desk = self._desk
        if at < tables.DUTIES_FROM:
            return
        if desk.character.deaf and desk.happens(0.1):
            self._uncovered(at)
            return
        covered = [sold for sold in self._trade.sold if sold.service != "none"]
        if not covered:
            return
        sold = desk.rng.choice(covered)
        needs = (*FROM_AFAR, *tables.ON_SITE) if sold.service == "local" else FROM_AFAR
        need = desk.rng.choice(needs)
        request_id = self._ask(at, sold, need)
        steps = self._neglected(at, need) if desk.happens(neglected) else self._steps(at, need)
        for kind, when in steps.items():
            desk.at(when, self._step, request_id, kind)
        self._plan_breaches(at, request_id, need, steps)

    def _ask(self, at: int, sold: SoldLine, need: str) -> str:
        self._numbers += 1
        request_id = f"s-{self._desk.number:05d}-{self._numbers}"
        about: dict[str, Any] = {"order_id": sold.order_id, "product_id": sold.product_id, "buyer_id": sold.buyer_id}
        self._desk.send("service-request", at, request_id=request_id, kind="requested", **about, need=need)
        return request_id

    def _step(self, at: int, request_id: str, kind: str) -> None:
        self._desk.send("service-request", at, request_id=request_id, kind=kind)

    # ---- what the merchant does ---------------------------------------------------------------------------------

    def _steps(self, at: int, need: str) -> Steps:
        """What an attentive merchant does, sometimes at the last moment, or a buyer who does not wait."""
        desk = self._desk
        if desk.happens(0.06):
            return {"cancelled": at + desk.span(at, (2, 20), (20, 300))}
        short = desk.rng.choice(SHORT_MS)
        just = desk.happens(0.12)  # a near miss
        answered = at + (DAY_MS - short if just else desk.span(at, (0.2, 20), (5, 120)))
        steps = {"answered": answered}
        just = just and desk.happens(0.5)
        if need == "parts":
            steps["parts-sent"] = at + 2 * DAY_MS - short if just else answered + desk.span(at, (1, 20), (10, 200))
        elif need in tables.ON_SITE:
            visited = at + 7 * DAY_MS - short if just else answered + desk.span(at, (20, 100), (60, 400))
            steps |= {"visited": visited, "completed": visited + desk.span(at, (1, 90), (60, 600))}
        return steps

    def _neglected(self, at: int, need: str) -> Steps:
        """Nothing, something too late, or only some of what is due."""
        desk = self._desk
        late = at + DAY_MS + desk.rng.randint(60_000, 20 * 3_600_000)
        ways: list[Steps] = [{}, {"answered": late}, {"cancelled": late}]
        if need == "parts":
            ways.append({"answered": at + 3_600_000, "parts-sent": late + DAY_MS})
        if need in tables.ON_SITE:
            ways.append({"answered": at + 3_600_000, "visited": at + 8 * DAY_MS, "completed": at + 9 * DAY_MS})
            ways.append({"answered": at + 3_600_000, "visited": at + 2 * DAY_MS})
        return desk.rng.choice(ways)

    def _plan_breaches(self, at: int, request_id: str, need: str, steps: Steps) -> None:
        cancelled = steps.get("cancelled")
        for duty in REQUEST_DUTIES:
            if duty.needs and need not in duty.needs:
                continue
            due = at + duty.within_ms
            closed = min((steps[kind] for kind in duty.closed_by if kind in steps), default=None)
            in_time = closed is not None and closed <= due
            if not in_time and (cancelled is None or cancelled > due):
                words = f"a request for {need} was neglected"
                self._desk.breach(duty.name, request_id, at, due, words)

    # ---- what no service covers ---------------------------------------------------------------------------------

    def _uncovered(self, at: int) -> None:
        """A buyer asks for what was not sold: the order is not dispatched, not known, or has no such service."""
        trade, rng = self._trade, self._desk.rng
        waiting = list(trade.waiting.values())
        without = [sold for sold in trade.sold if sold.service != "local"]
        if waiting and rng.random() < 0.4:
            sold, words = rng.choice(waiting), "service for an order that is not dispatched"
        elif without and rng.random() < 0.7:
            sold, words = rng.choice(without), "service on site for an order that was sold without it"
        else:
            sold = SoldLine(f"x-{self._desk.number:05d}-{self._numbers}", "unknown", "none", "buyer-000001")
            words = "service for an order that nobody knows"
        request_id = self._ask(at, sold, "repair")
        self._desk.fault("not-covered", "service-answer", request_id, (at, at), words)
