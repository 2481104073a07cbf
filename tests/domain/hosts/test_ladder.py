"""Every row of the ladders, and the boundaries of counting."""

import pytest

from tests.support.host_stories import DAY, RULEBOOK, START, played, verdict
from vigil.app.domain.hosts.ladder import LadderCounts, Violation
from vigil.topics.verdicts import Action

Rung = tuple[tuple[str, ...], object, int | None, int | None, int | None]

WARN_OR_CLOSE: Rung = (("warn",), ("warn", "close"), None, None, None)
CLOSE: Rung = (("close",), None, None, None, None)
TAKE_DOWN: Rung = (("warn", "take-offline", "delete-content"), None, None, None, None)
FREEZE: Rung = (("warn", "take-offline", "delete-content", "freeze"), None, None, 90, None)


def ban(days: int, past: int | None = None) -> Rung:
    steps = ("close", "ban") if past is None else ("close", "ban", "close-past-rooms")
    return steps, None, days, None, past


MINORS: Rung = (
    ("warn", "take-offline", "delete-content", "freeze", "close-past-rooms"),
    {"freeze_days": (30, 90), "past_days": (30, 180)},
    None,
    30,
    30,
)


def rung(action: Action) -> Rung:
    return action.steps, action.choice, action.ban_days, action.freeze_days, action.past_days


@pytest.mark.parametrize(
    ("rule", "rungs"),
    [
        ("greeting-miss", [WARN_OR_CLOSE, ban(7), ban(15), ban(30), ban(30), ban(30)]),
        ("black-screen", [WARN_OR_CLOSE, ban(7), ban(15), ban(30), ban(30), ban(30)]),
        ("sleeping", [CLOSE, ban(7), ban(15), ban(30), ban(30)]),
        ("layout", [WARN_OR_CLOSE] * 6),
        ("rights", [TAKE_DOWN, FREEZE, FREEZE, FREEZE, FREEZE]),
        ("harassment", [TAKE_DOWN, FREEZE, FREEZE, FREEZE, FREEZE]),
        ("minor", [MINORS] * 6),
        ("prohibited-goods", [CLOSE, CLOSE, ban(7, 7), ban(30, 30), ban(90, 90), ban(90, 90)]),
    ],
)
def test_the_nth_violation_leads_to_the_nth_step_and_stays_on_the_last(rule: str, rungs: list[Rung]) -> None:
    actions = played(*(verdict(rule, n * DAY) for n in range(len(rungs)))).actions
    assert [rung(action) for action in actions] == rungs
    assert [action.count for action in actions] == list(range(1, len(rungs) + 1))
    assert {action.revision for action in actions} == {1}
    assert {action.status for action in actions} == {"active"}


@pytest.mark.parametrize(
    ("rule", "window"),
    [("greeting-miss", 90), ("absence", 90), ("black-screen", 90), ("prohibited-goods", 180)],
)
@pytest.mark.parametrize(("early", "count"), [(1, 2), (0, 1)])
def test_a_violation_exactly_a_window_ago_does_not_count(rule: str, window: int, early: int, count: int) -> None:
    actions = played(verdict(rule, 0), verdict(rule, window * DAY - early)).actions
    assert [action.count for action in actions] == [1, count]


@pytest.mark.parametrize("rule", ["rights", "harassment", "layout", "minor"])
@pytest.mark.parametrize(("early", "count"), [(1, 2), (0, 1)])
def test_without_a_window_a_violation_counts_as_long_as_it_is_remembered(rule: str, early: int, count: int) -> None:
    actions = played(verdict(rule, 0), verdict(rule, 400 * DAY - early)).actions
    assert [action.count for action in actions] == [1, count]


def test_families_are_counted_apart() -> None:
    actions = played(
        verdict("rights", 0), verdict("harassment", 1), verdict("layout", 2), verdict("absence", 3)
    ).actions
    assert [action.count for action in actions] == [1, 1, 1, 1]


def test_rules_of_one_family_are_counted_together() -> None:
    actions = played(verdict("greeting-miss", 0), verdict("absence", 1)).actions
    assert [rung(action) for action in actions] == [WARN_OR_CLOSE, ban(7)]


def test_sleeping_as_the_first_of_its_family_closes_without_a_choice() -> None:
    (action,) = played(verdict("sleeping", 0)).actions
    assert rung(action) == CLOSE


def test_violations_of_one_time_are_counted_in_order_of_their_ids() -> None:
    final = played(verdict("absence", 0, "b"), verdict("absence", 0, "a"), verdict("absence", 0, "c")).final
    assert {name: action.count for name, action in final.items()} == {"a": 1, "b": 2, "c": 3}


def test_a_ban_runs_from_the_time_of_the_violation() -> None:
    actions = played(verdict("absence", 0), verdict("absence", DAY)).actions
    assert [action.ban_until for action in actions] == [None, START + DAY + 7 * DAY]


def test_a_ban_ends_no_earlier_than_one_of_another_family_that_still_runs() -> None:
    goods = [verdict("prohibited-goods", n) for n in range(5)]  # the fifth bans for 90 days
    actions = played(*goods, verdict("absence", 10), verdict("absence", 11)).actions
    assert actions[-1].ban_days == 7
    assert actions[-1].ban_until == START + 4 + 90 * DAY


@pytest.mark.parametrize(("gap", "until"), [(22 * DAY, 30 * DAY), (23 * DAY, 30 * DAY), (23 * DAY + 1, 30 * DAY + 1)])
def test_a_ban_outlives_another_only_while_that_one_would_end_later(gap: int, until: int) -> None:
    story = [verdict("absence", -3), verdict("absence", -2), verdict("absence", -1), verdict("absence", 0)]
    story += [verdict("black-screen", 1), verdict("black-screen", gap)]  # the second bans for 7 days
    actions = played(*story).actions
    assert actions[3].ban_until == START + 30 * DAY
    assert actions[-1].ban_until == START + until


def test_an_action_without_a_ban_has_no_ban_until_though_another_ban_runs() -> None:
    actions = played(verdict("absence", 0), verdict("absence", 1), verdict("layout", 2)).actions
    assert actions[1].ban_until is not None
    assert (actions[2].ban_days, actions[2].ban_until) == (None, None)


def test_before_a_ladder_is_effective_a_violation_has_no_action_but_counts() -> None:
    in_force = RULEBOOK.versions("ladder.reception")[0].start
    actions = played(verdict("absence", in_force - START - 1), verdict("absence", in_force - START)).actions
    assert [(action.at, action.count) for action in actions] == [(in_force, 2)]


def test_removing_a_violation_undoes_adding_it() -> None:
    counts = LadderCounts(RULEBOOK)
    first, late = Violation(START, "a", "absence", "reception"), Violation(START - 1, "b", "absence", "reception")
    counts.add(first)
    assert [conclusion.count for _, conclusion in counts.add(late) if conclusion] == [1, 2]
    assert [(violation, conclusion.count) for violation, conclusion in counts.remove(late) if conclusion] == [
        (first, 1)
    ]
