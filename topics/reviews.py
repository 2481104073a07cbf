"""What people and the marketplace did about verdicts: `review` and `enforcement-result`, keyed by `host_id`."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from vigil.topics.decoder import EventDecoder, nobody
from vigil.topics.fields import At, Id, InvalidEvent, Number, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import Example, Topic
from vigil.topics.verdicts import Step


class ReviewChoice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a moderator chose of what an action offers: a step, or days."""

    step: Step | None = None
    """One of the offered steps; null: days are chosen."""
    freeze_days: Number | None = None
    """Days for which the account is frozen, within the offered range; null: the least."""
    past_days: Number | None = None
    """Number of past days whose rooms are closed, within the offered range; null: the least."""

    @property
    def days(self) -> dict[str, int]:
        """The days that were chosen, by field."""
        named = {"freeze_days": self.freeze_days, "past_days": self.past_days}
        return {name: days for name, days in named.items() if days is not None}


class Review(Struct, frozen=True, kw_only=True):
    """A moderator upheld or overturned a verdict, or its host appealed."""

    verdict_id: Id
    """The verdict that was reviewed."""
    host_id: Id
    decision: Literal["upheld", "overturned", "appealed"]
    """`overturned` takes the verdict out of the counts; a later `upheld` puts it back. `appealed`, by the host or for
    it, changes no count."""
    by: str
    """Who decided; not interpreted."""
    reason: str
    """Why; not interpreted."""
    at: At
    choice: ReviewChoice | None = None
    """What was chosen of what the action offers; only with `upheld`."""


class _ReviewDecoder(EventDecoder[Review]):
    def needed(self, content: object) -> frozenset[str]:
        """A choice that cannot be read, or a part of one, is not no choice: raise InvalidEvent."""
        choice = content.get("choice") if isinstance(content, dict) else None
        if choice is None:
            return frozenset()
        try:
            msgspec.convert(choice, ReviewChoice)
        except msgspec.ValidationError as error:
            raise InvalidEvent(str(error).replace("`$", "`$.choice")) from error
        return frozenset({"choice"})


_DECODER: Final = _ReviewDecoder(Review)


def decode_review(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Review:
    """Decode a message of `review`; raise InvalidEvent if it is malformed or its key is not the `host_id`."""
    review = _DECODER.decode(value, on_ignored)
    if (choice := review.choice) is not None:
        if review.decision != "upheld":
            raise InvalidEvent(f"a choice belongs to upheld, not to {review.decision} - at `$.choice`")
        if (choice.step is None) != bool(choice.days):
            raise InvalidEvent("a choice is either a step, or freeze_days and past_days - at `$.choice`")
    check_key(key, "host_id", review.host_id)
    return review


class EnforcementResult(Struct, frozen=True, kw_only=True):
    """What came of one step of an action."""

    action_id: Id
    """The action, which is the verdict's id."""
    revision: Number
    """Of the action that was carried out."""
    host_id: Id
    step: Step
    """What was to be done."""
    outcome: Literal["done", "failed"]
    """Whether it was done."""
    by: Annotated[str, Meta(max_length=128)]
    """Who or what did it; not interpreted."""
    at: At
    detail: Annotated[str, Meta(max_length=1024)] | None = None
    """More about it; not interpreted."""


_RESULT: Final = EventDecoder(EnforcementResult)


def decode_result(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> EnforcementResult:
    """Decode a message of `enforcement-result`; raise InvalidEvent if it is malformed or its key is not the host's."""
    result = _RESULT.decode(value, on_ignored)
    check_key(key, "host_id", result.host_id)
    return result


TOPICS: Final = (
    Topic(
        "review",
        "in",
        "host_id",
        Review,
        "a moderator upheld or overturned a verdict, or its host appealed",
        decode=lambda key, value, now, on_ignored: decode_review(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "verdict_id": "20672b91cfe722dbd41689f8a76ed603",
                    "host_id": "merchant-7",
                    "decision": "upheld",
                    "by": "moderator-2",
                    "reason": "Watched the recording: nobody was greeted.",
                    "at": 1662048021000,
                },
            ),
        ),
    ),
    Topic(
        "enforcement-result",
        "in",
        "host_id",
        EnforcementResult,
        "a step of an action was carried out, or was not",
        decode=lambda key, value, now, on_ignored: decode_result(key, value, on_ignored),
        examples=(
            Example(
                "merchant-7",
                {
                    "action_id": "20672b91cfe722dbd41689f8a76ed603",
                    "revision": 2,
                    "host_id": "merchant-7",
                    "step": "warn",
                    "outcome": "done",
                    "by": "shop-backend",
                    "at": 1662048021000,
                    "detail": None,
                },
            ),
        ),
    ),
)
