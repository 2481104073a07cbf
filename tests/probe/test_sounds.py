"""Silence and speech: the voice model is given."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.probe.scenes import grey
from vigil.app.probe.sounds import CHUNK, RATE, Samples, SoundWatch


def tone(seconds: float, level: float = 0.1) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(times * 2 * np.pi * 220)).astype(np.float32)


def loud(chunk: Samples) -> float:
    """A voice model for which every sound is speech."""
    return float(np.abs(chunk).max() > 0.01)


@pytest.fixture
def watch() -> SoundWatch:
    return SoundWatch(loud)


def test_without_sound_nothing_is_known(watch: SoundWatch) -> None:
    assert (watch.silent(0), watch.speech(0)) == (None, None)


def test_a_second_of_quiet_is_silence_and_less_is_a_pause(watch: SoundWatch) -> None:
    watch.hear(np.concatenate((tone(1), tone(0.96, 0))), 1960)
    assert watch.silent(1960) is False
    watch.hear(tone(0.1, 0), 2060)
    assert watch.silent(2060) is True


def test_a_sound_ends_the_silence(watch: SoundWatch) -> None:
    watch.hear(tone(2, 0), 2000)
    watch.hear(tone(0.1), 2100)
    assert watch.silent(2100) is False


def test_the_noise_of_an_open_microphone_is_no_silence(watch: SoundWatch) -> None:
    watch.hear(np.random.default_rng(1).normal(0, 0.003, 2 * RATE).astype(np.float32), 2000)
    assert watch.silent(2000) is False


def test_sound_that_stopped_coming_says_nothing_any_more(watch: SoundWatch) -> None:
    watch.hear(tone(2, 0), 2000)
    assert watch.silent(5000) is True
    assert watch.silent(5001) is None


def test_stretches_of_any_length_are_heard_as_one(watch: SoundWatch) -> None:
    other = SoundWatch(loud)
    sound = np.concatenate((tone(1), tone(1.5, 0)))
    watch.hear(sound, 2500)
    for end in range(100, 2600, 100):
        other.hear(sound[(end - 100) * 16 : end * 16], end)
    assert (other.silent(2500), other.speech(2500)) == (watch.silent(2500), watch.speech(2500)) == (True, False)


def test_speech_is_two_fifths_of_two_seconds_and_lasts_until_less_than_one(watch: SoundWatch) -> None:
    def hear(seconds: float, level: float, at_ms: int) -> bool | None:
        watch.hear(tone(seconds, level), at_ms)
        return watch.speech(at_ms)

    assert hear(2, 0, 2000) is False
    assert hear(0.7, 0.1, 2700) is False
    assert hear(0.3, 0.1, 3000) is True
    assert hear(1.4, 0, 4400) is True
    assert hear(0.4, 0, 4800) is False


def test_an_interruption_forgets_what_was_heard(watch: SoundWatch) -> None:
    watch.hear(tone(2), 2000)
    watch.hear(tone(0.1, 0), 10_000)
    assert watch.speech(10_000) is False


def test_without_a_voice_model_speech_is_not_known() -> None:
    watch = SoundWatch(None)
    watch.hear(tone(2), 2000)
    assert (watch.silent(2000), watch.speech(2000)) == (False, None)


def test_the_voice_model_is_given_whole_chunks() -> None:
    sizes: list[int] = []

    def note(chunk: Samples) -> float:
        sizes.append(len(chunk))
        return 0.0

    voice: Callable[[Samples], float] = note
    SoundWatch(voice).hear(tone(0.1), 100)
    assert sizes == [CHUNK] * 3


def test_a_room_reports_what_it_hears() -> None:
    from vigil.app.probe.detector import Detectors

    room = Detectors(None, speech=True).room()
    room.hear(tone(2, 0), 2000)
    seen = room.see(grey(100), 2000)
    assert (seen.silent, seen.speech) == (True, False)
