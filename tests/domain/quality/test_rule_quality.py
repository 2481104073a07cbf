"""How good a rule is, by what became of its verdicts."""

from typing import Any

from tests.support.incident_stories import Stage, case, reviewed, violated, warned
from tests.support.incident_stories import action as action_in_room
from tests.support.notify_stories import T0, S
from tests.support.verdicts import action, verdict
from vigil.app.domain.quality.rule_quality import (
    Attention,
    JudgedVerdict,
    RuleQuality,
    attention_in,
    judged,
    qualities,
    within_period,
)
from vigil.topics.topic import DAY_MS


def decided(status: str, at: int | None, **more: Any) -> JudgedVerdict:
    """A verdict at 120 s with an action of this status, which was decided at a time (s)."""
    one = verdict(**more)
    return judged(one, action(one, status=status, decided_at=None if at is None else T0 + at * S))


class TestAVerdict:
    def test_without_an_action_nothing_is_known_of_it(self) -> None:
        assert judged(verdict(), None) == JudgedVerdict("black-screen", None, T0 + 120 * S, None)

    def test_an_action_that_nobody_decided_about_is_no_review(self) -> None:
        assert decided("active", None).decision is None
        assert decided("held", None).decision is None

    def test_a_review_that_stands_shows_in_the_action(self) -> None:
        assert decided("active", 180)[3:5] == ("upheld", 60 * S)
        assert decided("held", 180)[3:5] == ("upheld", 60 * S)
        assert decided("withdrawn", 420)[3:5] == ("overturned", 300 * S)

    def test_one_that_a_former_version_withdrew_has_no_time(self) -> None:
        assert decided("withdrawn", None)[3:5] == ("overturned", None)

    def test_a_review_with_a_clock_that_is_behind_takes_no_time(self) -> None:
        assert decided("active", 60).decision_ms == 0


class TestAnIncident:
    def test_a_claim_is_measured_from_its_warning(self) -> None:
        line = Stage().play(warned(60), violated(120), case("claim", 90)).until(130).board.line
        assert attention_in(line).claim_ms == 30 * S

    def test_without_a_warning_it_is_measured_from_the_violation(self) -> None:
        line = Stage().play(violated(120), case("claim", 150)).until(160).board.line
        assert attention_in(line).claim_ms == 30 * S

    def test_an_appeal_and_a_late_reception_show(self) -> None:
        story = (violated(120), action_in_room(), reviewed("upheld", 200, appealed_at=1))
        line = Stage().play(*story).until(300).board.line
        assert attention_in(line) == Attention(contested=False, appealed=True, claim_ms=None)


class TestARule:
    def test_verdicts_are_counted_by_rule_and_label(self) -> None:
        label = {"rule": "harassment", "subject": "insult"}
        rows = qualities(
            [
                decided("active", 180),
                decided("withdrawn", 240),
                decided("active", None),
                decided("active", 150, **label),
                decided("active", 150, rule="harassment", subject="threat"),
            ]
        )
        assert [(one.rule, one.subject, one.verdicts, one.reviewed, one.upheld, one.overturned) for one in rows] == [
            ("black-screen", None, 3, 2, 1, 1),
            ("harassment", "insult", 1, 1, 1, 0),
            ("harassment", "threat", 1, 1, 1, 0),
        ]

    def test_medians_are_of_those_that_are_known(self) -> None:
        (row,) = qualities(
            [
                decided("active", 130)._replace(attention=Attention(contested=True, claim_ms=4000)),
                decided("withdrawn", 140)._replace(attention=Attention(appealed=True, claim_ms=10_000)),
                decided("withdrawn", 720)._replace(attention=Attention(contested=True)),
                decided("active", None),
            ]
        )
        assert (row.claim_ms, row.decision_ms) == (7000, 20 * S)
        assert (row.contested, row.appealed) == (2, 1)

    def test_the_precision_is_of_the_reviewed(self) -> None:
        (row,) = qualities(
            [decided("active", 130)] * 8 + [decided("withdrawn", 130)] * 2 + [decided("active", None)] * 90
        )
        precision, overturns = row.precision, row.overturns
        assert precision is not None
        assert overturns is not None
        assert [round(each, 3) for each in precision] == [0.8, 0.49, 0.943]
        assert [round(each, 3) for each in overturns] == [0.2, 0.057, 0.51]

    def test_of_nothing_reviewed_there_is_none(self) -> None:
        (row,) = qualities([decided("active", None)])
        assert row == RuleQuality("black-screen", None, 1, 0, 0, 0, 0, None, None)
        assert row.precision is None
        assert row.overturns is None


def test_the_period_is_of_thirty_days_and_open_at_its_beginning() -> None:
    now = T0 + 100 * DAY_MS
    assert within_period(now, now)
    assert within_period(now - 30 * DAY_MS + 1, now)
    assert not within_period(now - 30 * DAY_MS, now)
    assert not within_period(now + 1, now)
