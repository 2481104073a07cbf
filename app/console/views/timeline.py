"""A room's timeline: lanes for what was seen, entered and said, and one for each rule of which something happened."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from vigil.app.console.ingest.subject_views import RoomView
from vigil.app.console.ingest.track import Entered, FrameView, Track
from vigil.app.console.views.canvas import AXIS, LEFT, WIDTH, Canvas, Lane, Mark, Shape, Window
from vigil.app.console.views.urgency import stands
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.table import frame_labels
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.verdicts import Notice, OpenCondition, Verdict, WaitingEntry

MISSING_MS: Final = 5_000
"""If the last frame is older than this, a gap is drawn after it: frames come about once a second."""
CUT: Final = 120
"""Code points of somebody's text in a hint."""
LONGEST_NOTE: Final = 300

Key = Callable[[FrameView], str | None]
"""One aspect of what frames show; None: nothing is drawn."""

Styles = Mapping[str, tuple[str, str]]
"""The style and the name of each value of an aspect; other values are labels, shown as they are."""

Warnings = list[tuple[Notice, int | None]]
"""Each `at-risk` notice with when it was cleared or violated; None where it stands."""


class Timeline(Struct, frozen=True):
    """What to draw."""

    width: float
    height: float
    left: float
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    shapes: tuple[Shape, ...]
    now_x: float | None
    since: int
    until: int


class Stretch(NamedTuple):
    """A span of frames that show the same: from the first frame to the end of the last, and whether a gap follows."""

    since: int
    until: int
    look: FrameView
    gap: bool


def draw(
    room: RoomView | None,
    track: Track | None,
    verdicts: Sequence[Verdict],
    window: Window,
    selected: str | None = None,
) -> Timeline:
    """The timeline of a room; the evidence of the selected verdict is led through all lanes."""
    canvas = Canvas(window)
    places = {
        "frame-status": _frames(canvas, track),
        "buyer-entry": _entries(canvas, room, track),
        "comment": _receptions(canvas, track),
    }
    rules = _rules(canvas, room, verdicts)
    for verdict in verdicts:
        chosen = verdict.verdict_id == selected
        for one in verdict.evidence:
            hint = f"{canvas.clock(one.at)} {canvas.words.note(one)[:LONGEST_NOTE]}"
            look = "evidence chosen" if chosen else "evidence"
            canvas.point("tick", rules[verdict.rule], one.at, look, hint)
            if chosen:
                canvas.point("guide", places.get(one.topic, AXIS), one.at, "guide", hint)
    return Timeline(
        width=WIDTH,
        height=canvas.height,
        left=LEFT,
        lanes=tuple(canvas.lanes),
        marks=canvas.axis(),
        shapes=tuple(canvas.shapes),
        now_x=canvas.x(canvas.now) if canvas.since <= canvas.now <= canvas.until else None,
        since=canvas.since,
        until=canvas.until,
    )


# ---- what frames show


def _frames(canvas: Canvas, track: Track | None) -> float:
    t = canvas.words
    stream, face = canvas.lane(t("lane.stream")), canvas.lane(t("lane.face"))
    black, seen = canvas.lane(t("lane.black")), canvas.lane(t("lane.activity"))
    spans = track.between(canvas.since, canvas.until) if track is not None else ()
    stretches = [Stretch(span.since, until, span.look, gap) for span, until, gap in spans]
    streams = {name: (name, t(f"stream.{name}")) for name in ("live", "disconnected", "ended")}
    _bars(canvas, stream, stretches, streams, lambda look: look.stream)
    faces = {"yes": ("ok", t("face.yes")), "no": ("bad", t("face.no"))}
    _bars(canvas, face, stretches, faces, _face)
    _bars(canvas, black, stretches, {"black": ("black", t("black.yes"))}, lambda look: "black" if look.black else None)
    activities = {name: ("quiet" if name == "hosting" else "odd", t(f"activity.{name}")) for name in t.activities()}
    _bars(canvas, seen, stretches, activities, _seen)
    _gaps(canvas, stream, stretches, t("gap"))
    return stream


def _bars(canvas: Canvas, y: float, stretches: Iterable[Stretch], styles: Styles, key: Key) -> None:
    """One bar for neighbouring stretches that are the same in one aspect."""
    since, until, value = 0, 0, None
    bars: list[tuple[int, int, str | None]] = []
    for stretch in stretches:
        now = key(stretch.look)
        if now != value or stretch.since > until:
            bars.append((since, until, value))
            since, value = stretch.since, now
        until = stretch.until
        if stretch.gap:
            bars.append((since, until, value))
            value = None
    for begin, end, shown in [*bars, (since, until, value)]:
        if shown is not None:
            look, name = styles.get(shown, ("labelled", shown))
            canvas.bar(y, begin, end, look, f"{canvas.clock(begin)}–{canvas.clock(end)} {name[:CUT]}")


def _gaps(canvas: Canvas, y: float, stretches: Sequence[Stretch], name: str) -> None:
    """Where frames are missing, between stretches and after the last one."""
    for index, stretch in enumerate(stretches[:-1]):
        if stretch.gap:
            begin, end = stretch.until, stretches[index + 1].since
            canvas.bar(y, begin, end, "gap", f"{canvas.clock(begin)}–{canvas.clock(end)} {name}")
    if stretches and stretches[-1].until < canvas.now - MISSING_MS and stretches[-1].look.stream != "ended":
        begin = stretches[-1].until
        canvas.bar(y, begin, canvas.now, "gap", f"{canvas.clock(begin)}– {name}")


def _face(look: FrameView) -> str | None:
    if look.stream != "live":
        return None
    return "yes" if look.face else "no"


def _seen(look: FrameView) -> str | None:
    """Labels that a rule judges go before the activity; others, such as `indoor`, are not shown."""
    judged = [label for label in look.labels if of_label(frame_labels(), label) is not None] if look.labels else []
    return ", ".join(judged) or look.activity


# ---- who entered, and what the host said


def _entries(canvas: Canvas, room: RoomView | None, track: Track | None) -> float:
    t = canvas.words
    y = canvas.lane(t("lane.entries"))
    missed = set(room.missed) if room is not None else set()
    waiting = [(one.buyer_id, one.since) for one in _waiting(room)]
    states = {**dict.fromkeys(waiting, "waiting"), **dict.fromkeys(missed, "missed")}
    entries = track.entries_between(canvas.since, canvas.until) if track is not None else []
    for entry in entries:
        _entry(canvas, y, entry, states.get((entry.buyer_id, entry.at), "entered"))
    # Misses of entries from before this console began to read entries.
    for buyer_id, at in missed - {(entry.buyer_id, entry.at) for entry in entries}:
        canvas.point("cross", y, at, "missed", f"{canvas.clock(at)} {buyer_id}: {t('entry.missed')}")
    return y


def _waiting(room: RoomView | None) -> Sequence[WaitingEntry]:
    return room.status.waiting if room is not None and room.status is not None else ()


def _entry(canvas: Canvas, y: float, entry: Entered, state: str) -> None:
    high = " high" if entry.tier in HIGH_QUALITY else ""
    tier = f" ({entry.tier})" if entry.tier else ""
    hint = f"{canvas.clock(entry.at)} {entry.buyer_id}{tier}: {canvas.words(f'entry.{state}')}"
    canvas.point("cross" if state == "missed" else "dot", y, entry.at, state + high, hint)


def _receptions(canvas: Canvas, track: Track | None) -> float:
    t = canvas.words
    y = canvas.lane(t("lane.receptions"))
    for said in track.receptions_between(canvas.since, canvas.until) if track is not None else []:
        how = t("said.speech") if said.via == "speech" else t("said.text")
        canvas.point("tick", y, said.at, f"said {said.via}", f"{canvas.clock(said.at)} {how}: {said.text[:CUT]}")
    return y


# ---- what rules found


def _rules(canvas: Canvas, room: RoomView | None, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """A lane for each rule of which something happened: at risk, open, violated. Return the lanes' places."""
    warnings = _warnings(room, {(one.rule, one.since): one.at for one in verdicts})
    opened = room.status.open if room is not None and room.status is not None else ()
    warned = [notice.rule for notice, until in warnings if (until or canvas.now) >= canvas.since]
    names = [*(one.rule for one in opened), *warned, *(verdict.rule for verdict in verdicts)]
    places = _rule_lanes(canvas, names)
    _draw_warnings(canvas, places, warnings)
    _draw_open(canvas, places, opened)
    _draw_verdicts(canvas, places, verdicts)
    return places


def _rule_lanes(canvas: Canvas, names: Iterable[str | None]) -> dict[str, float]:
    return {rule: canvas.lane(canvas.words.rule(rule)) for rule in dict.fromkeys(names) if rule}


def _draw_warnings(canvas: Canvas, places: Mapping[str, float], warnings: Warnings) -> None:
    for notice, until in warnings:
        y = places.get(notice.rule or "")
        if y is not None and notice.since <= canvas.until:
            hint = f"{canvas.clock(notice.since)} {canvas.words('notice.at-risk')}"
            canvas.bar(y, notice.since, canvas.now if until is None else until, "risk", hint)


def _draw_open(canvas: Canvas, places: Mapping[str, float], opened: Iterable[OpenCondition]) -> None:
    """Bars for the open conditions: up to now, and from now to when each becomes a violation."""
    t, now = canvas.words, canvas.now
    for one in opened:
        if stands(one.due, now):
            hint = f"{canvas.clock(one.since)} {t('opened')}; {t('due')} {canvas.clock(one.due)}"
            canvas.bar(places[one.rule], one.since, min(now, one.due), "open", hint)
            canvas.bar(places[one.rule], max(now, one.since), one.due, "ahead", hint)


def _draw_verdicts(canvas: Canvas, places: Mapping[str, float], verdicts: Iterable[Verdict]) -> None:
    t = canvas.words
    for verdict in sorted(verdicts, key=lambda verdict: verdict.at):
        about = f" ({verdict.subject[:CUT]})" if verdict.subject else ""
        hint = f"{canvas.clock(verdict.at)} {t('verdict')}: {t.rule(verdict.rule)}{about}"
        canvas.bar(places[verdict.rule], verdict.since, verdict.at, "violated", hint)
        canvas.point("diamond", places[verdict.rule], verdict.at, "violation", hint)


def _warnings(room: RoomView | None, violated: Mapping[tuple[str, int], int]) -> Warnings:
    """Each `at-risk` with when it was cleared or violated; None where it stands."""
    if room is None:
        return []
    cleared = {(one.rule or "", one.since): one.at for one in room.notices if one.kind == "risk-cleared"}
    warnings = []
    for one in room.notices:
        if one.kind == "at-risk":
            place = (one.rule or "", one.since)
            ended = one.due or one.at  # violated, by a verdict that is not shown
            until = None if place in room.risks else cleared.get(place, violated.get(place, ended))
            warnings.append((one, until))
    return warnings
