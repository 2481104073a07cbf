"""How the probe is measured on real clips: faults are planted when the truth says so, and compared with what is seen.

The longer tests fetch the clips from package registries, once, into ~/.cache/vigil/clips.
"""

import hashlib
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.needs import lacking
from tools import clips, clips_catalogue, clips_measure, clips_plant
from tools.clips_catalogue import CLIPS, SPEECH, Clip, fetch
from tools.clips_measure import CONFIRMED_S, SIGNS, WITHIN_S, ClipResult, FaultResult, compare
from tools.clips_plant import LEAD_S, RATE, PlantedFault
from tools.packages import PackageMissing, RegistryPackage
from vigil.app.probe.detector import Detectors
from vigil.app.probe.faces import Face, FaceModels
from vigil.app.probe.observation import Observation

GREY = np.full((40, 60, 3), 128, dtype=np.uint8)


def test_a_fault_is_planted_exactly_when_the_truth_says_so() -> None:
    run, faults = clips_plant.plant([GREY], [("black", 2, clips_plant.black), ("disconnected", 1, clips_plant.black)])
    pictures = list(run)
    assert faults == [PlantedFault("black", LEAD_S, LEAD_S + 2), PlantedFault("disconnected", 19.4, 20.4)]
    black = [number / RATE for number, picture in enumerate(pictures) if picture is not None and not picture.any()]
    gone = [number / RATE for number, picture in enumerate(pictures) if picture is None]
    assert (black[0], black[-1]) == (LEAD_S, LEAD_S + 2 - 1 / RATE)
    assert (gone[0], gone[-1]) == (19.4, 20.3)
    assert len(pictures) == round((3 * LEAD_S + 3) * RATE)


def test_a_frozen_fault_repeats_its_first_picture() -> None:
    pictures = [np.full_like(GREY, n) for n in range(200)]
    run, (fault,) = clips_plant.plant(pictures, [("frozen", 2, clips_plant.Freeze())])
    shown = [int(picture[0, 0, 0]) for picture in run if picture is not None]
    begins = round(fault.since_s * RATE)
    assert shown[begins - 1 : begins + 2 * RATE + 1] == [begins - 1, *[begins] * 2 * RATE, begins + 2 * RATE]


def test_what_covers_a_face_is_where_the_face_was_seen_last() -> None:
    face = Face(1.0, (10.0, 5.0, 30.0, 25.0), ((15.0, 12.0), (25.0, 12.0)))
    found = iter([[face], []])
    cover = clips_plant.FacePart(lambda picture: next(found), clips_plant.mouth)
    for number in (0, 1):
        changed = np.argwhere((cover(GREY, number) != GREY).any(axis=2))
        assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([16, 10], [26, 29])


def test_what_is_seen_is_compared_with_the_truth() -> None:
    black = [False, True, False, False, False, True, True, False, True, False, True]
    seen = [Observation(at_ms=n * 1000, black=shown) for n, shown in enumerate(black)]
    result = compare("clip", seen, [PlantedFault("black", 3.5, 9.0)], {"black": SIGNS["black"]})
    assert result == ClipResult("clip", 4, {"black": 1}, [FaultResult("black", 1.5, 1, 3)])


def test_a_fault_that_is_not_seen_was_never_found() -> None:
    seen = [Observation(at_ms=n * 1000, black=False) for n in range(10)]
    (fault,) = compare("clip", seen, [PlantedFault("black", 2.0, 8.0)], {}).faults
    assert fault == FaultResult("black", None, 4, 4)
    assert "never" in clips.found_table([ClipResult("clip", 1, {}, [fault])])


def test_a_file_that_is_not_the_one_that_was_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIGIL_PACKAGE_CACHE", str(tmp_path / "packages"))
    package = RegistryPackage("npm", "clips", "1.0", None, "MIT")
    package.folder.mkdir(parents=True)
    with tarfile.open(package.folder / "clips-1.0.tgz", "w:gz") as files:
        entry = tarfile.TarInfo("package/clip.mp4")
        entry.size = 4
        files.addfile(entry, io.BytesIO(b"clip"))
    monkeypatch.setattr(clips_catalogue, "FOLDER", tmp_path / "clips")
    with pytest.raises(ValueError, match="SHA-256"):
        fetch((Clip("clip", package, "package/clip.mp4", "0" * 64, "nothing"),))
    assert list((tmp_path / "clips").iterdir()) == []
    fetch((Clip("clip", package, "package/clip.mp4", hashlib.sha256(b"clip").hexdigest(), "nothing"),))
    assert (tmp_path / "clips" / "clip.mp4").read_bytes() == b"clip"
    with pytest.raises(PackageMissing, match="clips has no file package/other"):
        fetch((Clip("other", package, "package/other.mp4", "0" * 64, "nothing"),))


def test_the_page_names_the_clips_that_are_measured() -> None:
    assert clips.clips_table() in clips.PAGE.read_text()


def bounded(results: list[ClipResult], share: float = 0.0) -> None:
    """Every planted fault was found in time, and what is not there in at most a share of the observations."""
    for result in results:
        late = [
            (result.name, fault.kind, fault.found_s)
            for fault in result.faults
            if fault.found_s is None or fault.found_s > CONFIRMED_S.get(fault.kind, WITHIN_S)
        ]
        assert late == []
        wrong = {kind: number for kind, number in result.false.items() if number > share * result.observations}
        assert wrong == {}, result.name


def fetched(wanted: tuple[Clip, ...]) -> None:
    """Fetch clips; skip the test where registries or their clients are out of reach."""
    try:
        fetch(wanted)
    except PackageMissing as lack:
        lacking("REGISTRIES", "the probe on real clips", f"they cannot be fetched: {lack}")


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_planted_faults_are_found_within_two_seconds_and_no_others() -> None:
    named = tuple(clip for clip in CLIPS if clip.name in {"carphone", "cap13", "bikes"})
    fetched((*named, *SPEECH, *(clip for clip in CLIPS if clip.face)))
    detectors = Detectors.load()
    results = [clips_measure.measure_clip(clip, detectors, FaceModels()) for clip in named]
    bounded([*results, clips_measure.measure_sound(detectors), clips_measure.measure_heads(60, detectors)])


NUMBER = re.compile(r"\d+\.?\d*")
TOLERANCE = 2.5
"""Seconds, or points of per cent, by which another processor or version of FFmpeg may differ."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tables_of_the_page_are_what_is_measured() -> None:
    fetched((*CLIPS, *SPEECH))
    results = clips_measure.measure(CLIPS, clips.HEADS_S)
    bounded(results, share=0.02)
    bounded(results[-1:])
    page = clips.PAGE.read_text().split(clips.BEGIN)[1].split(clips.END)[0].strip()
    written = clips.report(results)
    assert NUMBER.sub("n", written) == NUMBER.sub("n", page)
    for line, other in zip(written.splitlines(), page.splitlines(), strict=True):
        numbers = zip(map(float, NUMBER.findall(line)), map(float, NUMBER.findall(other)), strict=True)
        assert all(abs(one - two) <= TOLERANCE for one, two in numbers), (line, other)
