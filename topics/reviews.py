"""Human reviews of verdicts, in: `review`, keyed by `host_id`."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from vigil.topics.fields import At, Id, check_key, decode_json


class Review(Struct, frozen=True, kw_only=True):
    """A moderator upheld or overturned a verdict."""

    verdict_id: Id
    host_id: Id
    decision: Literal["upheld", "overturned"]
    by: str
    reason: str
    at: At


_DECODER: Final = msgspec.json.Decoder(Review)


def decode_review(key: bytes | None, value: bytes | None) -> Review:
    """Decode a message of `review`; raise Refused when it is malformed or its key is not the `host_id`."""
    review = decode_json(_DECODER, value)
    check_key(key, "host_id", review.host_id)
    return review
