"""About one picture a second is looked at, only key pictures where these are enough, at the time of a player."""

import pytest

from vigil.app.probe.sampling import BackOff, DecodePlan, Playout, Sampler


def planned(*keys_ms: int) -> list[bool]:
    """Whether only key pictures are decoded, after each key picture."""
    plan = DecodePlan()
    modes = []
    for key_ms in keys_ms:
        plan.on_key_picture(key_ms)
        modes.append(plan.keys_only)
    return modes


def test_only_key_pictures_are_decoded_once_three_gaps_were_short() -> None:
    assert planned(0, 2500, 5000, 7500, 10_000) == [False, False, False, True, True]


def test_all_pictures_are_decoded_for_good_once_a_gap_was_long() -> None:
    assert planned(0, 1000, 2000, 3000, 5501, 6000, 7000, 8000, 9000) == [False] * 3 + [True] + [False] * 5
    assert not any(planned(0, 15_000, 30_000, 45_000))


def test_a_publisher_that_starts_again_is_no_long_gap() -> None:
    assert planned(100_000, 101_000, 0, 1000, 2000) == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("times_ms", "key", "taken_ms"),
    [
        (range(0, 3001, 40), False, [0, 1000, 2000, 3000]),
        (range(0, 6000, 2000), True, [0, 2000, 4000]),
        ([0, 960, 2040, 2990], True, [0, 960, 2040, 2990]),
        (range(0, 3001, 250), True, [0, 750, 1500, 2250, 3000]),
        ([90_000, 90_500, 0, 500, 1000], False, [90_000, 0, 1000]),
    ],
)
def test_about_one_picture_in_a_second_is_taken(times_ms: range | list[int], key: bool, taken_ms: list[int]) -> None:
    sampler = Sampler(1000)
    taken = []
    for at_ms in times_ms:
        if sampler.is_due(at_ms, key=key):
            sampler.take(at_ms)
            taken.append(at_ms)
    assert taken == taken_ms


def test_a_segment_that_arrives_at_once_is_shown_at_its_own_speed() -> None:
    playout = Playout()
    assert [playout.wait_s(at, 100.0) for at in (5000, 6000, 7000)] == [0, 1, 2]
    assert playout.wait_s(8000, 103.5) == 0, "half a second late"
    assert playout.wait_s(9000, 103.5) == 0.5, "and the next one is not later for that"


def test_what_comes_long_after_its_time_is_shown_at_once_and_the_rest_follows_it() -> None:
    playout = Playout()
    playout.wait_s(0, 100.0)
    assert playout.wait_s(1000, 103.1) == 0
    assert playout.wait_s(2000, 103.1) == pytest.approx(1.0)


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
def test_time_stamps_that_begin_again_are_shown_at_once(jump_ms: int) -> None:
    playout = Playout()
    playout.wait_s(4_000_000, 100.0)
    assert playout.wait_s(4_000_000 + jump_ms, 101.0) == 0
    assert playout.wait_s(4_001_000 + jump_ms, 101.0) == pytest.approx(1.0)


def test_attempts_become_rarer_until_one_succeeds() -> None:
    back_off = BackOff()
    assert [back_off.failed() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    back_off.succeeded()
    assert back_off.failed() == 1
