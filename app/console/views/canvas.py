"""A picture of lanes over time: shapes with their places, for a template to turn into SVG.

Pure geometry. Positions are in the picture's own units, times are event times in ms.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from vigil.app.console.views.text import Words

WIDTH: Final = 1240.0
LEFT: Final = 148.0
"""Where time begins: the names of the lanes stand before it."""
RIGHT: Final = 10.0
AXIS: Final = 24.0
LANE: Final = 22.0
STEPS_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Distances of marks on the axis; the smallest that gives no more than MOST_MARKS is taken."""
MOST_MARKS: Final = 12


class Window(NamedTuple):
    """What part of time a picture shows, and to whom."""

    since: int
    until: int
    now: int
    zone: ZoneInfo
    words: Words


class Shape(NamedTuple):
    """Something to draw: `kind` is its form, `look` its style, `hint` the text on pointing at it."""

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


class Canvas:
    """A picture that is being drawn. Shapes outside the window are left out, and bars are cut to it."""

    def __init__(self, window: Window) -> None:
        self.since, self.until = window.since, max(window.until, window.since + 1000)
        self.now, self.zone, self.words = window.now, window.zone, window.words
        self.lanes: list[Lane] = []
        self.shapes: list[Shape] = []

    def lane(self, name: str) -> float:
        """Add a lane; return its place."""
        y = AXIS + len(self.lanes) * LANE
        self.lanes.append(Lane(name, y))
        return y

    @property
    def height(self) -> float:
        """The height of the lanes so far, with the axis."""
        return AXIS + len(self.lanes) * LANE + 6

    def x(self, at: int) -> float:
        """The place of a time."""
        inside = min(max(at, self.since), self.until)
        return round(LEFT + (inside - self.since) * (WIDTH - LEFT - RIGHT) / (self.until - self.since), 1)

    def clock(self, at: int) -> str:
        """A time of day as the reader's clock shows it."""
        return clock(at, self.zone)

    def bar(self, y: float, since: int, until: int, look: str, hint: str) -> None:
        """Draw something that lasts."""
        if until >= self.since and since <= self.until:
            begin = self.x(since)
            self.shapes.append(Shape("bar", begin, y, round(max(self.x(until) - begin, 1.5), 1), look, hint))

    def point(self, kind: str, y: float, at: int, look: str, hint: str) -> None:
        """Draw something that happens at one time."""
        if self.since <= at <= self.until:
            self.shapes.append(Shape(kind, self.x(at), y, 0, look, hint))

    def axis(self) -> tuple[Mark, ...]:
        """The marks of time."""
        span_s = (self.until - self.since) / 1000
        step = next((step for step in STEPS_S if span_s / step <= MOST_MARKS), STEPS_S[-1]) * 1000
        first = -(-self.since // step) * step
        form = slice(0, 5) if step >= 60_000 else slice(0, 8)
        return tuple(Mark(self.x(at), self.clock(at)[form]) for at in range(first, self.until + 1, step))


def clock(at: int, zone: ZoneInfo) -> str:
    """The time of day, to the second."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).strftime("%H:%M:%S")


def length(seconds: float) -> str:
    """A length of time: 1:02:03, or 2:03."""
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
