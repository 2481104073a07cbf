"""Synthetic pictures."""

import numpy as np

from vigil.app.probe.pictures import Picture


def scene(seed: int, height: int = 240, width: int = 320) -> Picture:
    """A picture with detail that differs by seed."""
    coarse = np.random.default_rng(seed).integers(40, 220, (height // 16, width // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=0).repeat(16, axis=1)


def grey(level: int) -> Picture:
    """A picture of one brightness."""
    return np.full((240, 320, 3), level, dtype=np.uint8)


def noisy(picture: Picture, seed: int, deviation: float = 2.0) -> Picture:
    """A picture as a camera would send it."""
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
