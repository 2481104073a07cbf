"""Reviews and results that wait for their verdict: it may be read after them, or not come at all."""

from collections.abc import Iterator

from vigil.app.domain.hosts.reviews import PendingResult, PendingReview, Received, ReceivedReview, reject_unknown
from vigil.app.domain.hosts.stored import (
    RESULT_CHUNK,
    REVIEW_CHUNK,
    HostMainChunk,
    decode_pending,
    decode_pending_result,
)
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import StateChunks
from vigil.app.engine.watermark import MAX_TIME


class PendingReviews:
    """What waits for the verdicts of one host."""

    def __init__(self, main: HostMainChunk, wait_ms: int | None, chunks: StateChunks) -> None:
        """`wait_ms`: how long each waits; None: until the end of the input."""
        self._main = main
        self._wait_ms = wait_ms
        found: dict[bytes, PendingReview | PendingResult] = {}
        for chunk_key, chunk in chunks.items():
            if chunk_key.startswith(REVIEW_CHUNK):
                found[chunk_key] = decode_pending(chunk)
            elif chunk_key.startswith(RESULT_CHUNK):
                found[chunk_key] = decode_pending_result(chunk)
        # In the order of their arrival: chunks have none.
        self.records = dict(sorted(found.items(), key=lambda item: int(item[0][1:])))
        """By the key of their chunk."""

    def add(self, received: Received, watermark: int) -> bytes:
        """Let a review or a result wait; return the key of its chunk."""
        # The watermark is behind the arrival by the allowed lateness, and so is every timer: the wait counts from the
        # watermark. If that is further behind (a backlog, or no event yet), from the review's own time at least.
        deadline = MAX_TIME if self._wait_ms is None else max(watermark + self._wait_ms, received.at)
        is_review = isinstance(received, ReceivedReview)
        chunk_key = b"%b%d" % (REVIEW_CHUNK if is_review else RESULT_CHUNK, self._main.arrivals)
        self._main.arrivals += 1
        if isinstance(received, ReceivedReview):
            self.records[chunk_key] = PendingReview(deadline, received)
        else:
            self.records[chunk_key] = PendingResult(deadline, received)
        return chunk_key

    def take(self, verdict_id: str) -> Iterator[tuple[bytes, Received]]:
        """Take what waited for a verdict, each with the key of its chunk."""
        for chunk_key, pending in list(self.records.items()):
            if pending.received.verdict_id == verdict_id:
                del self.records[chunk_key]
                yield chunk_key, pending.received

    def reject_due(self, at: int, collector: OutputCollector) -> Iterator[bytes]:
        """Send to `dead-letter` what has waited for too long; yield the keys of the chunks."""
        for chunk_key, pending in sorted(self.records.items(), key=lambda item: (item[1].deadline, int(item[0][1:]))):
            if pending.deadline <= at:
                reject_unknown(pending.received, pending.deadline, collector)
                del self.records[chunk_key]
                yield chunk_key

    def reject_all(self, until: int, collector: OutputCollector) -> Iterator[bytes]:
        """Send to `dead-letter` all that waits at the end of the input; yield the keys of the chunks."""
        for chunk_key, pending in list(self.records.items()):
            reject_unknown(pending.received, until, collector)
            del self.records[chunk_key]
            yield chunk_key
