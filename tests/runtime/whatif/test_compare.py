"""What came, went and moved between two outcomes, and the blast radius in words."""

from collections.abc import Iterable
from typing import Any

import msgspec

from tests.support.stories import HOST, RULEBOOK, START, S, as_message, entry, frame, frames
from vigil.app.runtime.replay import replay
from vigil.app.runtime.whatif.backtest import by_host, by_rule, curve, point
from vigil.app.runtime.whatif.compare import Comparison, compare
from vigil.app.runtime.whatif.impact import gone_by_rule, impact_summary
from vigil.app.runtime.whatif.outcome import Outcome, outcome
from vigil.app.runtime.whatif.patch import patched
from vigil.topics.verdicts import Action, Verdict

EMPTY = Outcome()


def verdict(id_: str, at: int, since: int = 0, **rest: Any) -> Verdict:
    fields: dict[str, Any] = {
        "rule": "absence", "family": "reception", "subject": None, "rulebook": "2022-07-19", "room_id": "room-1",
        "host_id": HOST, "evidence": (), **rest,
    }  # fmt: skip
    return Verdict(verdict_id=id_, since=since, at=at, **fields)


def action(id_: str, at: int, ban_days: int | None = 7, host: str = HOST, **rest: Any) -> Action:
    fields: dict[str, Any] = {
        "revision": 0, "status": "active", "room_id": "room-1", "rule": "absence", "family": "reception", "count": 2,
        "steps": ("close", "ban") if ban_days else ("warn",), "choice": None, "freeze_days": None, "past_days": None,
        "ban_until": None, **rest,
    }  # fmt: skip
    return Action(action_id=id_, host_id=host, ban_days=ban_days, at=at, **fields)


def outcome_with(verdicts: Iterable[Verdict] = (), actions: Iterable[Action] = ()) -> Outcome:
    return Outcome(
        {
            "verdict": {each.verdict_id: each for each in verdicts},
            "enforcement": {each.action_id: each for each in actions},
        }
    )


def words(base: Outcome, other: Outcome) -> list[str]:
    return [sentence.words for sentence in impact_summary(base, other, compare(base, other))]


def test_the_same_is_no_change() -> None:
    base = outcome_with([verdict("a", 10)], [action("a", 10)])
    assert compare(base, base).nothing
    assert words(base, base) == []


def test_another_instant_of_the_same_run_is_a_move() -> None:
    changes = compare(outcome_with([verdict("a", 10_000)]), outcome_with([verdict("b", 8000)])).verdicts
    assert [(was.at, now.at) for was, now in changes.moved] == [(10_000, 8000)]
    assert (changes.added, changes.gone) == ([], [])


def test_another_since_room_label_or_rule_is_another_verdict() -> None:
    for rest in ({"since": 1}, {"room_id": "room-2"}, {"subject": "rights:x"}, {"rule": "sleeping"}):
        changes = compare(outcome_with([verdict("a", 10)]), outcome_with([verdict("b", 8, **rest)])).verdicts  # type: ignore[arg-type]
        assert (len(changes.added), len(changes.gone), changes.moved) == (1, 1, [])


def test_two_violations_of_one_incident_move_one_by_one() -> None:
    base = outcome_with([verdict("a", 10), verdict("b", 20)])
    changes = compare(base, outcome_with([verdict("c", 11)])).verdicts
    assert [(was.verdict_id, now.verdict_id) for was, now in changes.moved] == [("a", "c")]
    assert [each.verdict_id for each in changes.gone] == ["b"]


def test_other_words_alone_are_restated() -> None:
    base, other = outcome_with([verdict("a", 10)]), outcome_with([verdict("a", 10, rulebook="2022-08-01")])
    changes = compare(base, other)
    assert len(changes.verdicts.restated) == 1
    assert not changes.nothing


def test_the_action_of_a_moved_verdict_moves_with_it() -> None:
    base = outcome_with([verdict("a", 10)], [action("a", 10, ban_until=100)])
    other = outcome_with([verdict("b", 8)], [action("b", 8, ban_until=98)])
    changes = compare(base, other).actions
    assert [(was.action_id, now.action_id) for was, now in changes.moved] == [("a", "b")]
    assert not (changes.added or changes.gone or changes.changed)


def test_another_sanction_is_a_change() -> None:
    changes = compare(outcome_with(actions=[action("a", 10, 7)]), outcome_with(actions=[action("a", 10, 15)])).actions
    assert [(was.ban_days, now.ban_days) for was, now in changes.changed] == [(7, 15)]
    assert changes.moved == []


def test_a_withdrawn_action_imposes_nothing() -> None:
    gone = outcome_with(actions=[action("a", 10, status="withdrawn")])
    changes = compare(gone, outcome_with(actions=[action("a", 10)])).actions
    assert [each.action_id for each in changes.added] == ["a"]
    assert words(gone, EMPTY) == []


class TestImpactSummary:
    def test_more_bans_are_listed_by_length_and_hosts(self) -> None:
        other = outcome_with(actions=[action(f"a{n}", 10, 7, host=f"host-{n % 9}") for n in range(12)])
        assert "12 more seven-day bans for 9 hosts" in words(EMPTY, other)
        assert "9 hosts would be banned who now are not" in words(EMPTY, other)

    def test_one_is_not_many(self) -> None:
        assert "1 more 15-day ban for 1 host" in words(EMPTY, outcome_with(actions=[action("a", 1, 15)]))
        assert "1 host would be banned who now is not" in words(EMPTY, outcome_with(actions=[action("a", 1, 15)]))

    def test_more_for_one_host_does_not_hide_fewer_for_another(self) -> None:
        base = outcome_with(actions=[action("a", 1, 7, host="x")])
        other = outcome_with(actions=[action("b", 1, 7, host="y")])
        assert {"1 more seven-day ban for 1 host", "1 fewer seven-day ban for 1 host"} <= set(words(base, other))

    def test_longer_bans_take_the_place_of_shorter_ones(self) -> None:
        said = words(outcome_with(actions=[action("a", 1, 7)]), outcome_with(actions=[action("a", 1, 30)]))
        assert said == ["1 more 30-day ban for 1 host", "1 fewer seven-day ban for 1 host"]

    def test_numbers_of_every_sentence_are_there_for_machines(self) -> None:
        sentences = impact_summary(EMPTY, outcome_with([verdict("a", 1)], [action("a", 1)]), compare(EMPTY, EMPTY))
        assert all(sentence.facts["number"] > 0 for sentence in sentences)


class TestReviewedVerdicts:
    def test_what_would_be_gone_is_split_by_what_was_decided(self) -> None:
        verdicts = [verdict(name, at) for at, name in enumerate(("a", "b", "c", "d"))]
        actions = [
            action("a", 0, status="withdrawn", decided_at=5),
            action("b", 1, decided_at=5),
            action("c", 2, status="withdrawn", decided_at=5),
            action("d", 3),
        ]
        base = outcome_with(verdicts, actions)
        other = outcome_with([], [])
        assert "of the 4 verdicts that would be gone, 2 had been overturned, 1 upheld, 1 neither" in words(base, other)

    def test_what_stays_is_not_counted(self) -> None:
        base = outcome_with([verdict("a", 0), verdict("b", 1, since=1)], [action("a", 0, decided_at=5), action("b", 1)])
        other = outcome_with([verdict("a", 0)], [action("a", 0, decided_at=5)])
        assert not any("neither" in each for each in words(base, other))

    def test_by_rule_and_label(self) -> None:
        base = outcome_with(
            [verdict("a", 0), verdict("b", 1, rule="harassment", subject="insult")],
            [action("a", 0, decided_at=5), action("b", 1, status="withdrawn")],
        )
        rules = gone_by_rule(base, compare(base, EMPTY))
        assert [(one.rule, one.subject, one.upheld, one.overturned) for one in rules] == [
            ("absence", None, 1, 0),
            ("harassment", "insult", 0, 1),
        ]


STORY = [
    *frames(0, 200 * S, black=True),
    *(entry(at * S) for at in (20, 40, 60)),
    frame(201 * S, "ended"),
]


def of(*changes: str) -> tuple[Outcome, Outcome, Comparison]:
    events = sorted(STORY, key=lambda event: event.at)
    lines = [msgspec.json.encode(as_message(event)) for event in events]
    base = outcome(replay(lines, RULEBOOK))
    other = outcome(replay(lines, patched(RULEBOOK, changes)))
    return base, other, compare(base, other)


def test_rows_add_up() -> None:
    base, other, changes = of("black-screen.lasts_s=60", "greeting-miss.in_a_row=4", "absence.lasts_s=10")
    rows = {row.name: row for row in by_rule(base, other, changes)}
    assert rows["black-screen"].moved == 1
    assert rows["greeting-miss"].gone == 1
    assert (rows["greeting-miss"].was, rows["greeting-miss"].now) == (1, 0)
    for row in rows.values():
        assert row.now == row.was + row.added - row.gone
    (host,) = by_host(base, other, changes)
    assert host.name == HOST
    assert host.now == sum(row.now for row in rows.values())


def test_a_host_for_whom_nothing_changes_has_no_row() -> None:
    base, other, changes = of("av-desync.lasts_s=10")
    assert by_host(base, other, changes) == []
    assert other.verdicts == base.verdicts


def test_the_curve_is_of_the_figure_that_the_number_moves() -> None:
    base, *_ = of()
    points = [point(value, value == 7, base, compare(base, base), 0)._replace(ban_days=value) for value in (7, 14)]
    assert curve(points) == "ban_days"
    assert curve(points[:1]) == "verdicts"


def test_times_are_those_of_the_story() -> None:
    base, *_ = of()
    assert min(verdict.at for verdict in base.verdicts.values()) == START + 70 * S
