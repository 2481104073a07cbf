"""A host's actions are a function of the set of its verdicts and reviews: any order, any crash, the same result."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.host_stories import DAY, FAMILY_OF, RULEBOOK, START, Stage, review, verdict
from vigil.app.domain.hosts.host import HostEvent
from vigil.app.domain.hosts.machine import HostMachine
from vigil.app.domain.hosts.reviews import ReceivedReview
from vigil.app.engine.subject import Arrival
from vigil.topics.verdicts import Action, Verdict

WINDOW = {"reception": 90, "low-quality": 90, "prohibited-goods": 180}
BANS = {
    "reception": [0, 7, 15, 30],
    "low-quality": [0, 7, 15, 30],
    "prohibited-goods": [0, 0, 7, 30, 90],
}


def expected(story: Sequence[HostEvent]) -> dict[str, tuple[str, int | None, int | None]]:
    """Computed slowly from the text of the rules: status of each action; count and end of the ban of an active one."""
    verdicts = {event.verdict_id: event for event in story if isinstance(event, Verdict)}
    reviews = [event for event in story if isinstance(event, ReceivedReview)]
    latest = {}
    for each in sorted(reviews, key=lambda each: (each.at, each.offset)):
        latest[each.review.verdict_id] = each.review.decision
    counted = [each for each in verdicts.values() if latest.get(each.verdict_id) != "overturned"]
    counted.sort(key=lambda each: (each.at, each.verdict_id))
    result: dict[str, tuple[str, int | None, int | None]] = {
        name: ("withdrawn", None, None) for name in verdicts if latest.get(name) == "overturned"
    }
    ends: list[int] = []
    for index, each in enumerate(counted):
        window = WINDOW.get(each.family, 400) * DAY
        count = sum(1 for other in counted[: index + 1] if other.family == each.family and other.at > each.at - window)
        days = BANS.get(each.family, [0])
        length = days[min(count, len(days)) - 1]
        until = None
        if length:
            until = max([each.at + length * DAY, *(end for end in ends if end > each.at)])
            ends.append(each.at + length * DAY)
        result[each.verdict_id] = ("active", count, until)
    return result


def shown(final: dict[str, Action]) -> dict[str, tuple[str, int | None, int | None]]:
    return {
        name: ("active", action.count, action.ban_until) if action.status == "active" else ("withdrawn", None, None)
        for name, action in final.items()
    }


NAMES = [f"v{n}" for n in range(12)]
# Few times, windows and bans apart, so that ties and boundaries are met often.
TIMES = st.sampled_from([0, 1, DAY, 7 * DAY, 7 * DAY + 1, 22 * DAY, 30 * DAY, 89 * DAY, 90 * DAY, 91 * DAY, 180 * DAY])
VERDICTS = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(sorted(FAMILY_OF)), TIMES), max_size=12)
REVIEWS = st.lists(st.tuples(st.sampled_from(NAMES), TIMES, st.sampled_from(["upheld", "overturned"])), max_size=8)


@st.composite
def stories(draw: st.DrawFn) -> list[HostEvent]:
    verdicts = [verdict(rule, at, name) for name, (rule, at) in draw(VERDICTS).items()]
    reviews = [review(name, at, decision, offset) for offset, (name, at, decision) in enumerate(draw(REVIEWS))]
    events: list[HostEvent] = [*verdicts, *reviews]
    return draw(st.permutations(events))


@settings(max_examples=examples(300), deadline=None)
@given(stories())
def test_in_any_order_of_arrival_the_actions_are_those_of_the_set(story: list[HostEvent]) -> None:
    stage = Stage(wait_ms=None).play(*story)
    assert shown(stage.result.final) == expected(story)
    known = {event.verdict_id for event in story if isinstance(event, Verdict)}
    unknown = [event for event in story if isinstance(event, ReceivedReview) and event.review.verdict_id not in known]
    assert [letter.offset for letter in stage.end().result.letters] == [event.offset for event in unknown]


@settings(max_examples=examples(100), deadline=None)
@given(stories(), st.lists(st.booleans(), max_size=20), st.data())
def test_a_crash_after_any_event_and_any_repeat_changes_nothing(
    story: list[HostEvent], crashes: list[bool], data: st.DataObject
) -> None:
    calm = Stage(wait_ms=None).play(*story).end()
    crashed = Stage(wait_ms=None, crashes=iter(crashes))
    for event in story:
        crashed.play(event)
        if isinstance(event, Verdict) and data.draw(st.booleans()):
            crashed.play(event)
    assert crashed.end().collector.outputs == calm.collector.outputs


@settings(max_examples=examples(100), deadline=None)
@given(stories())
def test_revisions_of_an_action_rise_by_one_and_each_says_something_new(story: list[HostEvent]) -> None:
    latest: dict[str, Action] = {}
    for action in Stage(wait_ms=None).play(*story).result.actions:
        before = latest.get(action.action_id)
        assert action.revision == (1 if before is None else before.revision + 1)
        assert before is None or any(
            getattr(action, field) != getattr(before, field)
            for field in Action.__struct_fields__
            if field != "revision"
        )
        latest[action.action_id] = action


def test_a_host_with_hundreds_of_verdicts_stores_only_what_changed() -> None:
    stage = Stage()
    for n in range(500):
        stage.play(verdict("rights", n, f"{n:03}"))
    stage.state.dump_changes()
    stage.play(verdict("rights", 500, "500"))
    changed = stage.state.dump_changes()
    assert set(changed) == {b"v500"}
    assert len(changed[b"v500"] or b"") < 300


def test_the_machine_names_its_topics_in_the_order_of_source_index() -> None:
    machine = HostMachine(RULEBOOK, 2000)
    assert machine.topics == ("verdict-by-host", "review", "enforcement-result")
    assert machine.order == Arrival()
    assert machine.key_of(review("v", 0)) == machine.key_of(verdict("rights", START)) == "host"
