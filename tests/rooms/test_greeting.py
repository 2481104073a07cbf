"""greeting-miss: three consecutive entries without a reception within ten seconds, and what leads there."""

import pytest

from tests.stories import S, comment, entry, frames, played, told, violations


def missed(*entries: int) -> list[object]:
    return [("entry-missed", "greeting-miss", at, at + 10 * S, None) for at in entries]


def test_three_misses_in_a_row_are_one_violation_at_the_third_deadline() -> None:
    stage = played(frames(0, 60 * S), entry(1 * S), entry(5 * S), entry(20 * S))
    assert violations(stage) == [("greeting-miss", 1 * S, 30 * S)]
    assert told(stage, "entry-missed") == missed(1 * S, 5 * S, 20 * S)


def test_two_misses_are_none() -> None:
    assert violations(played(frames(0, 60 * S), entry(1 * S), entry(5 * S))) == []


@pytest.mark.parametrize(("greeted", "expected"), [(50 * S, []), (50 * S + 1, [("greeting-miss", 1 * S, 50 * S)])])
def test_a_reception_on_the_tenth_second_is_in_time(greeted: int, expected: list[object]) -> None:
    story = played(frames(0, 60 * S), entry(1 * S), entry(20 * S), entry(40 * S), comment(greeted))
    assert violations(story) == expected


def test_a_reception_at_the_very_time_of_the_entry_is_a_reception() -> None:
    stage = played(frames(0, 60 * S), entry(5 * S), comment(5 * S))
    assert told(stage) == []
    status = stage.status(60 * S)
    assert (status.entries, status.received, status.missed) == (1, 1, 0)
    assert status.reception_seconds is not None
    assert status.reception_seconds.p50 == 0.0
