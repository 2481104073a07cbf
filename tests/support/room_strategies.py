"""Hypothesis makes up rooms: every kind of event, at times that like to fall on the rules' boundaries."""

from itertools import accumulate

from hypothesis import strategies as st

from tests.support.stories import S, buyer_comment, comment, entry, frame, in_order, layout
from vigil.topics.rooms import RoomEvent

STEPS = st.sampled_from([0, 0, 1, 500, 1 * S, 1 * S, 3 * S, 5 * S, 10 * S - 1, 10 * S, 15 * S, 15 * S + 1, 60 * S])
"""Milliseconds from one event to the next."""


@st.composite
def _event(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    kind = draw(st.sampled_from(["frame"] * 5 + ["entry"] * 3 + ["host", "greet", "ask", "chat", "buyer"]))
    if kind == "frame":
        return kind, {
            "stream": draw(st.sampled_from(["live"] * 8 + ["disconnected", "disconnected", "ended"])),
            "face": draw(st.booleans()),
            "black": draw(st.sampled_from([True, True, False])),
            "av_offset_ms": draw(st.sampled_from([None, 0, 185, 186, 186, -91])),
            "activity": draw(st.sampled_from([None, "hosting", "signed-off", "signed-off", "none", "sleeping"])),
            "layout": draw(st.sampled_from([None, layout(), layout(materials=3)])),
            "labels": draw(st.sampled_from([(), ("minor",), ("rights:a", "minor"), ("rights:a", "rights:b")])),
        }
    if kind == "entry":
        return kind, {"buyer": draw(st.sampled_from("abcdefgh")), "tier": draw(st.sampled_from([None, "L0", "L3"]))}
    if kind == "buyer":
        return kind, {"buyer": draw(st.sampled_from("abcdefgh"))}
    text = draw(
        st.sampled_from(["buy this red machine", "buy this red machine!", "something else here", " ", "\u200b"])
    )
    return kind, {"text": text, "labels": draw(st.sampled_from([(), (), ("abuse",), ("rights:a", "rights:c")]))}


@st.composite
def stories(draw: st.DrawFn, most: int = 60, steps: st.SearchStrategy[int] = STEPS) -> list[RoomEvent]:
    """A room's events in order."""
    steps_and_events = draw(st.lists(st.tuples(steps, _event()), min_size=1, max_size=most))
    events: list[RoomEvent] = []
    for number, (at, (kind, rest)) in enumerate(
        zip(accumulate(step for step, _ in steps_and_events), (event for _, event in steps_and_events), strict=True)
    ):
        if kind == "frame":
            events.append(frame(at, **rest))  # type: ignore[arg-type]
        elif kind == "entry":
            events.append(entry(at, **rest))  # type: ignore[arg-type]
        elif kind == "buyer":
            events.append(buyer_comment(at, id_=f"c{number % 50}", **rest))  # type: ignore[arg-type]
        else:
            intent = None if kind == "host" else kind
            events.append(comment(at, id_=f"c{number % 50}", intent=intent, **rest))  # type: ignore[arg-type]
    return in_order(events)
