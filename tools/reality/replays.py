"""Runs `vigil replay` on a recording, under the published rulebook or one with another limit."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.reality.scenario import Variant

ROOT: Final = Path(__file__).parents[2]
RULEBOOK: Final = ROOT / "app" / "domain" / "rulebook" / "rulebook.toml"
TIMEOUT_S: Final = 1800

_WITHIN: Final = re.compile(r"(?m)(^\[greeting-miss\.from\.[^]]*\]\n(?:[^\[].*\n)*?within_s = )\d+$")


class ReplayFailed(Exception):
    """`vigil replay` ended with an error; the text is its last words."""


def replayed(events: Path, folder: Path, variant: Variant) -> None:
    """Replay a recording and write the outputs into a folder; raise ReplayFailed."""
    command = [sys.executable, "-m", "vigil", "replay", str(events), "--out", str(folder)]
    if variant.within_s != Variant().within_s:
        command += ["--rulebook", str(rulebook_within(folder.with_suffix(".toml"), variant.within_s))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise ReplayFailed(f"{' '.join(command)}: {done.stderr[-2000:]}")


def rulebook_within(file: Path, within_s: int) -> Path:
    """Write the published rulebook with another limit of the greeting."""
    text, changed = _WITHIN.subn(rf"\g<1>{within_s}", RULEBOOK.read_text())
    if not changed:
        raise ReplayFailed(f"{RULEBOOK} has no within_s below [greeting-miss.from.…]")
    file.write_text(text)
    return file
