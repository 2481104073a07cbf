"""What is stored of a host: a chunk for each verdict, one for each pending review, and the main one."""

from typing import Final

import msgspec
from msgspec import Struct

from vigil.app.domain.hosts.conclusion import Conclusion
from vigil.app.domain.hosts.decisions import Reviews
from vigil.app.domain.hosts.ladder import Violation
from vigil.app.domain.hosts.reviews import LatestReview, PendingResult, PendingReview
from vigil.topics.incidents import StepOutcome

VERSION: Final = 1
"""Of the stored state. New fields go to the end of their struct, with a default; any other change is a new version."""

VERDICT_CHUNK: Final = b"v"
"""The first letter of the chunk keys of verdicts; the verdict's id follows."""

RESULT_CHUNK: Final = b"x"
"""The first letter of the chunk keys of pending results, numbered with the reviews."""

REVIEW_CHUNK: Final = b"w"
"""The first letter of the chunk keys of pending reviews; a number follows that counts arrivals."""


class VerdictRecord(Struct, array_like=True):
    """A verdict of the host, the review of it that counts, and its action as it was published last."""

    version: int
    verdict_id: str
    rule: str
    family: str
    room_id: str
    at: int
    review: LatestReview | None = None
    """The one that stands."""
    revision: int = 0
    """That of the last published action; 0: none was published, because no ladder was effective."""
    concluded: Conclusion | None = None
    """The content of the last active revision."""
    overturning: LatestReview | None = None
    """The latest that overturned it; None also where a former version stored it."""
    upheld: tuple[LatestReview, ...] = ()
    """Those that upheld it since."""
    appealed_at: int | None = None
    """When the host appealed last."""
    sent: int = 0
    """How often its room was informed."""
    outcomes: tuple[StepOutcome, ...] = ()
    """What came of its action."""
    revised_at: int = 0
    """When another verdict, or a review of another one, changed its action last; 0: none did."""

    @property
    def reviews(self) -> Reviews:
        """The reviews that can decide something."""
        if self.review is None or self.overturning is not None or self.upheld:
            return Reviews(self.overturning, self.upheld)
        return Reviews().add(self.review)

    @reviews.setter
    def reviews(self, reviews: Reviews) -> None:
        self.overturning, self.upheld = reviews
        self.review = reviews.latest

    @property
    def violation(self) -> Violation:
        return Violation(self.at, self.verdict_id, self.rule, self.family)

    @property
    def overturned(self) -> bool:
        return self.review is not None and self.review.decision == "overturned"


class HostMainChunk(Struct, array_like=True):
    """The main chunk of a host's stored state. Stored by position."""

    version: int = VERSION
    arrivals: int = 0
    """Number of reviews that had to wait so far: it names the chunk of the next one."""


decode_record: Final = msgspec.msgpack.Decoder(VerdictRecord).decode
decode_pending: Final = msgspec.msgpack.Decoder(PendingReview).decode
decode_pending_result: Final = msgspec.msgpack.Decoder(PendingResult).decode
decode_main: Final = msgspec.msgpack.Decoder(HostMainChunk).decode


def check_version(host_id: str, version: int) -> None:
    """Raise ValueError if the state was stored in another version."""
    if version != VERSION:
        raise ValueError(f"host {host_id!r} is stored in version {version}; this is for {VERSION}")
