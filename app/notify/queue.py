"""What one target is to receive, by when it is due. Pure; times are wall-clock times in ms."""

import heapq
from collections.abc import Collection
from typing import NamedTuple

from msgspec import Struct


class Queued(Struct):
    """The progress of what one alert has for a target."""

    due: int
    """The next try is not made before this."""
    seq: int
    attempts: int = 0
    """Failed tries."""
    first_at: int | None = None
    """When the first try was made."""
    in_flight: bool = False


class _Entry(NamedTuple):
    due: int
    seq: int
    key: str


class TargetQueue:
    """The keys of alerts with something to be sent to one target."""

    def __init__(self) -> None:
        self._works: dict[str, Queued] = {}
        self._heap: list[_Entry] = []
        self._seq = 0

    def __len__(self) -> int:
        return len(self._works)

    def __contains__(self, key: str) -> bool:
        return key in self._works

    def keys(self) -> Collection[str]:
        """Return the keys of its alerts."""
        return self._works.keys()

    def in_flight(self, key: str) -> bool:
        """Return whether something of this alert is being sent now."""
        work = self._works.get(key)
        return work is not None and work.in_flight

    def push(self, key: str, due: int) -> None:
        """Let an alert be looked at from `due` on; one that failed keeps its wait."""
        work = self._works.get(key)
        if work is None:
            self._seq += 1
            work = self._works[key] = Queued(due, self._seq)
        elif work.in_flight or work.due == due or (work.attempts and work.due > due):
            return
        work.due = due
        heapq.heappush(self._heap, _Entry(due, work.seq, key))

    def next_at(self) -> int | None:
        """Return when the first one is due that is not in flight; None where there is none."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    def take(self, now: int) -> tuple[str, Queued] | None:
        """Take the one that is due first: it is in flight now. None where none is due."""
        at = self.next_at()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap).key
        work = self._works[key]
        work.in_flight = True
        if work.first_at is None:
            work.first_at = now
        return key, work

    def put_back(self, key: str, due: int | None = None) -> None:
        """Let one that was in flight wait again, until another time if that is given."""
        work = self._works.get(key)
        if work is not None:
            work.in_flight, work.due = False, work.due if due is None else due
            heapq.heappush(self._heap, _Entry(work.due, work.seq, key))

    def drop(self, key: str) -> None:
        """Take an alert out: nothing of it is to be sent."""
        self._works.pop(key, None)

    def waiting_since(self) -> int | None:
        """Return since when the oldest one is due; of one that was tried, its first try."""
        times = (work.due if work.first_at is None else work.first_at for work in self._works.values())
        return min(times, default=None)

    def _is_current(self, entry: _Entry) -> bool:
        work = self._works.get(entry.key)
        return work is not None and not work.in_flight and (work.due, work.seq) == (entry.due, entry.seq)
