"""Frames that show what the one before has shown take a short way. It leads to where the long one leads."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.room_strategies import stories
from tests.support.stories import (
    HOUR,
    MIDNIGHT,
    ROOMS,
    RULEBOOK,
    START,
    S,
    Stage,
    comment,
    frame,
    frames,
    in_order,
    layout,
    rulebook_changed,
)
from vigil.app.domain.rooms import RoomMachine, RoomState
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.watermark import MIN_TIME
from vigil.topics.rooms import FrameStatus, Layout, RoomEvent

CHANGING = RoomMachine(
    rulebook_changed(
        {
            "rooms": {"max_frame_gap_s": 5},
            "absence": {"lasts_s": 20},
            "av-desync": {"latest_ms": 188, "lasts_s": 5},
            "black-screen": {"lasts_s": 30, "tolerate_s": 3, "tolerate_share": 0.5},
            "no-content": {"lasts_s": 3},
            "greeting-miss": {"within_s": 3},
        }
    )
)
"""From midnight on, many limits are others."""


class LongWay(Stage):
    """Every frame is judged in full."""

    def _after(self) -> None:
        super()._after()
        assert isinstance(self.state, RoomState)
        self.state._same_until = MIN_TIME


class Watched(Stage):
    """The engine relies on this: no timer is due before `earliest_timer`."""

    def _after(self) -> None:
        super()._after()
        early = self.state.earliest_timer
        assert early <= self.state.next_timer()


@st.composite
def steady(draw: st.DrawFn) -> list[RoomEvent]:
    """A story in which most frames come several times."""
    events: list[RoomEvent] = []
    for event in draw(stories(30)):
        events.append(event)
        if isinstance(event, FrameStatus) and draw(st.integers(0, 3)):
            every = draw(st.sampled_from([1, 500, 1 * S, 1 * S, 2 * S, 15 * S, 16 * S]))
            times = range(event.at - START + every, event.at - START + every * draw(st.integers(1, 40)), every)
            events += [frame(at, **{**_shown(event), "av_offset_ms": draw(_SOUNDS)}) for at in times]
    return in_order(events)


_SOUNDS = st.sampled_from([None, 0, 3, 185, 186, 190])


def _shown(event: FrameStatus) -> dict[str, object]:
    fields = ("stream", "face", "black", "activity", "layout", "labels")
    return {name: getattr(event, name) for name in fields}


def later(story: list[RoomEvent], by: int) -> list[RoomEvent]:
    return [
        type(event)(**{**{f: getattr(event, f) for f in event.__struct_fields__}, "at": event.at + by})
        for event in story
    ]


@settings(max_examples=examples(150), deadline=None)
@given(steady(), st.sampled_from([0, MIDNIGHT - 20 * S]), st.lists(st.booleans(), min_size=1, max_size=20))
def test_the_short_way_leads_where_the_long_one_leads(story: list[RoomEvent], by: int, when: list[bool]) -> None:
    story = later(story, by)
    turn = iter(when * 10_000)
    short = Watched(CHANGING, crashes=lambda: next(turn)).play(story).until(by + HOUR // 2)
    long = LongWay(CHANGING).play(story).until(by + HOUR // 2)
    assert short.outputs == long.outputs
    assert short.collector.counts == long.collector.counts
    assert short.state.next_timer() == long.state.next_timer()
    short.store()
    long.store()
    assert short.stored == long.stored


def test_steady_frames_take_the_short_way() -> None:
    """Seen by the calls: the sound differs, the canvas is a new object each time, and a condition is active."""
    story = [
        frame(at, black=True, av_offset_ms=at // S % 7, layout=layout(), labels=("indoor",))
        for at in range(0, 50 * S, S)
    ]
    longs = 0

    class Counted(RoomState):
        __slots__ = ()

        def _frame(self, frame: FrameStatus, picture: tuple[object, ...]) -> None:  # type: ignore[override]
            nonlocal longs
            longs += 1
            super()._frame(frame, picture)  # type: ignore[arg-type]

    state = Counted("room-1", RoomMachine(RULEBOOK)._limits, False, {})
    for event in story:
        state.apply(event, event.at, OutputCollector())
    assert longs == 7, "the first frame, and each new offset of the sound once"


def test_a_frame_at_the_time_of_a_violation_takes_the_long_way() -> None:
    stage = Stage(ROOMS).play(frames(0, 119 * S, black=True))
    assert [notice.kind for notice in stage.notices] == ["at-risk"]
    assert [verdict.rule for verdict in stage.play([frame(120 * S, black=True)]).verdicts] == ["black-screen"]


def test_a_condition_is_judged_to_its_end_by_the_limits_of_its_beginning() -> None:
    """After midnight 186 ms and 0 ms are the same; to the condition that began before they are not."""
    Stage(CHANGING).play([frame(MIDNIGHT, av_offset_ms=0)])  # another room has shown this offset
    before = frames(MIDNIGHT - 3 * S, MIDNIGHT + 3 * S, av_offset_ms=186)
    stage = Stage(CHANGING).play([*before, *frames(MIDNIGHT + 4 * S, MIDNIGHT + 9 * S, av_offset_ms=0)])
    assert stage.status(MIDNIGHT + 9 * S).open == ()


def test_a_gap_ends_a_condition_though_the_frames_are_the_same() -> None:
    stage = Stage(ROOMS).play([*frames(0, 100 * S, black=True), *frames(116 * S, 200 * S, black=True)])
    assert [notice.kind for notice in stage.notices] == [
        "at-risk",
        "signal-lost",
        "risk-cleared",
        "signal-back",
        "at-risk",
    ]
    assert stage.verdicts == []


def test_a_reception_restarts_a_condition_that_was_a_violation_already() -> None:
    gone = frames(0, 700 * S, face=False)
    stage = Stage(ROOMS).play(in_order(gone, [comment(320 * S + 500)]))
    assert [(verdict.rule, verdict.since - START) for verdict in stage.verdicts] == [
        ("absence", 0),
        ("absence", 320 * S + 500),
    ]


def test_conditions_look_at_what_is_compared_and_at_nothing_else() -> None:
    """Two frames are taken for the same by their pictures, and by their sound if a rule is `by_sound`."""
    compared = {"stream", "face", "black", "activity", "layout"}
    numbers = random.Random(1)

    class Looked:
        def __init__(self, event: FrameStatus) -> None:
            self.event, self.at = event, set[str]()

        def __getattr__(self, name: str) -> object:
            self.at.add(name)
            return getattr(self.event, name)

    limits = ROOMS._limits.at(START).conditions
    for rule in (condition for _, _, condition in limits.live):
        for _ in range(50):
            looked = Looked(_some_frame(numbers))
            rule.holds(looked, rule.limits)  # type: ignore[arg-type]
            assert looked.at <= ({"av_offset_ms"} if RULES[rule.id].by_sound else compared), rule.id


def _some_frame(numbers: random.Random) -> FrameStatus:
    canvas: list[Layout | None] = [None, layout(), layout(materials=3), layout(camera_share=0.1)]
    return frame(
        0,
        numbers.choice(["live", "disconnected"]),
        face=numbers.random() < 0.5,
        black=numbers.random() < 0.5,
        av_offset_ms=numbers.choice([None, 0, 200]),
        activity=numbers.choice([None, "hosting", "signed-off", "none"]),
        layout=numbers.choice(canvas),
    )
