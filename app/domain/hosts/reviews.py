"""Human reviews: which review of a verdict counts, and reviews that wait for a verdict that has not arrived yet."""

from typing import Literal

from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.topics.fields import Reason
from vigil.topics.reviews import Review, ReviewChoice

ReviewedAs = Literal["upheld", "overturned"]


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
    """A review of a verdict that decides something. Of several, the latest by (`at`, offset) counts.

    Stored by position.
    """

    at: int
    offset: int
    """-1 where it is not known."""
    decision: ReviewedAs
    by: str = ""
    """Empty where a former version stored it."""
    choice: ReviewChoice | None = None

    @property
    def order(self) -> tuple[int, int]:
        return self.at, self.offset


class PendingReview(Struct, frozen=True, array_like=True):
    """A review whose verdict is not known yet. Stored by position."""

    deadline: int
    """When it is rejected."""
    received: ReceivedReview
    version: int = 1


def as_decided(received: ReceivedReview) -> LatestReview | None:
    """What is kept of a review that was received; None of an appeal, which decides nothing."""
    review = received.review
    if review.decision == "appealed":
        return None
    offset = -1 if received.offset is None else received.offset
    return LatestReview(review.at, offset, review.decision, review.by, review.choice)


def reject(received: ReceivedReview, reason: Reason, detail: str, watermark: int, collector: OutputCollector) -> None:
    """Send a review to `dead-letter`."""
    rejected = RejectedRecord("review", received.partition, received.offset, received.key, received.value)
    collector.emit_dead_letter(rejected, reason, detail, watermark)


def reject_unknown(received: ReceivedReview, watermark: int, collector: OutputCollector) -> None:
    """Send a review whose verdict did not arrive to `dead-letter`."""
    review = received.review
    detail = f"no verdict {review.verdict_id!r} of the host {review.host_id!r} is known"
    reject(received, "unknown-verdict", detail, watermark, collector)
