"""The services part of the rulebook as types: what is due of whom, and what covers a request.

All of its sections may be left out.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.app.domain.rulebook.products import Name
from vigil.app.domain.rulebook.suppliers import Days, Dollars, Hours, Share

Need = Literal["support", "parts", "installation", "maintenance", "repair"]
Closing = Literal["answered", "parts-sent", "visited", "completed", "done"]

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
"""A day of the rulebook's calendar, `YYYY-MM-DD`."""


class WorkingDays(Struct, frozen=True, forbid_unknown_fields=True):
    """Monday to Friday but for these days."""

    holidays: tuple[Day, ...]


class ServiceCover(Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests the service that was sold with a product covers, and for how long."""

    months: Annotated[int, Meta(gt=0, le=1200)]
    """After the dispatch of the order."""
    remote: tuple[Need, ...]
    local: tuple[Need, ...]


class DutyLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """One duty: what opens it, until when, and what closes it."""

    opened_by: Literal["request", "period", "reward", "place", "done", "ask"]
    """`request`: a covered service request. `period`: the end of a declaration period. `reward`: a completed
    participation with rewards. `place`: a place in a programme. `done`: that another duty is done. `ask`: that somebody
    asks."""
    owed_by: Literal["supplier", "marketplace"]
    closed_by: Annotated[tuple[Closing, ...], Meta(min_length=1)]
    """The first of these events closes it."""
    needs: tuple[Need, ...] = ()
    """`request`: the needs that open it; none: every need."""
    programme: Name | None = None
    """`place`: in which programme."""
    of: Name | None = None
    """`done`: which duty."""
    ref: Name | None = None
    """The reference of a duty that a supplier has once only."""
    within_h: Hours | None = None
    within_days: Days | None = None
    working_days: Days | None = None
    """Until the end of the so manyth working day after the day on which it opens."""
    months_end: Annotated[int, Meta(ge=0, le=1200)] | None = None
    """Until the end of the month so many months after the one in which it opens."""
    by_reward: bool = False
    """Until the time that the programme names."""
    compensation_share: Share | None = None
    """Of the line's amount, owed once it is breached, for the first such duty of a request."""
    compensation_most_usd: Dollars | None = None

    def __post_init__(self) -> None:
        spans = (self.within_h, self.within_days, self.working_days, self.months_end)
        if sum(span is not None for span in spans) + self.by_reward != 1:
            raise ValueError("a duty is due by one of within_h, within_days, working_days, months_end and by_reward")
        if (self.opened_by == "place") != (self.programme is not None):
            raise ValueError("programme is given where a place opens the duty, and only there")
        if (self.opened_by == "done") != (self.of is not None):
            raise ValueError("of is given where another duty opens the duty, and only there")
        if self.opened_by in ("place", "done") and self.ref is None:
            raise ValueError("a duty that is opened by a place or another duty needs its ref")
        if self.by_reward != (self.opened_by == "reward"):
            raise ValueError("by_reward is given where a reward opens the duty, and only there")
        if self.opened_by != "request" and self.closed_by != ("done",):
            raise ValueError("a duty that no request opens is closed by done")


SERVICE_SECTIONS: Final[Mapping[str, type[Struct]]] = {
    "working-days": WorkingDays,
    "service-cover": ServiceCover,
    "due.*": DutyLimits,
}
"""`due.DUTY`."""
