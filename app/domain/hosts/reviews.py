"""Human reviews: which review of a verdict counts, and reviews that wait for a verdict that has not arrived yet."""

from typing import ClassVar, Final, Literal

from msgspec import Struct

from vigil.app.engine.output_collector import OutputCollector, RejectedRecord
from vigil.topics.fields import Reason
from vigil.topics.incidents import StepOutcome
from vigil.topics.reviews import EnforcementResult, Review, ReviewChoice

ReviewedAs = Literal["upheld", "overturned"]


class ReceivedReview(Struct, frozen=True):
    """A review together with its message, so that it can be sent to `dead-letter` in its original bytes."""

    review: Review
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None

    topic: ClassVar = "review"

    @property
    def at(self) -> int:
        return self.review.at

    @property
    def verdict_id(self) -> str:
        return self.review.verdict_id

    @property
    def host_id(self) -> str:
        return self.review.host_id


class ReceivedResult(Struct, frozen=True):
    """What came of an action, together with its message, as a ReceivedReview."""

    result: EnforcementResult
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None

    topic: ClassVar = "enforcement-result"

    @property
    def at(self) -> int:
        return self.result.at

    @property
    def verdict_id(self) -> str:
        return self.result.action_id

    @property
    def host_id(self) -> str:
        return self.result.host_id

    @property
    def outcome(self) -> StepOutcome:
        """As the incident shows it."""
        result = self.result
        return StepOutcome(
            revision=result.revision,
            step=result.step,
            outcome=result.outcome,
            by=result.by,
            at=result.at,
            detail=result.detail,
        )


Received = ReceivedReview | ReceivedResult
"""What refers to a verdict."""

MOST_OUTCOMES: Final = 20
"""Outcomes of a verdict's action that are remembered, the latest."""


def with_outcome(known: tuple[StepOutcome, ...], outcome: StepOutcome) -> tuple[StepOutcome, ...]:
    """Add what came of an action, in order of time; one that is known changes nothing."""
    if outcome in known:
        return known
    ordered = sorted((*known, outcome), key=lambda one: (one.at, one.revision, one.step, one.outcome, one.by))
    return tuple(ordered[-MOST_OUTCOMES:])


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


class PendingResult(Struct, frozen=True, array_like=True):
    """What came of an action whose verdict is not known yet. Stored by position."""

    deadline: int
    received: ReceivedResult
    version: int = 1


def as_decided(received: ReceivedReview) -> LatestReview | None:
    """What is kept of a review that was received; None of an appeal, which decides nothing."""
    review = received.review
    if review.decision == "appealed":
        return None
    offset = -1 if received.offset is None else received.offset
    return LatestReview(review.at, offset, review.decision, review.by, review.choice)


def reject(received: Received, reason: Reason, detail: str, watermark: int, collector: OutputCollector) -> None:
    """Send a review to `dead-letter`."""
    rejected = RejectedRecord(received.topic, received.partition, received.offset, received.key, received.value)
    collector.emit_dead_letter(rejected, reason, detail, watermark)


def reject_unknown(received: Received, watermark: int, collector: OutputCollector) -> None:
    """Send a review whose verdict did not arrive to `dead-letter`."""
    detail = f"no verdict {received.verdict_id!r} of the host {received.host_id!r} is known"
    reject(received, "unknown-verdict", detail, watermark, collector)
