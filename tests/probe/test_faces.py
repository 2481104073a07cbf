"""The models are whole, and see nothing where nothing is. That they find faces, `tests/tools/test_clips.py` shows."""

import hashlib
import re

import numpy as np
import pytest

from tests.probe.scenes import grey, noisy, scene
from vigil.app.probe.faces import MODELS, Face, FaceModels


@pytest.fixture(scope="module")
def models() -> FaceModels:
    return FaceModels()


def test_the_models_are_those_that_the_page_beside_them_names() -> None:
    named = dict(re.findall(r"\| `(\w+\.tflite)` \|.*?`([0-9a-f]{64})`", (MODELS / "README.md").read_text()))
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in MODELS.glob("*.tflite")}
    assert named == files
    assert len(files) == 2


@pytest.mark.parametrize("picture", [grey(0), grey(128), scene(1), noisy(grey(60), 1, 20)], ids=lambda p: "")
def test_there_is_no_face_in_a_pattern(models: FaceModels, picture: np.ndarray) -> None:
    assert [face for face in models.find(picture) if face.score >= 0.6] == []


def test_the_same_picture_gives_the_same_faces(models: FaceModels) -> None:
    face = Face(1.0, (100.0, 50.0, 200.0, 150.0), ((120.0, 90.0), (180.0, 95.0)))
    assert models.find(scene(1)) == models.find(scene(1))
    assert models.eyes_open(scene(1), face) == models.eyes_open(scene(1), face)


def test_boxes_overlap_by_what_they_share_of_what_they_cover() -> None:
    eyes = ((0.0, 0.0), (1.0, 0.0))
    assert Face(1, (0, 0, 2, 2), eyes).overlap(Face(1, (1, 0, 3, 2), eyes)) == pytest.approx(1 / 3)
    assert Face(1, (0, 0, 2, 2), eyes).overlap(Face(1, (2, 0, 3, 2), eyes)) == 0
