"""One timer for each key, the earliest first."""

from heapq import heappop, heappush
from typing import Generic, TypeVar

from vigil.app.engine.watermark import MAX_TIME

K = TypeVar("K", str, int)


class TimerHeap(Generic[K]):
    """Timers by key. A key has at most one; timers of one time fire in the order of their keys.

    The heap is cleaned lazily: scheduling a key again leaves its former entry in place, which is skipped once it comes
    to the top because it is not the key's time any more.
    """

    __slots__ = ("_heap", "earliest", "times")

    def __init__(self, times: dict[K, int] | None = None) -> None:
        """`times`: timers to begin with. The heap keeps this dictionary up to date and nobody else changes it."""
        self.times: dict[K, int] = {} if times is None else times
        """When each key's timer is due."""
        self._heap: list[tuple[int, K]] = sorted((time, key) for key, time in self.times.items())  # sorted is a heap
        self.earliest = self._heap[0][0] if self._heap else MAX_TIME
        """No timer is due before this time. Cheap to compare; `next_time` is exact."""

    def __len__(self) -> int:
        return len(self.times)

    def schedule(self, key: K, time: int) -> None:
        """Set the key's timer to `time`, in place of an earlier setting."""
        self.times[key] = time
        heappush(self._heap, (time, key))
        if time < self.earliest:
            self.earliest = time

    def cancel(self, key: K) -> None:
        """Remove the key's timer, if it has one."""
        self.times.pop(key, None)

    def next_time(self) -> int:
        """Return when the next timer is due, MAX_TIME if there is none."""
        heap, times = self._heap, self.times
        while heap and times.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        self.earliest = heap[0][0] if heap else MAX_TIME
        return self.earliest

    def pop_due(self, before: int) -> tuple[int, K] | None:
        """Remove the first timer with a time below `before`; return its time and key, None if there is none."""
        heap, times = self._heap, self.times
        due: tuple[int, K] | None = None
        while heap and heap[0][0] < before:
            entry = heappop(heap)
            if times.get(entry[1]) == entry[0]:
                del times[entry[1]]
                due = entry
                break
        self.earliest = heap[0][0] if heap else MAX_TIME
        return due
