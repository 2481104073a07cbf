"""The clock of a worker: only monotonic time moves it, and it knows when it cannot be right."""

import pytest

from vigil.agents.worker_clock import ClockChangedError, WorkerClock

T = 1_700_000_000_000


class Times:
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.wall = T
        self.monotonic = 17.0
        self.clock = WorkerClock(lambda: self.wall, lambda: self.monotonic)

    def passes(self, ms: int) -> None:
        self.wall += ms
        self.monotonic += ms / 1000


def test_it_begins_with_the_wall_clock_and_goes_on_with_monotonic_time() -> None:
    times = Times()
    assert times.clock.now() == T
    times.passes(2500)
    times.wall += 900
    assert times.clock.now() == T + 2500
    times.clock.check()


@pytest.mark.parametrize(
    "step, words",
    [(1001, "set ahead by 1.0 s"), (3_600_000, "set ahead by 3600.0 s"), (-172_800_000, "set back by 172800.0 s")],
)
def test_a_wall_clock_that_was_set_stops_the_worker_in_words(step: int, words: str) -> None:
    times = Times()
    times.passes(60_000)
    times.wall += step
    with pytest.raises(ClockChangedError, match=words):
        times.clock.check()
    assert times.clock.now() == T + 60_000


@pytest.mark.parametrize("step", [1000, -1000])
def test_a_second_is_within_what_clocks_do(step: int) -> None:
    times = Times()
    times.wall += step
    times.clock.check()


@pytest.mark.parametrize(
    "appended, ahead, words",
    [
        (T - 3_600_000, 3_600_000, "3600.0 s ahead of the broker's"),
        (T + 80 + 172_800_000, -172_800_000, "172800.0 s behind the broker's"),
        (T - 5001, 5001, "5.0 s ahead"),
        (T - 5000, 5000, None),
        (T, 0, None),
        (T + 50, 0, None),
        (T + 80, 0, None),
        (T + 80 + 5000, -5000, None),
        (T + 80 + 5001, -5001, "5.0 s behind"),
    ],
)
def test_a_checkpoint_shows_by_how_much_it_and_the_brokers_clock_differ_at_least(
    appended: int, ahead: int, words: str | None
) -> None:
    clock = Times().clock
    assert (clock.ahead_of_broker, clock.differs()) == (None, None)
    clock.compare(T, appended, T + 80)
    assert clock.ahead_of_broker == ahead
    differs = clock.differs()
    assert (differs is None) if words is None else (differs is not None and words in differs)
