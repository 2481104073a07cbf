"""A share and its Wilson interval, against published values."""

import pytest

from vigil.app.domain.quality.interval import share_of


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        # Newcombe (1998), table I, method 3: the score interval without continuity correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_bounds_are_those_that_were_published(part: int, whole: int, low: float, high: float) -> None:
    found = share_of(part, whole)
    assert found is not None
    assert found.share == part / whole
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_of_nothing_there_is_no_share() -> None:
    assert share_of(0, 0) is None


def test_the_bounds_stay_within_0_and_1_and_are_mirrored() -> None:
    for whole in (1, 2, 7, 1000):
        for part in range(0, whole + 1, max(whole // 7, 1)):
            found, other = share_of(part, whole), share_of(whole - part, whole)
            assert found is not None
            assert other is not None
            assert 0 <= found.low <= found.share <= found.high <= 1
            assert found.low == pytest.approx(1 - other.high)


def test_more_of_the_same_makes_it_narrower() -> None:
    few, many = share_of(3, 4), share_of(300, 400)
    assert few is not None
    assert many is not None
    assert few.low < many.low < 0.75 < many.high < few.high
