"""Of one room so many incidents are remembered at most: those that ended first make room for others."""

import pytest

from tests.support.incident_stories import Stage, at, cleared, id_of, violated, warned
from vigil.app.domain.incidents import room
from vigil.app.domain.rulebook.reader import load_rulebook

MOST, AT_ONCE = 6, 2


@pytest.fixture(autouse=True)
def few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_GROUPS", MOST)
    monkeypatch.setattr(room, "FORGOTTEN_AT_ONCE", AT_ONCE)


def test_beyond_the_bound_those_that_ended_first_are_forgotten_and_those_that_go_on_are_not() -> None:
    stage = Stage(load_rulebook()).play(violated(120, 0, "first"))
    for number in range(1, MOST):
        stage.play(warned(200 * number, 200 * number), cleared(200 * number + 90 - number, 200 * number))
    assert len(stage.board.lines) == MOST, "as many as the bound"
    stage.play(warned(9000, 9000))
    assert {line.since for line in stage.board.lines.values()} == {at(0), at(600), at(800), at(1000), at(9000)}
    assert stage.board.lines[id_of()].stage == "violation"
    stage.play(cleared(9900, 9000), warned(9950, 9950), warned(9960, 9960))
    assert len(stage.board.lines) == MOST - AT_ONCE + 1, "two more were forgotten"
    assert {at(0), at(9950), at(9960)} <= {line.since for line in stage.board.lines.values()}


def test_where_all_go_on_the_oldest_are_forgotten() -> None:
    stage = Stage(load_rulebook())
    for number in range(MOST + 1):
        stage.play(violated(1000 + number, number, f"v{number}"))
    left = {line.since for line in stage.board.lines.values()}
    assert left == {at(number) for number in range(AT_ONCE, MOST + 1)}
