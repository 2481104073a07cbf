"""Made-up rooms judged twice: by the rooms, event by event, and by the model, which looks at the whole story."""

from fractions import Fraction
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.room_model import LimitsAt, Said, expected
from tests.support.room_strategies import stories
from tests.support.stories import START, S, Stage, comment, entry, frame, in_order, rulebook_changed
from vigil.app.domain.rooms import RoomMachine
from vigil.topics.rooms import RoomEvent

LASTS_S = {
    "absence": 30,
    "black-screen": 20,
    "av-desync": 30,
    "dead-air": 40,
    "sleeping": 10,
    "no-content": 24,
    "layout": 10,
    "minor": 3,
    "rights": 3,
}
"""Short enough that stories of some dozen events reach them."""


def judging(tolerate_s: int = 0, share: float = 0.0, **greeting: object) -> tuple[RoomMachine, LimitsAt]:
    """Rooms with quick rules, and the same numbers for the model."""
    runs = {"tolerate_s": tolerate_s, "tolerate_share": share}
    changes = {rule: {"lasts_s": lasts, **runs} for rule, lasts in LASTS_S.items()}
    rulebook = rulebook_changed({"rooms": {"at_risk_from_s": 20}, "greeting-miss": greeting, **changes}, "2022-08-01")
    numbers = LimitsAt(
        gap=15 * S,
        within=10 * S,
        lasts={rule: lasts * S for rule, lasts in LASTS_S.items()},
        at_risk_from=20 * S,
        early=S * rulebook.versions("greeting-miss")[-1].limits.early_s,
        greeting_alone=rulebook.versions("greeting-miss")[-1].limits.greeting_alone_counts,
        tolerate=tolerate_s * S,
        share=Fraction(str(share)),
    )
    return RoomMachine(rulebook), numbers


STRICT = judging()
GREETINGS = [STRICT, judging(early_s=0), judging(early_s=5), judging(greeting_alone_counts=True)]
TOLERANT = [judging(3, 0.2), judging(3, 0.5), judging(10, 1.0), judging(5, 0.0)]
STEPS = st.sampled_from([0, 0, 1, 1 * S, 3 * S, 5 * S, 10 * S - 1, 10 * S, 10 * S + 1, 15 * S, 15 * S + 1])


BLANK = (" ", "\u200b")


def said(stage: Stage) -> list[Said]:
    """What was said, of the rules that the model knows."""
    found: list[Said] = [("verdict", v.rule, v.subject, v.since, v.at, None) for v in stage.verdicts if v.since != v.at]
    found += [(n.kind, n.rule, n.buyer_id, n.since, n.at, n.due) for n in stage.notices]
    return sorted(found, key=repr)


def compare(story: list[RoomEvent], after: int, judged: tuple[RoomMachine, LimitsAt] = STRICT) -> None:
    machine, numbers = judged
    end = story[-1].at + after
    crashes = iter(range(1 << 62))
    stage = Stage(machine, crashes=lambda: next(crashes) % 3 == 0).play(story).until(end - START)
    spoken = {(v.rule, v.subject) for v in stage.verdicts} & {("harassment", None)}
    assert not spoken  # five near-identical ones: stories for the model are too varied for that
    assert said(stage) == sorted(expected(story, end, numbers), key=repr)


def silent(story: list[RoomEvent]) -> list[RoomEvent]:
    """The story with other words for every comment, and each comment once."""
    seen: set[str] = set()
    kept: list[RoomEvent] = []
    for number, event in enumerate(story):
        if id_ := getattr(event, "comment_id", None):
            if id_ in seen:
                continue
            seen.add(id_)
            if event.author_role == "host":  # type: ignore[union-attr]
                text = event.text if event.text in BLANK else chr(0x4E00 + number) * 20  # type: ignore[union-attr]
                intent = event.intent  # type: ignore[union-attr]
                event = comment(event.at - START, text, id_=id_, intent=intent)
        kept.append(event)
    return kept


@settings(max_examples=examples(400), deadline=None)
@given(stories(steps=STEPS), st.sampled_from([0, 1, 10 * S - 1, 10 * S, 15 * S, 100 * S]))
def test_rooms_publish_what_the_model_expects(story: list[RoomEvent], after: int) -> None:
    compare(silent(story), after)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(st.tuples(STEPS, st.sampled_from("eeeehgGafdx"), st.sampled_from("abcd")), max_size=50),
    st.sampled_from([0, 10 * S, 60 * S]),
    st.sampled_from(GREETINGS),
)
def test_entries_and_receptions_alone(
    drawn: list[tuple[int, str, str]], after: int, judged: tuple[RoomMachine, LimitsAt]
) -> None:
    story: list[RoomEvent] = [frame(0)]
    for number, (at, (_, kind, buyer)) in enumerate(zip(accumulate(step for step, _, _ in drawn), drawn, strict=True)):
        made: dict[str, RoomEvent] = {
            "e": entry(at, buyer),
            "h": comment(at, chr(0x4E00 + number) * 20),
            "g": comment(at, "!", intent="greet"),
            "G": comment(at, "!", intent="greet-ask", id_=f"G{number}"),
            "a": comment(at, "!", intent="ask", id_=f"a{number}"),
            "f": frame(at),
            "d": frame(at, "disconnected"),
            "x": comment(at, " "),
        }
        story.append(made[kind])
    compare(silent(in_order(story)), after, judged)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(STEPS, st.sampled_from("aaaaaafbh")), max_size=50), st.sampled_from([0, 15 * S]))
def test_absences_and_receptions_alone(drawn: list[tuple[int, str]], after: int) -> None:
    story: list[RoomEvent] = [frame(0)]
    for number, (at, (_, kind)) in enumerate(zip(accumulate(step for step, _ in drawn), drawn, strict=True)):
        made: dict[str, RoomEvent] = {
            "a": frame(at, face=False),
            "f": frame(at),
            "b": frame(at, face=False, black=True),
            "h": comment(at, chr(0x4E00 + number) * 20, id_=f"c{number}"),
        }
        story.append(made[kind])
    compare(in_order(story), after)


FLICKER = st.lists(st.tuples(STEPS, st.sampled_from("bbbbbbbnnlhd")), min_size=1, max_size=50)
"""Mostly black frames without a face and with a label; others, receptions, and frames that are not live."""


@settings(max_examples=examples(300), deadline=None)
@given(FLICKER, st.sampled_from([0, 3 * S, 15 * S]), st.sampled_from(TOLERANT))
def test_a_detector_that_flickers(
    drawn: list[tuple[int, str]], after: int, judged: tuple[RoomMachine, LimitsAt]
) -> None:
    story: list[RoomEvent] = [frame(0)]
    for number, (at, (_, kind)) in enumerate(zip(accumulate(step for step, _ in drawn), drawn, strict=True)):
        made: dict[str, RoomEvent] = {
            "b": frame(at, face=False, black=True, activity="signed-off", labels=("minor", "rights:a")),
            "n": frame(at),
            "l": frame(at, face=False, labels=("rights:a",)),
            "h": comment(at, chr(0x4E00 + number) * 20, id_=f"c{number}"),
            "d": frame(at, "disconnected"),
        }
        story.append(made[kind])
    compare(in_order(story), after, judged)


@settings(max_examples=examples(100), deadline=None)
@given(stories(steps=STEPS), st.sampled_from([0, 3 * S, 100 * S]), st.sampled_from(TOLERANT))
def test_tolerant_rooms_publish_what_the_model_expects(
    story: list[RoomEvent], after: int, judged: tuple[RoomMachine, LimitsAt]
) -> None:
    compare(silent(story), after, judged)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.integers(1, 15 * S), min_size=1, max_size=300))
def test_any_frame_rate_gives_the_same_instant(steps: list[int]) -> None:
    at = [0, *accumulate(steps)]
    stage = Stage(RoomMachine(rulebook_changed({}))).play(frame(time, black=True) for time in at)
    found = [(verdict.since - START, verdict.at - START) for verdict in stage.verdicts]
    assert found == ([(0, 120 * S)] if at[-1] >= 120 * S else [])
