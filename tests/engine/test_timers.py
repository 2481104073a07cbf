"""Timers: one for each key, the earliest first, whatever was scheduled before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from vigil.app.engine.timers import TimerHeap
from vigil.app.engine.watermark import MAX_TIME


def fired(timers: TimerHeap[str], before: int) -> list[tuple[int, str]]:
    """Every timer below `before`, in the order in which they fire."""
    result = []
    while (timer := timers.pop_due(before)) is not None:
        result.append(timer)
    return result


def test_timers_fire_by_time_then_key() -> None:
    timers: TimerHeap[str] = TimerHeap()
    for key, time in [("b", 5), ("c", 3), ("a", 5)]:
        timers.schedule(key, time)
    assert fired(timers, 6) == [(3, "c"), (5, "a"), (5, "b")]


def test_a_timer_at_the_bound_does_not_fire() -> None:
    timers: TimerHeap[str] = TimerHeap()
    timers.schedule("a", 5)
    assert timers.pop_due(5) is None
    assert timers.pop_due(6) == (5, "a")
    assert timers.pop_due(6) is None


def test_a_key_that_is_scheduled_again_has_one_timer() -> None:
    timers: TimerHeap[str] = TimerHeap()
    timers.schedule("a", 5)
    timers.schedule("a", 2)
    timers.schedule("a", 9)
    assert len(timers) == 1
    assert fired(timers, 9) == []
    assert fired(timers, 10) == [(9, "a")]


def test_a_cancelled_timer_does_not_fire() -> None:
    timers: TimerHeap[str] = TimerHeap()
    timers.schedule("a", 5)
    timers.schedule("b", 6)
    timers.cancel("a")
    timers.cancel("never scheduled")
    assert timers.next_time() == 6
    assert fired(timers, 10) == [(6, "b")]


def test_without_timers_the_next_time_never_comes() -> None:
    timers: TimerHeap[str] = TimerHeap()
    assert (timers.next_time(), timers.earliest) == (MAX_TIME, MAX_TIME)
    timers.schedule("a", 5)
    timers.cancel("a")
    assert timers.next_time() == MAX_TIME


def test_timers_begin_with_given_times_and_keep_them_up_to_date() -> None:
    times = {"a": 7, "b": 3}
    timers = TimerHeap(times)
    assert (timers.earliest, timers.next_time()) == (3, 3)
    timers.pop_due(4)
    timers.schedule("c", 1)
    assert times == {"a": 7, "c": 1}


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["schedule", "cancel", "fire"]), st.sampled_from("abcde"), st.integers(0, 50)),
    max_size=80,
)


@settings(max_examples=examples(200), deadline=None)
@given(ACTIONS)
def test_timers_are_those_of_a_plain_dictionary(actions: list[tuple[str, str, int]]) -> None:
    timers: TimerHeap[str] = TimerHeap()
    plain: dict[str, int] = {}
    for action, key, time in actions:
        if action == "schedule":
            timers.schedule(key, time)
            plain[key] = time
        elif action == "cancel":
            timers.cancel(key)
            plain.pop(key, None)
        else:
            due = sorted((at, name) for name, at in plain.items() if at < time)
            assert fired(timers, time) == due
            for _, name in due:
                del plain[name]
        assert timers.earliest <= min(plain.values(), default=MAX_TIME)
        assert timers.next_time() == timers.earliest == min(plain.values(), default=MAX_TIME)
        assert timers.times == plain
