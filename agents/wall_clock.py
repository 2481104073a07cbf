"""The wall clock of the agents. (app.kafka has its own: the agents import the engine and the topics only.)"""

import time


def wall_ms() -> int:
    """Now, ms since the epoch."""
    return time.time_ns() // 1_000_000
