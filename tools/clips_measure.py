"""Compares what the probe sees in clips with what was planted into them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Final

import cv2
import numpy as np

from tools import clips_plant as planted
from tools.clips_catalogue import CLIPS, FOLDER, SPEECH, Clip
from tools.clips_observe import Picture, Samples, observe, pictures, sound
from tools.clips_plant import RATE, SOUND_RATE, PlantedFault, Planter
from vigil.app.probe.detector import Detectors
from vigil.app.probe.faces import FaceModels
from vigil.app.probe.observation import DISCONNECTED, SLEEPING, Observation

Shows = Callable[[Observation], bool]

SIGNS: Final[dict[str, Shows]] = {
    "black": lambda seen: seen.black is True,
    "frozen": lambda seen: seen.frozen is True,
    "board": lambda seen: seen.face is False,
    "face covered": lambda seen: seen.face is False,
    "mouth covered": lambda seen: seen.face is True,
    "eyes covered": lambda seen: seen.face is True,
    "poster": lambda seen: seen.face is False,
    "photograph": lambda seen: seen.face is False,
    "letterbox": lambda seen: (seen.uncovered_share or 0) > 0.02,
    "disconnected": lambda seen: seen.stream == DISCONNECTED,
    "window": lambda seen: seen.camera_share is not None and seen.camera_share <= 1 / 3,
    "silence": lambda seen: seen.silent is True,
    "sleeping": lambda seen: seen.activity == SLEEPING,
}
"""What an observation says if the probe sees the fault, by its kind."""

FACES: Final = ("board", "face covered", "mouth covered", "eyes covered", "poster", "photograph")
"""Kinds that are checked by the presence of a face. With covered eyes or mouth a face must still be detected."""

CONFIRMED_S: Final[dict[str, float]] = {"window": 10.0, "sleeping": 62.0}
"""Maximum seconds until a fault is detected, where that is more than WITHIN_S: its detector observes for longer."""

WITHIN_S: Final = 2.0
"""Maximum seconds until a fault is detected, and until its end is."""

LASTS_S: Final = 8
CLIP_S: Final = 20
"""Seconds of a clip that a scenario repeats."""


@dataclass
class FaultResult:
    """How one planted fault was seen."""

    kind: str
    found_s: float | None
    """Seconds from its beginning to the first observation that shows it; None: never."""
    missed: int
    """Observations that should show it and do not."""
    of: int


@dataclass
class ClipResult:
    """How one clip was seen."""

    name: str
    observations: int
    """Those of the untouched clip."""
    false: dict[str, int] = field(default_factory=dict)
    """How many of these show a fault that is not there, by kind; `face` is a face seen where there is none."""
    faults: list[FaultResult] = field(default_factory=list)


def compare(name: str, seen: list[Observation], faults: list[PlantedFault], wrong: dict[str, Shows]) -> ClipResult:
    """Return how a scenario was seen.

    `wrong`: what must not be seen where nothing is planted. A fault has as long to end as it has to be found.
    """
    result = ClipResult(name, 0, dict.fromkeys(wrong, 0))
    for fault in faults:
        sign, within_s = SIGNS[fault.kind], CONFIRMED_S.get(fault.kind, WITHIN_S)
        during = [one for one in seen if fault.since_s * 1000 <= one.at_ms < fault.until_s * 1000]
        found = next((one.at_ms / 1000 - fault.since_s for one in during if sign(one)), None)
        due = [one for one in during if one.at_ms >= (fault.since_s + within_s) * 1000]
        result.faults.append(FaultResult(fault.kind, found, sum(not sign(one) for one in due), len(due)))
    for one in seen:
        at_s = one.at_ms / 1000
        if any(fault.since_s <= at_s <= fault.until_s + CONFIRMED_S.get(fault.kind, WITHIN_S) for fault in faults):
            continue
        result.observations += 1
        for kind, sign in wrong.items():
            result.false[kind] += sign(one)
    return result


def _wrong(clip: Clip) -> dict[str, Shows]:
    """Return what must not be seen in an untouched clip."""
    wrong = {kind: sign for kind, sign in SIGNS.items() if kind not in (*FACES, "silence")}
    if clip.face:
        wrong["no face"] = SIGNS["poster"]
    elif not clip.drawn_faces:
        wrong["face"] = lambda seen: seen.face is True
    return wrong


def _planters(clip: Clip, scene: list[Picture], find: planted.FindFaces) -> list[tuple[str, int, Planter]]:
    """Return the faults that are planted into a clip."""
    faults: list[tuple[str, int, Planter]] = [("black", LASTS_S, planted.black), ("frozen", LASTS_S, planted.Freeze())]
    if clip.face:
        faults += [
            ("board", LASTS_S, planted.FaceBoard(clip.face)),
            ("face covered", LASTS_S, planted.FacePart(find, planted.whole_face)),
            ("mouth covered", LASTS_S, planted.FacePart(find, planted.mouth)),
            ("eyes covered", LASTS_S, planted.FacePart(find, planted.eyes)),
            ("poster", LASTS_S, planted.Poster(clip.face, cycle(scene))),
            ("photograph", LASTS_S, planted.Photograph()),
        ]
    faults += [("letterbox", LASTS_S, planted.letterbox), ("disconnected", LASTS_S, planted.black)]
    return [*faults, ("window", 3 * LASTS_S, planted.window)] if clip.face else faults


def measure_clip(clip: Clip, detectors: Detectors, finder: FaceModels) -> ClipResult:
    """Plant every fault into a clip, and return how it was seen. `finder`: places what covers a part of the face."""
    scene = list(pictures(next(one for one in CLIPS if one.name == "bikes").file, RATE))
    taken = list(pictures(clip.file, RATE, clip.skip_s, CLIP_S))
    run, faults = planted.plant(taken, _planters(clip, scene, finder.find))
    file = FOLDER / f"planted-{clip.name}.mp4"
    planted.encode(file, run)
    return compare(clip.name, observe(file, detectors.room()), faults, _wrong(clip))


def speech() -> Samples:
    """Return the speech of all recordings, one after the other."""
    return np.concatenate([sound(clip.file) for clip in SPEECH])


def measure_sound(detectors: Detectors) -> ClipResult:
    """Return how speech is heard, and silence that is planted into it."""
    said, head = speech(), next(clip for clip in CLIPS if clip.face)
    lead, lasts = round(planted.LEAD_S * SOUND_RATE), LASTS_S * SOUND_RATE
    parts: list[Samples] = []
    faults: list[PlantedFault] = []
    for begins in range(0, len(said) - lead, lead):
        since_s = (len(faults) * (lead + lasts) + lead) / SOUND_RATE
        parts += [said[begins : begins + lead], np.zeros(lasts, np.float32)]
        faults.append(PlantedFault("silence", since_s, since_s + LASTS_S))
    samples = np.concatenate(parts)
    shown = islice(cycle(pictures(head.file, RATE, 0, CLIP_S)), len(samples) // (SOUND_RATE // RATE))
    file = FOLDER / "planted-speech.mp4"
    planted.encode(file, shown, samples)
    wrong: dict[str, Shows] = {"silence": SIGNS["silence"], "no speech": lambda seen: seen.speech is False}
    return compare("speech", observe(file, detectors.room())[2:], faults, wrong)


ASLEEP_S: Final = 101.08
"""When the eyes of the man of `franck` are closed, in seconds of the clip."""


def measure_sleep(detectors: Detectors) -> ClipResult:
    """Return how a host is seen whose eyes stay closed, while he breathes."""
    clip = next(one for one in CLIPS if one.name == "franck")
    asleep = next(pictures(clip.file, RATE, ASLEEP_S, 1))

    def breathe(picture: Picture, number: int) -> Picture:
        shift = np.array([[1, 0, 0], [0, 1, 1.5 * np.sin(number / RATE * 2 * np.pi / 4)]], dtype=np.float32)
        size = (asleep.shape[1], asleep.shape[0])
        moved = cv2.warpAffine(asleep, shift, size, borderMode=cv2.BORDER_REPLICATE)
        return planted.noisy(np.asarray(moved, dtype=np.uint8), number)

    run, faults = planted.plant(list(pictures(clip.file, RATE, 0, CLIP_S)), [("sleeping", 90, breathe)])
    file = FOLDER / "planted-sleep.mp4"
    planted.encode(file, run)
    return compare("asleep", observe(file, detectors.room()), faults, _wrong(clip))


VARIED_S: Final = 20
SIZE: Final = (400, 300)


def _varied(seconds: int) -> Iterator[Picture]:
    """Yield talking heads: parts of the clips in turn, mirrored, cropped, brighter and darker."""
    heads = [clip for clip in CLIPS if clip.face]
    random = np.random.default_rng(15)
    for part in range(seconds // VARIED_S):
        clip = heads[part % len(heads)]
        taken = list(pictures(clip.file, RATE, VARIED_S * (part // len(heads)) % 20 if clip.name != "franck" else
                              VARIED_S * (part // len(heads)) % 180, VARIED_S))  # fmt: skip
        zoom, gain, mirrored = random.uniform(1.0, 1.15), random.uniform(0.6, 1.2), part % 2
        for picture in islice(cycle(taken), VARIED_S * RATE):
            height, width = picture.shape[:2]
            top, left = int(height * (1 - 1 / zoom) / 2), int(width * (1 - 1 / zoom) / 2)
            cropped = picture[top : height - top, left : width - left]
            shown = np.clip(cv2.resize(cropped, SIZE, interpolation=cv2.INTER_AREA) * gain, 0, 255).astype(np.uint8)
            yield np.ascontiguousarray(shown[:, ::-1]) if mirrored else shown


def measure_heads(seconds: int, detectors: Detectors) -> ClipResult:
    """Return what is wrongly seen in talking heads who speak."""
    said = np.resize(speech(), seconds * SOUND_RATE)
    file = FOLDER / f"heads-{seconds}.mp4"
    planted.encode(file, _varied(seconds), said)
    head = next(clip for clip in CLIPS if clip.face)
    wrong = _wrong(head) | {"silence": SIGNS["silence"]}
    return compare(f"{seconds // 60} min of talking heads", observe(file, detectors.room()), [], wrong)


def measure(clips: tuple[Clip, ...], seconds: int) -> list[ClipResult]:
    """Return how clips, speech, a sleeping host and some seconds of talking heads are seen."""
    detectors, finder = Detectors.load(), FaceModels()
    results = [measure_clip(clip, detectors, finder) for clip in clips]
    return [*results, measure_sound(detectors), measure_sleep(detectors), measure_heads(seconds, detectors)]
