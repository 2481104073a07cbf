"""When the shards of a replay advance follows from the order of their events and from what they read."""

import pytest

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Schedule


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return Schedule(REGISTRY, REGISTRY.machines(load_rulebook()))


def test_only_rooms_advance_after_the_lines_that_they_judge(schedule: Schedule) -> None:
    """Their order is that of event time and late events are dropped: any other order would show when they advance."""
    assert schedule.in_order_of_time == {"rooms"}


def test_an_rfq_gets_events_in_no_order_of_time_and_is_judged_at_the_end(schedule: Schedule) -> None:
    assert schedule.at_the_end == {"rfqs"}


def test_reviews_and_cases_are_read_after_what_they_may_name(schedule: Schedule) -> None:
    assert schedule.inputs_of(set(REGISTRY.upstream)) == {"review", "enforcement-result", "case"}
