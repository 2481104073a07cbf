"""The rules of the announcement of July 2022 by which merchants' faults are planned.

They repeat the rulebook on purpose: the manifest says what the rules *should* find, so it must not change with the
rulebook that it checks. A replay of a recording compares the two.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from vigil.app.simulate.merchants.calendar import start_of

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WINDOW_MS: Final = 90 * DAY_MS
"""Of shares and sales of products."""

# Products

CORE: Final = ("US", "CA", "GB", "AU", "NZ", "FR", "DE", "NL", "IT", "ES")
FLAGS: Final = ("price-cheating", "moq-anomaly", "sku-anomaly", "bad-refunds")
INFO: Final = 4.2
PAID_CENTS: Final = 500_000
ON_TIME: Final = (9, 10)
"""The share of orders on time must be at least this."""
REFUNDS: Final = (1, 10)
"""The share of refunds must be below this."""

OPEN_FROM: Final = start_of(date(2022, 8, 1))
"""From when products of OPEN_FIRST have stars, and all have a selection and may be blocked."""
OPEN_FIRST: Final = frozenset({"consumer-electronics", "apparel", "sports", "machinery", "furniture"})
"""Of the industries that are simulated."""
OPEN_TO_ALL: Final = start_of(date(2022, 9, 1))

Cells = tuple[tuple[str, ...], ...]

TWO_STARS: Final[Mapping[str, Cells]] = {
    "consumer-electronics": (("serious-certificate",), ("new", "7d"), ("lowest-price-180d",), ("15d→",)),
    "apparel": (("serious-certificate",), ("new", "7d"), ("lowest-price-180d",), ("flexible-custom",)),
    "machinery": (("local",), ("remote",), ("local-showroom",)),
    "furniture": (("serious-certificate",), ("new",), ("engineering",)),
    "lighting": (("serious-certificate",), ("new",), ("engineering",)),
}
"""Any of these cells, or more than one buyer in the window, gives two stars. Other industries have one at most."""

THREE_STARS: Final[Mapping[str, Cells]] = {
    "consumer-electronics": (
        ("lowest-price-180d", "15d→"),
        ("new", "15d→", "serious-certificate"),
        ("overseas-stock",),
    ),
    "apparel": (("new", "15d→"), ("new", "flexible-custom")),
    "machinery": (("local", "30d"), ("remote", "7d", "rts")),
    "furniture": (("professional-certificate",), ("new", "30d"), ("engineering", "30d")),
    "lighting": (("professional-certificate",), ("new", "30d"), ("engineering", "30d")),
}

SELECTION: Final[Mapping[str, tuple[str, ...]]] = {
    "apparel": ("new", "15d→", "price-power", "flexible-custom"),
    "consumer-electronics": ("new", "15d→", "price-power", "private-mould"),
    "machinery": ("professional-certificate", "local", "remote", "local-showroom"),
}
THEME: Final[Mapping[str, tuple[str, ...]]] = {"consumer-electronics": ("new", "15d→", "lowest-price-180d")}

# Registration


class Category(NamedTuple):
    """A category of EPR in one country."""

    country: str
    name: str
    trait: str
    """Products with this trait need a number."""
    months: int
    """The period for which sales are declared."""

    @property
    def place(self) -> str:
        """Country and category, as duties name them."""
        return f"{self.country}/{self.name}"


CATEGORIES: Final = (
    Category("DE", "packaging", "packaging", 12),
    Category("DE", "eee", "circuit", 1),
    Category("DE", "battery", "battery", 1),
    Category("FR", "packaging", "packaging", 12),
    Category("FR", "eee", "circuit", 6),
    Category("FR", "battery", "battery", 12),
    Category("FR", "furniture", "furniture", 12),
    Category("FR", "textile", "textile", 12),
)
"""Of the traits that are simulated."""

# Duties

DUTIES_FROM: Final = start_of(date(2022, 7, 1))
"""Before this no request, declaration or contact is a duty, and no programme is open."""
ON_SITE: Final = ("installation", "maintenance", "repair")


class RequestDuty(NamedTuple):
    """A duty that a service request opens."""

    name: str
    within_ms: int
    needs: tuple[str, ...]
    """What is asked for; empty: whatever it is."""
    closed_by: tuple[str, ...]


REQUEST_DUTIES: Final = (
    RequestDuty("service-answer", DAY_MS, (), ("answered", "parts-sent", "visited", "completed")),
    RequestDuty("service-parts", 2 * DAY_MS, ("parts",), ("parts-sent", "completed")),
    RequestDuty("service-visit", 7 * DAY_MS, ON_SITE, ("visited", "completed")),
    RequestDuty("service-complete", 90 * DAY_MS, ON_SITE, ("completed",)),
)
WORKING_DAYS: Final = 3
"""For the materials of a recruited supplier, and for a contact."""
RECRUIT_LIVE_MS: Final = 14 * DAY_MS

# Programmes


class Rules(NamedTuple):
    """Who may enter a programme, and when."""

    name: str
    opens: date | None = None
    closes: date | None = None
    """The only window; None: every month."""
    first_day: int = 1
    last_day: int = 31
    """Of each month; the month's last day at the latest."""
    begins: date = date(2022, 7, 1)
    """No window opens before."""
    verified: bool = True
    stars: tuple[int, int] = (0, 5)
    """Least and most stars of the supplier."""
    mature: bool = False


ENROLMENTS: Final = (
    Rules("first-order", first_day=7, last_day=23),
    Rules("check-in", first_day=7, last_day=23),
    Rules("million-club", first_day=7, last_day=23, stars=(1, 5)),
    Rules("coupon-500", first_day=7, last_day=23, stars=(1, 5)),
    Rules("payment-terms", first_day=7, last_day=23, stars=(1, 5)),
)
STRENGTH: Final = Rules("strength-pack", begins=date(2022, 7, 21), mature=True)
RESOURCES: Final = Rules("resources-pack", begins=date(2022, 7, 21), mature=True)
STRENGTH_TASKS: Final = ("strength-cards", "certificates", "certificate-products", "industry-abilities")
REWARD_DAY: Final = 10
"""Of the month after a pack's."""
CHALLENGE: Final = Rules(
    "stars-2-trade", opens=date(2022, 8, 5), closes=date(2022, 9, 2), begins=date(2022, 8, 5), stars=(0, 0), mature=True
)
CHALLENGE_AS_OF: Final = date(2022, 8, 5)
"""Whose stars count as of the end of this day."""
CHALLENGE_REWARDS: Final = date(2022, 9, 10)
TRADE_POWER: Final = 60
RECRUIT: Final = Rules(
    "recruit", opens=date(2022, 7, 28), closes=date(2022, 7, 30), begins=date(2022, 7, 28), verified=False
)
"""Suppliers that have not opened may not enter."""
RECRUIT_PLACES: Final = 100
TRIAL: Final = Rules(
    "trial-tools", opens=date(2022, 7, 28), closes=date(2022, 7, 28), begins=date(2022, 7, 28), verified=False
)
