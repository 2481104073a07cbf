"""The wall clock, for code outside engine and domain. (`agents/` imports nothing from here and has its own.)"""

import time


def wall_ms() -> int:
    """Return the current time in ms since the epoch."""
    return time.time_ns() // 1_000_000
