"""What the probe concludes from one picture and the sound up to it."""

from dataclasses import dataclass
from typing import Final

LIVE: Final = "live"
DISCONNECTED: Final = "disconnected"
SLEEPING: Final = "sleeping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What could be measured at one time; what could not be measured is None, never a guess."""

    at_ms: int
    """Event time of the picture, in ms since the Unix epoch."""
    stream: str | None = None
    """`live` or `disconnected`, as the contract names them."""
    face: bool | None = None
    """A living face with its key parts (eyes or mouth) is visible. A face that does not move is a picture of one."""
    black: bool | None = None
    """The picture is black."""
    camera_share: float | None = None
    """The camera picture's share of the canvas, 0 to 1; None where its border cannot be made out, or it has no face."""
    uncovered_share: float | None = None
    """The share of the canvas that shows black because nothing covers it, 0 to 1."""
    activity: str | None = None
    """`sleeping` while the eyes stay closed and nobody talks; nothing else that a host does can be measured."""
    frozen: bool | None = None
    """The picture does not change."""
    silent: bool | None = None
    """The sound is below what a room makes; None without sound."""
    speech: bool | None = None
    """Somebody speaks; None without sound."""
    luma_mean: float | None = None
    """Mean brightness, 0 (black) to 255 (white)."""
    face_score: float | None = None
    """The face detector's score of the likeliest face, 0 to 1."""
