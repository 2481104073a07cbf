"""Rules that say "for N continuous minutes": every condition, and when it begins and ends (I-14, I-15)."""

from typing import Any

import pytest

from tests.support.stories import (
    FIRST_DAY,
    MIDNIGHT,
    MIN,
    RULEBOOK,
    START,
    S,
    comment,
    entry,
    frame,
    frames,
    judging_all,
    layout,
    notices,
    played,
    rulebook_with,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms.rules.table import RULES
from vigil.topics.verdicts import identity

FIVE_MIN = 5 * MIN

BROKEN: dict[str, list[dict[str, Any]]] = {
    "absence": [{"face": False}],
    "black-screen": [{"black": True}],
    "av-desync": [{"av_offset_ms": 186}, {"av_offset_ms": -91}],
    "dead-air": [{"activity": "signed-off"}],
    "sleeping": [{"activity": "sleeping"}],
    "no-content": [{"activity": what} for what in ("equipment", "eating", "chatting", "driving", "none")],
    "theme-mismatch": [{"labels": ("theme-mismatch",)}],
    "layout": [
        {"layout": layout(camera_share=1 / 3)},
        {"layout": layout(camera_share=0.0)},
        {"layout": layout(uncovered_share=0.0201)},
        {"layout": layout(materials=3)},
        {"layout": layout(camera_in_safe_area=False)},
        {"layout": layout(videos=2)},
        {"layout": layout(camera_share=None, uncovered_share=0.0201, materials=None)},
        {"layout": layout(camera_share=1 / 3, uncovered_share=None, materials=None)},
    ],
    "illegal-background": [{"labels": ("illegal-background",)}],
    "rights": [{"labels": ("rights:trademark",)}],
    "minor": [{"labels": ("minor",)}],
    "prohibited-goods": [{"labels": ("prohibited:medicine",)}],
}
"""What breaks each rule of this form."""

LASTS = {
    "absence": 5 * MIN,
    "black-screen": 2 * MIN,
    "av-desync": 5 * MIN,
    "dead-air": 5 * MIN,
    "sleeping": 10 * S,
    "no-content": 5 * MIN,
    "theme-mismatch": 10 * S,
    "layout": 10 * S,
    "illegal-background": 3 * S,
    "rights": 3 * S,
    "minor": 3 * S,
    "prohibited-goods": 3 * S,
}
"""How long each lasts, as the specification has it."""

FAMILY = {
    "absence": "reception",
    "layout": "obs",
    "illegal-background": "obs",
    "rights": "rights",
    "minor": "minors",
    "prohibited-goods": "prohibited-goods",
}
CASES = [(rule, how) for rule, ways in BROKEN.items() for how in ways]
BLACK = {"black": True}
ALL = RoomMachine(judging_all())


def test_every_rule_that_lasts_has_a_row_here() -> None:
    assert set(BROKEN) == set(LASTS) == {rule.id for rule in RULES.values() if rule.holds or rule.frame_labels}


@pytest.mark.parametrize(("rule", "how"), CASES)
class TestEveryRule:
    def test_exactly_its_time_is_a_violation(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        stage = played(frame(0), frames(1 * S, 1 * S + lasts, **how), machine=ALL)
        assert violations(stage) == [(rule, 1 * S, 1 * S + lasts)]

    def test_a_millisecond_less_is_none(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        stage = played(frame(0), frames(1 * S, lasts, **how), frame(1 * S + lasts - 1, **how), machine=ALL)
        assert violations(stage.until(lasts + 30 * S)) == []

    def test_a_frame_after_its_time_dates_it_to_its_time(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        stage = played(frames(0, lasts - 1, **how), frame(lasts + 700, **how), machine=ALL)
        assert violations(stage) == [(rule, 0, lasts)]

    def test_the_frame_that_ends_the_condition_publishes_nothing(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        assert violations(played(frames(0, lasts - 1, **how), frame(lasts), machine=ALL)) == []

    def test_one_condition_is_one_violation_and_the_next_needs_a_new_one(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        long = frames(0, 3 * lasts, **how)
        assert violations(played(long, machine=ALL)) == [(rule, 0, lasts)]
        again = frames(3 * lasts + 2 * S, 4 * lasts + 2 * S, **how)
        assert violations(played(long, frame(3 * lasts + 1 * S), again, machine=ALL)) == [
            (rule, 0, lasts),
            (rule, 3 * lasts + 2 * S, 4 * lasts + 2 * S),
        ]

    @pytest.mark.parametrize("stream", ["disconnected", "ended"])
    def test_a_frame_that_is_not_live_ends_the_condition(self, rule: str, how: dict[str, Any], stream: str) -> None:
        lasts = LASTS[rule]
        story = [*frames(0, lasts - 1, **how), frame(lasts - 1, stream, **how), *frames(lasts, lasts + 5 * S, **how)]
        expected = [(rule, 0, lasts)] if (rule, stream) == ("dead-air", "disconnected") else []
        if LASTS[rule] == 3 * S:
            expected = [(rule, lasts, lasts + 3 * S)]
        assert violations(played(story, machine=ALL)) == expected

    def test_the_verdict_has_family_subject_and_evidence(self, rule: str, how: dict[str, Any]) -> None:
        lasts = LASTS[rule]
        (verdict,) = played(frame(0), frames(1 * S, 1 * S + lasts, **how), machine=ALL).verdicts
        subject = how["labels"][0] if "labels" in how else None
        assert verdict.subject == subject
        assert verdict.family == FAMILY.get(rule, "low-quality")
        assert verdict.verdict_id == identity(rule, subject, "room-1", verdict.since, verdict.at)
        first, last = verdict.evidence
        assert (first.topic, first.at - START) == ("frame-status", 1 * S)
        assert (last.topic, last.at - START) == ("frame-status", 1 * S + lasts)
        assert f"of {lasts // S + 1} frames" in first.note
        assert f"of {lasts // S + 1} frames" in last.note


@pytest.mark.parametrize(
    "how",
    [
        {"av_offset_ms": 185},
        {"av_offset_ms": -90},
        {"av_offset_ms": 0},
        {"av_offset_ms": None},
        {"activity": None},
        {"activity": "hosting"},
        {"layout": None},
        {"layout": layout(camera_share=0.334)},
        {"layout": layout(uncovered_share=0.02)},
        {"layout": layout(materials=2)},
        {"layout": layout(camera_in_safe_area=True)},
        {"layout": layout(camera_share=None, uncovered_share=None, materials=None)},
        {"layout": layout(camera_in_safe_area=None)},
        {"layout": layout(videos=1)},
        {"labels": ()},
        {"labels": ("something-else", "rights", "prohibited", "theme-mismatch:", "abuse", "minor:x")},
    ],
)
def test_what_is_no_violation_however_long(how: dict[str, Any]) -> None:
    assert violations(played(frames(0, 6 * MIN, **how))) == []


def test_a_null_field_ends_the_condition() -> None:
    apart = {"av_offset_ms": 200}
    story = [*frames(0, 200 * S, **apart), frame(201 * S, av_offset_ms=None), *frames(202 * S, 400 * S, **apart)]
    assert violations(played(story)) == []


def test_one_condition_of_no_content_may_mix_activities() -> None:
    kinds = ["equipment", "eating", "chatting", "driving", "none"]
    story = [frame(second * S, activity=kinds[second % 5]) for second in range(301)]
    assert violations(played(story)) == [("no-content", 0, FIVE_MIN)]


def test_av_desync_may_change_sides_within_a_condition() -> None:
    story = [frame(second * S, av_offset_ms=186 if second % 2 else -91) for second in range(301)]
    assert violations(played(story)) == [("av-desync", 0, FIVE_MIN)]


# Labels --------------------------------------------------------------------------------------------------------


def test_each_label_has_a_condition_of_its_own() -> None:
    story = [
        *frames(0, 1 * S, labels=("rights:a",)),
        *frames(2 * S, 3 * S, labels=("rights:a", "rights:b")),
        *frames(4 * S, 5 * S, labels=("rights:b",)),
    ]
    stage = played(story)
    assert [(verdict.subject, verdict.since - START) for verdict in stage.verdicts] == [
        ("rights:a", 0),
        ("rights:b", 2 * S),
    ]


def test_two_labels_do_not_make_one_condition() -> None:
    story = [*frames(0, 2 * S, labels=("rights:a",)), *frames(3 * S, 5 * S, labels=("rights:b",))]
    assert violations(played(story)) == []


def test_labels_judged_at_one_time_give_a_verdict_each() -> None:
    stage = played(frames(0, 3 * S, labels=("rights:a", "rights:b", "minor", "rights:a")))
    assert sorted((verdict.rule, verdict.subject) for verdict in stage.verdicts) == [
        ("minor", "minor"),
        ("rights", "rights:a"),
        ("rights", "rights:b"),
    ]
    assert len({verdict.verdict_id for verdict in stage.verdicts}) == 3


def test_many_labels_on_a_frame_cost_no_more_than_their_number() -> None:
    labels = tuple(f"rights:{number}" for number in range(4000))
    stage = played(frames(0, 3 * S, labels=labels))
    assert len(stage.verdicts) == 4000


# Gaps ----------------------------------------------------------------------------------------------------------


def test_a_gap_of_exactly_max_frame_gap_does_not_end_a_condition() -> None:
    story = frames(0, 120 * S, every=15 * S, **BLACK)
    assert violations(played(story)) == [("black-screen", 0, 120 * S)]


def test_a_gap_of_a_millisecond_more_ends_the_condition() -> None:
    story = [*frames(0, 60 * S, **BLACK), *frames(75 * S + 1, 150 * S, **BLACK)]
    assert violations(played(story)) == []
    assert notices(played(story), "at-risk", "risk-cleared") == [
        ("at-risk", "black-screen", 0, 60 * S, 120 * S),
        ("risk-cleared", "black-screen", 0, 75 * S, None),
        ("at-risk", "black-screen", 75 * S + 1, 135 * S + 1, 195 * S + 1),
    ]


def test_a_condition_that_no_frame_continues_gives_no_violation() -> None:
    assert violations(played(frames(0, 119 * S, **BLACK)).until(10 * MIN)) == []


def test_events_that_are_no_frames_do_not_bridge_a_gap() -> None:
    story = [*frames(0, 60 * S, **BLACK), entry(70 * S), comment(75 * S), *frames(76 * S, 130 * S, **BLACK)]
    assert violations(played(story)) == []


# Dead air ------------------------------------------------------------------------------------------------------


def test_dead_air_continues_through_disconnected_frames() -> None:
    story = [
        *frames(0, 99 * S, activity="signed-off"),
        *frames(100 * S, 199 * S, "disconnected"),
        *frames(200 * S, 300 * S, activity="signed-off"),
    ]
    assert violations(played(story)) == [("dead-air", 0, FIVE_MIN)]


def test_dead_air_of_a_disconnected_stream_alone() -> None:
    stage = played(frame(0), frames(1 * S, 301 * S, "disconnected"))
    assert violations(stage) == [("dead-air", 1 * S, 301 * S)]
    assert notices(stage, "at-risk") == [("at-risk", "dead-air", 1 * S, 151 * S, 301 * S)]


def test_dead_air_of_a_room_that_was_never_live() -> None:
    assert violations(played(frames(0, 300 * S, "disconnected"))) == [("dead-air", 0, FIVE_MIN)]


def test_a_live_frame_of_a_host_ends_dead_air() -> None:
    story = [*frames(0, 299 * S, "disconnected"), frame(300 * S), *frames(301 * S, 400 * S, "disconnected")]
    stage = played(story)
    assert violations(stage) == []
    assert notices(stage, "risk-cleared") == [("risk-cleared", "dead-air", 0, 300 * S, None)]


def test_an_ended_stream_is_no_dead_air() -> None:
    story = [*frames(0, 299 * S, "disconnected"), frame(300 * S, "ended", activity="signed-off")]
    stage = played(story)
    assert violations(stage) == []
    assert notices(stage, "risk-cleared") == [("risk-cleared", "dead-air", 0, 300 * S, None)]


def test_a_gap_ends_dead_air_in_a_disconnected_room_too() -> None:
    story = [*frames(0, 200 * S, "disconnected"), *frames(215 * S + 1, 400 * S, "disconnected")]
    stage = played(story)
    assert violations(stage) == []
    assert notices(stage) == [
        ("at-risk", "dead-air", 0, 150 * S, FIVE_MIN),
        ("risk-cleared", "dead-air", 0, 215 * S, None),
        ("at-risk", "dead-air", 215 * S + 1, 365 * S + 1, 515 * S + 1),
    ]


def test_the_end_of_a_gap_in_a_disconnected_room_needs_no_frame() -> None:
    stage = played(frames(0, 200 * S, "disconnected")).until(215 * S - 1)
    assert notices(stage, "risk-cleared") == []
    assert notices(stage.until(215 * S), "risk-cleared") == [("risk-cleared", "dead-air", 0, 215 * S, None)]


# At risk -------------------------------------------------------------------------------------------------------


def test_half_of_the_time_is_at_risk() -> None:
    assert notices(played(frames(0, 59 * S, **BLACK), frame(60 * S - 1, **BLACK))) == []
    stage = played(frames(0, 60 * S, **BLACK))
    assert notices(stage) == [("at-risk", "black-screen", 0, 60 * S, 120 * S)]
    (notice,) = stage.notices
    assert (notice.priority, notice.buyer_id) == ("normal", None)
    assert notice.notice_id == identity("at-risk", "black-screen", None, "room-1", START, START + 60 * S)


def test_at_risk_is_published_by_a_frame_of_the_condition() -> None:
    assert notices(played(frames(0, 59 * S, **BLACK), frame(61 * S))) == []
    stage = played(frames(0, 59 * S, **BLACK), frame(61 * S, **BLACK))
    assert notices(stage) == [("at-risk", "black-screen", 0, 60 * S, 120 * S)]


def test_at_risk_is_published_once_and_not_after_the_violation() -> None:
    stage = played(frames(0, 400 * S, **BLACK), frame(401 * S))
    assert notices(stage) == [("at-risk", "black-screen", 0, 60 * S, 120 * S)]


def test_the_risk_is_cleared_when_the_condition_ends_without_a_violation() -> None:
    stage = played(frames(0, 70 * S, **BLACK), frame(70 * S + 500))
    assert notices(stage, "risk-cleared") == [("risk-cleared", "black-screen", 0, 70 * S + 500, None)]


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_the_risk_is_cleared_when_the_stream_is_not_live(stream: str) -> None:
    stage = played(frames(0, 70 * S, **BLACK), frame(71 * S, stream))
    assert notices(stage, "risk-cleared") == [("risk-cleared", "black-screen", 0, 71 * S, None)]


def test_a_condition_that_ends_before_half_of_its_time_clears_nothing() -> None:
    assert notices(played(frames(0, 59 * S, **BLACK), frame(60 * S))) == []


@pytest.mark.parametrize("rule", [rule for rule, lasts in LASTS.items() if lasts < 60 * S])
def test_rules_of_less_than_a_minute_do_not_warn(rule: str) -> None:
    stage = played(frames(0, LASTS[rule] - 1 * S, **BROKEN[rule][0]), frame(LASTS[rule]))
    assert notices(stage) == []


def test_a_rule_of_a_minute_warns() -> None:
    machine = RoomMachine(rulebook_with("rights", "2022-08-01", lasts_s=60))
    stage = played(frames(0, 31 * S, labels=("rights:a", "rights:b")), frame(32 * S), machine=machine)
    # Notices name no label: one warning stands for both.
    assert notices(stage) == [
        ("at-risk", "rights", 0, 30 * S, 60 * S),
        ("risk-cleared", "rights", 0, 32 * S, None),
    ]


def test_frames_far_apart_publish_the_risk_and_the_violation_together() -> None:
    machine = RoomMachine(rulebook_with("rooms", "2022-08-01", max_frame_gap_s=200))
    stage = played(frame(0, **BLACK), frame(150 * S, **BLACK), machine=machine)
    assert notices(stage) == [("at-risk", "black-screen", 0, 60 * S, 120 * S)]
    assert violations(stage) == [("black-screen", 0, 120 * S)]


# In force ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "how"), CASES)
def test_a_condition_that_began_before_the_rule_is_not_judged(rule: str, how: dict[str, Any]) -> None:
    first, lasts = FIRST_DAY, LASTS[rule]
    early = frames(first - 1, first + lasts + 10 * S, **how)
    assert violations(played(early, machine=ALL)) == []
    assert notices(played(early, machine=ALL)) == []
    on_time = frames(first, first + lasts, **how)
    assert violations(played(on_time, machine=ALL)) == [(rule, first, first + lasts)]


def test_a_condition_is_judged_to_its_end_by_the_limits_at_its_start() -> None:
    machine = RoomMachine(rulebook_with("black-screen", lasts_s=90))
    before = frames(MIDNIGHT - 1, MIDNIGHT + 200 * S, **BLACK)
    stage = played(before, machine=machine)
    assert violations(stage) == [("black-screen", MIDNIGHT - 1, MIDNIGHT - 1 + 120 * S)]
    assert stage.verdicts[0].rulebook == "2022-07-19"
    stage = played(frames(MIDNIGHT, MIDNIGHT + 200 * S, **BLACK), machine=machine)
    assert violations(stage) == [("black-screen", MIDNIGHT, MIDNIGHT + 90 * S)]
    assert stage.verdicts[0].rulebook == "2022-08-09"
    assert notices(stage) == [("at-risk", "black-screen", MIDNIGHT, MIDNIGHT + 45 * S, MIDNIGHT + 90 * S)]


def test_a_frame_continues_a_condition_by_the_limits_at_its_start() -> None:
    machine = RoomMachine(rulebook_with("av-desync", latest_ms=100))
    start = MIDNIGHT - 10 * S
    # 150 ms was together yesterday: it ends the old condition, and begins one by the new limits.
    story = [
        *frames(start, MIDNIGHT + 9 * S, av_offset_ms=200),
        *frames(MIDNIGHT + 10 * S, MIDNIGHT + 310 * S, av_offset_ms=150),
    ]
    assert violations(played(story, machine=machine)) == [("av-desync", MIDNIGHT + 10 * S, MIDNIGHT + 310 * S)]


def test_the_gap_is_that_of_the_frame_before_it() -> None:
    machine = RoomMachine(rulebook_with("rooms", max_frame_gap_s=30))
    before = MIDNIGHT - 1 * S
    stage = played(frame(before), frame(before + 16 * S), frame(before + 46 * S), machine=machine)
    assert notices(stage) == [
        ("signal-lost", None, before, before + 15 * S, None),
        ("signal-back", None, before, before + 16 * S, None),
    ]


def test_the_gap_stays_the_same_after_a_restart_past_midnight() -> None:
    machine = RoomMachine(rulebook_with("rooms", max_frame_gap_s=30))
    before = MIDNIGHT - 1 * S
    stage = played(frame(before), comment(MIDNIGHT + 1 * S), machine=machine, until=MIDNIGHT + 60 * S)
    assert notices(stage) == [("signal-lost", None, before, before + 15 * S, None)]


def test_days_of_the_rulebook_begin_in_los_angeles() -> None:
    assert RULEBOOK.at("black-screen", START + FIRST_DAY - 1) is None
    assert RULEBOOK.at("black-screen", START + FIRST_DAY) is not None
    changed = rulebook_with("black-screen", lasts_s=90)
    assert changed.versions("black-screen")[1].start == START + MIDNIGHT
