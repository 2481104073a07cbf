"""A candidate beside the rulebook in force: what it says, what it leaves as it is, what is stored and what compared."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.support.examples import examples
from tests.support.room_strategies import stories
from tests.support.stories import (
    HOUR,
    MIN,
    ROOM,
    RULEBOOK,
    START,
    S,
    Stage,
    comment,
    entry,
    frame,
    frames,
    in_order,
    played,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms.rules.table import RULES
from vigil.app.domain.rooms.shadow import PREFIX, DroppedShadow, ShadowedRoomMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.runtime.whatif.patch import patched
from vigil.topics.envelope import Output
from vigil.topics.verdicts import Verdict

from hypothesis import given, settings  # isort: skip

EARLIER = patched(RULEBOOK, ["black-screen.lasts_s=60", "greeting-miss.in_a_row=2"])
ROOMS = RoomMachine(RULEBOOK)


def shadowed(*story: Any, candidate: Rulebook | None = EARLIER, until: int | None = None) -> Stage:
    """A story under both, with a crash after every event."""
    return played(*story, machine=ShadowedRoomMachine(RULEBOOK, candidate), until=until)


def verdicts(stage: Stage, topic: str) -> list[tuple[str, int, int]]:
    return [(result.rule, result.since - START, result.at - START) for result in stage.bodies(Verdict, topic)]


def found(stage: Stage) -> dict[str, int]:
    """The comparison's counts without their prefix."""
    counts = stage.collector.counts.items()
    return {name.removeprefix("shadow:"): number for name, number in counts if name.startswith("shadow:")}


def said(outputs: Iterable[Output]) -> list[Output]:
    return [output for output in outputs if output.topic != "verdict-shadow"]


def acquired(stored: Mapping[bytes, bytes], candidate: Rulebook | None) -> Stage:
    """A worker with this candidate (or none) takes the room over."""
    stage = Stage(ShadowedRoomMachine(RULEBOOK, candidate))
    stage.stored = dict(stored)
    stage.state = stage.machine.load(ROOM, dict(stored))
    return stage


BLACK = frames(0, 200 * S, black=True)


def test_each_judges_by_its_own_numbers() -> None:
    stage = shadowed(BLACK)
    assert verdicts(stage, "verdict") == [("black-screen", 0, 120 * S)]
    assert verdicts(stage, "verdict-shadow") == [("black-screen", 0, 60 * S)]


def test_a_deadline_of_the_candidate_alone_is_met() -> None:
    """Two misses are a violation for it: the second deadline, with nothing but it to call for."""
    stage = shadowed(frame(0), entry(1 * S), entry(2 * S), until=MIN)
    assert verdicts(stage, "verdict") == []
    assert verdicts(stage, "verdict-shadow") == [("greeting-miss", 1 * S, 12 * S)]


def test_nothing_else_is_said_than_without_a_candidate() -> None:
    story = (frame(0), BLACK[1:], entry(5 * S), entry(6 * S), entry(7 * S), comment(20 * S), frame(300 * S, "ended"))
    alone, with_shadow = played(*story, until=3 * HOUR), shadowed(*story, until=3 * HOUR)
    assert said(with_shadow.outputs) == alone.outputs
    assert any(output.topic == "verdict-shadow" for output in with_shadow.outputs)


def test_the_shadow_says_what_a_replay_under_the_candidate_says() -> None:
    story = (BLACK, entry(5 * S), entry(6 * S), entry(8 * S))
    alone, with_shadow = played(*story, machine=RoomMachine(EARLIER)), shadowed(*story)
    assert with_shadow.bodies(Verdict, "verdict-shadow") == alone.verdicts


@settings(max_examples=examples(60), deadline=None)
@given(stories())
def test_any_story_is_judged_by_both_as_by_each_alone(story: list[Any]) -> None:
    crashing = iter([number % 3 == 0 for number in range(100_000)])
    machine = ShadowedRoomMachine(RULEBOOK, EARLIER)
    with_shadow = Stage(machine, crashes=lambda: next(crashing)).play(in_order(story)).until(30 * HOUR)
    assert said(with_shadow.outputs) == Stage(ROOMS).play(in_order(story)).until(30 * HOUR).outputs
    alone = Stage(RoomMachine(EARLIER)).play(in_order(story)).until(30 * HOUR)
    assert with_shadow.bodies(Verdict, "verdict-shadow") == alone.verdicts
    assert with_shadow.stored == {}, "a forgotten room leaves nothing"


class TestCompared:
    """`both`, `only_in_force`, `only_shadow`, by identity."""

    def test_the_same_verdict_is_found_by_both(self) -> None:
        stage = shadowed(BLACK, candidate=patched(RULEBOOK, ["absence.lasts_s=60"]))
        assert found(stage) == {"black-screen:both": 1}

    def test_one_at_another_instant_is_found_by_each_alone(self) -> None:
        assert found(shadowed(BLACK)) == {"black-screen:only_shadow": 1, "black-screen:only_in_force": 1}

    def test_one_that_the_candidate_does_not_know_is_found_in_force_alone(self) -> None:
        stage = shadowed(BLACK, candidate=patched(RULEBOOK, ["black-screen.lasts_s=600"]))
        assert found(stage) == {"black-screen:only_in_force": 1}

    def test_verdicts_of_one_frame_are_compared_one_by_one(self) -> None:
        both = frames(0, 400 * S, black=True, face=False)
        stage = shadowed(both, candidate=patched(RULEBOOK, ["absence.lasts_s=120"]))
        assert found(stage) == {"black-screen:both": 1, "absence:only_shadow": 1, "absence:only_in_force": 1}

    def test_deadlines_are_compared(self) -> None:
        misses = [entry(second * S) for second in (1, 2, 3)]
        stage = shadowed(frame(0), misses, candidate=patched(RULEBOOK, ["absence.lasts_s=60"]), until=MIN)
        assert found(stage) == {"greeting-miss:both": 1}

    def test_a_room_that_was_on_air_before_the_candidate_came_is_not_compared(self) -> None:
        """The shadow knows nothing of what was before: it would miss what the rulebook in force finds."""
        stage = Stage(ROOMS).play(BLACK[:50])
        stage.crash()
        with_shadow = acquired(stage.stored, EARLIER).play(BLACK[50:])
        assert verdicts(with_shadow, "verdict") == [("black-screen", 0, 120 * S)]
        assert verdicts(with_shadow, "verdict-shadow") == [("black-screen", 50 * S, 110 * S)]
        assert found(with_shadow) == {}
        with_shadow.crash()
        with_shadow.play(frames(1000 * S, 1200 * S, black=True))
        assert found(with_shadow) == {}, "it stays so after a restart"


class TestStored:
    """What is stored of a shadow, and when it goes."""

    def parts(self, stage: Stage) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
        """The room's own and the shadow's."""
        own = {name: part for name, part in stage.stored.items() if not name.startswith(PREFIX)}
        return own, {name: part for name, part in stage.stored.items() if name.startswith(PREFIX)}

    def test_the_rooms_own_parts_are_as_without_a_candidate(self) -> None:
        story = (BLACK, [comment(at * S, id_=f"c{at}") for at in range(90)], [entry(at * S) for at in range(100, 190)])
        assert self.parts(shadowed(*story))[0] == played(*story).stored

    def test_no_part_of_a_room_begins_as_a_shadows_do(self) -> None:
        story = [
            frames(0, 30 * S, labels=("rights:x",)),
            *([comment(at * S, text=f"a long text of its own {at}", labels=("abuse",))] for at in range(1, 60)),
            *([comment(at * S, author_id=f"b{at}", author_role="buyer")] for at in range(60, 400)),
            *([entry(at * S)] for at in range(400, 600)),
        ]
        names = set(played(*story).stored)
        assert len(names) > 4
        assert not any(name.startswith(PREFIX) for name in names)

    def test_a_candidate_that_is_no_more_leaves_with_the_next_event(self) -> None:
        stage = acquired(shadowed(BLACK[:50]).stored, None)
        assert isinstance(stage.state, DroppedShadow)
        stage.play(BLACK[50:])
        stage.crash()
        assert self.parts(stage)[1] == {}
        assert verdicts(stage, "verdict") == [("black-screen", 0, 120 * S)]

    def test_another_candidate_starts_from_the_beginning(self) -> None:
        stage = acquired(shadowed(BLACK[:50]).stored, patched(RULEBOOK, ["black-screen.lasts_s=30"]))
        stage.play(BLACK[50:])
        stage.crash()
        assert verdicts(stage, "verdict-shadow") == [("black-screen", 50 * S, 80 * S)]
        fresh = self.parts(stage)[1]
        assert fresh
        assert acquired(stage.stored, EARLIER).play([frame(300 * S)]).bodies(Verdict, "verdict-shadow") == []

    def test_parts_of_another_candidate_are_deleted(self) -> None:
        many = [entry(at) for at in range(200)]
        before = shadowed(frame(0), many)
        assert {PREFIX + b"w0", PREFIX + b"w1"} <= set(before.stored)
        stage = acquired(before.stored, patched(RULEBOOK, ["absence.lasts_s=60"]))
        stage.play([frame(1 * S)])
        stage.crash()
        assert set(self.parts(stage)[1]) == {PREFIX}

    def test_the_same_candidate_goes_on_where_it_was(self) -> None:
        stage = acquired(shadowed(BLACK[:50]).stored, EARLIER).play(BLACK[50:])
        assert verdicts(stage, "verdict-shadow") == [("black-screen", 0, 60 * S)]

    def test_a_candidate_that_left_and_came_back_missed_something(self) -> None:
        """What was stored of it went with the events that it did not see: it does not judge over the hole."""
        away = acquired(shadowed(BLACK[:50]).stored, None).play([frame(50 * S)])
        away.crash()
        stage = acquired(away.stored, EARLIER).play(BLACK[51:])
        assert verdicts(stage, "verdict-shadow") == [("black-screen", 51 * S, 111 * S)]

    @pytest.mark.parametrize("forget_s", [60, 7200])
    def test_a_candidate_that_remembers_shorter_or_longer_is_stored_rightly(self, forget_s: int) -> None:
        candidate = patched(RULEBOOK, [f"rooms.forget_ended_s={forget_s}", "black-screen.lasts_s=60"])
        story = [*BLACK, frame(201 * S, "ended")]
        again = [frame(at, black=True) for at in range(201 * S + 3660 * S, 201 * S + 3660 * S + 200 * S, S)]
        with_shadow = shadowed(story, again, candidate=candidate, until=40 * HOUR)
        alone = played(story, again, machine=RoomMachine(candidate), until=40 * HOUR)
        assert with_shadow.bodies(Verdict, "verdict-shadow") == alone.verdicts
        assert said(with_shadow.outputs) == played(story, again, until=40 * HOUR).outputs
        assert with_shadow.stored == {}


def test_counts_name_rules_that_exist() -> None:
    """They become labels of a metric."""
    counted = Counter(name.split(":")[1] for name in shadowed(BLACK).collector.counts if name.startswith("shadow:"))
    assert set(counted) <= set(RULES)


def test_without_a_candidate_a_room_is_a_room() -> None:
    """No cost where there is no shadow."""
    assert type(ShadowedRoomMachine(RULEBOOK, None).load(ROOM, {})) is type(ROOMS.load(ROOM, {}))
    assert OutputCollector().counts == {}
