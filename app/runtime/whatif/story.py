"""The events around a verdict, in the order in which they were judged, as sentences for people. Pure.

raw events ──▶ of the room, around the verdict ──▶ in order ──▶ frames that look alike are one moment
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from msgspec import Struct

from vigil.app.domain.rooms.room import shows_reception
from vigil.app.domain.rooms.rules.frame_conditions import apart
from vigil.app.domain.rooms.rules.table import GREETING, RULES
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.formatting import format_value
from vigil.app.domain.rulebook.rooms import LayoutLimits
from vigil.topics.fields import InvalidEvent, Reason
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, FrameStatus, Layout, RoomEvent, decode_room_event
from vigil.topics.verdicts import Verdict

BEFORE_MS: Final = 30_000
"""How much of the time before the verdict's `since` is shown."""

AFTER_MS: Final = 15_000

_NOT_JUDGED: Final = {
    "late": "came too late to be judged",
    "misrouted": "lay in the wrong partition, and was not judged",
    "future": "was ahead of the worker's clock, and was not judged",
}

SHOWN: Final = 120
"""Code points of a comment that are shown."""


class Raw(NamedTuple):
    """One message as it was recorded or read."""

    topic: str
    key: bytes | None
    value: bytes | None
    offset: int
    """Or the number of the line: the order of arrival."""
    rejected: Reason | None = None
    """Why it was rejected; None where it was judged."""


class Moment(Struct, frozen=True, kw_only=True):
    """One line of a timeline."""

    at: int
    until: int | None = None
    """Of frames that look alike: the time of the last one."""
    topic: str
    words: str
    evidence: bool = False
    """True if it is evidence of the verdict."""


class _Read(NamedTuple):
    """One decoded message; its first three fields are the order in which it was judged."""

    at: int
    source_index: int
    offset: int
    event: RoomEvent
    rejected: Reason | None


def timeline(raws: Iterable[Raw], verdict: Verdict, rulebook: Rulebook) -> list[Moment]:
    """The moments around a verdict, of the kinds of events that its rule judges.

    Malformed messages are left out; others that were rejected are shown as what they are.
    """
    cited = {(each.topic, each.at) for each in verdict.evidence}
    moments: list[Moment] = []
    frames: list[FrameStatus] = []
    for read in sorted(_around(raws, verdict), key=lambda read: read[:3]):
        event, topic = read.event, ROOM_TOPICS[read.source_index]
        if read.rejected is not None:
            moments.append(Moment(at=read.at, topic=topic, words=_NOT_JUDGED.get(read.rejected, "was not judged")))
        elif isinstance(event, FrameStatus):
            if frames and not _alike(frames[-1], event, rulebook):
                moments.append(_frames(frames, verdict, cited, rulebook))
                frames = []
            frames.append(event)
        elif _matters(event, verdict):
            moments.append(Moment(at=read.at, topic=topic, words=_said(event), evidence=(topic, read.at) in cited))
    if frames:
        moments.append(_frames(frames, verdict, cited, rulebook))
    return sorted(moments, key=lambda moment: moment.at)


def _around(raws: Iterable[Raw], verdict: Verdict) -> Iterator[_Read]:
    """The valid events of the verdict's room around it, duplicate comments left out."""
    first = min((verdict.since, *(each.at for each in verdict.evidence))) - BEFORE_MS
    last = max((verdict.at, *(each.at for each in verdict.evidence))) + AFTER_MS
    seen: set[str] = set()
    for raw in raws:
        read = _decoded(raw)
        if read is None or read.event.room_id != verdict.room_id or not first <= read.at <= last:
            continue
        if isinstance(read.event, Comment) and raw.rejected is None:
            if read.event.comment_id in seen:
                continue
            seen.add(read.event.comment_id)
        yield read


def _decoded(raw: Raw) -> _Read | None:
    """The event of a message; None where it is of another topic or invalid."""
    if raw.topic not in ROOM_TOPICS:
        return None
    source_index = ROOM_TOPICS.index(raw.topic)
    try:
        event = decode_room_event(source_index, raw.key, raw.value)
    except InvalidEvent:
        return None
    return _Read(event.at, source_index, raw.offset, event, raw.rejected)


def _matters(event: BuyerEntry | Comment, verdict: Verdict) -> bool:
    """True if the event may have contributed to the verdict."""
    if isinstance(event, BuyerEntry):
        return verdict.rule == GREETING
    rule = RULES.get(verdict.rule)
    judged = verdict.rule == GREETING or (rule is not None and rule.restarted_by_reception)
    return event.author_role == "host" and (judged or any(each.topic == "comment" for each in verdict.evidence))


def _alike(before: FrameStatus, frame: FrameStatus, rulebook: Rulebook) -> bool:
    """True if two neighbouring frames are one moment: they look alike, without a gap that ends a condition."""
    rooms = rulebook.at("rooms", frame.at) or rulebook.versions("rooms")[0]
    near = frame.at - before.at <= rooms.limits.max_frame_gap_s * 1000
    return near and _look(before, rulebook) == _look(frame, rulebook)


def _look(frame: FrameStatus, rulebook: Rulebook) -> str:
    """What a frame shows: the same text where no rule could see a difference."""
    shown = (
        frame.stream,
        "a face" if frame.face else "no face",
        "black picture" if frame.black else None,
        _activity(frame),
        _sound(frame, rulebook),
        _layout(frame, rulebook),
        "off air" if frame.activity == "signed-off" and frame.stream == "live" else None,
        *(f"label {label!r}" for label in frame.labels),
    )
    return ", ".join(each for each in shown if each is not None)


def _activity(frame: FrameStatus) -> str | None:
    """What the host does, unless that is to host."""
    if frame.activity is None or frame.activity == "hosting":
        return None
    return "host does nothing" if frame.activity == "none" else f"host {frame.activity}"


def _sound(frame: FrameStatus, rulebook: Rulebook) -> str | None:
    offset_ms = frame.av_offset_ms
    if offset_ms is None or not apart(offset_ms, _limits("av-desync", frame.at, rulebook)):
        return None
    return "sound too late" if offset_ms > 0 else "sound too early"


def _layout(frame: FrameStatus, rulebook: Rulebook) -> str | None:
    faults = layout_faults(frame.layout, _limits("layout", frame.at, rulebook))
    return f"bad layout: {' and '.join(faults)}" if faults else None


def layout_faults(layout: Layout | None, limits: LayoutLimits) -> list[str]:
    """What makes a layout bad, for people; empty where it is not."""
    if layout is None:
        return []
    found = {
        "the camera too small": layout.camera_share <= limits.camera_share_at_most,
        "too much uncovered": layout.uncovered_share > limits.uncovered_share_over,
        "too many materials": layout.materials > limits.materials_over,
        "the camera outside the safe area": layout.camera_in_safe_area is False,
        "too many videos": layout.videos > limits.videos_over,
    }
    return [fault for fault, there in found.items() if there]


def _measured(layouts: list[Layout]) -> str:
    """The measures of some layouts, from the smallest to the largest."""
    measures = []
    for name in ("camera_share", "uncovered_share", "materials", "videos"):
        values = [getattr(layout, name) for layout in layouts]
        ends = dict.fromkeys(format_value(name, value) for value in (min(values), max(values)))
        measures.append(f"{name.removesuffix('_share')} {' to '.join(ends)}")
    return ", ".join(measures)


def _limits(rule: str, at: int, rulebook: Rulebook) -> Any:
    return (rulebook.at(rule, at) or rulebook.versions(rule)[0]).limits


def _frames(frames: list[FrameStatus], verdict: Verdict, cited: set[tuple[str, int]], rulebook: Rulebook) -> Moment:
    first, last = frames[0], frames[-1]
    several = len(frames) > 1
    number = f"{len(frames)} frames: " if several else ""
    return Moment(
        at=first.at,
        until=last.at if several else None,
        topic="frame-status",
        words=f"{number}{_look(first, rulebook)}{_measures(frames, verdict.rule)}",
        evidence=any(("frame-status", frame.at) in cited for frame in frames),
    )


def _measures(frames: list[FrameStatus], rule: str) -> str:
    """What the rule measures in these frames, in brackets; empty for rules that measure nothing."""
    if rule == "av-desync":
        offsets = [frame.av_offset_ms for frame in frames if frame.av_offset_ms is not None]
        return f" (sound {min(offsets):+d} to {max(offsets):+d} ms)" if offsets else ""
    if rule == "layout":
        layouts = [frame.layout for frame in frames if frame.layout is not None]
        return f" ({_measured(layouts)})" if layouts else ""
    return ""


_RECEPTION: Final = {
    "greet": "a greeting: with a question a reception",
    "ask": "a question: with a greeting a reception",
}
"""What half of a reception is called, by its intent."""


def _said(event: BuyerEntry | Comment) -> str:
    if isinstance(event, BuyerEntry):
        return f"buyer {event.buyer_id} ({event.buyer_tier or 'no tier'}) entered"
    how = "said" if event.via == "speech" else "wrote"
    text = event.text if len(event.text) <= SHOWN else event.text[: SHOWN - 1] + "…"
    rest = [str(event.intent)] if event.intent else []
    rest += [f"label {label!r}" for label in event.labels]
    rest.append(_RECEPTION.get(event.intent or "", "a reception") if shows_reception(event) else "no reception")
    return f"the host {how} {text!r} ({', '.join(rest)})"
