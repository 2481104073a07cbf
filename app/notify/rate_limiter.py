"""Limits how many requests a target gets a minute."""

MIN_BURST_MS = 6_000.0
"""A tenth of a minute's requests may go at once: a warning and its violation should not wait for each other. With a
larger burst, a minute could have nearly twice as many requests as the operator allows."""


class RateLimiter:
    """A token bucket that holds a tenth of a minute's requests, and at least one."""

    def __init__(self, per_minute: float, now: int) -> None:
        self._interval_ms = 60_000 / per_minute
        self._burst_ms = max(MIN_BURST_MS, self._interval_ms)
        self._full_at = float(now)
        """When the bucket is full again."""

    def ready_at(self, now: int) -> int:
        """Return when the next request may go; `now` where it may go at once."""
        return max(now, round(self._full_at + self._interval_ms - self._burst_ms))

    def take(self, now: int) -> None:
        """Count a request that goes at `now`."""
        self._full_at = max(self._full_at, float(now)) + self._interval_ms
