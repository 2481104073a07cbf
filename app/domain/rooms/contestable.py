"""Published verdicts that a reception may still speak against: one made in time that comes too late to be judged.

State: a verdict until its violation is `contested_s` ago.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks

Span = tuple[int, int]
"""The first and the last time at which a reception would have prevented a verdict."""


class ContestableVerdict(NamedTuple):
    """What is remembered of a published verdict."""

    verdict_id: str
    rule: str
    at: int
    """When the violation occurred."""
    spans: tuple[Span, ...]


class ContestableVerdicts:
    """The verdicts of one room, in the order in which they were published."""

    __slots__ = ("_keep_ms", "_queue")

    def __init__(self, snapshot: QueueSnapshot, chunks: StateChunks, keep_ms: int) -> None:
        """`keep_ms`: the longest time for which any version of the limits lets a verdict be contested."""
        self._keep_ms = keep_ms
        self._queue: ChunkedQueue[tuple[Any, ...]] = ChunkedQueue(b"v", 1, snapshot, chunks)

    def add(self, verdict: ContestableVerdict) -> None:
        """A verdict was published."""
        if not self._keep_ms:
            return
        items = self._queue.items
        old = 0
        while old < len(items) and items[old][2] <= verdict.at - self._keep_ms:
            old += 1
        if old:
            self._queue.drop(old)
        self._queue.append(verdict)

    def covering(self, made: Span, since: int) -> Iterator[ContestableVerdict]:
        """The verdicts of violations after `since` that a reception made within a span may have prevented."""
        earliest, latest = made
        for verdict_id, rule, violated_at, spans in self._queue.items:
            if violated_at > since and any(first <= latest and earliest <= last for first, last in spans):
                yield ContestableVerdict(verdict_id, rule, violated_at, spans)

    def dump(self, into: ChangedChunks) -> None:
        """Put the records that changed since the last call into `into`."""
        self._queue.dump(into)

    def chunk_names(self) -> list[bytes]:
        """The names of all records that are stored or about to be."""
        return self._queue.chunk_names()
