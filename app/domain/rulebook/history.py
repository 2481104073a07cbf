"""Which of the published rulebooks count: a function of the topic `rulebook`, so that all readers agree. Pure.

    first ──parent──▶ A ──parent──▶ B          B counts if its parent is the newest that counts, and what it changes
          └─parent──▶ X: superseded            begins `notice_ms` after its publication, by the broker's time

Of two publications with one parent the first record wins, whoever sent it first. No reader parses a text to know that:
a text is read where it is judged by.
"""

from typing import Final, Literal, NamedTuple

from vigil.app.domain.rulebook.book import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import parse_rulebook
from vigil.topics.rulebooks import RulebookPublication

RefusalReason = Literal["malformed", "not-first", "superseded", "too-soon"]

REASONS: Final[tuple[RefusalReason, ...]] = ("malformed", "not-first", "superseded", "too-soon")


class RulebookRecord(NamedTuple):
    """One record of the topic."""

    offset: int
    published_at: int
    """When the broker appended it, ms."""
    body: RulebookPublication


class Refusal(NamedTuple):
    """A record that does not count."""

    offset: int
    reason: RefusalReason
    text: str
    """What is wrong with it, for an operator."""
    published: RulebookRecord | None = None
    """None if it could not be read."""


class RulebookHistory:
    """The publications that count, oldest first."""

    def __init__(self) -> None:
        self.entries: list[RulebookRecord] = []
        self.refusals: list[Refusal] = []
        self._digests: set[str] = set()

    @property
    def newest(self) -> RulebookRecord | None:
        """The publication in force; None if there is none."""
        return self.entries[-1] if self.entries else None

    @property
    def notice_ms(self) -> int | None:
        """How long after its publication a difference begins at the earliest; None without a publication."""
        return self.entries[0].body.notice_ms if self.entries else None

    @property
    def digests(self) -> frozenset[str]:
        """The digests of all publications that count."""
        return frozenset(self._digests)

    def has(self, digest: str) -> bool:
        """True if a publication of this digest counts, or did."""
        return digest in self._digests

    def add(self, published: RulebookRecord) -> Refusal | None:
        """Add the next record of the topic; return why it does not count, None if it does."""
        refusal = self._refusal(published)
        if refusal is None:
            self.entries.append(published)
            self._digests.add(published.body.digest)
        else:
            self.refusals.append(refusal)
        return refusal

    def reject(self, offset: int, text: str) -> Refusal:
        """Note a record that could not be read."""
        refusal = Refusal(offset, "malformed", text)
        self.refusals.append(refusal)
        return refusal

    def _refusal(self, published: RulebookRecord) -> Refusal | None:
        body, newest = published.body, self.newest
        if newest is None:
            if not body.parent:
                return None
            text = f"its parent {body.parent[:12]} was not published: the first publication has none"
            return Refusal(published.offset, "not-first", text, published)
        if body.parent != newest.body.digest:
            text = f"it replaces {body.parent[:12] or 'nothing'}, and {newest.body.digest[:12]} is the newest"
            return Refusal(published.offset, "superseded", text, published)
        earliest = published.published_at + (self.notice_ms or 0)
        if body.begins is not None and body.begins < earliest:
            text = f"what it changes begins {earliest - body.begins} ms too soon after its publication"
            return Refusal(published.offset, "too-soon", text, published)
        return None


def read_published(published: RulebookRecord) -> Rulebook:
    """The rulebook of a publication; raise RulebookError if this version of Vigil reads another one, or none."""
    name = f"rulebook published by {published.body.by} (offset {published.offset})"
    book = parse_rulebook(published.body.text, name)
    if book.digest != published.body.digest:
        raise RulebookError(
            f"{name}: its text has the digest {book.digest[:12]} here, and {published.body.digest[:12]} where it was "
            "published: run the same version of Vigil everywhere"
        )
    return book
