"""A slow second opinion: what greeting-miss, the run rules and the signal say of a whole story, seen from its end.

It shares no code with the rooms: it looks back and forth over all events instead of going through them once, and takes
its numbers, in milliseconds, from the caller. They must not change within the story.
"""

import unicodedata
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent

Said = tuple[str, str | None, str | None, int, int, int | None]
"""Of a notice: kind, rule, buyer, since, at, due. Of a verdict: "verdict", rule, subject, since, at, None."""


class LimitsAt(NamedTuple):
    gap: int
    within: int
    lasts: dict[str, int]
    at_risk_from: int
    early: int = 1000
    greeting_alone: bool = False
    tolerate: int = 0
    share: Fraction = Fraction(0)


class Part(NamedTuple):
    """A run, or what a reception has left of it."""

    since: int
    latest: int
    """Its last satisfying frame; `since` where it has none."""
    ended_at: int | None


CONDITIONS: dict[str, Callable[[FrameStatus], bool]] = {
    "absence": lambda frame: not frame.face,
    "black-screen": lambda frame: frame.black,
    "av-desync": lambda frame: (
        frame.av_offset_ms is not None and (frame.av_offset_ms > 185 or frame.av_offset_ms < -90)
    ),
    "dead-air": lambda frame: frame.activity == "signed-off" or frame.stream == "disconnected",
    "sleeping": lambda frame: frame.activity == "sleeping",
    "no-content": lambda frame: frame.activity in ("equipment", "eating", "chatting", "driving", "none"),
    "layout": lambda frame: frame.layout is not None and frame.layout.materials > 2,
}


BLANK = ("Cc", "Cf", "Mn", "Me", "Zs", "Zl", "Zp")


def is_reception(event: RoomEvent) -> bool:
    return (
        isinstance(event, Comment)
        and event.author_role == "host"
        and event.intent != "chat"
        and event.via != "auto"
        and any(unicodedata.category(sign) not in BLANK for sign in event.text)
    )


def expected(story: list[RoomEvent], end: int, numbers: LimitsAt) -> set[Said]:
    """Everything that must have been said by `end`, its deadlines included."""
    said = greeting(story, end, numbers) | signal(story, end, numbers)
    for rule, holds in CONDITIONS.items():
        said |= judged(rule, None, holds, story, end, numbers)
    labels = {label for event in story if isinstance(event, FrameStatus) for label in event.labels}
    for label in labels:
        rule = {"minor": "minor", "rights": "rights"}[label.split(":")[0]]
        said |= judged(rule, label, lambda frame, label=label: label in frame.labels, story, end, numbers)  # type: ignore[misc]
    return said


def parts(
    rule: str, holds: Callable[[FrameStatus], bool], story: list[RoomEvent], end: int, numbers: LimitsAt
) -> list[Part]:
    """Every run of a rule, cut where receptions move its start."""
    found: list[Part] = []
    running = interrupted = False
    since = latest = satisfied = bridged = newest = 0

    def close(at: int) -> None:
        nonlocal running, interrupted
        if running:
            found.append(Part(since, latest, at if at <= end else None))
        running = interrupted = False

    for event in story:
        deadline = min(satisfied + numbers.tolerate if interrupted else event.at, newest + numbers.gap)
        if running and event.at > deadline:
            close(deadline)
        if rule == "absence" and running and is_reception(event):
            found.append(Part(since, latest, event.at))
            since = latest = event.at
            bridged = 0
        if not isinstance(event, FrameStatus):
            continue
        newest, at = event.at, event.at
        if event.stream != "live" and not (rule == "dead-air" and event.stream == "disconnected"):
            close(at)
        elif holds(event):
            missing = at - satisfied
            if interrupted and bridged + missing > numbers.share * (at - since):
                # It has ended, by its deadline or by what ends it before that.
                others = [e for e in story if isinstance(e, FrameStatus) and at <= e.at <= satisfied + numbers.tolerate]
                stops = [e.at for e in others if e.stream == "ended" or (e.stream != "live" and rule != "dead-air")]
                close(min([satisfied + numbers.tolerate, *stops]))
            bridged = bridged + missing if interrupted else bridged
            if not running:
                since, bridged, running = at, 0, True
            satisfied, latest, interrupted = at, at, False
        elif running and not numbers.tolerate:
            close(at)
        elif running:
            interrupted = True
            if at > satisfied + numbers.tolerate:
                close(satisfied + numbers.tolerate)
    if running:
        close(min(satisfied + numbers.tolerate if interrupted else newest + numbers.gap, newest + numbers.gap))
    return found


def judged(
    rule: str,
    subject: str | None,
    holds: Callable[[FrameStatus], bool],
    story: list[RoomEvent],
    end: int,
    numbers: LimitsAt,
) -> set[Said]:
    said: set[Said] = set()
    lasts = numbers.lasts[rule]
    for since, latest, ended_at in parts(rule, holds, story, end, numbers):
        warned = lasts >= numbers.at_risk_from and latest >= since + lasts // 2
        if warned:
            said.add(("at-risk", rule, None, since, since + lasts // 2, since + lasts))
        if latest >= since + lasts:
            said.add(("verdict", rule, subject, since, since + lasts, None))
        elif warned and ended_at is not None:
            said.add(("risk-cleared", rule, None, since, ended_at, None))
    return said


def signal(story: list[RoomEvent], end: int, numbers: LimitsAt) -> set[Said]:
    said: set[Said] = set()
    frames = [event for event in story if isinstance(event, FrameStatus)]
    for number, frame in enumerate(frames):
        if frame.stream != "live" or frame.at + numbers.gap > end:
            continue
        following = frames[number + 1] if number + 1 < len(frames) else None
        if following is not None and following.at - frame.at <= numbers.gap:
            continue
        said.add(("signal-lost", None, None, frame.at, frame.at + numbers.gap, None))
        if following is not None:
            said.add(("signal-back", None, None, frame.at, following.at, None))
    return said


def greeting(story: list[RoomEvent], end: int, numbers: LimitsAt) -> set[Said]:
    said: set[Said] = set()
    steps: list[tuple[int, int, int, str, BuyerEntry | None]] = []
    undecided_until: dict[str, int] = {}
    for place, event in enumerate(story):
        if isinstance(event, FrameStatus) and event.stream != "live":
            steps.append((place, 1, place, "void", None))
        if not isinstance(event, BuyerEntry):
            continue
        before = [e for e in story[:place] if isinstance(e, FrameStatus)]
        if not before or before[-1].stream != "live" or undecided_until.get(event.buyer_id, -1) > place:
            continue
        due = event.at + numbers.within
        decided, what = len(story), "missed" if due <= end else "undecided"
        received = reception_of(event, place, story, numbers)
        for later in range(place, len(story)):
            other = story[later]
            if received is not None and later >= received:
                decided, what = later, "received"
            elif other.at > due:
                decided, what = later, "missed"
            elif isinstance(other, FrameStatus) and other.stream != "live":
                decided, what = later, "void"
            else:
                continue
            break
        undecided_until[event.buyer_id] = decided
        steps.append((decided, 0 if what == "missed" else 1, place, what, event))
    misses: list[int] = []
    for place, _, _, what, entry in sorted(steps, key=lambda step: step[:3]):
        if what == "missed":
            assert entry is not None
            at = entry.at + numbers.within
            said.add(("entry-missed", "greeting-miss", entry.buyer_id, entry.at, at, None))
            misses.append(entry.at)
            if len(misses) == 2:
                said.add(("at-risk", "greeting-miss", None, misses[0], at, None))
            elif len(misses) == 3:
                said.add(("verdict", "greeting-miss", None, misses[0], at, None))
                misses = []
        elif what != "undecided":
            if len(misses) == 2:
                said.add(("risk-cleared", "greeting-miss", None, misses[0], story[place].at, None))
            misses = []
    return said


def reception_of(entry: BuyerEntry, place: int, story: list[RoomEvent], numbers: LimitsAt) -> int | None:
    """The place of the first comment by which an entry's span holds what receives a buyer."""
    kinds: set[str] = set()
    for other, event in enumerate(story):
        if is_reception(event) and entry.at - numbers.early <= event.at <= entry.at + numbers.within:
            assert isinstance(event, Comment)
            kinds.add(event.intent if event.intent in ("greet", "ask") else "whole")
            if "whole" in kinds or {"greet", "ask"} <= kinds or (numbers.greeting_alone and "greet" in kinds):
                return other
    return None
