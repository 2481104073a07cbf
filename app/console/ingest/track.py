"""What a room's timeline is drawn from: its recent events, with frames as spans of equal looks.

A span ends where a frame shows something else, or where the next frame is further away than frames may be apart: that
is a gap. Everything is bounded, by time (`keep_ms`) and by number.
"""

import bisect
from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct

from vigil.app.domain.rooms.room import shows_reception
from vigil.app.domain.rooms.shown_conditions import ConditionKey, ConditionsOf
from vigil.topics.fields import Tier
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent, Stream

SPANS: Final = 4_000
MARKS: Final = 2_000
"""The most spans of frames, and the most entries and receptions, of one room."""

SHOWN: Final = 200
"""Code points of a comment that are kept."""


class FrameView(NamedTuple):
    """What a frame shows, as far as the timeline has it."""

    stream: Stream
    face: bool
    black: bool
    activity: str | None
    labels: tuple[str, ...]
    conditions: frozenset[ConditionKey] = frozenset()
    """The rules whose condition it satisfies."""


class Span(Struct):
    """An unbroken series of frames that show the same."""

    since: int
    until: int
    """The `at` of its last frame; drawn up to the next span's begin where there is no gap."""
    look: FrameView
    frames: int = 1


class Entered(NamedTuple):
    """A buyer came in."""

    at: int
    buyer_id: str
    tier: Tier | None


class Said(NamedTuple):
    """The host showed reception."""

    at: int
    text: str
    via: str


_at: Final = attrgetter("at")


def no_conditions(frame: FrameStatus) -> frozenset[ConditionKey]:
    """For tracks that nobody asks whether a condition continues."""
    return frozenset()


class Track:
    """One room's recent events, whatever the order in which the topics are read."""

    __slots__ = ("_conditions_of", "_gap_ms", "_keep_ms", "entries", "first", "newest", "receptions", "spans")

    def __init__(self, keep_ms: int, max_gap_ms: int, conditions_of: ConditionsOf = no_conditions) -> None:
        self._keep_ms = keep_ms
        self._gap_ms = max_gap_ms
        self._conditions_of = conditions_of
        self.first: int | None = None
        """The `at` of the first event that was read."""
        self.newest = 0
        """The largest `at`."""
        self.spans: deque[Span] = deque(maxlen=SPANS)
        self.entries: list[Entered] = []
        self.receptions: list[Said] = []

    def ingest(self, event: RoomEvent) -> bool:
        """Keep an event; True if the timeline shows it."""
        if self.first is None:
            self.first = event.at
        if event.at > self.newest:
            self.newest = event.at
        if event.at < self.newest - self._keep_ms:
            return False
        if isinstance(event, FrameStatus):
            self._frame(event)
        elif isinstance(event, BuyerEntry):
            _insert(self.entries, Entered(event.at, event.buyer_id, event.buyer_tier))
        elif isinstance(event, Comment) and event.author_role == "host" and shows_reception(event):
            _insert(self.receptions, Said(event.at, event.text[:SHOWN], event.via))
        else:
            return False
        return True

    def _frame(self, frame: FrameStatus) -> None:
        labels = tuple(label[:128] for label in frame.labels[:8])
        conditions = self._conditions_of(frame)
        look = FrameView(frame.stream, frame.face, frame.black, frame.activity, labels, conditions)
        last = self.spans[-1] if self.spans else None
        if last is not None and frame.at <= last.until:
            return  # out of order: its neighbours show nearly the same
        if last is not None and last.look == look and frame.at - last.until <= self._gap_ms:
            last.until = frame.at
            last.frames += 1
        else:
            self.spans.append(Span(frame.at, frame.at, look))
        horizon = self.newest - self._keep_ms
        while self.spans[0].until < horizon:
            self.spans.popleft()

    def between(self, since: int, until: int) -> Iterator[tuple[Span, int, bool]]:
        """The spans that overlap a time, each with its end, and True if a gap follows."""
        spans = list(self.spans)
        for index, span in enumerate(spans):
            end, gap = span.until, False
            if index + 1 < len(spans):
                following = spans[index + 1].since
                gap = following - span.until > self._gap_ms
                end = span.until if gap else following
            if end >= since and span.since <= until:
                yield span, end, gap

    def continues(self, condition: ConditionKey, since: int, now: int) -> bool:
        """True if every frame from `since` to now satisfies the condition, without a gap."""
        later: Span | None = None
        for span in reversed(self.spans):
            end = now if later is None else later.since
            if condition not in span.look.conditions or end - span.until > self._gap_ms:
                return False
            if span.since <= since:
                return True
            later = span
        return later is not None

    def entries_between(self, since: int, until: int) -> list[Entered]:
        return _between(self.entries, since, until)

    def receptions_between(self, since: int, until: int) -> list[Said]:
        return _between(self.receptions, since, until)


M = TypeVar("M", Entered, Said)


def _insert(marks: list[M], mark: M) -> None:
    if marks and mark.at < marks[-1].at:
        bisect.insort(marks, mark, key=_at)
    else:
        marks.append(mark)
    if len(marks) > MARKS:
        del marks[: MARKS // 10]


def _between(marks: list[M], since: int, until: int) -> list[M]:
    return marks[bisect.bisect_left(marks, since, key=_at) : bisect.bisect_right(marks, until, key=_at)]
