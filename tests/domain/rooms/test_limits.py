"""Which numbers hold when, and what a new rule costs."""

import pytest

from tests.support.stories import (
    FIRST_DAY,
    MIDNIGHT,
    RULEBOOK,
    START,
    S,
    frame,
    frames,
    played,
    rulebook_changed,
    told,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms import limits as in_force
from vigil.app.domain.rooms.limits import JUDGED, EffectiveLimits
from vigil.app.domain.rooms.rules import conditions as runs
from vigil.app.domain.rooms.rules.conditions import Condition
from vigil.app.domain.rulebook import Rulebook, RulebookError, reader
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.domain.rulebook.rooms import SECTIONS, DurationLimits

LENS_COVERED = """
[lens-covered]
family = "low-quality"
says = "The lens is covered for a minute."

[lens-covered.from.2022-07-19]
lasts_s = 60
source = "a test"
"""


ANNOUNCED = {
    *("greeting-miss", "absence", "black-screen", "av-desync", "dead-air", "sleeping", "no-content"),
    *("theme-mismatch", "layout", "illegal-background", "rights", "harassment", "minor", "prohibited-goods"),
}
"""The fourteen rules of the announcement of July 2022."""


def test_all_fourteen_rules_are_judged_from_their_first_day() -> None:
    assert set(SECTIONS) == JUDGED | {"rooms"}
    assert ANNOUNCED <= JUDGED
    assert {RULEBOOK.versions(rule)[0].effective_date for rule in ANNOUNCED} == {"2022-07-19"}


def test_before_the_first_day_nothing_is_in_force() -> None:
    numbers = EffectiveLimits(RULEBOOK).at(START + FIRST_DAY - 1)
    assert not numbers.greeting.in_force
    assert not any(rule.in_force for rule in numbers.runs.by_name.values())
    assert not any(rule.in_force for rule in numbers.spoken.values())
    numbers = EffectiveLimits(RULEBOOK).at(START + FIRST_DAY)
    assert numbers.greeting.in_force
    judging = {rule for rule, of in numbers.runs.by_name.items() if of.in_force}
    judging |= {of.rule for of in numbers.spoken.values() if of.in_force}
    assert judging == ANNOUNCED - {"greeting-miss"}


def test_what_is_no_rule_holds_before_the_first_day_too() -> None:
    stage = played(frame(FIRST_DAY - 100 * S), frame(FIRST_DAY - 90 * S), frame(FIRST_DAY - 50 * S))
    assert [kind for kind, *_ in told(stage)] == ["signal-lost", "signal-back"]
    assert stage.status(FIRST_DAY).on_air_seconds == 10


def test_each_midnight_at_which_a_room_rule_changes_begins_other_numbers() -> None:
    book = rulebook_changed({"absence": {"lasts_s": 60}, "rights": {"again_s": 60}}, "2022-08-09")
    numbers = EffectiveLimits(book)
    before, after = numbers.at(START + MIDNIGHT - 1), numbers.at(START + MIDNIGHT)
    assert (before.start, before.until) == (START + FIRST_DAY, START + MIDNIGHT)
    assert after.start == START + MIDNIGHT
    assert [times.runs.by_name["absence"].lasts_ms for times in (before, after)] == [300 * S, 60 * S]
    assert [times.spoken["rights:"].again_ms for times in (before, after)] == [3600 * S, 60 * S]
    assert before.runs.by_name["black-screen"].effective == after.runs.by_name["black-screen"].effective


def test_a_table_that_nothing_judges_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    book = with_lens_covered(monkeypatch)
    with pytest.raises(RulebookError, match=r"\[lens-covered\] has no judge: take it out, or give it a condition"):
        RoomMachine(book)


def test_a_condition_without_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_force, "JUDGED", JUDGED | {"black-scren"})
    with pytest.raises(RulebookError, match=r"\[black-scren\] is missing.*did you mean black-screen\?"):
        RoomMachine(RULEBOOK)


def with_lens_covered(monkeypatch: pytest.MonkeyPatch) -> Rulebook:
    """The built-in rulebook with one table more, as if it stood in the file: the sections are read from it."""
    monkeypatch.setattr(reader, "SECTIONS", {**reader.SECTIONS, "lens-covered": DurationLimits})
    monkeypatch.setattr(reader, "RULES", reader.RULES | {"lens-covered"})
    return parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + LENS_COVERED, "test.toml")


def test_a_new_rule_costs_one_condition_and_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    book = with_lens_covered(monkeypatch)
    covered = Condition("of a covered lens", lambda frame, limits: frame.black and not frame.face)
    monkeypatch.setitem(runs.CONDITIONS, "lens-covered", covered)
    monkeypatch.setattr(in_force, "JUDGED", JUDGED | {"lens-covered"})  # a module reads its conditions once
    stage = played(frames(0, 70 * S, face=False, black=True), machine=RoomMachine(book))
    assert violations(stage) == [("lens-covered", 0, 60 * S)]
    assert stage.verdicts[0].family == "low-quality"
    assert stage.verdicts[0].evidence[0].note == "the first of 61 frames in a row of a covered lens"
    assert ("at-risk", "lens-covered", 0, 30 * S, 60 * S) in told(stage)
