"""The growth stage of a supplier since it opened.

    before-opening ──end of the day D of opening──▶ first-30 ──▶ first-90 ──▶ mature

A stage ends with the day by whose end what it asks for is done, or after its days. One that would be over before it
begins is skipped. Source: announcement of July 2022, growth of new suppliers.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final, NamedTuple

from vigil.app.domain.ledger.days import Days
from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.rulebook.programmes import GrowthLimits, Milestone, Stage
from vigil.app.domain.suppliers.metric_table import CENTS
from vigil.topics.programmes import Growth

MATURE: Final[Stage] = "mature"

_ONE_DAY: Final = timedelta(days=1)


class _Span(NamedTuple):
    """One stage: its days, both inclusive; None for no bound."""

    stage: Stage
    first: date | None
    last: date | None


def stage_of(facts: Facts) -> Stage:
    """The stage that counts: suppliers of which nothing is known are mature."""
    growth = growth_of(facts)
    return MATURE if growth is None else growth.stage


def growth_of(facts: Facts) -> Growth | None:
    """The growth of a supplier as of now; None where it is known neither when it signed nor when it opened."""
    limits = facts.moment.limits(facts.rules.growth)
    profile = facts.profile()
    if limits is None or (profile.signed_at is None and profile.opened_at is None):
        return None
    tasks = task_times(limits, facts)
    milestones = milestone_times(limits, facts)
    days = facts.rules.days
    span = _span_now(limits, profile.opened_at, tasks, milestones, facts)
    starts = profile.signed_at if span.first is None else days.start(span.first)
    return Growth(
        stage=span.stage,
        since=starts,
        until=None if span.last is None else days.end(span.last),
        tasks=tasks,
        milestones=milestones,
        current=_current(limits, milestones) if span.stage == "first-90" else None,
        unlocks=tuple(one.unlocks for one in limits.milestones if one.unlocks and milestones[one.name] is not None),
        rating_open=None not in tasks.values(),
    )


def _current(limits: GrowthLimits, milestones: dict[str, int | None]) -> str | None:
    return next((one.name for one in limits.milestones if one.ends_stage and milestones[one.name] is None), None)


def _span_now(
    limits: GrowthLimits,
    opened_at: int | None,
    tasks: dict[str, int | None],
    milestones: dict[str, int | None],
    facts: Facts,
) -> _Span:
    if opened_at is None:
        return _Span("before-opening", None, None)
    days = facts.rules.days
    for span in _spans(limits, days.day_of(opened_at), tasks, milestones, days):
        if span.last is None or not facts.moment.reached(days.end(span.last) + 1):
            return span
    raise AssertionError("the last stage has no end")


def _spans(
    limits: GrowthLimits,
    opened: date,
    tasks: dict[str, int | None],
    milestones: dict[str, int | None],
    days: Days,
) -> Iterator[_Span]:
    """The stages in their order, without those that are skipped."""
    yield _Span("before-opening", None, opened)
    done = _day_of_all(tasks.values(), opened, days)
    last = min(opened + timedelta(days=limits.first_days), done)
    if last > opened:
        yield _Span("first-30", opened + _ONE_DAY, last)
    ends = [milestones[one.name] for one in limits.milestones if one.ends_stage]
    reached = _day_of_all(ends, opened, days)
    begin = max(last, opened) + _ONE_DAY
    end = min(opened + timedelta(days=limits.second_days), reached)
    if end >= begin:
        yield _Span("first-90", begin, end)
        begin = end + _ONE_DAY
    yield _Span(MATURE, begin, None)


def _day_of_all(times: Iterable[int | None], opened: date, days: Days) -> date:
    """The day by whose end all of it was done, not before the opening; the last of all days if it is not."""
    last = opened
    for at in times:
        if at is None:
            return date.max - timedelta(days=1)
        last = max(last, days.day_of(at))
    return last


# ---- what was reached, and when --------------------------------------------------------------------------------------


def task_times(limits: GrowthLimits, facts: Facts) -> dict[str, int | None]:
    """When each task was done, by its measure: at the first measure that comes to its number. It stays done."""
    return {
        task.measure: _earlier(f"task/{task.measure}", _first_measure(task.measure, task.at_least, facts), facts)
        for task in limits.tasks
    }


def milestone_times(limits: GrowthLimits, facts: Facts) -> dict[str, int | None]:
    """When each milestone was reached, by its name."""
    return {one.name: _earlier(_milestone(one.name), _milestone_time(one, facts), facts) for one in limits.milestones}


def _earlier(name: str, at: int | None, facts: Facts) -> int | None:
    """The time, or that of what is forgotten, whichever is earlier."""
    kept = facts.ledger.reached.get(name)
    if kept is None or kept > facts.now:
        return at
    return kept if at is None else min(kept, at)


def _first_measure(name: str, at_least: float, facts: Facts) -> int | None:
    for record in facts.ledger.measures.get(name, ()):
        if not facts.moment.reached(record.at):
            return None
        if record.value >= at_least:
            return record.at
    return None


def _milestone_time(one: Milestone, facts: Facts) -> int | None:
    if one.measure is not None and one.at_least is not None:
        return _first_measure(one.measure, one.at_least, facts)
    opened_at = facts.profile().opened_at
    if opened_at is None:
        return None
    cents = 0
    for number, (at, _, amount) in enumerate(_paid_since(opened_at, facts), start=1):
        cents += amount
        if number == one.orders or (one.usd is not None and cents >= one.usd * CENTS):
            return at
    return None


def _paid_since(opened_at: int, facts: Facts) -> list[tuple[int, str, int]]:
    """Time, id and amount of the orders paid since the opening, in order of time and id."""
    return sorted(
        (order.paid, order.order_id, sum(line.cents for line in order.lines))
        for order in facts.ledger.orders.values()
        if order.paid is not None and order.paid >= opened_at and facts.moment.reached(order.paid)
    )


def reached_by(limits: GrowthLimits, facts: Facts) -> dict[str, int]:
    """All that was reached by now, as `Ledger.set_reached` keeps it."""
    tasks = {f"task/{name}": at for name, at in task_times(limits, facts).items()}
    milestones = {_milestone(name): at for name, at in milestone_times(limits, facts).items()}
    return {name: at for name, at in {**tasks, **milestones}.items() if at is not None}


def of_orders(limits: GrowthLimits) -> frozenset[str]:
    """What follows from orders, as `reached_by` names it."""
    return frozenset(_milestone(one.name) for one in limits.milestones if one.measure is None)


def _milestone(name: str) -> str:
    return f"milestone/{name}"
