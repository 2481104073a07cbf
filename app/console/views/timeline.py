"""A room's timeline as shapes to draw: lanes for what was seen, entered and said, and one a rule for what came of it.

Pure geometry; a template turns it into SVG. Positions are in the picture's own units, times are event time in ms.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from vigil.app.console.ingest.model import RoomView
from vigil.app.console.ingest.track import Look, Track
from vigil.app.console.views.text import Words
from vigil.app.domain.rooms.rules.labels import of_label
from vigil.app.domain.rooms.rules.table import frame_labels
from vigil.topics.fields import HIGH_QUALITY
from vigil.topics.verdicts import Notice, Verdict

WIDTH: Final = 1240.0
LEFT: Final = 148.0
"""Where time begins: the lanes' names stand before it."""
RIGHT: Final = 10.0
AXIS: Final = 24.0
LANE: Final = 22.0
STEPS_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
MISSING_MS: Final = 5_000
"""A last frame so long ago is followed by a gap, so far."""
CUT: Final = 120
"""Code points of somebody's words in a hint."""


Key = Callable[[Look], str | None]


class Shape(NamedTuple):
    """Something to draw: `kind` is its form, `look` its style, `hint` what it says on being pointed at."""

    kind: str
    """`bar`, `tick`, `dot`, `diamond`, `guide` or `cross`."""
    x: float
    y: float
    width: float
    look: str
    hint: str


class Lane(NamedTuple):
    """One row of the picture."""

    name: str
    y: float


class Mark(NamedTuple):
    """A time on the axis."""

    x: float
    label: str


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


class _Canvas:
    def __init__(self, since: int, until: int, words: Words, zone: ZoneInfo) -> None:
        self.since, self.until = since, max(until, since + 1000)
        self.words, self.zone = words, zone
        self.lanes: list[Lane] = []
        self.shapes: list[Shape] = []

    def lane(self, name: str) -> float:
        y = AXIS + len(self.lanes) * LANE
        self.lanes.append(Lane(name, y))
        return y

    def x(self, at: int) -> float:
        inside = min(max(at, self.since), self.until)
        return round(LEFT + (inside - self.since) * (WIDTH - LEFT - RIGHT) / (self.until - self.since), 1)

    def clock(self, at: int) -> str:
        return clock(at, self.zone)

    def bar(self, y: float, since: int, until: int, look: str, hint: str) -> None:
        if until >= self.since and since <= self.until:
            begin = self.x(since)
            self.shapes.append(Shape("bar", begin, y, round(max(self.x(until) - begin, 1.5), 1), look, hint))

    def point(self, kind: str, y: float, at: int, look: str, hint: str) -> None:
        if self.since <= at <= self.until:
            self.shapes.append(Shape(kind, self.x(at), y, 0, look, hint))


def clock(at: int, zone: ZoneInfo) -> str:
    """The time of day, to the second."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%H:%M:%S")


def length(seconds: float) -> str:
    """A length of time: 1:02:03, or 2:03."""
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def draw(
    room: RoomView | None,
    track: Track | None,
    verdicts: Sequence[Verdict],
    *,
    since: int,
    until: int,
    now: int,
    words: Words,
    zone: ZoneInfo,
    selected: str | None = None,
) -> Timeline:
    """The timeline of a room between two times; the evidence of the selected verdict is led through all lanes."""
    canvas = _Canvas(since, until, words, zone)
    places = {
        "frame-status": _frames(canvas, track, now),
        "buyer-entry": _entries(canvas, room, track),
        "comment": _receptions(canvas, track),
    }
    rules = _rules(canvas, room, verdicts, now)
    height = AXIS + len(canvas.lanes) * LANE + 6
    for verdict in verdicts:
        chosen = verdict.verdict_id == selected
        for one in verdict.evidence:
            hint = f"{canvas.clock(one.at)} {words.note(one.note)[:300]}"
            look = "evidence chosen" if chosen else "evidence"
            canvas.point("tick", rules[verdict.rule], one.at, look, hint)
            if chosen:
                canvas.point("guide", places.get(one.topic, AXIS), one.at, "guide", hint)
    return Timeline(
        width=WIDTH,
        height=height,
        left=LEFT,
        lanes=tuple(canvas.lanes),
        marks=_axis(canvas),
        shapes=tuple(canvas.shapes),
        now_x=canvas.x(now) if canvas.since <= now <= canvas.until else None,
        since=canvas.since,
        until=canvas.until,
    )


def _axis(canvas: _Canvas) -> tuple[Mark, ...]:
    span_s = (canvas.until - canvas.since) / 1000
    step = next((step for step in STEPS_S if span_s / step <= 12), STEPS_S[-1]) * 1000
    first = -(-canvas.since // step) * step
    form = slice(0, 5) if step >= 60_000 else slice(0, 8)
    return tuple(Mark(canvas.x(at), canvas.clock(at)[form]) for at in range(first, canvas.until + 1, step))


def _frames(canvas: _Canvas, track: Track | None, now: int) -> float:
    t = canvas.words
    stream, face = canvas.lane(t("lane.stream")), canvas.lane(t("lane.face"))
    black, seen = canvas.lane(t("lane.black")), canvas.lane(t("lane.activity"))
    spans = list(track.between(canvas.since, canvas.until)) if track is not None else []

    def runs(y: float, of: "dict[str, tuple[str, str]]", key: Key) -> None:
        """Bars over neighbouring spans that are the same in this respect."""
        begin, end, held = 0, 0, None
        for span, until, gap in spans:
            now_held = key(span.look)
            if now_held != held or span.since > end:
                _flush(y, begin, end, held, of)
                begin, held = span.since, now_held
            end = until
            if gap:
                _flush(y, begin, end, held, of)
                held = None
        _flush(y, begin, end, held, of)

    def _flush(y: float, begin: int, end: int, held: str | None, of: "dict[str, tuple[str, str]]") -> None:
        if held is not None:
            look, name = of.get(held, ("labelled", held))
            canvas.bar(y, begin, end, look, f"{canvas.clock(begin)}–{canvas.clock(end)} {name[:CUT]}")

    streams = {name: (name, t(f"stream.{name}")) for name in ("live", "disconnected", "ended")}
    runs(stream, streams, lambda look: look.stream)
    faces = {"yes": ("ok", t("face.yes")), "no": ("bad", t("face.no"))}
    runs(face, faces, lambda look: None if look.stream != "live" else "yes" if look.face else "no")
    runs(black, {"black": ("black", t("black.yes"))}, lambda look: "black" if look.black else None)
    activities = {name: ("quiet" if name == "hosting" else "odd", t(f"activity.{name}")) for name in t.activities()}
    runs(seen, activities, _seen)
    for index, (_, end, gap) in enumerate(spans):
        if gap and index + 1 < len(spans):
            following = spans[index + 1][0].since
            canvas.bar(stream, end, following, "gap", f"{canvas.clock(end)}–{canvas.clock(following)} {t('gap')}")
    if spans and spans[-1][1] < now - MISSING_MS and spans[-1][0].look.stream != "ended":
        canvas.bar(stream, spans[-1][1], now, "gap", f"{canvas.clock(spans[-1][1])}– {t('gap')}")
    return stream


def _seen(look: Look) -> str | None:
    """Labels that a rule judges go before the activity; others, such as `indoor`, are no news."""
    judged = [label for label in look.labels if of_label(frame_labels(), label) is not None] if look.labels else []
    return ", ".join(judged) or look.activity


def _entries(canvas: _Canvas, room: RoomView | None, track: Track | None) -> float:
    t = canvas.words
    y = canvas.lane(t("lane.entries"))
    missed = set(room.missed) if room is not None else set()
    waiting = {(one.buyer_id, one.since) for one in room.status.waiting} if room is not None and room.status else set()
    held = track.entries_between(canvas.since, canvas.until) if track is not None else []
    told = {(entry.buyer_id, entry.at) for entry in held}
    for entry in held:
        place = (entry.buyer_id, entry.at)
        state = "missed" if place in missed else "waiting" if place in waiting else "entered"
        high = " high" if entry.tier in HIGH_QUALITY else ""
        tier = f" ({entry.tier})" if entry.tier else ""
        hint = f"{canvas.clock(entry.at)} {entry.buyer_id}{tier}: {t(f'entry.{state}')}"
        canvas.point("cross" if state == "missed" else "dot", y, entry.at, state + high, hint)
    for buyer_id, at in missed - told:  # from before this console began to read entries
        canvas.point("cross", y, at, "missed", f"{canvas.clock(at)} {buyer_id}: {t('entry.missed')}")
    return y


def _receptions(canvas: _Canvas, track: Track | None) -> float:
    t = canvas.words
    y = canvas.lane(t("lane.receptions"))
    for said in track.receptions_between(canvas.since, canvas.until) if track is not None else []:
        how = t("said.speech") if said.via == "speech" else t("said.text")
        canvas.point("tick", y, said.at, f"said {said.via}", f"{canvas.clock(said.at)} {how}: {said.text[:CUT]}")
    return y


def _rules(canvas: _Canvas, room: RoomView | None, verdicts: Sequence[Verdict], now: int) -> dict[str, float]:
    """A lane for each rule of which something happened: at risk, open, violated."""
    t = canvas.words
    notices = _warnings(room, {(one.rule, one.since): one.at for one in verdicts})
    status = room.status if room is not None else None
    opened = status.open if status is not None else ()
    names = [one.rule for one in opened]
    names += [told.rule or "" for told, until in notices if (until or now) >= canvas.since]
    names += [verdict.rule for verdict in verdicts]
    places = {rule: canvas.lane(t.rule(rule)) for rule in dict.fromkeys(names) if rule}
    for told, until in notices:
        if told.rule in places and told.since <= canvas.until:
            end = until if until is not None else now
            canvas.bar(places[told.rule], told.since, end, "risk", f"{canvas.clock(told.since)} {t('notice.at-risk')}")
    for one in opened:
        if one.due > now - 5_000:
            hint = f"{canvas.clock(one.since)} {t('opened')}; {t('due')} {canvas.clock(one.due)}"
            canvas.bar(places[one.rule], one.since, min(now, one.due), "open", hint)
            canvas.bar(places[one.rule], max(now, one.since), one.due, "ahead", hint)
    for verdict in sorted(verdicts, key=lambda verdict: verdict.at):
        y = places[verdict.rule]
        about = f" ({verdict.subject[:CUT]})" if verdict.subject else ""
        hint = f"{canvas.clock(verdict.at)} {t('verdict')}: {t.rule(verdict.rule)}{about}"
        canvas.bar(y, verdict.since, verdict.at, "violated", hint)
        canvas.point("diamond", y, verdict.at, "violation", hint)
    return places


def _warnings(room: RoomView | None, violated: Mapping[tuple[str, int], int]) -> list[tuple[Notice, int | None]]:
    """Each `at-risk` with when it was cleared or violated; None where it stands."""
    if room is None:
        return []
    cleared = {(one.rule or "", one.since): one.at for one in room.notices if one.kind == "risk-cleared"}
    warned = []
    for one in room.notices:
        if one.kind == "at-risk":
            place = (one.rule or "", one.since)
            ended = one.due or one.at  # violated, by a verdict that is not shown
            until = None if place in room.risks else cleared.get(place, violated.get(place, ended))
            warned.append((one, until))
    return warned
