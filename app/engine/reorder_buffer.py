"""Events that wait until the watermark is above them.

Sources are read in batches, so events arrive in an order that means nothing. The buffer puts them into the one order
in which a shard applies events: (event time, source index, offset). It sorts when events are taken out: most of them
arrive nearly in order, which makes that cheap, and an append is the least that an event can cost.

added, in order of arrival ──▶ runs, each sorted ──what is below the watermark──▶ sorted together, applied
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, Generic, TypeAlias, TypeVar

from vigil.app.engine.subject import Event
from vigil.app.engine.watermark import MAX_TIME, SourcePosition

E = TypeVar("E", bound=Event)

MERGED: Final = 4
"""A run is sorted together with the one before it unless that is longer than so many times its length."""

PendingEvent: TypeAlias = tuple[int, int, int, str, E, int, str | None]
"""(event time, source index, offset, key, event, the source's largest event time before it, dedup key).

A plain tuple: sorting a list of tuples is several times faster than sorting a list of anything else, and no two of them
share source index and offset, so that the comparison never reaches the key.
"""


class ReorderBuffer(Generic[E]):
    """The events of a shard that are not below its watermark yet.

    They are kept in *runs*, each sorted and longer than the next one: a source that is far ahead of the others has
    thousands of events here, which are not sorted again with the few that come.
    """

    __slots__ = ("_added", "_runs", "add", "waiting")

    def __init__(self) -> None:
        self._added: list[PendingEvent[E]] = []
        """Those that came since events were last taken out, in order of arrival."""
        self._runs: list[list[PendingEvent[E]]] = []
        """The others. Each run is sorted and not empty."""
        self.add: Final = self._added.append
        """Put an event in."""
        self.waiting: Final[dict[str, int]] = {}
        """By dedup key: the largest event time with which it is in the buffer. Kept by whoever adds and takes out."""

    def __len__(self) -> int:
        return sum(map(len, self._runs), len(self._added))

    def __iter__(self) -> Iterator[PendingEvent[E]]:
        return chain(*self._runs, self._added)

    def take_before(self, watermark: int) -> Iterable[PendingEvent[E]]:
        """Remove the events with a time below `watermark` and return them in the order in which they are applied."""
        self._end_run()
        due: list[PendingEvent[E]] = []
        emptied = False
        for run in self._runs:
            if run[0][0] < watermark:
                end = bisect_left(run, (watermark,))
                due += run[:end]
                del run[:end]
                emptied = emptied or not run
        if emptied:
            self._runs = [run for run in self._runs if run]
        due.sort()
        return due

    def _end_run(self) -> None:
        """Make a run of what was added, together with the runs before it that are not much longer: so they stay few."""
        if not self._added:
            return
        run, runs = sorted(self._added), self._runs
        self._added.clear()
        while runs and len(runs[-1]) <= MERGED * len(run):
            run = sorted(runs.pop() + run)
        runs.append(run)

    def first_mover(self, number: int) -> int:
        """Return the time of the first event that moved its source's clock, of those added since there were `number`.

        MAX_TIME if none did. Only right before events are taken out.
        """
        in_runs = sum(map(len, self._runs))
        for at, _, _, _, _, max_event_time_before, _ in islice(self._added, number - in_runs, None):
            if at > max_event_time_before:
                return at
        return MAX_TIME

    def positions(self, sources: Sequence[SourcePosition]) -> list[tuple[int, int]]:
        """Return for each source the offset from which a restart must read, and the largest event time below it.

        Invariant: no event in the buffer has an offset below the one returned for its source (I-9).
        """
        lowest = [(source.read_offset, source.max_event_time) for source in sources]
        for _, source_index, offset, _, _, max_event_time_before, _ in self:
            if offset < lowest[source_index][0]:
                lowest[source_index] = (offset, max_event_time_before)
        return lowest
