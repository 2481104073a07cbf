"""How often one client may ask, by address or by host: so many requests in a period, counted in memory."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from vigil.app.console.ingest.bounded import Bounded

MAX_KEYS = 100_000
"""Clients that are counted at a time; of more, the one that was counted longest ago begins again."""


class _Period(NamedTuple):
    begun_at: float
    requests: int


class RequestRates:
    """Admits `most` requests of each key in a period."""

    def __init__(self, most: int, period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._most = most
        self._period_s = period_s
        self._clock = clock
        self._periods: Bounded[str, _Period] = Bounded(MAX_KEYS)

    def admit(self, key: str) -> int:
        """Count a request and return 0, or return in how many seconds the key may ask again."""
        now = self._clock()
        period = self._periods.get(key)
        if period is None or now - period.begun_at >= self._period_s:
            period = _Period(now, 0)
        if period.requests >= self._most:
            return max(math.ceil(period.begun_at + self._period_s - now), 1)
        self._periods.put(key, period._replace(requests=period.requests + 1))
        return 0
