"""A host who talks shows reception: whoever enters finds a segment of the speech within the time."""

from hypothesis import given
from hypothesis import strategies as st

from vigil.app.probe.speech import EVERY_MS, LATE_MS, SpeechSegments


def ends(heard: dict[int, bool | None]) -> list[tuple[int, int]]:
    """When a segment was sent, and its end."""
    segments = SpeechSegments()
    return [(at, end) for at, speech in heard.items() if (end := segments.observe(speech, at)) is not None]


def test_silence_and_what_was_not_measured_are_no_speech() -> None:
    assert ends({0: False, 1000: None, 2000: False}) == []


def test_a_segment_begins_with_the_speech_and_follows_every_three_seconds() -> None:
    heard = dict.fromkeys(range(0, 10_000, 1000), True)
    assert ends(heard) == [(at, at) for at in (0, 3000, 6000, 9000)]


def test_the_rest_of_the_speech_is_sent_when_it_is_over() -> None:
    assert ends({0: True, 1000: True, 2000: True, 3001: False, 4000: False}) == [(0, 0), (3001, 2000)]
    assert ends({0: True, 1000: True, 6000: False}) == [(0, 0), (6000, 6000 - LATE_MS)]
    assert ends({0: True, 1000: False}) == [(0, 0)]


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_every_moment_of_speech_is_followed_by_an_end_within_a_segment(heard: list[bool]) -> None:
    times = {number * 1000: speech for number, speech in enumerate([*heard, False])}
    found = ends(times)
    assert [end for _, end in found] == sorted({end for _, end in found})
    assert all(sent - LATE_MS <= end <= sent for sent, end in found)
    for at in (at for at, speech in times.items() if speech):
        assert any(at <= end <= at + EVERY_MS for _, end in found)
