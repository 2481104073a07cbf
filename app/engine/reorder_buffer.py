"""Events that wait until the watermark is above them.

Sources are read in batches, so events arrive in an order that means nothing. The buffer puts them into the one order
in which a shard applies events: (event time, source index, offset). It sorts when events are taken out: most of them
arrive nearly in order, which makes that cheap, and an append is the least that an event can cost.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar

from vigil.app.engine.subject import Event
from vigil.app.engine.watermark import MAX_TIME, SourcePosition

E = TypeVar("E", bound=Event)

PendingEvent: TypeAlias = tuple[int, int, int, str, E, int, str | None]
"""(event time, source index, offset, key, event, the source's largest event time before it, dedup key).

A plain tuple: sorting a list of tuples is several times faster than sorting a list of anything else, and no two of them
share source index and offset, so that the comparison never reaches the key.
"""


class ReorderBuffer(Generic[E]):
    """The events of a shard that are not below its watermark yet."""

    __slots__ = ("_events", "add", "waiting")

    def __init__(self) -> None:
        self._events: list[PendingEvent[E]] = []
        self.add: Final = self._events.append
        """Put an event in."""
        self.waiting: Final[dict[str, int]] = {}
        """By dedup key: the largest event time with which it is in the buffer. Kept by whoever adds and takes out."""

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[PendingEvent[E]]:
        return iter(self._events)

    def take_before(self, watermark: int) -> list[PendingEvent[E]]:
        """Remove the events with a time below `watermark` and return them in the order in which they are applied."""
        events = self._events
        if not events:
            return []
        events.sort()
        end = bisect_left(events, (watermark,))
        due = events[:end]
        del events[:end]
        return due

    def first_mover(self, number: int) -> int:
        """Return the time of the first event that moved its source's clock, of those added since there were `number`.

        MAX_TIME if none did. Only right before events are taken out.
        """
        for at, _, _, _, _, max_event_time_before, _ in islice(self._events, number, None):
            if at > max_event_time_before:
                return at
        return MAX_TIME

    def positions(self, sources: Sequence[SourcePosition]) -> list[tuple[int, int]]:
        """Return for each source the offset from which a restart must read, and the largest event time below it.

        Invariant: no event in the buffer has an offset below the one returned for its source (I-9).
        """
        lowest = [(source.read_offset, source.max_event_time) for source in sources]
        for _, source_index, offset, _, _, max_event_time_before, _ in self._events:
            if offset < lowest[source_index][0]:
                lowest[source_index] = (offset, max_event_time_before)
        return lowest
