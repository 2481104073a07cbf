"""Receptions that came too late to be judged, and the published verdicts that they may speak against.

    a late reception ──▶ contests the verdicts that are published, and waits for those that are not yet
    a verdict ──▶ is contested at once by a late reception that waits, and by those that come for `contested_s`

State: a verdict until its violation is `contested_s` ago; a late reception while a verdict may still rest on its time.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.subject import ChangedChunks, StateChunks

Span = tuple[int, int]
"""The first and the last time at which a reception would have prevented a verdict."""


LateReception = tuple[int, int]
"""When a late reception was made, and the hash of its `comment_id`."""

MOST_LATE: Final = 64
"""Of more late receptions the earliest are forgotten, so that the state of a room is bounded."""

_LATE: Final = b"u"
"""The name of the record of late receptions, which exists only where there are any."""

_decode_late: Final = msgspec.msgpack.Decoder(tuple[LateReception, ...]).decode
_encode_late: Final = msgspec.msgpack.Encoder().encode


class ContestableVerdict(NamedTuple):
    """What is remembered of a published verdict."""

    verdict_id: str
    rule: str
    at: int
    """When the violation occurred."""
    spans: tuple[Span, ...]


class ContestableVerdicts:
    """The verdicts of one room, in the order in which they were published, and its late receptions."""

    __slots__ = ("_keep_ms", "_queue", "_stored_late", "late")

    def __init__(self, snapshot: QueueSnapshot, chunks: StateChunks, keep_ms: int) -> None:
        """`keep_ms`: the longest time for which any version of the limits lets a verdict be contested."""
        self._keep_ms = keep_ms
        self._queue: ChunkedQueue[tuple[Any, ...]] = ChunkedQueue(b"v", 1, snapshot, chunks)
        self.late: tuple[LateReception, ...] = _decode_late(chunks[_LATE]) if _LATE in chunks else ()
        """The late receptions that a verdict may still come for, the earliest first."""
        self._stored_late = self.late

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

    def note_late(self, at: int, comment: int) -> None:
        """A reception made at `at`, of a comment with this hash, came too late to be judged."""
        self.late = tuple(sorted({*self.late, (at, comment)})[-MOST_LATE:])

    def forget_late(self, before: int, judged: int | None = None) -> None:
        """No verdict to come rests on a time before `before`, or the comment with the hash `judged` is judged."""
        kept = tuple(one for one in self.late if one[0] >= before and one[1] != judged)
        if len(kept) < len(self.late):
            self.late = kept

    def late_within(self, spans: Iterable[Span]) -> int | None:
        """When the earliest late reception within one of these spans was made, None without one."""
        return next((at for at, _ in self.late if any(first <= at <= last for first, last in spans)), None)

    def dump(self, into: ChangedChunks) -> None:
        """Put the records that changed since the last call into `into`."""
        self._queue.dump(into)
        if self.late is not self._stored_late:
            into[_LATE] = _encode_late(self.late) if self.late else None
            self._stored_late = self.late

    def chunk_names(self) -> list[bytes]:
        """The names of all records that are stored or about to be."""
        return [*self._queue.chunk_names(), *([_LATE] if self._stored_late else [])]
