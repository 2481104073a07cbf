"""A slow second opinion: what greeting-miss, the run rules and the signal say of a whole story, seen from its end.

It shares no code with the rooms: it looks back and forth over all events instead of going through them once, and takes
its numbers, in milliseconds, from the caller. They must not change within the story.
"""

from collections.abc import Callable
from typing import NamedTuple

from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus, RoomEvent

Said = tuple[str, str | None, str | None, int, int, int | None]
"""Of a notice: kind, rule, buyer, since, at, due. Of a verdict: "verdict", rule, subject, since, at, None."""


class LimitsAt(NamedTuple):
    gap: int
    within: int
    lasts: dict[str, int]
    at_risk_from: int


class ActiveCondition(NamedTuple):
    frames: list[tuple[int, int]]
    """Place in the story and time."""
    ended_at: int | None
    ended_before: int
    """The place of the first event after its end."""


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


def is_reception(event: RoomEvent) -> bool:
    return (
        isinstance(event, Comment)
        and event.author_role == "host"
        and event.intent != "chat"
        and event.text.strip() != ""
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


def runs(
    rule: str, holds: Callable[[FrameStatus], bool], story: list[RoomEvent], end: int, gap: int
) -> list[ActiveCondition]:
    found: list[ActiveCondition] = []
    current: list[tuple[int, int]] = []

    def close(at: int, before: int) -> None:
        if current:
            found.append(ActiveCondition(list(current), at, before))
            current.clear()

    for place, event in enumerate(story):
        if not isinstance(event, FrameStatus):
            continue
        if current and event.at - current[-1][1] > gap:
            late = current[-1][1] + gap
            close(late, next(p for p, e in enumerate(story) if p > current[-1][0] and e.at > late))
        on = event.stream == "live" or (rule == "dead-air" and event.stream == "disconnected")
        if on and holds(event):
            current.append((place, event.at))
        else:
            close(event.at, place)
    if current:
        late = current[-1][1] + gap
        after = [p for p, e in enumerate(story) if p > current[-1][0] and e.at > late]
        found.append(ActiveCondition(list(current), late if late <= end else None, after[0] if after else len(story)))
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
    for run in runs(rule, holds, story, end, numbers.gap):
        first = run.frames[0][0]
        begins = [(first, run.frames[0][1])]
        if rule == "absence":
            begins += [(p, story[p].at) for p in range(first, run.ended_before) if is_reception(story[p])]
        ends: list[tuple[int, int | None]] = [*begins[1:], (run.ended_before, run.ended_at)]
        for (begin, since), (until, ended_at) in zip(begins, ends, strict=True):
            latest = max((at for place, at in run.frames if begin <= place < until), default=since)
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
        for later in range(place + 1, len(story)):
            other = story[later]
            if other.at > due:
                decided, what = later, "missed"
            elif is_reception(other):
                decided, what = later, "received"
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
