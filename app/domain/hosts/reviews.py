"""Human reviews: which one of a verdict stands, and those that wait for a verdict that has not come yet."""

from typing import Literal

from msgspec import Struct

from vigil.app.engine.subject import OutputCollector
from vigil.topics.reviews import Review

Decision = Literal["upheld", "overturned"]


class ReceivedReview(Struct, frozen=True):
    """A review with the message that it came in, so that it can go to `dead-letter` as it came."""

    review: Review
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None

    @property
    def at(self) -> int:
        return self.review.at


class Standing(Struct, frozen=True, array_like=True):
    """The review of a verdict that stands: the latest by (`at`, offset)."""

    at: int
    offset: int
    decision: Decision


class Waiting(Struct, frozen=True, array_like=True):
    """A review of a verdict that is not known (yet)."""

    due: int
    """When it is refused."""
    received: ReceivedReview
    version: int = 1


def latest(standing: Standing | None, received: ReceivedReview) -> Standing:
    """The review that stands once another one was received. Where offsets are not known, the later to arrive stands."""
    review = received.review
    offset = -1 if received.offset is None else received.offset
    if standing is not None and (review.at, offset) < (standing.at, standing.offset):
        return standing
    return Standing(at=review.at, offset=offset, decision=review.decision)


def refuse(received: ReceivedReview, watermark: int, collector: OutputCollector) -> None:
    """Send a review whose verdict never came to `dead-letter`."""
    review = received.review
    collector.emit_dead(
        "review",
        received.partition,
        received.offset,
        "unknown-verdict",
        f"no verdict {review.verdict_id!r} of the host {review.host_id!r} is known",
        watermark,
        received.key,
        received.value,
    )
