"""Orders of a merchant's products: paid, dispatched in time or not, sometimes refunded or disputed."""

from collections import deque
from typing import Final, NamedTuple

from vigil.app.simulate.merchants.desk import Desk, Rhythm
from vigil.app.simulate.merchants.shop import Shop

ORDERS: Final = Rhythm(history_s=20 * 3600, on_air=2.5)
BUYERS: Final = 300
"""Of one merchant: some come again."""


class SoldLine(NamedTuple):
    """A line of an order, for a later request of service."""

    order_id: str
    product_id: str
    service: str
    buyer_id: str


class Trade:
    """The orders of one merchant."""

    def __init__(self, desk: Desk, shop: Shop) -> None:
        self._desk = desk
        self._shop = shop
        self._numbers = 0
        self.sold: deque[SoldLine] = deque(maxlen=24)
        """The latest lines that were dispatched."""
        self.waiting: dict[str, SoldLine] = {}
        """A line of each order that is not dispatched yet."""
        desk.at(desk.next_time(desk.frame.since + 10_000, ORDERS), self._order)

    def _order(self, at: int) -> None:
        desk, rng = self._desk, self._desk.rng
        desk.at(desk.next_time(at, ORDERS), self._order)
        # The first product sells best, and the last one hardly ever.
        offered = list(self._shop.products)
        if not offered:
            return
        chosen = sorted({min(int(rng.expovariate(1.1)), len(offered) - 1) for _ in range(rng.choice((1, 1, 2)))})
        if len(offered) > 2 and chosen[-1] == len(offered) - 1 and rng.random() < 0.8:
            chosen = [0]
        self._numbers += 1
        order_id = f"m-{desk.number:05d}-{self._numbers}"
        buyer = f"buyer-{(desk.number * 977 + rng.randrange(BUYERS)) % 200_000:06d}"
        by = at + max(desk.span(at, (48, 168), (60, 240)), 20_000)
        lines = [(offered[index], int(10 ** rng.uniform(3.3, 5.1 - index * 0.4))) for index in chosen]
        states = self._shop.products
        fields = [
            {
                "product_id": product_id,
                "amount_usd": f"{cents // 100}.{cents % 100:02d}",
                "service": states[product_id].state["service"],
            }
            for product_id, cents in lines
        ]
        desk.send("order", at, order_id=order_id, kind="paid", buyer_id=buyer, dispatch_by=by, lines=fields)
        self._shop.paid(at, buyer, lines)
        sold = SoldLine(order_id, lines[0][0], states[lines[0][0]].state["service"], buyer)
        self.waiting[order_id] = sold
        self._plan_dispatch(at, by, sold)

    def _plan_dispatch(self, at: int, by: int, sold: SoldLine) -> None:
        desk = self._desk
        late = desk.happens(desk.character.slow)
        if late:
            dispatched = by + desk.span(at, (6, 90), (20, 200))
        elif desk.happens(0.15):
            dispatched = by - desk.rng.choice((0, 1, 1_000))  # just in time
        else:
            dispatched = at + int((by - at) * desk.rng.uniform(0.2, 0.9))
        desk.at(by, self._shop.due, not late)
        desk.at(dispatched, self._dispatch, sold, at)

    def _dispatch(self, at: int, sold: SoldLine, paid_at: int) -> None:
        desk = self._desk
        desk.send("order", at, order_id=sold.order_id, kind="dispatched")
        del self.waiting[sold.order_id]
        self.sold.append(sold)
        if desk.happens(0.03 + 0.3 * desk.character.slow):
            desk.at(at + desk.span(at, (20, 90), (30, 200)), self._refund, sold, paid_at)
        if desk.happens(0.02 + 0.1 * desk.character.slow):
            desk.at(at + desk.span(at, (20, 90), (30, 200)), self._dispute, sold)

    def _refund(self, at: int, sold: SoldLine, paid_at: int) -> None:
        if self._desk.character.slow or self._shop.may_refund():
            self._desk.send("order", at, order_id=sold.order_id, kind="refund-requested")
            self._shop.refunded(paid_at)

    def _dispute(self, at: int, sold: SoldLine) -> None:
        self._desk.send("order", at, order_id=sold.order_id, kind="disputed")
