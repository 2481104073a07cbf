"""How often a worker looks at its shards."""

from typing import Final

TICK_S: Final = 0.01
"""How often watermarks and due checkpoints are looked at. It delays a judgement by as much at most."""

MAX_TICK_S: Final = 0.05
"""The same where there are many shards."""

SHARDS_PER_TICK: Final = 200
"""Scanning this many shards takes about 1 ms. With more of them ticks are longer, so that idle shards do not take a
core."""


def tick_s(shards: int) -> float:
    """Seconds between two ticks of a worker with so many shards."""
    return min(TICK_S * max(1.0, shards / SHARDS_PER_TICK), MAX_TICK_S)
