"""The programmes part of the rulebook as types: growth stages, and programmes with tasks, places and rewards.

All of its sections may be left out.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.products import Name
from vigil.app.domain.rulebook.services import Day
from vigil.app.domain.rulebook.suppliers import Days, Dollars

Stage = Literal["before-opening", "first-30", "first-90", "mature"]
Count = Annotated[float, Meta(ge=0)]
DayOfMonth = Annotated[int, Meta(ge=1, le=31)]


class MeasureTask(Struct, frozen=True, forbid_unknown_fields=True):
    """A measure that must come to a number."""

    measure: Name
    at_least: Count


class Milestone(Struct, frozen=True, forbid_unknown_fields=True):
    """What a supplier reaches once: a number of a measure, of orders, or an amount paid since it opened."""

    name: Name
    measure: Name | None = None
    at_least: Count | None = None
    orders: Annotated[int, Meta(gt=0)] | None = None
    usd: Dollars | None = None
    unlocks: Name | None = None
    ends_stage: bool = True
    """One of those with which the second stage ends."""

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.measure, self.orders, self.usd)) != 1:
            raise ValueError("a milestone is of one of measure, orders and usd")
        if (self.measure is None) != (self.at_least is None):
            raise ValueError("measure and at_least stand together, or neither")


class GrowthLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """The stages of a supplier that has opened."""

    first_days: Days
    """The first stage ends so many days after the opening, or once all tasks are done."""
    second_days: Days
    """The second stage ends so many days after the opening, or once its milestones are reached."""
    tasks: Annotated[tuple[MeasureTask, ...], Meta(min_length=1)]
    milestones: Annotated[tuple[Milestone, ...], Meta(min_length=1)]


class Task(Struct, frozen=True, forbid_unknown_fields=True):
    """One task of a programme: a measure, an accepted enrolment in another programme, or gold RFQs quoted."""

    measure: Name | None = None
    accepted: Name | None = None
    """The programme in which the supplier must be accepted in the same month."""
    gold_rfqs: bool = False
    """Gold RFQs quoted in the same month."""
    at_least: Count = 1

    def __post_init__(self) -> None:
        if (self.measure is not None) + (self.accepted is not None) + self.gold_rfqs != 1:
            raise ValueError("a task is of one of measure, accepted and gold_rfqs")

    @property
    def name(self) -> str:
        """What the line calls it."""
        return self.measure or self.accepted or "gold-rfqs"


class Reward(Struct, frozen=True, forbid_unknown_fields=True):
    """What a completed participation gives, and for how many months."""

    name: Name
    months: Annotated[int, Meta(gt=0, le=1200)]


class Programme(Struct, frozen=True, forbid_unknown_fields=True):
    """One programme: who may claim it and when, its tasks, and its rewards."""

    edition: Literal["month", "once"]
    first_day: DayOfMonth = 1
    last_day: DayOfMonth = 31
    """`month`: the days of the month in which it is open; the last one at the latest."""
    opens: Day | None = None
    closes: Day | None = None
    """`once`: its first and last day."""
    verified: bool = False
    """For verified suppliers only."""
    least_stars: Annotated[int, Meta(ge=0, le=5)] = 0
    most_stars: Annotated[int, Meta(ge=0, le=5)] = 5
    as_of: Day | None = None
    """Membership and stars are those as of the end of this day; None: as of the claim."""
    stages: tuple[Stage, ...] = ()
    """The growth stages that may enter; none: every stage."""
    tasks: tuple[Task, ...] = ()
    judged: Literal["once", "at-the-end"] = "once"
    """`once`: a task is done at the first instant at which it holds. `at-the-end`: all must hold at the end."""
    places: Annotated[int, Meta(gt=0)] | None = None
    places_by: Literal["claim", "completion"] | None = None
    rewards: tuple[Reward, ...] = ()
    reward_by_day: DayOfMonth | None = None
    """Rewards are given by the end of this day of the next month,"""
    reward_by: Day | None = None
    """or by the end of this day."""

    def __post_init__(self) -> None:
        if (self.edition == "once") != (self.opens is not None and self.closes is not None):
            raise ValueError("opens and closes are given where there is one edition, and only there")
        if self.opens is not None and self.closes is not None and self.opens > self.closes:
            raise ValueError("opens must not be after closes")
        if self.first_day > self.last_day:
            raise ValueError("first_day must not be after last_day")
        if (self.places is None) != (self.places_by is None):
            raise ValueError("places and places_by stand together, or neither")
        if bool(self.rewards) != ((self.reward_by_day is None) != (self.reward_by is None)):
            raise ValueError("rewards are given by one of reward_by_day and reward_by")


PROGRAMME_SECTIONS: Final[Mapping[str, type[Struct]]] = {"growth": GrowthLimits, "programme.*": Programme}
"""`programme.NAME`."""
