"""A share that was observed, and between which bounds it lies with 95 % confidence. Pure."""

import math
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
"""With less, one overturn of three would raise alerts; with more, a rule is known to be bad only after weeks."""

_Z: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class EstimatedShare(NamedTuple):
    """A share and its Wilson interval, each 0-1."""

    share: float
    low: float
    high: float


def share_of(part: int, whole: int) -> EstimatedShare | None:
    """The share of `part` in `whole`, with its Wilson interval; None if `whole` is 0.

    Wilson's interval stays within 0-1 and says something of small numbers, too: of 3 of 3 at least 44 % are certain.
    """
    if not whole:
        return None
    share, square = part / whole, _Z * _Z
    centre = share + square / (2 * whole)
    spread = _Z * math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    scale = 1 + square / whole
    # Rounding may put a bound past the share itself, where that is 0 or 1.
    return EstimatedShare(
        share, min(max((centre - spread) / scale, 0.0), share), max(min((centre + spread) / scale, 1.0), share)
    )
