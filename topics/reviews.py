"""Input events of moderators: `review`, keyed by `host_id`."""

from typing import Final, Literal

from msgspec import Struct

from vigil.topics.decoder import EventDecoder, nobody
from vigil.topics.fields import At, Id, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import Example, Topic


class Review(Struct, frozen=True, kw_only=True):
    """A moderator upheld or overturned a verdict."""

    verdict_id: Id
    """The verdict that was reviewed."""
    host_id: Id
    decision: Literal["upheld", "overturned"]
    """`overturned` takes the verdict out of the counts; a later `upheld` puts it back."""
    by: str
    """Who decided; not interpreted."""
    reason: str
    """Why; not interpreted."""
    at: At


_DECODER: Final = EventDecoder(Review)


def decode_review(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Review:
    """Decode a message of `review`; raise InvalidEvent if it is malformed or its key is not the `host_id`."""
    review = _DECODER.decode(value, on_ignored)
    check_key(key, "host_id", review.host_id)
    return review


TOPICS: Final = (
    Topic(
        "review",
        "in",
        "host_id",
        Review,
        "a moderator upheld or overturned a verdict",
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
)
