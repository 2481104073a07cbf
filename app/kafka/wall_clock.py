"""The wall clock, for the rims that may look at it. (The agents, which import nothing of app, have their own.)"""

import time


def wall_ms() -> int:
    """Now, ms since the epoch."""
    return time.time_ns() // 1_000_000
