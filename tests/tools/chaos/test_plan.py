"""Everything random in a chaos run comes from its seed."""

from collections import Counter
from pathlib import Path

from tests.support.harness import replayed
from tools.chaos_plan import LIVE_EVERY, LIVE_LATENESS_MS, MOST_WORKERS, TWO_NAMES, plan, zombie
from vigil.app.domain.rulebook.reader import BUILT_IN
from vigil.topics.incidents import IncidentStatus
from vigil.topics.verdicts import Action

SEEDS = range(1, 201)


def test_a_seed_gives_the_same_run_each_time() -> None:
    for seed in SEEDS:
        assert plan(seed) == plan(seed)
        assert zombie(seed) == zombie(seed)


def test_the_recording_of_a_seed_is_the_same_each_time() -> None:
    assert list(plan(3).simulation.messages()) == list(plan(3).simulation.messages())


def test_every_kind_of_fault_occurs_with_one_to_three_workers() -> None:
    kinds = Counter(action.kind for seed in SEEDS for action in plan(seed).actions)
    assert {"kill", "term", "freeze", "leave", "join", "broker-kill", "broker-restart", "broker-pause"} == set(kinds)
    assert {plan(seed).workers for seed in SEEDS} == {1, 2, 3}
    assert {plan(seed).clock for seed in SEEDS} == {"recorded", "live"}
    assert plan(LIVE_EVERY).clock == "live"


def test_one_worker_always_remains_and_only_running_workers_are_hit() -> None:
    for seed in SEEDS:
        drawn = plan(seed)
        there = set(range(drawn.workers))
        for action in drawn.actions:
            if action.kind == "join":
                assert action.worker not in there
                there.add(action.worker or 0)
                assert len(there) <= MOST_WORKERS
            elif action.worker is not None:
                assert action.worker in there
            if action.kind == "leave":
                there.remove(action.worker or 0)
                assert there
        assert [action.at_s for action in drawn.actions] == sorted(action.at_s for action in drawn.actions)


def test_workers_are_frozen_longer_than_their_session() -> None:
    for seed in SEEDS:
        drawn = plan(seed)
        for action in drawn.actions:
            if action.kind == "freeze":
                assert action.for_s * 1000 > int(str(drawn.settings["session_timeout_ms"]))


def test_with_a_live_clock_the_broker_is_away_for_less_than_the_allowed_lateness() -> None:
    for seed in SEEDS:
        drawn = plan(seed, "live")
        assert drawn.lateness_ms == drawn.settings["allowed_lateness_ms"] == LIVE_LATENESS_MS
        away = sum(action.for_s for action in drawn.actions if action.worker is None)
        assert away * 1000 < LIVE_LATENESS_MS


def test_what_people_do_is_part_of_what_is_compared(tmp_path: Path) -> None:
    """Claims that hold and are lost, notes, outcomes, appeals; where two must approve, held and approved actions."""
    incidents: list[IncidentStatus] = []
    actions: dict[bool, list[Action]] = {False: [], True: []}
    for seed in (1, 2, 3, 4):
        drawn = plan(seed)
        rulebook = tmp_path / "rules.toml"
        rulebook.write_text(BUILT_IN.read_text(encoding="utf-8") + TWO_NAMES * drawn.two_names, encoding="utf-8")
        outputs = replayed(drawn.simulation.messages(), drawn.lateness_ms, rulebook)
        incidents += [one.body for one in outputs["incident"] if isinstance(one.body, IncidentStatus)]
        actions[drawn.two_names] += [one.body for one in outputs["enforcement"] if isinstance(one.body, Action)]
    assert {command.effect for one in incidents for command in one.commands} == {"done", "lost"}
    for name in ("claimed_by", "notes", "outcomes", "appealed_at", "snoozed_until"):
        assert any(getattr(one, name) for one in incidents), name
    assert {action.status for action in actions[False]} == {"active", "withdrawn"}
    assert {action.status for action in actions[True]} == {"active", "withdrawn", "held"}
    assert any(len(action.approved_by) == 2 and action.status == "active" for action in actions[True])
