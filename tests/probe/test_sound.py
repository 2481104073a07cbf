"""Sound is kept for detectors, and not without end."""

import av
import numpy as np

from vigil.app.probe.sound import MOST_S, RATE_HZ, SoundBuffer, joined


def second_of_sound(number: int) -> av.AudioFrame:
    """A second of 48 kHz stereo."""
    frame = av.AudioFrame.from_ndarray(np.full((2, 48_000), 0.5, np.float32), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = 48_000, number * 48_000
    return frame


def test_sound_becomes_mono_of_16_khz() -> None:
    buffer = SoundBuffer()
    assert buffer.take() is None
    buffer.add(second_of_sound(0))
    samples = buffer.take()
    assert samples is not None and samples.dtype == np.float32 and samples.ndim == 1
    assert abs(len(samples) - RATE_HZ) < 100
    assert buffer.take() is None


def test_of_sound_without_pictures_the_last_seconds_are_kept() -> None:
    buffer = SoundBuffer()
    for number in range(20):
        buffer.add(second_of_sound(number))
    samples = buffer.take()
    assert samples is not None and len(samples) <= MOST_S * RATE_HZ
    four = np.ones(4 * RATE_HZ, np.float32)
    both = joined(four, 2 * four)
    assert both is not None and len(both) == MOST_S * RATE_HZ
    assert (both[0], both[-1]) == (1, 2), "the oldest is dropped"
    assert joined(None, four) is four and joined(four, None) is four


def test_sound_that_changes_its_form_within_a_stream_is_heard_on() -> None:
    """Another encoder, or an advertisement: another rate, other channels."""
    buffer = SoundBuffer()
    buffer.add(second_of_sound(0))
    other = av.AudioFrame.from_ndarray(np.full((1, 44_100), 0.5, np.float32), format="fltp", layout="mono")
    other.sample_rate = 44_100
    buffer.add(other)
    buffer.add(second_of_sound(1))
    samples = buffer.take()
    assert samples is not None and abs(len(samples) - 3 * RATE_HZ) < 300
