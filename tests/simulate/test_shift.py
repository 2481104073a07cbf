"""People who work on incidents: what they and the marketplace send is accepted, and leads to what the manifest says."""

from collections import Counter
from functools import cache

import orjson

from tests.support.harness import replayed
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Outputs
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.app.simulate.shift import CHOICES, WORK_TOPICS
from vigil.topics.incidents import IncidentStatus

START = 1_662_048_000_000
WORK = (*WORK_TOPICS, "review")


def shift(**changes: object) -> Simulation:
    settings = {
        "seed": 3,
        "rooms": 20,
        "suppliers": 2,
        "start_ms": START,
        "duration_s": 1_500,
        "moderators": 4,
        **changes,
    }
    return Simulation(**settings)  # type: ignore[arg-type]


@cache
def played() -> tuple[list[SimulatedMessage], Outputs]:
    messages = list(shift(duplicates=0.05).messages())
    return messages, replayed(messages)


def incidents() -> list[IncidentStatus]:
    return [output.body for output in played()[1]["incident"] if isinstance(output.body, IncidentStatus)]


def test_every_kind_of_command_decision_and_result_occurs() -> None:
    values = [orjson.loads(message.value or b"") for message in played()[0] if message.topic in WORK]
    kinds = {value.get("kind") or value.get("decision") or value["outcome"] for value in values}
    assert kinds == {
        "claim", "release", "snooze", "unsnooze", "note", "upheld", "overturned", "appealed", "done", "failed"
    }  # fmt: skip
    assert any("choice" in value for value in values)
    assert len({value["by"] for value in values if value["by"].startswith("moderator")}) == 4


def test_all_of_it_is_accepted_and_shows() -> None:
    outputs = played()[1]
    assert list(outputs.rejected) == []
    shown = incidents()
    assert any(one.claimed_by for one in shown) and any(one.notes for one in shown)
    assert any(one.outcomes for one in shown) and any(one.appealed_at for one in shown)
    assert any(one.still_live for one in shown)
    assert {one.decision for one in shown} == {None, "upheld", "overturned"}


def test_the_claims_of_the_manifest_are_lost_and_no_others() -> None:
    planned = {(fault.room_id, fault.rule, fault.since, fault.subject, fault.at) for fault in claims_lost()}
    found = {
        (one.room_id, one.rule, one.since, one.subject, command.at)
        for one in incidents()
        for command in one.commands
        if (command.kind, command.effect) == ("claim", "lost")
    }
    assert found == planned
    assert len(planned) > 5


def claims_lost() -> list[object]:
    return [fault for fault in shift(duplicates=0.05).manifest() if fault.kind == "claim-lost"]


def test_messages_come_with_the_faults_of_the_manifest() -> None:
    reported: list[object] = []
    for _ in shift().messages(reported.append):
        pass
    assert Counter(map(repr, reported)) == Counter(map(repr, shift().manifest()))


def test_what_people_do_changes_no_other_message() -> None:
    alone = list(shift(moderators=0, duplicates=0.1).messages())
    with_them = [message for message in shift(duplicates=0.1).messages() if message.topic not in WORK]
    assert with_them == alone
    assert not {message.topic for message in alone} & set(WORK)


def test_nobody_does_two_things_to_one_incident_at_one_time() -> None:
    """So the order of what they did does not depend on offsets, which a replay of a file does not have."""
    times = Counter(
        (value.get("incident_id") or value.get("verdict_id"), value["at"])
        for message in shift(duplicates=0).messages()
        if message.topic in ("case", "review")
        for value in [orjson.loads(message.value or b"")]
    )
    assert set(times.values()) == {1}


def test_what_is_chosen_is_always_offered() -> None:
    """Every step of the ladders of these rules offers it."""
    book = load_rulebook()
    for rule, choices in CHOICES.items():
        family = book.families[rule]
        for version in book.versions(f"ladder.{family}"):
            for rung in version.limits.rungs:
                for choice in choices:
                    if "step" in choice:
                        assert choice["step"] in rung.choice
                    for name, days in choice.items():
                        if name != "step":
                            assert getattr(rung, name).least <= days <= getattr(rung, name).most


def test_nobody_works_before_there_is_a_worker() -> None:
    begin = START + 700_000
    early, late = shift(moderators_from_ms=begin), shift()
    times = [message.at for message in early.messages() if message.topic in WORK]
    assert min(times) >= begin
    assert {fault.at for fault in early.manifest()} <= {fault.at for fault in late.manifest()}
    assert len(times) > 20


def test_one_moderator_loses_no_claim() -> None:
    assert [fault for fault in shift(moderators=1).manifest() if fault.kind == "claim-lost"] == []
