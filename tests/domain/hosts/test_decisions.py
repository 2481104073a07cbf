"""What moderators decide: a choice of what an action offers, an appeal, and the approval of two people."""

import re
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.host_stories import DAY, RULEBOOK, START, Played, Stage, played, review, verdict
from vigil.app.domain.hosts.host import HostEvent
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.topics.fields import InvalidEvent
from vigil.topics.reviews import decode_review

APPROVAL = """
[approval]
says = "What two people approve."

[approval.from.2022-07-19]
ban_days_from = 15
freeze_days_from = 60
steps = ["delete-content"]
source = "test"
"""


def with_approval(text: str = APPROVAL) -> Rulebook:
    return parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + text, "rules.toml")


TWO = with_approval()


def upheld(name: str, at: int, by: str = "mei", **choice: Any) -> HostEvent:
    return review(name, at, "upheld", offset=at, by=by, **choice)


def last(result: Played, name: str) -> tuple[Any, ...]:
    action = result.final[name]
    return action.revision, action.status, action.steps, action.freeze_days, action.past_days


# ---- choices ---------------------------------------------------------------------------------------------------------


def test_an_offered_step_is_published_with_who_chose_it_and_a_higher_revision() -> None:
    result = played(verdict("absence", 0, "a"), upheld("a", 5, step="close"))
    assert last(result, "a") == (2, "active", ("close",), None, None)
    action = result.final["a"]
    assert (action.decided_by, action.decided_at, action.choice) == ("mei", START + 5, ("warn", "close"))


def test_the_mildest_step_can_be_chosen_and_another_one_later() -> None:
    result = played(verdict("absence", 0, "a"), upheld("a", 5, step="warn"), upheld("a", 6, step="close"))
    assert last(result, "a")[:3] == (3, "active", ("close",))


@pytest.mark.parametrize(
    ("choice", "days"),
    [
        ({"freeze_days": 30, "past_days": 30}, (30, 30)),
        ({"freeze_days": 90, "past_days": 180}, (90, 180)),
        ({"freeze_days": 60}, (60, 30)),
        ({"past_days": 31}, (30, 31)),
    ],
)
def test_days_are_chosen_within_the_offered_ranges(choice: dict[str, int], days: tuple[int, int]) -> None:
    result = played(verdict("minor", 0, "a"), upheld("a", 5, **choice))
    assert last(result, "a")[3:] == days
    assert result.letters == []


@pytest.mark.parametrize(
    ("rule", "choice", "why"),
    [
        ("minor", {"freeze_days": 29}, "freeze_days is 29, not between 30 and 90"),
        ("minor", {"freeze_days": 91}, "freeze_days is 91, not between 30 and 90"),
        ("minor", {"past_days": 181}, "past_days is 181, not between 30 and 180"),
        ("minor", {"step": "close"}, "the step 'close' is not among nothing"),
        ("absence", {"step": "ban"}, "the step 'ban' is not among warn, close"),
        ("absence", {"freeze_days": 30}, "freeze_days is not among nothing"),
        ("sleeping", {"step": "close"}, "the action offers no choice"),
    ],
)
def test_what_is_not_offered_is_a_dead_letter_and_has_no_effect(rule: str, choice: dict[str, Any], why: str) -> None:
    result = played(verdict(rule, 0, "a"), upheld("a", 5, **choice))
    assert [(letter.reason, letter.detail) for letter in result.letters] == [("malformed", f"{why} - at `$.choice`")]
    assert result.final["a"] == played(verdict(rule, 0, "a")).final["a"]


def test_a_choice_that_waits_for_its_verdict_is_checked_when_it_is_applied() -> None:
    result = played(upheld("a", 0, step="ban"), upheld("b", 0, step="close"), verdict("absence", 0, "a"))
    assert [letter.reason for letter in result.letters] == ["malformed"]


def test_a_choice_outlives_a_plain_uphold_and_ends_with_an_overturn() -> None:
    story = [verdict("absence", 0, "a"), upheld("a", 5, step="close"), upheld("a", 6, "li")]
    assert last(played(*story), "a")[2] == ("close",)
    assert played(*story).final["a"].decided_by == "li"
    story += [review("a", 7), upheld("a", 8, "li")]
    assert last(played(*story), "a")[2] == ("warn",)


def test_a_choice_has_no_effect_once_its_count_offers_none() -> None:
    """A verdict that comes late makes it the second: close and ban."""
    result = played(verdict("absence", 10, "b"), upheld("b", 20, step="close"), verdict("absence", 0, "a"))
    assert last(result, "b")[2] == ("close", "ban")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"decision": "overturned", "choice": {"step": "close"}}, "a choice belongs to upheld"),
        ({"decision": "appealed", "choice": {"step": "close"}}, "a choice belongs to upheld"),
        ({"choice": {}}, "a choice is either a step"),
        ({"choice": {"step": "close", "past_days": 30}}, "a choice is either a step"),
        ({"choice": {"step": "jail"}}, "Invalid enum value 'jail'"),
        ({"choice": {"freeze_days": "many", "past_days": 60}}, "Expected `int"),
        ({"choice": "close"}, "Expected `object"),
    ],
)
def test_a_choice_that_cannot_be_read_is_not_left_out(more: dict[str, Any], why: str) -> None:
    value = {"verdict_id": "a", "host_id": "h", "decision": "upheld", "by": "m", "reason": "", "at": START, **more}
    with pytest.raises(InvalidEvent, match=re.escape(why)):
        decode_review(b"h", orjson.dumps(value))


# ---- appeals ---------------------------------------------------------------------------------------------------------


def test_an_appeal_changes_no_count_and_publishes_no_action() -> None:
    story = [verdict("absence", 0, "a"), verdict("absence", 1, "b")]
    result = played(*story, review("a", 5, "appealed", by="host"))
    assert result.actions == played(*story).actions
    assert result.letters == []


def test_an_appeal_against_an_unknown_verdict_is_a_dead_letter() -> None:
    stage = Stage().play(review("nobody's", 0, "appealed")).advance(START + DAY)
    assert [letter.reason for letter in stage.result.letters] == ["unknown-verdict"]


# ---- two names -------------------------------------------------------------------------------------------------------


def test_without_the_section_nothing_is_held() -> None:
    assert played(verdict("rights", 0, "a")).final["a"].status == "active"


@pytest.mark.parametrize(
    ("rule", "number", "held"),
    [("absence", 2, False), ("absence", 3, True), ("rights", 1, True), ("minor", 1, True), ("layout", 1, False)],
)
def test_an_action_is_held_that_reaches_days_or_has_a_step(rule: str, number: int, held: bool) -> None:
    """The second absence bans for 7 days, the third for 15; rights and minors delete content."""
    result = played(*(verdict(rule, n, f"{n}") for n in range(number)), rulebook=TWO)
    assert (result.final[f"{number - 1}"].status == "held") is held


def test_a_choice_can_reach_what_needs_approval() -> None:
    book = with_approval(APPROVAL.replace('steps = ["delete-content"]\n', ""))
    story = [verdict("minor", 0, "a"), upheld("a", 5, "mei", freeze_days=59)]
    assert last(played(*story, rulebook=book), "a")[1] == "active"
    story = [verdict("minor", 0, "a"), upheld("a", 5, "mei", freeze_days=60)]
    assert last(played(*story, rulebook=book), "a")[1] == "held"


def test_two_different_names_make_it_active() -> None:
    story = [verdict("rights", 0, "a"), upheld("a", 5, "mei"), upheld("a", 6, "mei")]
    action = played(*story, rulebook=TWO).final["a"]
    assert (action.status, action.approved_by) == ("held", ("mei",))
    action = played(*story, upheld("a", 7, "li"), rulebook=TWO).final["a"]
    assert (action.status, action.approved_by, action.decided_by) == ("active", ("mei", "li"), "li")


def test_an_overturn_withdraws_what_is_held_and_earlier_approvals_stand_no_more() -> None:
    story = [verdict("rights", 0, "a"), upheld("a", 5, "mei"), review("a", 6, by="li")]
    action = played(*story, rulebook=TWO).final["a"]
    assert (action.status, action.decided_by) == ("withdrawn", "li")
    story += [upheld("a", 7, "li")]
    assert played(*story, rulebook=TWO).final["a"].approved_by == ("li",)
    story += [upheld("a", 8, "mei")]
    assert played(*story, rulebook=TWO).final["a"].status == "active"


def test_a_held_ban_counts_for_no_ban_of_others_until_it_is_approved() -> None:
    """Four absences in a row ban for 30 days at the fourth; a black screen bans for 7 days at its second."""
    story = [
        *(verdict("absence", n, f"a{n}") for n in range(4)),
        *(verdict("black-screen", n, f"b{n}") for n in (5, 6)),
    ]
    assert played(*story).final["b6"].ban_until == START + 3 + 30 * DAY
    held = played(*story, rulebook=TWO)
    assert held.final["a3"].ban_until == START + 3 + 30 * DAY
    assert held.final["b6"].ban_until == START + 6 + 7 * DAY
    approved = played(*story, upheld("a3", 10, "mei"), upheld("a3", 11, "li"), rulebook=TWO)
    assert (approved.final["b6"].revision, approved.final["b6"].ban_until) == (2, START + 3 + 30 * DAY)
    taken_back = played(*story, upheld("a3", 10), upheld("a3", 11, "li"), review("a3", 12), rulebook=TWO)
    assert (taken_back.final["b6"].revision, taken_back.final["b6"].ban_until) == (3, START + 6 + 7 * DAY)


@pytest.mark.parametrize("numbers", ["", "ban_days = 3\n", "ban_days_from = 0\n", 'steps = ["jail"]\n'])
def test_an_approval_that_concerns_nothing_is_refused(numbers: str) -> None:
    text = '\n[approval]\nsays = "x"\n\n[approval.from.2022-07-19]\nsource = "test"\n' + numbers
    with pytest.raises(RulebookError, match="approval"):
        with_approval(text)


# ---- any order -------------------------------------------------------------------------------------------------------

_WHO = st.sampled_from(["mei", "li", "wu"])
_CHOICES = st.sampled_from([{}, {"freeze_days": 30}, {"freeze_days": 60}])
_REVIEWS = st.lists(st.tuples(st.booleans(), st.integers(1, 4), _WHO, _CHOICES), max_size=6)


@settings(max_examples=60, deadline=None)
@given(_REVIEWS, st.data())
def test_in_any_order_of_arrival_and_with_crashes_the_reviews_decide_alike(
    reviews: list[tuple[bool, int, str, dict[str, int]]], data: st.DataObject
) -> None:
    story = [
        review("a", at, "overturned", offset, by) if overturns else review("a", at, "upheld", offset, by, **choice)
        for offset, (overturns, at, by, choice) in enumerate(reviews)
    ]
    first = verdict("minor", 0, "a")
    calm = Stage(TWO).play(first, *sorted(story, key=lambda each: (each.at, each.offset))).result.final["a"]
    order = data.draw(st.permutations([first, *story, *story[:2]]))
    crashed = Stage(TWO, crashes=iter(data.draw(st.lists(st.booleans(), max_size=8)))).play(*order).result.final["a"]
    assert _decided(crashed) == _decided(calm)


def _decided(action: Any) -> tuple[Any, ...]:
    content = (action.freeze_days, action.approved_by) if action.status != "withdrawn" else ()
    return action.status, action.decided_by, action.decided_at, *content


def test_state_of_an_earlier_version_has_reviews_without_names() -> None:
    stage = Stage().play(verdict("absence", 0, "a"), verdict("absence", 1, "b"), review("a", 2))
    stored = {name: part for name, part in stage.state.dump_changes().items() if part is not None}
    record = msgspec.msgpack.decode(stored[b"va"])
    stored[b"va"] = msgspec.msgpack.encode([*record[:6], record[6][:3], record[7], record[8][:8]])
    stage.state = stage.machine.load("host", stored)
    assert RULEBOOK.versions("approval") == []
    actions = len(stage.result.actions)
    assert [(one.action_id, one.count) for one in stage.play(verdict("absence", 3, "c")).result.actions[actions:]] == [
        ("c", 2)
    ]
