"""Counts by how much events come behind their source's clock: what the allowed lateness of its topic must cover.

    behind the clock by more than IN_ORDER_MS    noted one by one, in the bucket of its delay
    all others                                   only their number is known, from the size of the batches

Counts never influence a judgement. An event in order costs nothing here. To which kind the events in order of a batch
belong is taken from its last event, so of comments the share of each `via` among them is an estimate.
"""

from bisect import bisect_left
from typing import Final

BOUNDS_MS: Final = (
    100, 250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 6000, 7000, 8000, 10_000, 15_000, 20_000,
    30_000, 45_000, 60_000,
)  # fmt: skip
"""Upper bounds of the buckets, ms; one more is for what is above all of them."""

IN_ORDER_MS: Final = BOUNDS_MS[0]
"""An event that is not further behind counts as one in order: messages of several producers are mixed by as much."""

LatenessKey = tuple[str, str]
"""A topic by its name in the catalogue, and the kind of an event within it (`StateMachine.kind_of`)."""


class LatenessCounts:
    """The events of one shard since somebody took the counts."""

    __slots__ = ("_noted", "by_bucket", "total_ms")

    def __init__(self) -> None:
        self.by_bucket: dict[LatenessKey, list[int]] = {}
        """The number of events in each bucket."""
        self.total_ms: dict[LatenessKey, int] = {}
        """The sum of the delays of those that were noted."""
        self._noted = 0

    def note(self, key: LatenessKey, behind: int) -> None:
        """Count one event that is `behind` (ms) its source's clock."""
        self._buckets(key)[bisect_left(BOUNDS_MS, behind)] += 1
        self.total_ms[key] += behind
        self._noted += 1

    def arrived(self, key: LatenessKey, number: int) -> None:
        """Count a batch of `number` events, after those that were noted in it: the others were in order.

        `key`: of its last event.
        """
        self._buckets(key)[0] += number - self._noted
        self._noted = 0

    def clear(self) -> None:
        """Begin again."""
        self.by_bucket.clear()
        self.total_ms.clear()

    def _buckets(self, key: LatenessKey) -> list[int]:
        buckets = self.by_bucket.get(key)
        if buckets is None:
            buckets = self.by_bucket[key] = [0] * (len(BOUNDS_MS) + 1)
            self.total_ms[key] = 0
        return buckets
