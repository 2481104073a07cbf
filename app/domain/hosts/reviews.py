"""Human reviews: which review of a verdict counts, and reviews that wait for a verdict that has not arrived yet."""

from typing import Literal

from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.topics.reviews import Review

Decision = Literal["upheld", "overturned"]


class ReceivedReview(Struct, frozen=True):
    """A review together with its message, so that it can be sent to `dead-letter` in its original bytes."""

    review: Review
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None

    @property
    def at(self) -> int:
        return self.review.at


class LatestReview(Struct, frozen=True, array_like=True):
    """The review of a verdict that counts: the latest by (`at`, offset). Stored by position."""

    at: int
    offset: int
    decision: Decision


class PendingReview(Struct, frozen=True, array_like=True):
    """A review whose verdict is not known yet. Stored by position."""

    deadline: int
    """When it is rejected."""
    received: ReceivedReview
    version: int = 1


def latest_review(known: LatestReview | None, received: ReceivedReview) -> LatestReview:
    """The review that counts after another one was received. If offsets are not known, the last to arrive counts."""
    review = received.review
    offset = -1 if received.offset is None else received.offset
    if known is not None and (review.at, offset) < (known.at, known.offset):
        return known
    return LatestReview(at=review.at, offset=offset, decision=review.decision)


def reject(received: ReceivedReview, watermark: int, collector: OutputCollector) -> None:
    """Send a review whose verdict did not arrive to `dead-letter`."""
    review = received.review
    rejected = RejectedRecord("review", received.partition, received.offset, received.key, received.value)
    detail = f"no verdict {review.verdict_id!r} of the host {review.host_id!r} is known"
    collector.emit_dead_letter(rejected, "unknown-verdict", detail, watermark)
