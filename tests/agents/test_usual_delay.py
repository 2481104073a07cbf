"""How long after their event times the events of a source usually arrive."""

from hypothesis import given
from hypothesis import strategies as st

from vigil.agents.usual_delay import MAX_DELAY_MS, WINDOW_MS, UsualDelay

T = 1_700_000_000_000


def test_a_source_without_events_has_the_default() -> None:
    assert UsualDelay(200).ms == 200


def test_it_is_at_most_a_minute_and_never_below_0() -> None:
    delay = UsualDelay(200)
    delay.add(T, T + 5000)
    assert delay.ms == 0
    delay.add(T, T - MAX_DELAY_MS - 1)
    assert delay.ms == MAX_DELAY_MS


def test_it_stays_while_the_source_is_silent_and_is_forgotten_a_minute_of_events_later() -> None:
    delay = UsualDelay(200)
    delay.add(T, T - 3000)
    delay.add(T + WINDOW_MS, T + WINDOW_MS - 10)
    assert delay.ms == 3000
    delay.add(T + WINDOW_MS + 1, T + WINDOW_MS - 19)
    assert delay.ms == 20


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 5000)), min_size=1))
def test_it_is_the_largest_delay_of_the_minute_before_the_last_arrival(steps: list[tuple[int, int]]) -> None:
    delay, now, seen = UsualDelay(200), T, []
    for step, late in steps:
        now += step
        seen.append((now, late))
        delay.add(now, now - late)
        assert delay.ms == max(late for arrived, late in seen if arrived >= now - WINDOW_MS)
