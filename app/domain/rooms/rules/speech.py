"""What the host says: labels that are a violation at once, and the same thing said over and over.

    labelled comment ──same label counted less than an hour ago──▶ nothing
         └───────────else──▶ violation
    text comment ──four near-identical ones in the minute before──▶ violation, once an hour

Forgets: a label once it may count again, a text comment once it is too old to be one of five.
"""

import unicodedata
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec import Struct, field
from rapidfuzz.distance import Levenshtein

from vigil.app.domain.rooms.emitter import VerdictEmitter, shown
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rulebook import EffectiveVersion
from vigil.app.domain.rulebook.rooms import HarassmentLimits
from vigil.app.engine.storage.aggregates import ExpiringMap
from vigil.app.engine.storage.chunked import ChunkedQueue, LogSnapshot, QueueSnapshot, Records, hash64
from vigil.app.engine.subject import StateChunks
from vigil.topics.rooms import Comment
from vigil.topics.verdicts import Evidence

SPOKEN: Final = {
    "abuse": "harassment",
    "rights:": "rights",
    "prohibited:": "prohibited-goods",
}
"""The rules that a label on a host comment decides at once, by label or by what it starts with."""

REPEATS: Final = "harassment"
"""The rule that near-identical comments decide."""

RECEPTION: Final = frozenset({"greet", "ask", "introduce", "answer"})
"""Intents that the rules demand of a host: such comments are no harassment, however alike."""


class SpokenRule(NamedTuple):
    """A rule that a label on a comment decides, as it stands at a time."""

    rule: str
    family: str
    effective: str
    in_force: bool
    again_ms: int


class SpeechSnapshot(Struct, array_like=True):
    """The speech's place in the room's main record."""

    labels: LogSnapshot = field(default_factory=LogSnapshot)
    texts: QueueSnapshot = field(default_factory=QueueSnapshot)
    repeated_at: int | None = None
    """When near-identical comments last counted."""


class Speech:
    """One room's host comments."""

    __slots__ = ("_family", "_kept", "_labels", "_longest_again_ms", "_repeats", "_tell", "_texts", "_within_ms")

    def __init__(
        self,
        tell: VerdictEmitter,
        kept: SpeechSnapshot,
        parts: StateChunks,
        longest_again_ms: int,
        repeats: list[EffectiveVersion[Any]],
        repeats_family: str,
    ) -> None:
        """`repeats`: the dated limits of near-identical comments; `longest_again_ms` that of any label at any time."""
        self._tell = tell
        self._kept = kept
        self._labels = ExpiringMap(b"l", kept.labels, parts)
        self._texts = ChunkedQueue(b"t", 1, kept.texts, parts)
        self._longest_again_ms = longest_again_ms
        self._repeats = repeats
        self._family = repeats_family
        self._within_ms = 1000 * max((dated.limits.within_s for dated in repeats), default=0)

    def comment(self, comment: Comment, spoken: dict[str, SpokenRule]) -> None:
        """The host said something; `spoken` are the labels' rules of that time."""
        for label in dict.fromkeys(comment.labels):
            rule = of_label(spoken, label)
            if rule is not None and rule.in_force:
                self._labelled(comment, label, rule)
        if self._repeats and comment.via == "text" and comment.intent not in RECEPTION:
            self._text(comment)

    def dump(self, into: Records) -> None:
        """Move the records that changed since the last time over to `into`."""
        self._labels.dump(into)
        self._texts.dump(into)

    def names(self) -> list[bytes]:
        """The names of all records that are or were about to be stored."""
        return [*self._labels.names(), *self._texts.names()]

    def _labelled(self, comment: Comment, label: str, rule: SpokenRule) -> None:
        at = comment.at
        key = hash64(label)
        counted_at = self._labels.latest.get(key)
        if counted_at is not None and at - counted_at < rule.again_ms:
            return
        self._labels.add(key, at, at - self._longest_again_ms)
        note = f"comment {comment.comment_id} labelled {shown(label)}: {shown(comment.text)}"
        evidence = (Evidence(topic="comment", at=at, note=note),)
        self._tell.verdict(rule.rule, rule.family, label, rule.effective, at, at, evidence)

    def _text(self, comment: Comment) -> None:
        at = comment.at
        texts = self._texts
        gone = 0
        for item in texts.items:
            if item[0] >= at - self._within_ms:
                break
            gone += 1
        if gone:
            texts.drop(gone)
        text = folded(comment.text)
        for dated in self._repeats:
            limits: HarassmentLimits = dated.limits
            # The limits in force at `since`, the first of the five, judge all five: so every version has its try.
            if dated.start > at or dated.until <= at - limits.within_s * 1000:
                continue
            if self._kept.repeated_at is not None and at - self._kept.repeated_at < limits.again_s * 1000:
                continue
            alike = self._alike(text, at, limits)
            if alike is not None and dated.start <= alike[0][0] < dated.until:
                self._kept.repeated_at = at
                self._repeated(comment, alike, dated)
                break
        if len(text) >= min(dated.limits.shortest for dated in self._repeats):
            texts.append((at, comment.comment_id, text))

    def _alike(self, text: str, at: int, limits: HarassmentLimits) -> list[Any] | None:
        """The latest earlier comments near-identical to a text, oldest first, if there are enough of them."""
        wanted = limits.repeats - 1
        if len(text) < limits.shortest or len(self._texts.items) < wanted:
            return None
        since = at - limits.within_s * 1000
        found: list[Any] = []
        for item in reversed(self._texts.items):
            if item[0] < since:
                break
            if len(item[2]) >= limits.shortest and near_identical(text, item[2], limits.similarity):
                found.append(item)
                if len(found) == wanted:
                    return found[::-1]
        return None

    def _repeated(self, comment: Comment, alike: list[Any], dated: EffectiveVersion[Any]) -> None:
        evidence = [
            Evidence(topic="comment", at=at, note=f"comment {comment_id}: {shown(text)}")
            for at, comment_id, text in alike
        ]
        evidence.append(
            Evidence(
                topic="comment", at=comment.at, note=f"comment {comment.comment_id}: {shown(folded(comment.text))}"
            )
        )
        since = alike[0][0]
        self._tell.verdict(REPEATS, self._family, None, dated.effective_date, since, comment.at, tuple(evidence))


def folded(text: str) -> str:
    """A text without what does not make it another one: case, punctuation, and how much white space there is."""
    return " ".join("".join(sign for sign in text.casefold() if not _punctuation(sign)).split())


def near_identical(one: str, other: str, similarity: float) -> bool:
    """Is 1 − Levenshtein distance / length of the longer at least `similarity`? Reckoned in whole numbers."""
    if one == other:
        return True
    most = _changes(similarity, max(len(one), len(other)))
    return Levenshtein.distance(one, other, score_cutoff=most) <= most


@lru_cache(maxsize=8192)
def _changes(similarity: float, length: int) -> int:
    """How many changes leave two texts near-identical."""
    # By the decimal as it is written in the rulebook, not the double nearest to it.
    return int((1 - Fraction(repr(similarity))) * length)


@lru_cache(maxsize=4096)
def _punctuation(sign: str) -> bool:
    # ASCII's punctuation has signs that Unicode files under symbols: $ + < = > ^ ` | ~
    return unicodedata.category(sign)[0] == "P" or sign in "$+<=>^`|~"
