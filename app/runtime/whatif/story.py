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
from vigil.app.messages import Language, Message
from vigil.app.runtime.whatif.saying import Say, sayer
from vigil.topics.fields import InvalidEvent, Reason
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, FrameStatus, Layout, RoomEvent, decode_room_event
from vigil.topics.verdicts import Verdict

BEFORE_MS: Final = 30_000
"""How much of the time before the verdict's `since` is shown."""

AFTER_MS: Final = 15_000

_NOT_JUDGED: Final = frozenset({"late", "misrouted", "future"})
"""Reasons of rejections that have words of their own."""

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


def timeline(raws: Iterable[Raw], verdict: Verdict, rulebook: Rulebook, language: Language = "en") -> list[Moment]:
    """The moments around a verdict, of the kinds of events that its rule judges.

    Malformed messages are left out; others that were rejected are shown as what they are.
    """
    words = _Words(verdict, rulebook, sayer(language))
    moments: list[Moment] = []
    frames: list[FrameStatus] = []
    for read in sorted(_around(raws, verdict), key=lambda read: read[:3]):
        event, topic = read.event, ROOM_TOPICS[read.source_index]
        if read.rejected is not None:
            moments.append(Moment(at=read.at, topic=topic, words=words.not_judged(read.rejected)))
        elif isinstance(event, FrameStatus):
            if frames and not words.alike(frames[-1], event):
                moments.append(words.frames(frames))
                frames = []
            frames.append(event)
        elif _matters(event, verdict):
            evidence = words.is_evidence(topic, read.at)
            moments.append(Moment(at=read.at, topic=topic, words=words.said(event), evidence=evidence))
    if frames:
        moments.append(words.frames(frames))
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


def layout_faults(layout: Layout | None, limits: LayoutLimits) -> list[str]:
    """What makes a layout bad, as the ends of codes; empty where it is not."""
    if layout is None:
        return []
    found = {
        "camera-small": layout.camera_share is not None and layout.camera_share <= limits.camera_share_at_most,
        "uncovered": layout.uncovered_share is not None and layout.uncovered_share > limits.uncovered_share_over,
        "materials": layout.materials is not None and layout.materials > limits.materials_over,
        "camera-outside": layout.camera_in_safe_area is False,
        "videos": layout.videos > limits.videos_over,
    }
    return [fault for fault, there in found.items() if there]


class _Words:
    """What events around a verdict say, in one language."""

    def __init__(self, verdict: Verdict, rulebook: Rulebook, say: Say) -> None:
        self._rule = verdict.rule
        self._cited = {(each.topic, each.at) for each in verdict.evidence}
        self._rulebook = rulebook
        self._say = say

    def is_evidence(self, topic: str, at: int) -> bool:
        """True if an event is evidence of the verdict."""
        return (topic, at) in self._cited

    def not_judged(self, reason: Reason) -> str:
        """What a rejected message is shown as."""
        return self._say(f"moment.{reason if reason in _NOT_JUDGED else 'rejected'}")

    # ---- frames -------------------------------------------------------------------------------------------------

    def alike(self, before: FrameStatus, frame: FrameStatus) -> bool:
        """True if two neighbouring frames are one moment: they look alike, without a gap that ends a condition."""
        near = frame.at - before.at <= self._limits("rooms", frame.at).max_frame_gap_s * 1000
        return bool(near) and self._look(before) == self._look(frame)

    def frames(self, frames: list[FrameStatus]) -> Moment:
        """The moment of frames that look alike."""
        first, last = frames[0], frames[-1]
        look = self._look(first) + self._measures(frames)
        several = len(frames) > 1
        return Moment(
            at=first.at,
            until=last.at if several else None,
            topic="frame-status",
            words=self._say("moment.frames", number=len(frames), look=look) if several else look,
            evidence=any(self.is_evidence("frame-status", frame.at) for frame in frames),
        )

    def _look(self, frame: FrameStatus) -> str:
        """What a frame shows: the same text where no rule could see a difference."""
        off_air = frame.activity == "signed-off" and frame.stream == "live"
        codes = [
            f"stream-{frame.stream}",
            "face" if frame.face else "no-face",
            "black" if frame.black else None,
            "idle" if frame.activity == "none" else None,
        ]
        shown = [self._say(f"moment.{code}") for code in codes if code is not None]
        shown += self._doing(frame)
        shown += self._sound(frame)
        shown += self._layout(frame)
        shown += [self._say("moment.off-air")] if off_air else []
        return self._listed([*shown, *(self._say("moment.label", label=repr(label)) for label in frame.labels)])

    def _doing(self, frame: FrameStatus) -> list[str]:
        """What the host does, unless that is to host, or nothing."""
        if frame.activity in (None, "hosting", "none"):
            return []
        return [self._say("moment.does", activity=frame.activity)]

    def _sound(self, frame: FrameStatus) -> list[str]:
        offset_ms = frame.av_offset_ms
        if offset_ms is None or not apart(offset_ms, self._limits("av-desync", frame.at)):
            return []
        return [self._say("moment.sound-late" if offset_ms > 0 else "moment.sound-early")]

    def _layout(self, frame: FrameStatus) -> list[str]:
        faults = layout_faults(frame.layout, self._limits("layout", frame.at))
        if not faults:
            return []
        words = self._say(f"moment.layout-{faults[0]}")
        for fault in faults[1:]:
            words = self._say("moment.both", one=words, other=self._say(f"moment.layout-{fault}"))
        return [self._say("moment.bad-layout", faults=words)]

    def _measures(self, frames: list[FrameStatus]) -> str:
        """What the rule measures in these frames, in brackets; empty for rules that measure nothing."""
        if self._rule == "av-desync":
            return self._sound_range([frame.av_offset_ms for frame in frames if frame.av_offset_ms is not None])
        if self._rule == "layout":
            return self._layout_range([frame.layout for frame in frames if frame.layout is not None])
        return ""

    def _sound_range(self, offsets: list[int]) -> str:
        if not offsets:
            return ""
        return self._say("moment.sound-range", least=f"{min(offsets):+d}", most=f"{max(offsets):+d}")

    def _layout_range(self, layouts: list[Layout]) -> str:
        """The numbers of some layouts that were measured; empty where none was."""
        values = {name: [getattr(layout, name) for layout in layouts] for name in _MEASURES}
        measured = {name: [value for value in of if value is not None] for name, of in values.items()}
        if not any(measured.values()):
            return ""
        texts = [self._measured(name, of) for name, of in measured.items() if of]
        return self._say("moment.measures", measures=self._listed(texts))

    def _measured(self, name: str, values: list[float]) -> str:
        """A measure, from the smallest value to the largest."""
        least, most = format_value(name, min(values)), format_value(name, max(values))
        value = least if least == most else self._say("moment.range", least=least, most=most)
        return self._say(f"moment.measure-{name.removesuffix('_share')}", value=value)

    def _limits(self, rule: str, at: int) -> Any:
        return (self._rulebook.at(rule, at) or self._rulebook.versions(rule)[0]).limits

    # ---- buyers and the host ------------------------------------------------------------------------------------

    def said(self, event: BuyerEntry | Comment) -> str:
        """What a buyer or the host did."""
        if isinstance(event, BuyerEntry):
            return self._say("moment.entered", buyer=event.buyer_id, tier=event.buyer_tier or "none")
        text = event.text if len(event.text) <= SHOWN else event.text[: SHOWN - 1] + "…"
        rest = [self._say(f"moment.intent-{event.intent}")] if event.intent else []
        rest += [self._say("moment.label", label=repr(label)) for label in event.labels]
        half = event.intent if event.intent in ("greet", "ask") else "whole"
        rest.append(self._say(f"moment.reception-{half}" if shows_reception(event) else "moment.no-reception"))
        code = "moment.said" if event.via == "speech" else "moment.wrote"
        return self._say(code, text=repr(text), about=self._listed(rest))

    def _listed(self, texts: list[str]) -> str:
        return self._say("moment.list", texts=tuple(Message("explain.text", {"text": text}) for text in texts))


_MEASURES: Final = ("camera_share", "uncovered_share", "materials", "videos")
"""The numbers of a layout."""
