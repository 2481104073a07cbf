"""What the host says: labels that are a violation at once, and nearly the same text again and again.

    labelled comment ──the label was a violation less than `again_s` ago──▶ nothing
         └───────────else──▶ violation
    text comment ──`repeats` - 1 near-identical ones in `within_s` before──▶ violation, once in `again_s`

State: a label until it may be a violation again, a text comment until it is too old to be one of the repeats.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct, field

from vigil.app.domain.rooms.emitter import EventTimes, EvidenceItem, RuleVersion, VerdictEmitter, shown
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.text import columns, folded, near_identical
from vigil.app.domain.rulebook.book import EffectiveVersion
from vigil.app.domain.rulebook.rooms import HarassmentLimits
from vigil.app.engine.storage.chunked_log import LogSnapshot
from vigil.app.engine.storage.chunked_queue import ChunkedQueue, QueueSnapshot
from vigil.app.engine.storage.expiring_map import ExpiringMap
from vigil.app.engine.storage.keys import hash64
from vigil.app.engine.subject import ChangedChunks, StateChunks
from vigil.app.messages import Message
from vigil.topics.rooms import Comment

RECEPTION: Final = frozenset({"greet", "ask", "greet-ask", "introduce", "answer"})
"""Intents that the rules demand of a host: such comments are no harassment, however alike."""

Text = tuple[int, str, str, str | None]
"""Of a text comment: its `at`, its id, its folded text and its `media_uri` (a list after a restart, and without the
last where it was stored by a version of Vigil that did not know it)."""


class SpokenRule(NamedTuple):
    """A rule that a label on a comment decides, with the limits of one time."""

    version: RuleVersion
    in_force: bool
    again_ms: int


class RepeatsRule(NamedTuple):
    """The rule about near-identical comments, in one version."""

    version: RuleVersion
    dated: EffectiveVersion[HarassmentLimits]


class SpeechSnapshot(Struct, array_like=True):
    """The speech's part of the room's main record."""

    labels: LogSnapshot = field(default_factory=LogSnapshot)
    texts: QueueSnapshot = field(default_factory=QueueSnapshot)
    repeated_at: int | None = None
    """When near-identical comments last were a violation."""


class Speech:
    """The host's comments in one room."""

    __slots__ = ("_emitter", "_labels", "_longest_again_ms", "_repeats", "_snapshot", "_texts", "_within_ms")

    def __init__(
        self,
        emitter: VerdictEmitter,
        snapshot: SpeechSnapshot,
        chunks: StateChunks,
        longest_again_ms: int,
        repeats: Sequence[RepeatsRule],
    ) -> None:
        """`longest_again_ms` of any label at any time; `repeats`: the versions of that rule, oldest first."""
        self._emitter = emitter
        self._snapshot = snapshot
        self._labels = ExpiringMap(b"l", snapshot.labels, chunks)
        self._texts: ChunkedQueue[Text] = ChunkedQueue(b"t", 1, snapshot.texts, chunks)
        self._longest_again_ms = longest_again_ms
        self._repeats = repeats
        self._within_ms = 1000 * max((rule.dated.limits.within_s for rule in repeats), default=0)

    def comment(self, comment: Comment, spoken: dict[str, SpokenRule]) -> None:
        """The host said something; `spoken`: the labels' rules with the limits of that time."""
        for label in dict.fromkeys(comment.labels) if comment.labels else ():
            rule = of_label(spoken, label)
            if rule is not None and rule.in_force:
                self._labelled(comment, label, rule)
        if self._repeats and comment.via == "text" and comment.intent not in RECEPTION:
            self._text(comment)

    def dump(self, into: ChangedChunks) -> None:
        """Put the records that changed since the last call into `into`."""
        self._labels.dump(into)
        self._texts.dump(into)

    def chunk_names(self) -> list[bytes]:
        """The names of all records that are stored or about to be."""
        return [*self._labels.chunk_names(), *self._texts.chunk_names()]

    def _labelled(self, comment: Comment, label: str, rule: SpokenRule) -> None:
        at = comment.at
        key = hash64(label)
        violated_at = self._labels.get(key)
        if violated_at is not None and at - violated_at < rule.again_ms:
            return
        self._labels.add(key, at, at - self._longest_again_ms)
        params = {"comment_id": comment.comment_id, "label": shown(label), "text": shown(comment.text)}
        evidence = EvidenceItem("comment", at, Message("evidence.comment-labelled", params), comment.media_uri)
        self._emitter.verdict(rule.version, label, EventTimes(at, at), [evidence])

    def _text(self, comment: Comment) -> None:
        """Judge a text comment, and remember it if it may be one of the repeats."""
        at = comment.at
        self._drop_older_than(at - self._within_ms)
        text = folded(comment.text)
        for rule in self._repeats:
            alike = self._violation(text, at, rule.dated)
            if alike is not None:
                self._snapshot.repeated_at = at
                self._repeated(comment, alike, rule.version)
                break
        if columns(text) >= min(rule.dated.limits.shortest for rule in self._repeats):
            self._texts.append((at, comment.comment_id, text, comment.media_uri))

    def _drop_older_than(self, at: int) -> None:
        old = 0
        for item in self._texts.items:
            if item[0] >= at:
                break
            old += 1
        if old:
            self._texts.drop(old)

    def _violation(self, text: str, at: int, dated: EffectiveVersion[HarassmentLimits]) -> list[Text] | None:
        """The earlier comments that are a violation with this text under one version of the limits; None if none are.

        The limits that are effective at `since`, the first of the repeats, judge them all: so each version is tried.
        """
        limits = dated.limits
        if dated.start > at or dated.until <= at - limits.within_s * 1000:
            return None
        repeated_at = self._snapshot.repeated_at
        if repeated_at is not None and at - repeated_at < limits.again_s * 1000:
            return None
        alike = self._alike(text, at, limits)
        return alike if alike is not None and dated.start <= alike[0][0] < dated.until else None

    def _alike(self, text: str, at: int, limits: HarassmentLimits) -> list[Text] | None:
        """The latest earlier comments near-identical to a text, oldest first, if there are enough of them."""
        wanted = limits.repeats - 1
        if len(self._texts.items) < wanted or columns(text) < limits.shortest:
            return None
        since = at - limits.within_s * 1000
        found: list[Text] = []
        for item in reversed(self._texts.items):
            if item[0] < since:
                break
            if near_identical(text, item[2], limits.similarity) and columns(item[2]) >= limits.shortest:
                found.append(item)
                if len(found) == wanted:
                    return found[::-1]
        return None

    def _repeated(self, comment: Comment, alike: list[Text], version: RuleVersion) -> None:
        texts = [*alike, (comment.at, comment.comment_id, folded(comment.text), comment.media_uri)]
        evidence = [_repeat(*text) for text in texts]
        self._emitter.verdict(version, None, EventTimes(alike[0][0], comment.at), evidence)


def _repeat(at: int, comment_id: str, text: str, media_uri: str | None = None) -> EvidenceItem:
    """One of the near-identical comments."""
    params = {"comment_id": comment_id, "text": shown(text)}
    return EvidenceItem("comment", at, Message("evidence.comment-repeated", params), media_uri)
