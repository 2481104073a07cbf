"""Which numbers hold when, and what a new rule costs."""

from typing import Any

import pytest

from tests.support.stories import (
    FIRST_DAY,
    MIDNIGHT,
    RULEBOOK,
    START,
    S,
    frame,
    frames,
    notices,
    played,
    rulebook_changed,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms.limits import EffectiveLimits
from vigil.app.domain.rooms.rules.rule import Rule
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rooms.subject import SUBJECT
from vigil.app.domain.rulebook import RulebookError, reader
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook, parse_rulebook
from vigil.app.domain.rulebook.rooms import GreetingLimits
from vigil.app.messages import CATALOGUES

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


def test_all_fourteen_rules_are_in_force_from_their_first_day() -> None:
    assert set(SUBJECT.sections) == set(RULES) | {"rooms"}
    assert set(RULES) >= ANNOUNCED
    assert {RULEBOOK.versions(rule)[0].effective_date for rule in ANNOUNCED} == {"2022-07-19"}


def test_before_the_first_day_nothing_is_in_force() -> None:
    numbers = EffectiveLimits(RULEBOOK).at(START + FIRST_DAY - 1)
    assert not numbers.greeting.in_force
    assert not any(rule.in_force for rule in numbers.conditions.by_id.values())
    assert not any(rule.in_force for rule in numbers.spoken.values())
    numbers = EffectiveLimits(RULEBOOK).at(START + FIRST_DAY)
    assert numbers.greeting.in_force
    judging = {rule for rule, of in numbers.conditions.by_id.items() if of.in_force}
    judging |= {of.version.rule for of in numbers.spoken.values() if of.in_force}
    assert judging == ANNOUNCED - {"greeting-miss"}


def test_limits_of_every_room_hold_before_the_first_day_too() -> None:
    stage = played(frame(FIRST_DAY - 100 * S), frame(FIRST_DAY - 90 * S), frame(FIRST_DAY - 50 * S))
    assert [kind for kind, *_ in notices(stage)] == ["signal-lost", "signal-back"]
    assert stage.status(FIRST_DAY).on_air_seconds == 10


def test_other_limits_begin_at_each_midnight_at_which_a_rule_changes() -> None:
    book = rulebook_changed({"absence": {"lasts_s": 60}, "rights": {"again_s": 60}}, "2022-08-09")
    numbers = EffectiveLimits(book)
    before, after = numbers.at(START + MIDNIGHT - 1), numbers.at(START + MIDNIGHT)
    assert (before.start, before.until) == (START + FIRST_DAY, START + MIDNIGHT)
    assert after.start == START + MIDNIGHT
    assert [times.conditions.by_id["absence"].duration_ms for times in (before, after)] == [300 * S, 60 * S]
    assert [times.spoken["rights:"].again_ms for times in (before, after)] == [3600 * S, 60 * S]
    assert (
        before.conditions.by_id["black-screen"].version.effective_date
        == after.conditions.by_id["black-screen"].version.effective_date
    )


COVERED = Rule(id="lens-covered", holds=lambda frame, limits: frame.black and not frame.face)
WORDS = """
[rule.lens-covered]
frames = "of a covered lens"
"""


def with_lens_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more descriptor, as if it stood in the table; the sections of the rulebook derive from it."""
    monkeypatch.setitem(RULES, COVERED.id, COVERED)
    monkeypatch.setattr(reader, "SECTIONS", {**reader.SECTIONS, COVERED.id: COVERED.limits})
    monkeypatch.setitem(CATALOGUES, "en", CATALOGUES["en"].with_toml(WORDS))


def test_a_table_that_nothing_judges_is_refused() -> None:
    with pytest.raises(RulebookError, match=r"\[lens-covered\] is not known: nothing judges by it"):
        parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + LENS_COVERED, "test.toml")


def test_a_rule_without_a_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lens_covered(monkeypatch)
    with pytest.raises(RulebookError, match=r"\[lens-covered\] is missing: a rule without numbers cannot be judged"):
        load_rulebook()


def test_a_new_rule_costs_one_descriptor_one_table_and_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lens_covered(monkeypatch)
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + LENS_COVERED, "test.toml")
    stage = played(frames(0, 70 * S, face=False, black=True), machine=RoomMachine(book))
    assert violations(stage) == [("lens-covered", 0, 60 * S)]
    assert stage.verdicts[0].family == "low-quality"
    assert stage.verdicts[0].evidence[0].note == "the first of 61 frames in a row of a covered lens"
    assert ("at-risk", "lens-covered", 0, 30 * S, 60 * S) in notices(stage)


@pytest.mark.parametrize(
    ("descriptor", "problem"),
    [
        ({}, "nothing judges the rule lens-covered"),
        (
            {"frame_labels": ("covered",), "limits": GreetingLimits},
            "the limits of the rule lens-covered have no lasts_s",
        ),
        ({"comment_labels": ("covered",)}, "the limits of the rule lens-covered have no again_s"),
    ],
)
def test_a_descriptor_that_cannot_be_judged_is_an_error_of_ours(descriptor: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Rule(id="lens-covered", **descriptor)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_has_its_words_and_evidence_in_every_language(rule: Rule) -> None:
    for catalogue in CATALOGUES.values():
        assert rule.messages | rule.evidence <= set(catalogue.codes())
        assert not [code for code in catalogue.codes("rule.") if code.split(".")[1] not in RULES]
