"""Sums over rolling windows are those of a naive recount, whatever came in which order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from vigil.app.domain.suppliers import rolling_sums
from vigil.app.domain.suppliers.rolling_sums import Amounts, RollingSums
from vigil.app.engine.watermark import MAX_TIME

LENGTHS = (5, 12)
AMOUNTS: tuple[Amounts, ...] = (((0, 1),), ((0, 1), (1, 1)), ((2, 250),), ((2, -250),))
Counted = tuple[int, int, Amounts]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(1, 7)),
        st.tuples(st.just("add"), st.integers(0, 15), st.integers(0, 1), st.sampled_from(AMOUNTS)),
        st.tuples(st.just("take back"), st.integers(0, 50)),
    ),
    max_size=60,
)


def sums(counted: list[Counted], now: int) -> list[int]:
    """Every amount that its window has not passed, added up."""
    totals = [0, 0, 0]
    for window, at, amounts in counted:
        if at > now - LENGTHS[window]:
            for total, amount in amounts:
                totals[total] += amount
    return totals


def next_change(counted: list[Counted], now: int) -> int:
    return min((at + LENGTHS[window] for window, at, _ in counted if at + LENGTHS[window] > now), default=MAX_TIME)


@settings(max_examples=examples(400), deadline=None)
@given(STEPS, st.sampled_from([0, 2, 64]))
def test_sums_are_those_of_a_naive_recount(steps: list[tuple], kept: int) -> None:  # type: ignore[type-arg]
    """Amounts come up to 15 ms late, so that some have left when they come, and in logs that are cut soon or never."""
    before, rolling_sums.KEPT = rolling_sums.KEPT, kept  # type: ignore[misc]
    try:
        now, counted, rolling = 100, [], RollingSums(100, LENGTHS, [0, 0, 0])
        for what, *arguments in steps:
            if what == "advance":
                now += arguments[0]
                rolling.advance_to(now)
            elif what == "add":
                late, window, amounts = arguments
                counted.append((window, now - late, amounts))
                rolling.add(*counted[-1])
            elif counted:
                rolling.take_back(*counted.pop(arguments[0] % len(counted)))
            assert rolling.sums == sums(counted, now)
            assert rolling.changes_at == next_change(counted, now)
    finally:
        rolling_sums.KEPT = before  # type: ignore[misc]


def test_an_amount_leaves_when_its_window_has_passed_and_not_a_millisecond_before() -> None:
    rolling = RollingSums(100, LENGTHS, [0, 0, 0])
    rolling.add(0, 100, AMOUNTS[1])
    rolling.advance_to(104)
    assert (rolling.sums, rolling.changes_at) == ([1, 1, 0], 105)
    rolling.advance_to(105)
    assert (rolling.sums, rolling.changes_at) == ([0, 0, 0], MAX_TIME)
