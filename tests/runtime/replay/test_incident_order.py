"""Whatever the order in which commands, reviews and results are read among rooms' events, the last lines are alike."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tape import (
    DAY,
    Line,
    at,
    case,
    entry,
    frame,
    frames,
    in_order,
    incident_id,
    result,
    review,
    said,
    verdict_id,
)
from vigil.app.domain.incidents.subject import SUBJECT

TWO_NAMES = """
[approval]
says = "What two people approve."

[approval.from.2022-07-19]
ban_days_from = 7
source = "test"
"""

BLACK, AGAIN = incident_id("rule", 0, "black-screen"), incident_id("rule", 130, "black-screen")
FIRST, SECOND = verdict_id("black-screen", 0, 120), verdict_id("black-screen", 130, 250)
SPOKEN = verdict_id("rights", 3, 3, "rights:a")

ROOM: list[Line] = [
    {**one, "partition": 0, "offset": number}  # a clock of its own, which nothing else moves
    for number, one in enumerate(
        sorted(
            [
                *frames(0, 120, black=True),
                *frames(121, 129),
                *frames(130, 250, black=True),
                *frames(251, 330),
                *frames(350, 420),
                frame(500, stream="ended"),
                entry(5, "bo", "L2"),
                said(3, labels=["rights:a"]),
            ],
            key=lambda one: one["value"]["at"],
        )
    )
]

WORK: list[Line] = [
    case(61, "claim", BLACK),
    case(61.5, "claim", BLACK, "li", 1),
    case(62, "note", BLACK, "wu", 2, text="who has it?"),
    case(130, "snooze", BLACK, offset=3, until=at(130 + DAY)),
    case(140, "release", BLACK, offset=4),
    case(150, "claim", BLACK, "li", 5),
    case(255, "claim", AGAIN, offset=6),
    case(256, "claim", AGAIN, "li", 7),
    review(125, FIRST, "overturned", offset=0),
    review(135, FIRST, "upheld", "li", 1),
    review(260, SECOND, "upheld", "mei", 2),
    review(262, SECOND, "appealed", "h", 3),
    review(265, SECOND, "upheld", "li", 4),
    review(30, SPOKEN, "overturned", "li", 5),
    result(270, SECOND, "ban", "failed"),
    result(275, SECOND, "close"),
    result(20, SPOKEN, "take-offline"),
]


def lines(*story: Line) -> dict[str, Any]:
    """The last lines, without what depends on the order by declaration."""
    output = SUBJECT.outputs[0]
    found = {}
    for line in in_order(*story, rules=TWO_NAMES)["incident"]:
        kept = orjson.loads(orjson.dumps(line))
        for name in output.order_dependent(line):
            outer, _, inner = name.partition(".")
            if inner:
                del kept[outer][inner]
            else:
                del kept[outer]
        found[line["incident_id"]] = kept
    return found


CALM = lines(*sorted([*ROOM, *WORK], key=lambda one: one["value"]["at"]))


def test_the_story_has_what_can_differ() -> None:
    assert CALM[AGAIN]["action"]["status"] == "active"  # approved by two
    assert CALM[AGAIN]["still_live"] is False and CALM[AGAIN]["ended_by"] == "room-ended"
    assert len(CALM[AGAIN]["outcomes"]) == 2 and CALM[AGAIN]["appealed_at"] == at(262)
    assert [one["effect"] for one in CALM[BLACK]["commands"]] == ["done", "lost", "done", "done", "lost", "done"]
    assert {line["kind"] for line in CALM.values()} == {"rule", "signal", "entry"}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_arrival_does_not_matter(data: st.DataObject) -> None:
    story = list(ROOM)
    for one in [*data.draw(st.permutations(WORK)), *data.draw(st.lists(st.sampled_from(WORK), max_size=4))]:
        story.insert(data.draw(st.integers(0, len(story))), one)
    assert lines(*story) == CALM
