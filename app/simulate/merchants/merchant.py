"""One merchant, played from its agenda, and what all of them have in common."""

from typing import Any

from vigil.app.simulate.merchants.catalogue import Assortment
from vigil.app.simulate.merchants.desk import Desk, Frame, KnownProfile, OnFault
from vigil.app.simulate.merchants.enrolment import Enrolment
from vigil.app.simulate.merchants.growth import GrowthMeasures
from vigil.app.simulate.merchants.papers import Paperwork
from vigil.app.simulate.merchants.service import Service
from vigil.app.simulate.merchants.shop import Shop
from vigil.app.simulate.merchants.trade import Trade
from vigil.app.simulate.message import SimulatedMessage
from vigil.app.simulate.script import industry_of


class Merchant:
    """Generates the events of one merchant; `next_at` is the time of the next one."""

    def __init__(self, desk: Desk, membership: KnownProfile, products: int) -> None:
        self._desk = desk
        industry = industry_of(desk.number)
        self._shop = shop = Shop(desk, membership.verified and membership.steady)
        catalogue = Assortment(desk, shop, industry, products)
        Paperwork(desk, shop, catalogue.places(), catalogue.service, industry)
        Service(desk, Trade(desk, shop))
        self._growth = GrowthMeasures(desk, membership)
        Enrolment(desk, membership, self._growth.opened_at)
        if desk.number == 0 and desk.frame.end is not None:
            # So that the end of the simulation is a time of the recording: what is due until then is over.
            desk.at(desk.frame.end - 1, self._last)

    @property
    def next_at(self) -> int:
        """The time of the next event."""
        return self._desk.next_at

    def act(self, out: list[SimulatedMessage]) -> None:
        """Generate everything of the next time on the agenda, and report what was lost by it."""
        self._shop.look(self._desk.play_next(out))

    def profile(self) -> dict[str, Any]:
        """The fields that its profile has besides those of other suppliers."""
        return self._growth.profile()

    def _last(self, at: int) -> None:
        self._desk.send("activity", at, kind="measure", measure="login-days-30d", value=30)


def merchant_of(number: int, seed: int, frame: Frame, about: tuple[KnownProfile, int], on_fault: OnFault) -> Merchant:
    """Return the merchant with a number; `about`: its membership, and how many products it has."""
    membership, products = about
    return Merchant(Desk(number, seed, frame, on_fault), membership, products)
