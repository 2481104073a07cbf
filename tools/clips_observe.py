"""Reads clips, and what the probe's detectors make of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt

from vigil.app.probe.detector import RoomDetector
from vigil.app.probe.observation import Observation
from vigil.app.probe.sounds import RATE as SOUND_RATE

Picture = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]

WIDTH: Final = 480
"""Pictures are made no wider than this."""

GAP_MS: Final = 1500
"""A pause between key pictures after which a file counts as disconnected. The probe's live path has limits of its own
(`stalled_s` of a source), and finds at once that a connection breaks."""


def pictures(file: Path, rate: int, since_s: float = 0.0, lasts_s: float = 1e9) -> Iterator[Picture]:
    """Yield a file's pictures, `rate` a second, from a time on."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        due = since_s
        for frame in container.decode(stream):
            time_s = float(frame.time or 0.0)
            while due <= time_s + 1e-6:
                if due >= since_s + lasts_s - 1e-6:
                    return
                yield _shrunk(_picture(frame))
                due += 1 / rate


def _picture(frame: av.VideoFrame) -> Picture:
    """Return a decoded frame as BGR."""
    return np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)


def _shrunk(picture: npt.NDArray[np.uint8]) -> Picture:
    """Return a picture WIDTH wide at most, with an even width and height."""
    height, width = picture.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def sound(file: Path) -> Samples:
    """Return a file's sound, mono at SOUND_RATE."""
    with av.open(str(file)) as container:
        parts = [part for part, _ in _resampled(container, container.streams.audio[0])]
    return np.concatenate(parts)


def _resampled(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[tuple[Samples, int]]:
    """Yield a stream's sound in stretches, with the time in ms of the end of each."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_RATE)
    for frame in container.decode(stream):
        for part in resampler.resample(frame):
            samples = np.asarray(part.to_ndarray(), dtype=np.float32).reshape(-1)
            yield samples, round((float(part.time or 0.0) + len(samples) / SOUND_RATE) * 1000)


def observe(file: Path, room: RoomDetector) -> list[Observation]:
    """Return what a room's detector makes of the key pictures and the sound of a file, in ms of the file."""
    with av.open(str(file)) as container:
        heard = list(_resampled(container, container.streams.audio[0])) if container.streams.audio else []
    seen: list[Observation] = []
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            at_ms = round(float(frame.time or 0.0) * 1000)
            while seen and at_ms - seen[-1].at_ms > GAP_MS:
                seen.append(room.disconnected(seen[-1].at_ms + 1000))
            while heard and heard[0][1] <= at_ms:
                room.hear(*heard.pop(0))
            seen.append(room.see(_picture(frame), at_ms))
    return seen
