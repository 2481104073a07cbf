"""The kinds of incidents: what opens each, what it says, and what ends it."""

from typing import Any

import pytest

from tests.support.incident_stories import (
    DAY,
    START,
    Board,
    S,
    Stage,
    action,
    at,
    back,
    board,
    cleared,
    done,
    found,
    id_of,
    lost,
    missed,
    reviewed,
    stream,
    violated,
    warned,
)
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook


def stages(shown: Board) -> list[tuple[str, str | None, float | None]]:
    """Stage, end and its time (seconds after START) of each line, by the time of its beginning."""
    lines = sorted(shown.lines.values(), key=lambda line: (line.since, line.subject or ""))
    return [(one.stage, one.ended_by, None if one.ended_at is None else (one.ended_at - START) / S) for one in lines]


# ---- rules -----------------------------------------------------------------------------------------------------------


def test_a_warning_opens_an_incident() -> None:
    line = board(warned()).line
    assert line.incident_id == id_of()
    assert (line.kind, line.stage, line.severity, line.rule, line.family) == (
        "rule", "at-risk", "warning", "black-screen", "low-quality"
    )  # fmt: skip
    assert (line.since, line.at_risk_at, line.due, line.violated_at) == (at(0), at(60), at(120), None)
    assert (line.room_id, line.host_id, line.at, line.action, line.priority) == ("room", "host", at(60), None, "normal")


def test_the_verdict_goes_on_with_its_warning() -> None:
    line = board(warned(), violated(media_uri="clip")).line
    assert (line.incident_id, line.stage, line.severity, line.violated_at) == (
        id_of(),
        "violation",
        "critical",
        at(120),
    )
    assert (line.verdict_id, line.at_risk_at, line.media_uri, line.at) == ("v", at(60), "clip", at(120))


def test_a_verdict_without_a_warning_opens_one() -> None:
    line = board(violated()).line
    assert (line.incident_id, line.stage, line.at_risk_at) == (id_of(), "violation", None)


def test_a_warning_that_is_cleared_has_ended() -> None:
    assert stages(board(warned(), cleared(90))) == [("ended", "cleared", 90)]


def test_a_warning_outlives_the_end_of_its_room_until_it_is_cleared() -> None:
    assert stages(board(warned(), stream("ended", 80))) == [("at-risk", None, None)]


@pytest.mark.parametrize("how", ["ended", "forgotten"])
def test_a_violation_ends_with_its_room(how: str) -> None:
    assert stages(board(violated(), stream(how, 200))) == [("ended", "room-ended", 200)]
    assert stages(board(stream("ended", 120), violated())) == [("ended", "room-ended", 120)]


def test_a_violation_outlives_an_earlier_end_and_a_stream_that_is_disconnected() -> None:
    story = (stream("ended", 119), stream("live", 119.5), violated(), stream("disconnected", 130))
    assert stages(board(*story)) == [("violation", None, None)]


def test_a_violation_stays_ended_where_its_room_goes_on() -> None:
    assert stages(board(violated(), stream("ended", 200), stream("live", 210))) == [("ended", "room-ended", 200)]


def test_a_review_that_withdraws_it_ends_it_and_another_one_opens_it_again() -> None:
    story = (violated(), action(), reviewed("overturned", 300))
    shown = board(*story)
    assert stages(shown) == [("ended", "withdrawn", 300)]
    assert (shown.line.decision, shown.line.decided_at) == ("overturned", at(300))
    assert stages(board(*story, reviewed("upheld", 400, 3))) == [("violation", None, None)]


def test_what_ended_it_first_stays() -> None:
    story = (violated(), action(), stream("ended", 200), reviewed("overturned", 300))
    assert stages(board(*story)) == [("ended", "room-ended", 200)]


def test_the_latest_action_is_shown() -> None:
    line = board(
        violated(), action(), action(2, action={"count": 2, "steps": ("close", "ban"), "ban_until": at(9)})
    ).line
    assert line.action is not None
    assert (line.action.revision, line.action.count, line.action.steps) == (2, 2, ("close", "ban"))
    assert (line.action.ban_until, line.action.status, line.action.choice) == (at(9), "active", ("warn", "close"))


def test_an_older_action_and_a_repeated_one_change_nothing() -> None:
    story = (violated(), action(2, action={"count": 2}))
    again = (action(1), action(2, action={"count": 2}))
    assert Stage().play(*story, *again).published == Stage().play(*story).published


def test_a_reception_that_came_late_contests_it() -> None:
    contested = found("verdict-contested", 150, 30, verdict_id="v")
    line = board(violated(), contested).line
    assert (line.contested, line.at) == (True, at(150))
    assert board(contested, violated()).line == line


def test_an_appeal_is_shown() -> None:
    assert board(violated(), action(2, when=500, appealed_at=at(500))).line.appealed_at == at(500)


@pytest.mark.parametrize(
    ("rule", "warning", "violation"), [("minor", "warning", "critical"), ("layout", "info", "warning")]
)
def test_the_severity_is_that_of_the_rule_and_its_stage(rule: str, warning: str, violation: str) -> None:
    assert board(warned(rule=rule)).line.severity == warning
    assert board(warned(rule=rule), violated(rule=rule)).line.severity == violation


def test_every_rule_has_a_severity() -> None:
    assert {rule.severity for rule in RULES.values()} == {"critical", "warning"}


def test_a_warning_about_receptions_is_of_high_priority_if_a_buyer_of_high_quality_was_missed() -> None:
    warning = warned(41, 5, rule="greeting-miss", due=60)
    high = missed(10)
    [line] = [one for one in board(warning, high).lines.values() if one.kind == "rule"]
    assert line.priority == "high"
    [line] = [one for one in board(missed(4), warning).lines.values() if one.kind == "rule"]
    assert line.priority == "normal"
    assert board(violated(rule="greeting-miss", priority="high")).line.priority == "high"


# ---- labels ----------------------------------------------------------------------------------------------------------


def label(name: str, when: float = 20, since: float = 0) -> Any:
    return violated(when, since, f"v-{name}", rule="rights", subject=f"rights:{name}")


def test_each_label_has_an_incident_of_its_own() -> None:
    shown = board(label("a"), label("b"))
    assert {line.subject: line.incident_id for line in shown.lines.values()} == {
        name: id_of(rule="rights", subject=name) for name in ("rights:a", "rights:b")
    }


def test_the_warning_becomes_that_of_the_first_label() -> None:
    warning = warned(10, rule="rights", due=20)
    story = (warning, label("a"), label("b"))
    shown = board(*story)
    assert shown.lines[id_of(rule="rights")].subject == "rights:a"
    assert shown.lines[id_of(rule="rights", subject="rights:b")].at_risk_at is None
    assert len(shown.lines) == 2
    for other in ((label("b"), label("a"), warning), (label("b"), warning, label("a"))):
        assert board(*other).lines == shown.lines


# ---- the signal ------------------------------------------------------------------------------------------------------


def test_a_lost_signal_is_an_incident_until_it_is_back_for_half_a_minute() -> None:
    line = board(lost(0)).line
    assert (line.kind, line.rule, line.stage, line.severity, line.losses) == ("signal", None, "at-risk", "warning", 1)
    assert (line.incident_id, line.since, line.at_risk_at) == (id_of("signal"), at(0), at(15))
    assert stages(board(lost(0), back(0, 20), until=49.999)) == [("at-risk", None, None)]
    assert stages(board(lost(0), back(0, 20), until=50)) == [("ended", "steady", 50)]


def test_a_flapping_signal_is_one_incident_with_its_number_of_losses() -> None:
    story = [one for n in range(5) for one in (lost(n * 30), back(n * 30, n * 30 + 20))]
    shown = board(*story, until=1000)
    assert stages(shown) == [("ended", "steady", 170)]
    assert shown.line.losses == 5


@pytest.mark.parametrize(("again", "losses"), [(49.999, [2]), (50, [1, 1])])
def test_another_loss_within_half_a_minute_belongs_to_it(again: float, losses: list[int]) -> None:
    shown = board(lost(0), back(0, 20), lost(34, again))
    assert [line.losses for line in shown.lines.values()] == losses


def test_the_end_of_the_room_ends_it() -> None:
    assert stages(board(lost(0), stream("ended", 30))) == [("ended", "room-ended", 30)]
    assert stages(board(lost(0), back(0, 20), stream("ended", 30), until=60)) == [("ended", "room-ended", 30)]
    assert [line.losses for line in board(lost(0), stream("ended", 30), lost(40)).lines.values()] == [1, 1]


def test_a_signal_that_is_back_before_its_loss_was_read_is_shown_once_it_is() -> None:
    assert board(back(0, 20)).lines == {}
    assert stages(board(back(0, 20), lost(0), until=60)) == [("ended", "steady", 50)]


def test_losses_that_are_too_many_are_counted() -> None:
    story = [one for n in range(110) for one in (lost(n * 30), back(n * 30, n * 30 + 20))]
    stage = Stage().play(*story)
    assert stage.board.line.losses == 110
    assert stage.play(*story[2:40]).board.line.losses == 110
    assert len(stage.stored[b"s"]) < 6000


# ---- missed entries --------------------------------------------------------------------------------------------------


def test_a_missed_buyer_of_high_quality_is_shown_for_a_minute() -> None:
    line = board(missed(0), until=69.999).line
    assert (line.kind, line.stage, line.severity, line.priority) == ("entry", "at-risk", "info", "high")
    assert (line.rule, line.buyer_id, line.at_risk_at) == ("greeting-miss", "anna", at(10))
    assert line.incident_id == id_of("entry", rule="greeting-miss", buyer_id="anna")
    assert stages(board(missed(0), until=70)) == [("ended", "passed", 70)]


def test_each_missed_entry_is_one() -> None:
    assert len(board(missed(0), missed(0, "bo"), missed(5)).lines) == 3


# ---- still live ------------------------------------------------------------------------------------------------------

BAN = {"steps": ("close", "ban"), "ban_until": at(DAY)}


@pytest.mark.parametrize(
    ("follows", "since"),
    [
        (action(action=BAN, active_at=at(130)), 130),
        (action(action=BAN, active_at=at(130), outcomes=(done("close", 150),)), 150),
        (action(action=BAN, active_at=at(130), outcomes=(done("ban", 150), done("close", 140))), 140),
        (action(active_at=at(120), outcomes=(done("close", 150),)), 150),
        (action(action=BAN, active_at=at(130), outcomes=(done("close", 150, "failed"),)), None),
        (action(action=BAN, active_at=at(130), outcomes=(done("warn", 150),)), None),
        (action(action=BAN, active_at=at(400), outcomes=(done("ban", 150, "failed"),)), 400),  # from before
        (action(action=BAN), None),
        (action(active_at=at(120)), None),
    ],
)
def test_a_room_that_is_still_live_after_its_end_was_ordered_is_flagged(follows: Any, since: float | None) -> None:
    if since is None:
        assert not board(violated(), follows, until=900).line.still_live
        return
    assert not board(violated(), follows, until=since + 59.999).line.still_live
    line = board(violated(), follows, until=since + 60).line
    assert (line.still_live, line.at) == (True, at(since + 60))


def test_what_has_ended_with_its_room_is_not_flagged_when_the_room_goes_on() -> None:
    story = (violated(), action(action=BAN, active_at=at(130)), stream("ended", 150), stream("live", 160))
    assert not board(*story, until=900).line.still_live


def test_a_room_that_is_not_live_is_not_flagged() -> None:
    story = (violated(), action(action=BAN, active_at=at(130)))
    assert not board(*story, stream("ended", 180), until=900).line.still_live
    assert not board(*story, stream("disconnected", 180), until=900).line.still_live
    assert board(*story, stream("disconnected", 180), stream("live", 185), until=900).line.still_live
    assert not board(*story, stream("ended", 300), until=900).line.still_live


# ---- forgetting ------------------------------------------------------------------------------------------------------


def test_an_incident_is_forgotten_seven_days_after_its_end() -> None:
    story = (warned(), violated(), action(), stream("ended", 200))
    assert len(board(*story, until=200 + 7 * DAY - 0.001).lines) == 1
    stage = Stage().play(*story).until(200 + 7 * DAY)
    assert stage.board.lines == {}
    assert stage.published[-1].body is None
    assert stage.state.expired()


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    story = (violated(), action(), lost(0), back(0, 20), missed(0), stream("ended", 200), label("a"), label("b"))
    stage = Stage(crashes=iter(lambda: True, None)).play(*story).until(300 + 7 * DAY)
    assert stage.state.expired()
    assert set(stage.stored) == {b""}


def test_what_goes_on_is_not_forgotten() -> None:
    stage = Stage().play(violated()).until(100 * DAY)
    assert [line.stage for line in stage.board.lines.values()] == ["violation"]


def test_an_action_whose_verdict_does_not_come_is_forgotten_too() -> None:
    stage = Stage().play(action()).until(120 + 7 * DAY)
    assert stage.board.lines == {}
    assert stage.state.expired()


# ---- the rulebook ----------------------------------------------------------------------------------------------------


def test_the_rulebook_may_say_for_how_long() -> None:
    text = (
        '\n[incidents]\nsays = "x"\n\n[incidents.from.2022-07-19]\nsignal_hold_s = 5\nremember_days = 1\nsource = "y"\n'
    )
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + text, "rules.toml")
    assert stages(board(lost(0), back(0, 20), until=25, rulebook=book)) == [("ended", "steady", 25)]
    assert board(lost(0), back(0, 20), until=25 + DAY, rulebook=book).lines == {}
