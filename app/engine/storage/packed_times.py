"""A packed map of times, which fit in four bytes less the time of the first one."""

from collections.abc import Mapping
from typing import Final

from vigil.app.engine.storage.packed_map import PackedMap

SPARE: Final = 64
"""Expired entries, besides a quarter of the others, that are kept until they are dropped together."""


class PackedTimes:
    """The last time of each key."""

    __slots__ = ("_base", "_full", "_times")

    def __init__(self, latest: Mapping[int, int]) -> None:
        self._base = min(latest.values(), default=-1)
        """All times are kept less this: that lasts for 49 days, until values become wider; -1 before the first one."""
        self._times = PackedMap("I", {key: at - self._base for key, at in latest.items()})
        self._full = len(latest) + SPARE

    def get(self, key: int) -> int | None:
        """Return the time of a key, None if it has none."""
        time = self._times.get(key)
        return None if time is None else self._base + time

    def put(self, key: int, at: int) -> int | None:
        """Set the time of a key, which is not before any other; return the former one, None if it had none."""
        if self._base < 0:
            self._base = at
        before = self._times.put(key, at - self._base)
        return None if before is None else self._base + before

    def expire(self, until: int) -> None:
        """Drop what is not after `until`, if that may be much. Call it often."""
        if len(self._times) <= self._full:
            return
        age = until - self._base
        if age > 0:
            self._times = self._times.above(age)
            self._base = until
        self._full = len(self._times) * 5 // 4 + SPARE
