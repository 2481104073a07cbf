"""The products of a merchant: they get better in time, and those of an untidy merchant sometimes worse for a while."""

from typing import Any, Final

from vigil.app.simulate import words
from vigil.app.simulate.merchants import tables
from vigil.app.simulate.merchants.desk import Desk, Rhythm
from vigil.app.simulate.merchants.shop import Shop

CHANGES: Final = Rhythm(history_s=5 * 86_400, on_air=7)
"""Of one product."""

INDUSTRIES: Final = {"electronics": "consumer-electronics"}
"""By the industry of the supplier, that of its products; the others have the same name."""

TRAITS: Final = {
    "lighting": ("circuit", "packaging"),
    "apparel": ("textile",),
    "machinery": ("circuit",),
    "electronics": ("circuit", "battery", "packaging"),
    "furniture": ("furniture", "packaging"),
    "packaging": ("packaging",),
    "toys": ("battery",),
    "sports": ("textile", "packaging"),
}

ABILITIES: Final = (
    "serious-certificate", "professional-certificate", "new", "lowest-price-180d", "price-power", "absolute-price",
    "flexible-custom", "overseas-stock", "local-showroom", "engineering", "private-mould", "craft",
)  # fmt: skip

MARKETS: Final = (("US",), ("US", "DE"), ("DE", "FR"), ("US", "CA", "FR"))

Change = dict[str, Any]


class Assortment:
    """The products of one merchant."""

    def __init__(self, desk: Desk, shop: Shop, industry: str, products: int) -> None:
        self._desk = desk
        self._shop = shop
        self._industry = industry
        self._numbers = 0
        self.service = "none" if industry in ("apparel", "toys") else desk.rng.choice(("none", "remote", "local"))
        if industry == "machinery":
            self.service = desk.rng.choice(("remote", "local"))
        self.markets = [desk.rng.choice(MARKETS) for _ in range(products)]
        for number in range(products):
            at = desk.frame.since + 5_000 + number * 700 + desk.rng.randrange(600)
            desk.at(at, self._list, self.markets[number])

    def places(self) -> list[str]:
        """Country and category of the numbers that the products need."""
        countries = {country for markets in self.markets for country in markets}
        needed = (one for one in tables.CATEGORIES if one.country in countries and one.trait in TRAITS[self._industry])
        return [category.place for category in needed]

    def _list(self, at: int, markets: tuple[str, ...]) -> None:
        rng = self._desk.rng
        self._numbers += 1
        kind = rng.choice(words.INDUSTRIES[self._industry]).replace(" ", "-")
        product_id = f"{kind}-{self._desk.number:05d}-{self._numbers}"
        rts = rng.random() < 0.6
        state = {
            "industry": INDUSTRIES.get(self._industry, self._industry),
            "model": "rts" if rts else "custom",
            "info_score": rng.choice((3.6, 4.1, 4.2, 4.5, 4.8)),
            "abilities": rng.sample(ABILITIES, rng.randint(0, 2)),
            "dispatch_days": rng.choice((None, 5, 7, 8, 25)),
            "delivery_days": rng.choice((None, 12, 15, 16, 35)),
            "freight_to": [*tables.CORE, "BR"] if rts else [],
            "guaranteed_to": list(tables.CORE) if rts else [],
            "markets": markets,
            "price": rng.choice(("ladder", "sku", "range")),
            "customisable": rng.random() < 0.8,
            "samples": rng.random() < 0.7,
            "flags": [],
            "service": self.service,
            "traits": TRAITS[self._industry],
        }
        self._say(at, product_id, state)
        self._desk.at(self._desk.next_time(at, CHANGES), self._change, product_id)

    def _say(self, at: int, product_id: str, state: dict[str, Any]) -> None:
        self._desk.send("product", at, product_id=product_id, **state)
        self._shop.listed(product_id, state)

    def _change(self, at: int, product_id: str) -> None:
        """A product gets better, or worse for a while, or is replaced by another one."""
        desk = self._desk
        state = self._shop.products[product_id].state
        if desk.happens(0.03):
            desk.send("product", at, product_id=product_id, **state, deleted=True)
            self._shop.deleted(product_id)
            desk.at(at + desk.span(at, (1, 30), (5, 60)), self._list, state["markets"])
            return
        if desk.happens(desk.character.untidy):
            self._say(at, product_id, state | desk.rng.choice(_mishaps(state)))
            repaired = at + desk.span(at, (8, 72), (40, 400))
            desk.at(repaired, self._repair, product_id, state)
            desk.at(desk.next_time(repaired, CHANGES), self._change, product_id)
            return
        self._say(at, product_id, state | desk.rng.choice(self._improvements(state)))
        desk.at(desk.next_time(at, CHANGES), self._change, product_id)

    def _repair(self, at: int, product_id: str, state: dict[str, Any]) -> None:
        self._say(at, product_id, state)

    def _improvements(self, state: dict[str, Any]) -> list[Change]:
        """What makes a product no worse; some of it looks as if it did."""
        rng = self._desk.rng
        abilities = list(state["abilities"])
        more = [ability for ability in ABILITIES if ability not in abilities] if len(abilities) < 4 else []
        return [
            {"abilities": [*abilities, *rng.sample(more, min(1, len(more)))]},
            {"info_score": max(state["info_score"], rng.choice((tables.INFO, 4.6)))},
            {"customisable": True, "samples": True},
            {"dispatch_days": 7, "delivery_days": 15} if _days_may_change(state) else {"samples": True},
            {"price": "ladder"},
            {"flags": ["under-review"]},  # an unknown flag means nothing
            {"abilities": sorted({*abilities, "award-2022"})},  # neither does an unknown ability
            {"freight_to": list(reversed(state["freight_to"]))},
        ]


def _days_may_change(state: dict[str, Any]) -> bool:
    return (state["dispatch_days"] or 99) >= 7 and (state["delivery_days"] or 99) >= 15


def _mishaps(state: dict[str, Any]) -> list[Change]:
    """What makes a product worse. Whether it loses anything by that depends on what else it has."""
    return [
        {"flags": ["price-cheating"]},
        {"flags": ["under-review", "bad-refunds"]},
        {"info_score": 3.9},
        {"abilities": state["abilities"][1:]},
        {"dispatch_days": 40, "delivery_days": 60},
        {"freight_to": state["freight_to"][1:], "price": "range"},
    ]
