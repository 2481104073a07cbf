"""Clips that are drawn once for all tests."""

from pathlib import Path

import pytest

from tests.support.camera import write_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a room with a tone, three of black silence, three of the room."""
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", [("moving", 3), ("black", 3), ("moving", 3)])
