"""What the marketplace counts of a merchant: logins, leads, and the first tasks of a newcomer."""

from typing import Any, Final

from vigil.app.simulate.merchants import tables
from vigil.app.simulate.merchants.desk import Desk, KnownProfile, Rhythm

COUNTS: Final = Rhythm(history_s=3 * 86_400, on_air=15)
FIRST_TASKS: Final = (("videos", 3), ("showcases", 12), ("trade-assurance", 1), ("potential-products", 60))
LEADS_OF_NEWCOMERS: Final = 9
"""With ten leads, and with orders, a newcomer might be one no more."""


class GrowthMeasures:
    """Measures of one merchant."""

    def __init__(self, desk: Desk, membership: KnownProfile) -> None:
        self._desk = desk
        self._leads = 0
        self.opened_at: int | None = None
        """When a newcomer opened; None: long ago."""
        if desk.character.newcomer and membership.exists:
            self.opened_at = desk.frame.start - desk.rng.randint(2, 6) * tables.DAY_MS
            for number, (task, value) in enumerate(FIRST_TASKS):
                # Some of them never do the last one.
                if number < len(FIRST_TASKS) - 1 or desk.rng.random() < 0.7:
                    at = desk.frame.start + desk.rng.randint(5_000, 900_000)
                    desk.at(at, self._measure, task, value)
        desk.at(desk.next_time(desk.frame.since + 30_000, COUNTS), self._count)

    def profile(self) -> dict[str, Any]:
        """The fields that a newcomer's profile has besides those of others."""
        if self.opened_at is None:
            return {}
        return {"signed_at": self.opened_at - 3 * tables.DAY_MS, "opened_at": self.opened_at}

    def _count(self, at: int) -> None:
        desk = self._desk
        desk.at(desk.next_time(at, COUNTS), self._count)
        careful = desk.character.idle < 0.5
        self._measure(at, "login-days-30d", desk.rng.randint(15, 28) if careful else desk.rng.randint(0, 9))
        self._leads += desk.rng.choice((0, 1, 3))
        if self.opened_at is not None:
            self._leads = min(self._leads, LEADS_OF_NEWCOMERS)
        self._measure(at, "leads", self._leads)

    def _measure(self, at: int, measure: str, value: float) -> None:
        self._desk.send("activity", at, kind="measure", measure=measure, value=value)
