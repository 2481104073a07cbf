"""How long a new owner of a shard waits, live, before it goes on without a source that the watermark does not wait for.

Such a source brings what other shards have found in their partitions and what takes back judgements of this one. What
lies in all partitions when workers begin is found by all of them at about the same time: a new owner judges nothing
until the source was read to its end and has been silent for a while. Other shards write it in no order of event time,
so that its own clock says nothing. Afterwards it costs no latency: what it brings late is applied late.
"""

from typing import Final

from vigil.agents.source_tracker import SourceTracker

QUIET_MS: Final = 500
"""So long must the source be silent. Measured with two workers that begin at once, each with shards that write to the
other's: the last of it comes 0.2 s after the first."""

MAX_HOLD_MS: Final = 3000
"""Silent or not, a new owner waits no longer: records in wrong partitions may come all the time."""

CATCHING_UP: Final = 1000
"""With more records not yet read the shard works off a backlog, and so do those that write the source: its silence does
not count yet."""


class AcquisitionHold:
    """The wait of one shard."""

    __slots__ = ("_began", "_busy_at", "_source")

    def __init__(self, source: SourceTracker, now: int) -> None:
        """`source`: the one that is waited for; `now`: the worker's clock, ms."""
        self._source = source
        self._began = self._busy_at = now

    def is_over(self, backlog: int, full: bool) -> bool:
        """Return True if the shard may go on.

        `backlog`: its records that were not read yet; `full`: its reorder buffer holds as many events as it may.
        """
        source = self._source
        if backlog > CATCHING_UP:
            self._busy_at = source.answered_at
        silent_ms = source.read_to_end_at - max(source.silent_since, self._busy_at)
        return full or silent_ms >= QUIET_MS or source.answered_at - self._began >= MAX_HOLD_MS
